"""What a new cloud shows: images, flavors, networks and a first server to log in to. Made through the public API.

All of it belongs to the project `admin`, whose administrator `./haneul env` makes the user, so that every command works as
typed. Each piece is looked for first: run again, it mends what is missing and changes nothing else.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from haneul.cli import guest, state
from haneul.cli.api import Api, ApiError, wait
from haneul.cli.state import Stop
from haneul.cli.up import Steps
from haneul.kernel.config import Config, Paths

NOVA, NEUTRON, GLANCE, KEYSTONE = "/compute/v2.1", "/network/v2.0", "/image/v2", "/identity/v3"
FLAVORS = {"m1.nano": (1, 128, 1), "m1.micro": (1, 192, 1), "m1.tiny": (1, 256, 1), "m1.small": (1, 512, 5),
           "m1.medium": (2, 2048, 10), "m1.large": (4, 8192, 40)}  # vCPUs, MiB, GiB
PRIVATE = "10.0.0.0/24"
POOL = "10.128.0.0/10"
USER = "cirros"  # of the guest image


def ensure(paths: Paths, config: Config, steps: Steps) -> list[tuple[str, str]]:
    """What to tell the user about it. `guest.begin` was called, unless servers are fake."""
    real = config.host.hypervisor != "fake"
    folder = paths.state / "demo"
    folder.mkdir(exist_ok=True)
    api = Api.of(paths, config)
    with _told(), steps.step("flavors, networks, key pair, rules"):
        key = _key_pair(api, folder)
        for name in FLAVORS:
            flavor(api, name)
        public = public_network(api, config)
        private = _private_network(api, public)
        _rules(api)
        _ordinary_user(api, folder)
    with _told():
        file = guest.finished() if real else None
        with steps.step("image in the cloud"):
            image = upload_image(api, paths, "guest", file)
        server, address = _server(api, steps, image, private, public)
    if real:
        with steps.step("first login"):
            _log_in(address, key)
    said = [("server", f"hello ({server['id']})"), ("floating IP", address)]
    if real:
        said.append(("log in", " ".join(ssh(address, key))))
    return said


def ssh(address: str, key: Path) -> list[str]:
    """Every cloud starts with the same addresses and other host keys: they are not to be remembered."""
    return ["ssh", "-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", f"{USER}@{address}"]


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        raise Stop(f"the cloud is up, but its demo could not be made: {error}. `./haneul up` tries again; `--no-demo` goes "
                   "without.") from error


def _key_pair(api: Api, folder: Path) -> Path:
    key = folder / "id_ed25519"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "demo", "-f", str(key)], check=True,
                       stdin=subprocess.DEVNULL)
    public = key.with_suffix(".pub").read_text().strip()
    pairs = {item["keypair"]["name"]: item["keypair"] for item in api.get(f"{NOVA}/os-keypairs")["keypairs"]}
    if "demo" in pairs and pairs["demo"]["public_key"].split()[:2] != public.split()[:2]:
        api.delete(f"{NOVA}/os-keypairs/demo")
        del pairs["demo"]
    if "demo" not in pairs:
        api.post(f"{NOVA}/os-keypairs", {"keypair": {"name": "demo", "public_key": public, "type": "ssh"}})
    return key


def flavor(api: Api, name: str) -> str:
    """Its id."""
    for item in api.get(f"{NOVA}/flavors", is_public="None")["flavors"]:
        if item["name"] == name:
            return item["id"]
    vcpus, ram, disk = FLAVORS[name]
    return api.post(f"{NOVA}/flavors", {"flavor": {"name": name, "vcpus": vcpus, "ram": ram, "disk": disk}})["flavor"]["id"]


def public_network(api: Api, config: Config) -> str:
    """Its id. It is the default outside, and there is a pool to cut subnets from: who asks for a network gets one."""
    networks, subnets = f"{NEUTRON}/networks", f"{NEUTRON}/subnets"
    network = api.ensure(networks, "network", {
        "name": "public", "router:external": True, "is_default": True, "provider:network_type": "flat",
        "provider:physical_network": config.network.flat_networks[0]}, name="public", project_id=api.project_id)
    cidr = ipaddress.ip_network(config.network.public_cidr)
    api.ensure(subnets, "subnet", {
        "name": "public-subnet", "network_id": network["id"], "ip_version": cidr.version, "cidr": str(cidr),
        "gateway_ip": str(cidr[1]), "enable_dhcp": False}, network_id=network["id"])
    if not api.get(f"{NEUTRON}/subnetpools", is_default="True", ip_version="4")["subnetpools"]:
        api.post(f"{NEUTRON}/subnetpools", {"subnetpool": {
            "name": "shared-default-subnetpool-v4", "prefixes": [POOL], "default_prefixlen": 26, "is_default": True,
            "shared": True}})
    return network["id"]


def _private_network(api: Api, public: str) -> str:
    mine = {"project_id": api.project_id}
    network = api.ensure(f"{NEUTRON}/networks", "network", {"name": "private"}, name="private", **mine)
    subnet = api.ensure(f"{NEUTRON}/subnets", "subnet", {
        "name": "private-subnet", "network_id": network["id"], "ip_version": 4, "cidr": PRIVATE}, network_id=network["id"])
    router = api.ensure(f"{NEUTRON}/routers", "router", {
        "name": "router", "external_gateway_info": {"network_id": public}}, name="router", **mine)
    if not api.get(f"{NEUTRON}/ports", device_id=router["id"], network_id=network["id"])["ports"]:
        api.put(f"{NEUTRON}/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
    return network["id"]


def _rules(api: Api) -> None:
    """Ping and ssh from anywhere into servers of the default group."""
    group = api.one(f"{NEUTRON}/security-groups", "security_groups", name="default", project_id=api.project_id)
    rules = api.get(f"{NEUTRON}/security-group-rules", security_group_id=group["id"])["security_group_rules"]
    for protocol, port in (("icmp", None), ("tcp", 22)):
        if not any(r["direction"] == "ingress" and r["protocol"] == protocol and r["port_range_min"] == port for r in rules):
            api.post(f"{NEUTRON}/security-group-rules", {"security_group_rule": {
                "security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv4", "protocol": protocol,
                "port_range_min": port, "port_range_max": port}})


def _ordinary_user(api: Api, folder: Path) -> None:
    """Project and user `demo`, to see the cloud as its users do: OS_CLOUD=demo."""
    path = folder / "password"
    if not path.exists():
        state.write(path, secrets.token_urlsafe(18) + "\n", 0o600)
    project = api.ensure(f"{KEYSTONE}/projects", "project", {"name": "demo", "domain_id": "default"},
                         name="demo", domain_id="default")
    user = api.ensure(f"{KEYSTONE}/users", "user", {
        "name": "demo", "domain_id": "default", "default_project_id": project["id"], "password": path.read_text().strip()},
        name="demo", domain_id="default")
    role = api.one(f"{KEYSTONE}/roles", "roles", name="member")
    api.put(f"{KEYSTONE}/projects/{project['id']}/users/{user['id']}/roles/{role['id']}")


def upload_image(api: Api, paths: Paths, name: str, file: Path | None) -> str:
    """The id of a public, active image of that name; an empty disk where servers are fake (`file` is None)."""
    image = api.one(f"{GLANCE}/images", "images", name=name, visibility="public")
    if image and image["status"] == "active":
        return image["id"]
    disk_format = "qcow2"
    if file is None:
        file, disk_format = paths.state / "demo" / "empty.raw", "raw"
        file.parent.mkdir(exist_ok=True)
        with file.open("wb") as empty:
            empty.truncate(1 << 20)
    if image is None:
        image = api.post(f"{GLANCE}/images", {"name": name, "disk_format": disk_format, "container_format": "bare",
                                              "visibility": "public", "hw_rng_model": "virtio", "hw_scsi_model": "virtio-scsi"})
    api.upload(f"{GLANCE}/images/{image['id']}/file", file)
    return image["id"]


def _server(api: Api, steps: Steps, image: str, private: str, public: str) -> tuple[dict[str, Any], str]:
    server = api.one(f"{NOVA}/servers", "servers", name="^hello$")
    if server is None:
        began = steps.begin("server hello is ACTIVE")
        server = api.post(f"{NOVA}/servers", {"server": {
            "name": "hello", "imageRef": image, "flavorRef": flavor(api, "m1.tiny"), "key_name": "demo",
            "networks": [{"uuid": private}]}})["server"]
        address = _floating_ip(api, server["id"], private, public)
        _wait_active(api, server["id"])
        steps.end("server hello is ACTIVE", began)
    else:
        with steps.step("server hello is ACTIVE"):
            shown = api.get(f"{NOVA}/servers/{server['id']}")["server"]
            if shown["status"] == "SHUTOFF":
                with _fine_if_underway():  # after a restart of the machine the cloud starts it by itself
                    api.post(f"{NOVA}/servers/{server['id']}/action", {"os-start": None})
            _wait_active(api, server["id"])
            address = _floating_ip(api, server["id"], private, public)
    return server, address


@contextmanager
def _fine_if_underway() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if error.status != 409:
            raise


def _wait_active(api: Api, server_id: str) -> None:
    def settled() -> Any:
        server = api.get(f"{NOVA}/servers/{server_id}")["server"]
        if server["status"] == "ERROR":
            reason = server.get("fault", {}).get("message", "no reason kept")
            raise Stop(f"the cloud is up, but its first server failed: {reason}")
        return server["status"] == "ACTIVE"

    wait("server hello ACTIVE", settled, 120, 0.05)


def _floating_ip(api: Api, server_id: str, private: str, public: str) -> str:
    """The server's floating IP; its port is there soon after the server is."""
    port = wait("the port of server hello", lambda: api.one(f"{NEUTRON}/ports", "ports", device_id=server_id,
                                                            network_id=private), 60)
    address = api.ensure(f"{NEUTRON}/floatingips", "floatingip", {
        "floating_network_id": public, "port_id": port["id"]}, port_id=port["id"])
    return address["floating_ip_address"]


def _log_in(address: str, key: Path) -> None:
    def banner() -> bool:
        try:
            with socket.create_connection((address, 22), timeout=2) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def session() -> bool:
        command = [*ssh(address, key)[:-1], "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", f"{USER}@{address}", "true"]
        try:
            return subprocess.run(command, capture_output=True, timeout=30, stdin=subprocess.DEVNULL).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    for what, ready, seconds, pause in (("an ssh server", banner, 240, 0.2), ("a login", session, 90, 0.5)):
        try:
            wait(what, ready, seconds, pause)
        except Stop as stop:
            raise Stop(f"the cloud is up, but its first server does not let us in at {address}: {stop} `openstack console log "
                       "show hello` tells how far it came.") from stop
