"""Ends live sessions that the filters no longer allow, and only those.

Established traffic passes the filters unseen, so that after a rule or a member went away the kernel's table of sessions
of the network's zone is walked and every session that a new packet could not open any more is deleted. The fabric
namespace picks up no TCP session in the middle (nf_conntrack_tcp_loose=0): a deleted one cannot come back by a reply.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

import msgspec

from haneul.host.contract import PortSpec, RouterSpec, SecurityGroupSpec, SecurityRule

from . import protocols
from .filters import METADATA_V4, METADATA_V6, identities, prefix
from .namespaces import FabricError, run

NUMBER = re.compile(r"\S+\s+(\d+)\s")


class Session(msgspec.Struct, frozen=True):
    """One tracked connection, in the direction in which it was opened."""

    version: int
    protocol: int
    source: str
    destination: str
    sport: int | None = None
    dport: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


def parse(line: str, version: int) -> Session | None:
    """A line of `conntrack -L`; None for one without addresses."""
    head = NUMBER.match(line)
    fields: dict[str, str] = {}
    for word in line.split():
        key, _, value = word.partition("=")
        if value and key not in fields:  # the first of each is the original direction
            fields[key] = value
    if head is None or "src" not in fields or "dst" not in fields:
        return None
    numbers = {name: int(fields[name]) if fields.get(name, "").isdigit() else None
               for name in ("sport", "dport", "type", "code")}
    return Session(version=version, protocol=int(head.group(1)), source=fields["src"], destination=fields["dst"],
                   sport=numbers["sport"], dport=numbers["dport"], icmp_type=numbers["type"], icmp_code=numbers["code"])


def tracked(zone: int, versions: Iterable[int] = (4, 6)) -> list[Session]:
    """Every session of a zone; the caller is in the fabric namespace."""
    found = []
    for version in versions:
        text = run(["conntrack", "-L", "-f", f"ipv{version}", "-w", str(zone)]).stdout
        found += [session for line in text.splitlines() if (session := parse(line, version)) is not None]
    return found


def delete(zone: int, session: Session) -> None:
    words = ["conntrack", "-D", "-f", f"ipv{session.version}", "-w", str(zone), "-p", str(session.protocol),
             "-s", session.source, "-d", session.destination]
    if session.protocol in (protocols.TCP, protocols.UDP) and session.sport is not None:
        words += ["--sport", str(session.sport), "--dport", str(session.dport)]
    _delete(words)


def end_of_addresses(zone: int, addresses: set[str]) -> None:
    """Everything from and to addresses that are no longer here."""
    gone = {str(ipaddress.ip_address(address)) for address in addresses}
    versions = {ipaddress.ip_address(address).version for address in gone}
    busy = {address for session in tracked(zone, versions) for address in (session.source, session.destination)}
    for address in gone & busy:
        family = f"ipv{ipaddress.ip_address(address).version}"
        for side in ("-s", "-d"):
            _delete(["conntrack", "-D", "-f", family, "-w", str(zone), side, address])


def _delete(words: list[str]) -> None:
    done = run(words, ok=(0, 1))
    if done.returncode == 1 and "0 flow entries have been deleted" not in done.stderr:
        raise FabricError(f"conntrack could not end sessions: {' '.join(done.stderr.split())[:300]}")


def end_translated(before: RouterSpec, after: RouterSpec) -> int:
    """In a router's namespace: sessions that a floating IP or a forwarding carried which is no longer there. Address
    translation is chosen when a session is opened, and would last as long as it; answers how many were ended."""
    pairs = {(f.floating_ip, f.fixed_ip) for f in before.floating_ips} - {
        (f.floating_ip, f.fixed_ip) for f in after.floating_ips
    }
    forwardings = set(before.forwardings) - set(after.forwardings)
    if not pairs and not forwardings:
        return 0
    ended = 0
    for session in tracked(0, (4,)):
        floated = any(session.destination == public or session.source == private for public, private in pairs)
        forwarded = any(
            session.destination == f.floating_ip
            and session.protocol == protocols.NUMBERS[f.protocol]
            and session.dport is not None
            and f.external[0] <= session.dport <= f.external[1]
            for f in forwardings
        )
        if floated or forwarded:
            delete(0, session)
            ended += 1
    return ended


def rule_allows(rule: SecurityRule, session: Session, other: str, groups: Mapping[str, SecurityGroupSpec]) -> bool:
    """Whether a rule lets the first packet of a session pass; `other` is the address at the far end."""
    if protocols.version(rule) != session.version or protocols.number(rule) not in (None, session.protocol):
        return False
    ports, (kind, code) = protocols.ports(rule), protocols.icmp(rule)
    if ports is not None and (session.dport is None or not ports[0] <= session.dport <= ports[1]):
        return False
    if kind not in (None, session.icmp_type) or code not in (None, session.icmp_code):
        return False
    address = ipaddress.ip_address(other)
    if rule.remote_group is not None:
        group = groups.get(rule.remote_group)
        return group is not None and any(address in prefix(member) for member in group.members)
    remote = protocols.remote(rule)
    return remote is None or address in remote


def _port_allows(port: PortSpec, direction: str, session: Session, other: str,
                 groups: Mapping[str, SecurityGroupSpec]) -> bool:
    if not port.port_security:
        return True
    if direction == "egress":
        if session.destination in (METADATA_V4, METADATA_V6) and session.dport == 80:
            return True
        if session.protocol == protocols.UDP and (session.sport, session.dport) in ((68, 67), (546, 547)):
            return True
    rules = [rule for group_id in port.security_groups if group_id in groups for rule in groups[group_id].rules]
    return any(rule.direction == direction and rule_allows(rule, session, other, groups) for rule in rules)


def end_refused(zone: int, ports: Iterable[PortSpec], groups: Mapping[str, SecurityGroupSpec]) -> int:
    """Deletes the zone's sessions that the given ports' groups would refuse today; answers how many."""
    by_address = {str(network.network_address): port for port in ports
                  for networks in identities(port).values() for network in networks
                  if network.prefixlen == network.max_prefixlen}
    ended = 0
    for session in tracked(zone):
        sender, receiver = by_address.get(session.source), by_address.get(session.destination)
        if (sender is None or _port_allows(sender, "egress", session, session.destination, groups)) and (
                receiver is None or _port_allows(receiver, "ingress", session, session.source, groups)):
            continue
        delete(zone, session)
        ended += 1
    return ended
