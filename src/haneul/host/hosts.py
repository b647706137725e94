"""One host as the agent serves it: its three drivers, chosen by configuration, and the volumes of the whole agent."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from haneul.host.contract import Disks, Fabric, Hypervisor
from haneul.host.volumes import Backends
from haneul.host.volumes.transfers import TransferFiles
from haneul.kernel import structs
from haneul.kernel.config import Config, Paths


class Host:
    def __init__(self, name: str, hypervisor: Hypervisor, disks: Disks, fabric: Fabric, volumes: Backends) -> None:
        self.name = name
        self.hypervisor = hypervisor
        self.disks = disks
        self.fabric = fabric
        self.volumes = volumes
        self.transfers = volumes.transfers

    def driver(self, kind: str) -> Any:
        return getattr(self, kind)  # a word of verbs.CONTRACTS


def fabric_of(config: Config) -> str:
    """The fabric driver's name; `auto` follows the hypervisor."""
    if config.host.fabric != "auto":
        return config.host.fabric
    return "fake" if config.host.hypervisor == "fake" else "linux"


def open_fabric(config: Config, paths: Paths, name: str) -> Fabric:
    """Loaded by name, so that a fake agent does not carry netlink's library. Each driver's module has `driver`."""
    module = importlib.import_module(f"haneul.host.fabric.{fabric_of(config)}")
    make: Callable[[Config, Paths, str], Fabric] = module.driver
    return make(config, paths, name)


def cloud_id(paths: Paths) -> str:
    try:
        return paths.cloud_id.read_text().strip()
    except FileNotFoundError:
        return "00000000"


def open_hosts(config: Config, paths: Paths) -> list[Host]:
    name = config.host.name or socket.gethostname()
    paths.host.mkdir(parents=True, exist_ok=True)
    fake = config.host.hypervisor == "fake"
    for module in (f"fabric.{fabric_of(config)}", f"hypervisor.{'fake' if fake else 'qemu'}"):
        importlib.import_module(f"haneul.host.{module}")
    structs.prepare()
    count = config.host.fake_hosts
    names = [name] if not fake or count == 1 else [f"{name}-{number:04d}" for number in range(1, count + 1)]
    transfers = TransferFiles(paths.host / "transfers")
    volumes = Backends(config.volume.backends, {name, *names}, paths.host / "volumes", transfers,
                       config.host.timeout_seconds)
    hosts = [(_fake_host if fake else _real_host)(config, paths, each, volumes) for each in names]
    volumes.users += [host.hypervisor for host in hosts]  # type: ignore[misc]
    return hosts


def _fake_host(config: Config, paths: Paths, name: str, volumes: Backends) -> Host:
    from haneul.host.disks.fake import FakeDisks
    from haneul.host.hypervisor.fake import FakeHypervisor
    from haneul.host.journal import Journal

    folder: Path = paths.host / "fake"
    folder.mkdir(exist_ok=True)
    journal = Journal(folder / f"{name}.jsonl")
    disks = FakeDisks(journal)
    hypervisor = FakeHypervisor(name, journal, disks, fabric_of(config), config.host.tunnel_ip)
    hypervisor.volumes = volumes
    return Host(name, hypervisor, disks, open_fabric(config, paths, name), volumes)


def _real_host(config: Config, paths: Paths, name: str, volumes: Backends) -> Host:
    from haneul.host.disks.file import FileDisks
    from haneul.host.hypervisor.qemu import QemuHypervisor

    fabric = open_fabric(config, paths, name)
    disks = FileDisks(paths.host, config.host.image_cache_gib << 30)
    hypervisor = QemuHypervisor(name, paths.host, disks, cloud_id=cloud_id(paths), fabric=fabric_of(config),
                                tunnel_ip=config.host.tunnel_ip)
    hypervisor.volumes = volumes
    disks.guests = hypervisor
    return Host(name, hypervisor, disks, fabric, volumes)
