"""One cloud of real servers for many tests: its command, its tenants, and guests to type commands into."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openstack
from openstack.config import OpenStackConfig
from openstack.connection import Connection

from running import free_port

HANEUL = str(Path(__file__).parents[2] / "haneul")
USER = "cirros"
LOGIN_SECONDS = 240.0  # an emulated guest on a busy machine
SSH = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
       "-o", "ConnectTimeout=10"]


def until(ask: Callable[[], Any], seconds: float, what: str, pause: float = 0.3) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(pause)
    return answer


class Ground:
    """A cloud without the demo, in a state directory of its own. `config` goes on with the file of configuration."""

    def __init__(self, config: str = "") -> None:
        self.config = config
        self.state = Path(f"/tmp/haneul-real-{secrets.token_hex(4)}")
        self.port = free_port()
        self._connections: dict[str, Connection] = {}

    # ---------------------------------------------------------------- the command

    def command(self, *words: str) -> str:
        done = subprocess.run([HANEUL, *words, "--state", str(self.state)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self) -> None:
        self.state.mkdir(exist_ok=True)
        if not (self.state / "config.toml").exists():
            (self.state / "config.toml").write_text("[identity]\nbcrypt_rounds = 4\n\n[quota]\ninstances = 50\ncores = 50\n"
                                                    + self.config)
        self.command("up", "--detach", "--no-demo", "--port", str(self.port))

    def down(self) -> None:
        self.command("down")

    def purge(self) -> None:
        for connection in self._connections.values():
            connection.close()
        if self.state.exists():
            self.command("down", "--purge")

    def noted(self) -> str:
        """Warnings and errors in the logs, for who reads a failure."""
        found = [line[:4000] for log in sorted((self.state / "log").glob("*.log"))
                 for line in log.read_text(errors="replace").splitlines() if '"info"' not in line]
        return "\n".join(found[-20:])

    def status(self) -> dict[str, Any]:
        done = subprocess.run([HANEUL, "status", "--json", "--state", str(self.state)], capture_output=True, text=True)
        return json.loads(done.stdout)

    def pids(self) -> dict[str, int]:
        return {process["name"]: process["pid"] for process in self.status()["processes"]}

    @property
    def cloud_id(self) -> str:
        return (self.state / "cloud-id").read_text().strip()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ---------------------------------------------------------------- clients

    @property
    def admin(self) -> Connection:
        return self.connect("admin", (self.state / "admin-password").read_text().strip(), "admin")

    def connect(self, user: str, password: str, project: str) -> Connection:
        if user not in self._connections:
            region = OpenStackConfig(load_yaml_config=False, load_envvars=False).get_one(
                auth_type="password", region_name="RegionOne", interface="public", auth={
                    "auth_url": f"{self.url}/identity/v3", "username": user, "password": password, "project_name": project,
                    "user_domain_id": "default", "project_domain_id": "default"})
            self._connections[user] = openstack.connection.Connection(config=region)
        return self._connections[user]

    # ---------------------------------------------------------------- what every tenant uses

    def furnish(self, image: Path) -> None:
        """Images, flavors and the external network."""
        self.image = self.add_image("guest", image.read_bytes(), "qcow2")
        self.empty_image = self.add_image("empty", bytes(1 << 20), "raw")
        self.flavor = self.admin.compute.create_flavor(name="real.small", vcpus=1, ram=192, disk=1).id
        self.large_flavor = self.admin.compute.create_flavor(name="real.large", vcpus=2, ram=256, disk=2).id
        self.tiny_flavor = self.admin.compute.create_flavor(name="real.tiny", vcpus=1, ram=64, disk=1).id
        cidr = json.loads((self.state / "chosen.json").read_text())["network"]["public_cidr"]
        made = self.admin.network.create_network(name="public", is_router_external=True, provider_network_type="flat",
                                                 provider_physical_network="public")
        base = cidr.rpartition(".")[0]
        self.admin.network.create_subnet(network_id=made.id, ip_version=4, cidr=cidr, gateway_ip=f"{base}.1",
                                         is_dhcp_enabled=False)
        self.public = made.id

    def add_image(self, name: str, content: bytes, disk_format: str) -> str:
        image = self.admin.image.create_image(name=name, disk_format=disk_format, container_format="bare",
                                              visibility="public", data=content, validate_checksum=False)
        return str(image.id)

    def tenant(self, name: str, cidr: str) -> Tenant:
        return Tenant(self, name, cidr)

    # ---------------------------------------------------------------- the machine

    def qemu(self, server_id: str) -> list[int]:
        """Process ids of a server's QEMU."""
        return [pid for pid, line in processes().items() if line.startswith("qemu-system") and server_id in line]

    def namespaces(self) -> list[str]:
        listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
        return [line.split()[0] for line in listed.splitlines() if self.cloud_id in line]

    def dnsmasq(self) -> list[int]:
        return [pid for pid, line in processes().items() if "dnsmasq" in line.split(" ")[0] and self.cloud_id in line]


