"""Trunks: frames with a VLAN tag on a port's tap belong to other ports, its subports, each in a network of its own.

A subport's "tap" is a veth in its network's bridge, with all filters that any port has. Its other end is no bridge's: a
program on the parent's tap takes the tag off what the guest sends and hands it to that end; a program on that end puts
the tag on what comes for the subport and sends it out of the parent's tap. Neither 8021q nor VLAN actions are needed.
What has a tag in the parent's own network, which may be transparent to them, is no subport's and stays away from the guest.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence

from haneul.host.contract import PortSpec, Refused
from haneul.host.fabric import names

from . import bpf, links


def check(port: PortSpec) -> None:
    if port.tagged and not (1 <= port.tagged.vlan <= 4094 and names.UUID.match(port.tagged.parent)):
        raise Refused(f"port {port.id} cannot be VLAN {port.tagged.vlan} of {port.tagged.parent!r}")


def make_link(cloud_id: str, port: PortSpec) -> None:
    """The port's link in the fabric namespace: a tap, or a pair. One of the other kind goes first."""
    tap, end, there = names.tap(cloud_id, port.id), names.tagged(cloud_id, port.id), links.names()
    if tap in there and (end in there) != (port.tagged is not None):
        links.delete(tap)
        there.remove(tap)
    if tap in there:
        return
    if port.tagged is None:
        links.make_tap(tap)
        return
    links.batch([["link", "add", tap, "type", "veth", "peer", "name", end], ["link", "set", end, "mtu", "65535"],
                 ["link", "set", end, "up"]])


def subports(ports: Iterable[PortSpec], parent_id: str) -> list[PortSpec]:
    return [port for port in ports if port.tagged and port.tagged.parent == parent_id]


def parents(ports: Iterable[PortSpec], changed: set[str]) -> set[str]:
    """The ports with subports that a change of these ports concerns."""
    return {port.tagged.parent for port in ports if port.tagged and (port.id in changed or port.tagged.parent in changed)}


def wire(cloud_id: str, parent_id: str, subs: Sequence[PortSpec]) -> None:
    """The parent's programs exactly so. One that is not on this host has none to get."""
    tap, there = names.tap(cloud_id, parent_id), links.names()
    if tap not in there:
        return
    if not subs:
        bpf.take_off(tap)
        return
    ends = {port.tagged.vlan: names.tagged(cloud_id, port.id) for port in subs if port.tagged}
    present = {vlan: end for vlan, end in ends.items() if end in there}
    bpf.put(tap, bpf.no_other_tags(), bpf.EGRESS)
    for vlan, end in present.items():
        bpf.put(end, bpf.tag(vlan, socket.if_nametoindex(tap)))
    bpf.put(tap, bpf.untag([(vlan, socket.if_nametoindex(end)) for vlan, end in sorted(present.items())]))
