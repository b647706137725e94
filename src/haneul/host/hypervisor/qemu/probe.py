"""What this machine can do, found out by doing it: a probe guest decides whether KVM runs anything."""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from haneul.host.contract import HostFacts
from haneul.host.hypervisor.qemu.process import PATH, QEMU, boot_id, confined

PROBE_SECONDS = 2.0  # under KVM the probe guest needs a tenth of a second; where it is emulated it never ends
EXIT_PORT, EXIT_BYTE = 0xF4, 0x10
PASSED = EXIT_BYTE << 1 | 1  # QEMU's exit status for that byte
LOOPS = 50_000_000
NO_FEATURES = ("kvm", "hv-", "x-", "l3-", "full-", "host-", "legacy-")  # properties that are no CPUID flags
SLOW = "servers run under emulation (TCG), which is slow."


class Findings(Struct, kw_only=True):
    """Kept for as long as the machine is up and QEMU is the same file."""

    key: str
    virt: Literal["kvm", "tcg"]
    version: int
    features: list[str]
    problems: list[str]


def firmware() -> bytes:
    """A 64 KiB BIOS that enters protected mode, counts to fifty million and leaves through isa-debug-exit.

    Entering the mode and getting through the loop is what fails where /dev/kvm is there but no guest runs.
    """
    rom = bytearray(b"\xf4" * 65536)  # hlt

    def put(at: int, content: bytes) -> None:
        rom[at:at + len(content)] = content

    put(0xF000, b"\xfa" + b"\x66\x2e\x0f\x01\x16\x00\xf1"  # cli; lgdt cs:[0xf100]
        + b"\x0f\x20\xc0\x0c\x01\x0f\x22\xc0"  # mov eax, cr0; or al, 1; mov cr0, eax
        + b"\x66\xea" + struct.pack("<IH", 0xFF080, 8))  # jmp 8:0xff080
    put(0xF080, b"\x31\xc0\x0f\xa2"  # xor eax, eax; cpuid
        + b"\xb9" + struct.pack("<I", LOOPS) + b"\x49\x75\xfd"  # mov ecx, LOOPS; dec ecx; jnz -3
        + bytes([0xB0, EXIT_BYTE, 0xE6, EXIT_PORT, 0xF4, 0xEB, 0xFD]))  # mov al, …; out …, al; hlt; jmp -3
    put(0xF100, struct.pack("<HI", 23, 0xFF110))
    put(0xF110, struct.pack("<QQQ", 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF))  # null, code, data: flat
    put(0xFFF0, b"\xe9" + struct.pack("<h", 0xF000 - 0xFFF3))  # the reset vector: jmp 0xf000
    return bytes(rom)


def kvm_problem() -> str | None:
    """None when a guest ran under KVM; otherwise a plain sentence."""
    try:
        device = os.stat("/dev/kvm")
    except OSError:
        return f"There is no /dev/kvm: {SLOW}"
    if not device.st_mode & 0o006 == 0o006 and (device.st_gid == 0 or not device.st_mode & 0o060 == 0o060):
        return (f"QEMU's user may not open /dev/kvm, which must be readable and writable by a group other than root's "
                f"(chgrp kvm /dev/kvm; chmod 660 /dev/kvm): {SLOW}")
    return run_probe_guest()


def run_probe_guest() -> str | None:
    """None when it ran to its end; otherwise a plain sentence."""
    with tempfile.NamedTemporaryFile(prefix="haneul-probe-") as rom:
        rom.write(firmware())
        rom.flush()
        os.chmod(rom.name, 0o644)
        try:
            done = subprocess.run(
                confined(["-machine", "pc", "-accel", "kvm", "-display", "none", "-m", "16M", "-bios", rom.name,
                          "-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1"]),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PROBE_SECONDS, env={"PATH": PATH})
        except subprocess.TimeoutExpired:
            return f"/dev/kvm is there, but a probe guest did not get through in {PROBE_SECONDS:.0f} s: {SLOW}"
        except FileNotFoundError as error:
            return f"The program {error.filename} is not installed."
    if done.returncode == PASSED:
        return None
    said = "; ".join(line for line in done.stderr.splitlines() if "warning" not in line)[-300:]
    return f"/dev/kvm is there, but no guest runs under it ({said or done.returncode}): {SLOW}"


def _ask(virt: str) -> tuple[int, list[str]]:
    """QEMU's version, and what the virtual CPU can do, from QEMU itself."""
    model = "host" if virt == "kvm" else "max"
    words = ({"execute": "qmp_capabilities"},
             {"execute": "query-cpu-model-expansion", "arguments": {"type": "full", "model": {"name": model}}},
             {"execute": "quit"})
    done = subprocess.run(
        confined(["-machine", "pc", "-accel", virt, "-cpu", model, "-display", "none", "-m", "16M", "-S",
                  "-qmp", "stdio"]),
        input=b"\n".join(map(msgspec.json.encode, words)), capture_output=True, timeout=20, env={"PATH": PATH})
    version, features = 0, []
    for line in done.stdout.splitlines():
        said: dict[str, Any] = msgspec.json.decode(line)
        if "QMP" in said:
            number = said["QMP"]["version"]["qemu"]
            version = number["major"] * 1_000_000 + number["minor"] * 1_000 + number["micro"]
        elif isinstance(said.get("return"), dict) and "model" in said["return"]:
            features = sorted(name for name, on in said["return"]["model"]["props"].items()
                              if on is True and not name.startswith(NO_FEATURES))
    return version, features


def findings(cache: Path) -> Findings:
    """From the cache file, or by starting the probe guest (seconds, when KVM does not work)."""
    program = next((Path(folder, QEMU) for folder in PATH.split(":") if Path(folder, QEMU).exists()), None)
    key = f"{boot_id()} {program} {program.stat().st_mtime_ns if program else 0}"
    try:
        known = msgspec.json.decode(cache.read_bytes(), type=Findings)
        if known.key == key:
            return known
    except (FileNotFoundError, msgspec.DecodeError):
        pass
    if program is None:
        return Findings(key=key, virt="tcg", version=0, features=[], problems=[f"{QEMU} is not installed."])
    problem = kvm_problem()
    virt: Literal["kvm", "tcg"] = "tcg" if problem else "kvm"
    version, features = _ask(virt)
    found = Findings(key=key, virt=virt, version=version, features=features, problems=[problem] if problem else [])
    fresh = cache.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(found))
    fresh.replace(cache)
    return found


def facts(name: str, found: Findings, folder: Path, fabric: Literal["linux", "fake"], tunnel_ip: str,
          problems: list[str]) -> HostFacts:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    disk = os.statvfs(folder)
    return HostFacts(
        name=name, hypervisor="qemu", virt=found.virt, hypervisor_version=found.version,
        architecture=os.uname().machine,
        cpu_model=model, cpu_features=found.features, cpus=len(os.sched_getaffinity(0)), memory_mib=memory >> 20,
        disk_gib=disk.f_blocks * disk.f_frsize >> 30, fabric=fabric, tunnel_ip=tunnel_ip, uptime=_uptime(),
        problems=[*found.problems, *problems])


def _uptime() -> str:
    """As `uptime` prints it, which is what Nova hands on."""
    minutes = int(float(Path("/proc/uptime").read_text().split()[0])) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    up = (f"{days} day{'s' if days > 1 else ''}, " if days else "") + f"{hours:2d}:{minutes % 60:02d}"
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return f" {time.strftime('%H:%M:%S')} up {up},  0 users,  load average: {load}"