class Tenant:
    """A project and its user: a network behind a router, a key pair, and ping and ssh let in."""

    def __init__(self, ground: Ground, name: str, cidr: str) -> None:
        self.ground, self.name, self.cidr = ground, name, cidr
        self.folder = ground.state.with_name(ground.state.name + "-keys")
        self.folder.mkdir(mode=0o700, exist_ok=True)
        admin = ground.admin.identity
        project = admin.create_project(name=name, domain_id="default")
        user = admin.create_user(name=name, password=f"password-of-{name}", domain_id="default")
        admin.assign_project_role_to_user(project, user, admin.find_role("member"))
        self.project_id = project.id
        self.cloud = ground.connect(name, f"password-of-{name}", name)
        network = self.cloud.network
        self.network = network.create_network(name=f"{name}-net").id
        self.subnet = network.create_subnet(network_id=self.network, ip_version=4, cidr=cidr).id
        self.router = network.create_router(name=f"{name}-router", external_gateway_info={"network_id": ground.public}).id
        network.add_interface_to_router(self.router, subnet_id=self.subnet)
        self.gateway = network.get_subnet(self.subnet).gateway_ip
        self.group = next(network.security_groups(name="default", project_id=project.id)).id
        self.rules = {"icmp": self.let_in("icmp"), "ssh": self.let_in("tcp", 22)}
        self.key = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", self.key], check=True)
        self.cloud.compute.create_keypair(name=name, public_key=self.key.with_suffix(".pub").read_text())

    def let_in(self, protocol: str, port: int | None = None, group: str | None = None) -> str:
        return str(self.cloud.network.create_security_group_rule(
            security_group_id=group or self.group, direction="ingress", ethertype="IPv4", protocol=protocol,
            port_range_min=port, port_range_max=port).id)

    def create(self, name: str, **wishes: Any) -> Guest:
        """A server that is asked for and not waited for, with a floating IP unless `floating` is false."""
        floating = wishes.pop("floating", True)
        wishes = {"image_id": self.ground.image, "flavor_id": self.ground.flavor, "networks": [{"uuid": self.network}],
                  "key_name": self.name} | wishes
        server = self.cloud.compute.create_server(name=name, **wishes)
        return Guest(self, server.id, name, floating)

    def boot(self, *names: str, **wishes: Any) -> list[Guest]:
        """Servers that one can log in to; they boot side by side."""
        guests = [self.create(name, **wishes) for name in names]
        for guest in guests:
            guest.until("ACTIVE")
            guest.connect()
        for guest in guests:
            guest.until_login()
        return guests

    @contextlib.contextmanager
    def guests(self, *names: str, **wishes: Any) -> Iterator[list[Guest]]:
        guests: list[Guest] = []
        try:
            guests += self.boot(*names, **wishes)
            yield guests
        finally:
            for guest in guests:
                guest.delete()


