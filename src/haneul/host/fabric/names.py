"""Every name on the machine that carries the cloud's id (eight hex digits), so that clouds live side by side.

Link names have 15 characters at most and carry the first four digits of the cloud's id inside the fabric namespace
(which is the cloud's own anyway) and all eight where they stand in the root namespace.
"""

from __future__ import annotations

import hashlib
import re

CLOUD_ID = re.compile(r"[0-9a-f]{8}\Z")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


def checked_cloud_id(cloud_id: str) -> str:
    """The id itself; ValueError when it is not eight hex digits."""
    if not CLOUD_ID.match(cloud_id):
        raise ValueError(f"{cloud_id!r} is not a cloud id of eight hex digits")
    return cloud_id


def _short(id: str, digits: int = 10) -> str:
    """The first hex digits of an id; an id that is not hex is hashed, so that no foreign character gets into a name."""
    plain = id.replace("-", "").lower()
    if len(plain) < digits or re.search(r"[^0-9a-f]", plain[:digits]):
        plain = hashlib.sha256(id.encode()).hexdigest()
    return plain[:digits]


def _link(letter: str, cloud_id: str, id: str) -> str:
    return f"{letter}{checked_cloud_id(cloud_id)[:4]}{_short(id)}"


# ---------------------------------------------------------------- namespaces


def fabric_namespace(cloud_id: str) -> str:
    """Holds the bridges, taps and tunnels of this host."""
    return f"hn-{checked_cloud_id(cloud_id)}"


def dhcp_namespace(cloud_id: str, network_id: str) -> str:
    """Holds a network's DHCP server and metadata listener."""
    return f"hn-{checked_cloud_id(cloud_id)}-d-{network_id}"


def router_namespace(cloud_id: str, router_id: str) -> str:
    return f"hn-{checked_cloud_id(cloud_id)}-r-{router_id}"


# ---------------------------------------------------------------- links in the fabric namespace


def tap(cloud_id: str, port_id: str) -> str:
    """A server's port."""
    return _link("t", cloud_id, port_id)


def tagged(cloud_id: str, port_id: str) -> str:
    """The other end of a trunk's subport, whose "tap" is a veth: frames cross it between the parent's tap and the bridge."""
    return _link("s", cloud_id, port_id)


def bridge(cloud_id: str, network_id: str) -> str:
    return _link("b", cloud_id, network_id)


def vxlan(cloud_id: str, network_id: str) -> str:
    return _link("v", cloud_id, network_id)


def dhcp_veth(cloud_id: str, network_id: str) -> str:
    """The bridge's end of the pair to the DHCP namespace."""
    return _link("d", cloud_id, network_id)


def router_veth(cloud_id: str, port_id: str) -> str:
    """The bridge's end of the pair to a router's namespace."""
    return _link("r", cloud_id, port_id)


def uplink_veth(cloud_id: str, network_id: str) -> str:
    """The bridge's end of the pair to the root namespace; a VLAN network's tag comes on and off here."""
    return _link("u", cloud_id, network_id)


# ---------------------------------------------------------------- links inside DHCP and router namespaces


def dhcp_link(network_id: str) -> str:
    return f"dhcp{_short(network_id)}"


def router_link(port_id: str) -> str:
    """A router's interface on a tenant's network."""
    return f"qr{_short(port_id)}"


def gateway_link(port_id: str) -> str:
    """A router's interface on the external network."""
    return f"qg{_short(port_id)}"


# ---------------------------------------------------------------- the root namespace


def root_bridge(cloud_id: str, physical_network: str) -> str:
    """The bridge of a physical network, where the host itself takes part and an operator may add a card."""
    return f"hn{checked_cloud_id(cloud_id)}{hashlib.sha256(physical_network.encode()).hexdigest()[:5]}"


def root_veth(cloud_id: str, network_id: str) -> str:
    """The root namespace's end of the pair to a network's bridge."""
    return f"hv{checked_cloud_id(cloud_id)}{_short(network_id, 5)}"


def root_link_prefixes(cloud_id: str) -> tuple[str, str]:
    """What every link of this cloud in the root namespace starts with."""
    return f"hn{checked_cloud_id(cloud_id)}", f"hv{cloud_id}"


def root_table(cloud_id: str) -> str:
    """The nft table (inet) of this cloud in the root namespace: masquerading and forwarding of external networks."""
    return f"haneul_{checked_cloud_id(cloud_id)}"


def root_comment(cloud_id: str) -> str:
    """Marks rules of ours in chains that belong to somebody else (DOCKER-USER)."""
    return f"haneul-{checked_cloud_id(cloud_id)}"


# ---------------------------------------------------------------- tables inside our own namespaces

FILTER_TABLE = "haneul"  # bridge family: anti-spoofing and security groups
TRACK_TABLE = "haneul"  # inet family: conntrack zones and the verdict in the mark
ROUTER_TABLE = "haneul"  # inet family, in a router's namespace: NAT
