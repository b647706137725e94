"""How much may pass, as nft text: buckets that drop what is over the rate, and the mark on what leaves a guest.

What a guest sends is counted where it comes in, before anything else looks at it; what it is sent is counted last, so
that only what the security groups let through counts. The addresses of routers are counted where they are the public ones.
"""

from __future__ import annotations

import ipaddress

from haneul.host.contract import PortSpec, Qos, Rate, Refused, RouterSpec
from haneul.host.fabric import names

LEAST_BURST_BYTES = 80_000  # a segment that a card is to cut up passes whole, or never
MOST_BURST_BYTES = 1 << 30
MOST_BYTES, MOST_PACKETS = 16_000_000_000, 1_000_000_000  # a second: beyond, the kernel cannot count, and takes no rule
LEAST_BURST_PACKETS = 10
TCP_BURST = 0.8  # of a second: what Neutron takes where a rule names none


def check(qos: Qos | None) -> None:
    for rate in (qos.egress, qos.ingress) if qos else ():
        if rate and min(rate.kbps, rate.burst_kbit, rate.kpps, rate.burst_kpackets) < 0:
            raise Refused(f"{rate} is no limit")
    if qos and qos.dscp is not None and not 0 <= qos.dscp <= 63:
        raise Refused(f"{qos.dscp} is no DSCP mark")


def limits(rate: Rate | None) -> list[str]:
    """Expressions that match what is over the rate."""
    found = []
    if rate and rate.kbps:
        burst = int(rate.burst_kbit or rate.kbps * TCP_BURST) * 125
        burst = min(max(burst, LEAST_BURST_BYTES), MOST_BURST_BYTES)
        found.append(f"limit rate over {min(rate.kbps * 125, MOST_BYTES)} bytes/second burst {burst} bytes")
    if rate and rate.kpps:
        burst = min(max(int((rate.burst_kpackets or rate.kpps * TCP_BURST) * 1000), LEAST_BURST_PACKETS), MOST_PACKETS)
        found.append(f"limit rate over {min(rate.kpps * 1000, MOST_PACKETS)}/second burst {burst} packets")
    return found


def base(table: str) -> list[str]:
    return [f"add map {table} limited {{ type ifname : verdict; }}",
            f"add chain {table} last {{ type filter hook postrouting priority 0; policy accept; }}",
            f"flush chain {table} last", f"add rule {table} last oifname vmap @limited"]


def marks(qos: Qos | None) -> list[str]:
    if qos is None or qos.dscp is None:
        return []
    return [f"ether type {family} {family} dscp set {int(qos.dscp)}" for family in ("ip", "ip6")]


def sent(qos: Qos | None) -> list[str]:
    return [f"{match} drop" for match in limits(qos.egress if qos else None)]


def of_port(table: str, port: PortSpec, tap: str) -> list[str]:
    """The limit on what the port is sent, exactly so: a chain of its own that is there only if there is one."""
    matches = limits(port.qos.ingress if port.qos else None)
    if not matches:
        return without_port(table, port.id, tap)
    return [f"add chain {table} q-{port.id}", f"flush chain {table} q-{port.id}",
            *(f"add rule {table} q-{port.id} {match} drop" for match in matches),
            f"add {_element(table, port.id, tap)}"]


def without_port(table: str, port_id: str, tap: str) -> list[str]:
    chain, element = f"chain {table} q-{port_id}", _element(table, port_id, tap)
    return [f"add {chain}", f"add {element}", f"delete {element}", f"flush {chain}", f"delete {chain}"]


def _element(table: str, port_id: str, tap: str) -> str:
    return f"element {table} limited {{ {tap} : jump q-{port_id} }}"


def of_router(table: str, router: RouterSpec) -> list[str]:
    """Limits of public addresses, on the gateway's link: before the destination is translated, and after the source is."""
    if router.gateway is None:
        return []
    link = names.gateway_link(router.gateway.port_id)
    rules: list[str] = []
    for text, qos in router.limits.items():
        address = str(ipaddress.ip_address(text))
        family = "ip6" if ":" in address else "ip"
        rules += [f'limit-in iifname "{link}" {family} daddr {address} {match} drop'
                  for match in limits(qos.ingress)]
        rules += [f'limit-out oifname "{link}" {family} saddr {address} {match} drop'
                  for match in limits(qos.egress)]
    if not rules:
        return []
    return [f"add chain {table} limit-in {{ type filter hook prerouting priority -150; policy accept; }}",
            f"add chain {table} limit-out {{ type filter hook postrouting priority 110; policy accept; }}",
            *(f"add rule {table} {rule}" for rule in rules)]