class Guest:
    """A server and a way to type into it."""

    def __init__(self, tenant: Tenant, id: str, name: str, floating: bool) -> None:
        self.tenant, self.id, self.name, self.floating = tenant, id, name, floating
        self.address = ""

    @property
    def compute(self) -> Any:
        return self.tenant.cloud.compute

    def show(self) -> Any:
        return self.compute.get_server(self.id)

    def until(self, status: str, seconds: float = 150.0) -> Any:
        def there() -> Any:
            server = self.show()
            assert server.status != "ERROR" or status == "ERROR", \
                f"{self.name}: {server.fault}\n{self.tenant.ground.noted()}"
            return server if server.status == status and server.task_state is None else None

        return until(there, seconds, f"{self.name} {status}", 0.1)

    def port(self) -> Any:
        return next(self.tenant.cloud.network.ports(device_id=self.id, network_id=self.tenant.network))

    @property
    def ip(self) -> str:
        return str(self.port().fixed_ips[0]["ip_address"])

    @property
    def mac(self) -> str:
        return str(self.port().mac_address)

    def connect(self) -> None:
        """A floating IP of its own."""
        if self.floating and not self.address:
            self.address = self.tenant.cloud.network.create_ip(floating_network_id=self.tenant.ground.public,
                                                               port_id=self.port().id).floating_ip_address

    def delete(self) -> None:
        for ip in self.tenant.cloud.network.ips(floating_ip_address=self.address) if self.address else []:
            self.tenant.cloud.network.delete_ip(ip)
        self.compute.delete_server(self.id, ignore_missing=True)
        until(lambda: self.compute.find_server(self.id, ignore_missing=True) is None, 60, f"{self.name} gone")

    # ---------------------------------------------------------------- inside

    def ssh(self, *words: str) -> list[str]:
        return ["ssh", "-i", str(self.tenant.key), *SSH, f"{USER}@{self.address}", *words]

    def attempt(self, command: str, stdin: str = "", seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.ssh(command), input=stdin, capture_output=True, text=True, timeout=seconds)

    def run(self, command: str, stdin: str = "", seconds: float = 60.0) -> str:
        done = self.attempt(command, stdin, seconds)
        assert done.returncode == 0, f"{self.name}: {command}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def until_login(self, seconds: float = LOGIN_SECONDS) -> None:
        until(self.answers_ssh, seconds, f"ssh server of {self.name}")
        until(self.lets_in, seconds, f"login to {self.name}")

    def answers_ssh(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=3) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def lets_in(self) -> bool:
        try:
            return self.attempt("true", seconds=40).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def pings(self, address: str, *options: str) -> bool:
        """Whether one of four pings from inside the guest is answered."""
        return self.attempt(f"ping -c 4 -i 0.5 -W 2 {' '.join(options)} {address}").returncode == 0

    def console(self) -> str:
        return str(self.compute.get_server_console_output(self.id)["output"])


class Pinger:
    """Pings an address all the while; `lost` counts what was not answered."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> Pinger:
        self._process = subprocess.Popen(["ping", "-i", "0.2", "-W", "5", self.address], stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(2)
        text, _ = self._process.communicate(timeout=30)
        words = next(line for line in text.splitlines() if "packets transmitted" in line).split()
        self.sent, self.answered = int(words[0]), int(words[3])

    @property
    def lost(self) -> int:
        return self.sent - self.answered


def processes() -> dict[int, str]:
    """Command lines by process id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
    return found


def traces(cloud_id: str, state: Path) -> list[str]:
    """Everything on the machine that carries the cloud's id or lies in its state directory."""
    found = []
    for command in (["ip", "-o", "link"], ["ip", "netns"], ["nft", "list", "tables"], ["ip", "rule"], ["ip", "-o", "addr"]):
        found += subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found += [str(path) for path in Path("/sys/fs/cgroup").rglob("haneul-*")]
    found += [str(path) for path in Path("/run").glob("hn-*")]
    found += Path("/proc/self/mountinfo").read_text().splitlines()
    found += processes().values()
    return [line for line in found if cloud_id in line or f"{state}/" in line]
