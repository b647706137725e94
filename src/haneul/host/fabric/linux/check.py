"""What this machine lacks for the fabric, in plain sentences, before anything is started."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import uuid
from pathlib import Path

from . import filters, links, nft
from .namespaces import FabricError, add, delete, inside, run

PROGRAMS = {"ip": "iproute2", "bridge": "iproute2", "nft": "nftables", "dnsmasq": "dnsmasq-base",
            "conntrack": "conntrack", "setpriv": "util-linux"}
MODULES = ("br_netfilter", "nf_conntrack", "nf_tables", "tun", "veth", "bridge", "vxlan")


def _load_modules() -> None:
    """Best effort: built-in features need none, and what is missing shows below. Loading br_netfilter would make it act
    on everybody's bridges: it is told not to in the root namespace; the fabric namespace has a setting of its own."""
    fresh = not Path("/proc/sys/net/bridge").exists()
    if shutil.which("modprobe"):
        run(["modprobe", "-a", "-q", *MODULES], ok=range(256))
    if fresh:
        for key in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables"):
            path = Path("/proc/sys/net/bridge", key)
            if path.exists():
                path.write_text("0")


def _try(what: str, advice: str, action: list[list[str]]) -> list[str]:
    try:
        links.batch(action)
    except FabricError as error:
        return [f"The kernel cannot make {what} ({error}); {advice}."]
    return []


def check() -> list[str]:
    """Empty when the fabric will work. Makes one namespace for the trial and removes it."""
    if os.geteuid() != 0:
        return ["The network needs root: start haneul as root (sudo ./haneul up)."]
    problems = [f"The program {program} is missing; install the package {package}."
                for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if ctypes.util.find_library("nftables") is None and not Path("/usr/lib64/libnftables.so.1").exists():
        problems.append("The library libnftables is missing; install the package libnftables1.")
    if problems:
        return problems
    _load_modules()
    if not Path("/dev/net/tun").exists():
        problems.append("/dev/net/tun is missing; load the kernel module tun (modprobe tun).")
    namespace = f"hn-check-{uuid.uuid4().hex[:8]}"
    try:
        add(namespace)
    except FabricError as error:
        return [*problems, f"Network namespaces cannot be made ({error}); run on a kernel with CONFIG_NET_NS, outside "
                "of an unprivileged container."]
    try:
        with inside(namespace):
            problems += _in_namespace()
    finally:
        delete(namespace)
    return problems


def _in_namespace() -> list[str]:
    advice = "install the full kernel package of the distribution (not a cut-down one)"
    problems = _try("a bridge", advice, [["link", "add", "br0", "type", "bridge"]])
    problems += _try("a veth pair", advice, [["link", "add", "va", "type", "veth", "peer", "name", "vb"]])
    problems += _try("a vxlan link", advice, [["link", "add", "vx", "type", "vxlan", "id", "1", "dstport", "4789",
                                              "local", "127.0.0.1"]])
    if not Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        problems.append("The kernel has no br_netfilter, without which security groups cannot follow connections; "
                        "load it with modprobe br_netfilter.")
    try:
        nft.batch([
            *filters.base(), "add table inet t",
            "add chain inet t c { type nat hook postrouting priority 100; }", "add rule inet t c masquerade"])
    except FabricError as error:
        problems.append(f"nftables cannot hold the filters ({error}); {advice}, with nf_tables for bridge and inet.")
    try:
        links.make_tap("t0")
    except (FabricError, OSError) as error:
        problems.append(f"The kernel cannot make a tap ({error}); load the kernel module tun.")
    return problems
