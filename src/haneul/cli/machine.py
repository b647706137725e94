"""What the machine can and has: whether a cloud can run here, who holds a port, which addresses are free."""

from __future__ import annotations

import errno
import ipaddress
import os
import shutil
import socket
import subprocess
from pathlib import Path

import msgspec

from haneul.cli.state import Stop, write
from haneul.kernel.config import Paths

CLOUDS = Path("/var/cache/haneul/clouds")  # who has which external network on this machine
PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "ssh-keygen": "openssh-client",
            "setpriv": "util-linux"}


def check(paths: Paths) -> None:
    """Raises Stop with what the machine lacks for real servers and networks, and what to do. Asked once a boot."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    stamp = paths.run / "checked"
    if stamp.exists() and stamp.read_text() == boot:
        return
    from haneul.host.fabric.linux import check as check_fabric
    problems = [f"The program {program} is missing; install the package {package}."
                for program, package in PROGRAMS.items() if shutil.which(program) is None]
    problems += check_fabric()
    if problems:
        raise Stop("this machine cannot run real servers:\n  " + "\n  ".join(problems)
                   + "\n  Without real servers, `./haneul up --hypervisor fake` works.")
    write(stamp, boot, 0o644)


def refuse_taken_port(bind: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise Stop(f"this machine has no address {bind} (api.bind).") from error
            if error.errno != errno.EADDRINUSE:
                raise Stop(f"{bind} port {port}: {error.strerror}.") from error
            raise Stop(f"port {port} on {bind} is in use by {_holder(port)}. Stop that program, or give this cloud another "
                       "port: `./haneul up --port N`.") from error


def _holder(port: int) -> str:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if os.path.exists(table):
            for line in Path(table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{words[9]}]")
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for descriptor in (process / "fd").iterdir():
                if os.readlink(descriptor) in inodes:
                    return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue
    return "another program"


class Reservation(msgspec.Struct):
    state: str
    public_cidr: str


def free_public_cidr(wished: str, cloud_id: str, state: Path) -> str:
    """The wished external network, or one of the same size near it that nobody here uses; reserved for this cloud."""
    taken = [*_routed(), *_reserved(cloud_id)]
    first = ipaddress.ip_network(wished)
    for number in range(256):
        candidate = ipaddress.ip_network((int(first.network_address) + number * first.num_addresses, first.prefixlen))
        if not any(candidate.version == other.version and candidate.overlaps(other) for other in taken):  # type: ignore[arg-type]
            CLOUDS.mkdir(parents=True, exist_ok=True)
            reservation = Reservation(str(state), str(candidate))
            write(CLOUDS / f"{cloud_id}.json", msgspec.json.encode(reservation).decode() + "\n", 0o644)
            return str(candidate)
    raise Stop(f"no free network near {wished}; set network.public_cidr in the configuration.")


def release(cloud_id: str) -> None:
    (CLOUDS / f"{cloud_id}.json").unlink(missing_ok=True)


def _routed() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    done = subprocess.run(["ip", "-json", "route", "show", "table", "all"], capture_output=True, check=True)
    found = []
    for route in msgspec.json.decode(done.stdout or b"[]"):
        if route["dst"] != "default" and route.get("type") not in ("broadcast", "multicast"):
            found.append(ipaddress.ip_network(route["dst"], strict=False))
    return found


def _reserved(but: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for file in CLOUDS.glob("*.json"):
        reservation = msgspec.json.decode(file.read_bytes(), type=Reservation)
        if file.stem == but:
            continue
        if not Path(reservation.state, "cloud-id").exists():
            file.unlink(missing_ok=True)
        else:
            found.append(ipaddress.ip_network(reservation.public_cidr))
    return found
