"""Refuses a state that cannot be expressed, before anything is changed: every address, name and number is parsed here."""

from __future__ import annotations

import ipaddress

from haneul.host.contract import FabricState, NetworkSpec, Refused, RouterSpec
from haneul.host.fabric import names

from . import dhcp, filters, qos, trunks
from .namespaces import FabricError
from .protocols import plain

MTU_MIN, MTU_MAX = 68, 65535


def check(state: FabricState, known_networks: set[str]) -> None:
    """Raises Refused, or FabricError where a network is missing that this host was never told of."""
    try:
        _ids(state)
        for network in state.networks:
            _network(network)
        for group in state.security_groups:
            filters.members(group)
            for rule in group.rules:
                filters.rule_matches(rule)
        for port in state.ports:
            filters.identities(port)
            for fixed in port.fixed_ips:
                ipaddress.ip_address(plain(fixed.ip))
            qos.check(port.qos)
            trunks.check(port)
        for router in state.routers:
            _router(router)
    except (ValueError, TypeError) as error:
        raise Refused(f"a value cannot be used: {error}") from error
    _references(state, known_networks | {network.id for network in state.networks})


def _ids(state: FabricState) -> None:
    ids = [item.id for item in state.networks] + [item.id for item in state.security_groups]
    ids += [item.id for item in state.ports] + [item.id for item in state.routers]
    ids += [subnet.id for network in state.networks for subnet in network.subnets]
    ids += [group_id for port in state.ports for group_id in port.security_groups]
    ids += [rule.remote_group for group in state.security_groups for rule in group.rules if rule.remote_group]
    for id in ids:
        if not names.UUID.match(id):
            raise Refused(f"{id!r} is no id")


def _network(network: NetworkSpec) -> None:
    dhcp.domain(network)
    if not MTU_MIN <= network.mtu <= MTU_MAX:
        raise Refused(f"network {network.id}: {network.mtu} is no MTU")
    if network.dhcp_mac is not None:
        filters.mac(network.dhcp_mac)
    for text in (*network.dhcp_ips, *network.peers):
        ipaddress.ip_interface(plain(text))
    for subnet in network.subnets:
        ipaddress.ip_network(plain(subnet.cidr))
        for address in (*([subnet.gateway_ip] if subnet.gateway_ip else []), *subnet.dns_nameservers):
            ipaddress.ip_address(plain(address))
        for route in subnet.host_routes:
            ipaddress.ip_network(plain(route.destination))
            ipaddress.ip_address(plain(route.nexthop))


def _router(router: RouterSpec) -> None:
    for interface in (*router.interfaces, *([router.gateway] if router.gateway else [])):
        filters.mac(interface.mac)
        for text in interface.ips:
            ipaddress.ip_interface(plain(text))
    for floating in router.floating_ips:
        ipaddress.IPv4Address(floating.floating_ip)
        ipaddress.IPv4Address(floating.fixed_ip)
    for address, limit in router.limits.items():
        ipaddress.ip_address(plain(address))
        qos.check(limit)
    for forwarding in router.forwardings:
        ipaddress.IPv4Address(forwarding.floating_ip)
        ipaddress.IPv4Address(forwarding.fixed_ip)
    for route in router.routes:
        ipaddress.ip_network(plain(route.destination))
        ipaddress.ip_address(plain(route.nexthop))
    for text in router.gateway_ips:
        ipaddress.ip_address(plain(text))


def _references(state: FabricState, known: set[str]) -> None:
    for port in state.ports:
        if port.network_id not in known:
            raise FabricError(f"port {port.id} is on network {port.network_id}, which this host does not know")
    for router in state.routers:
        for interface in (*router.interfaces, *([router.gateway] if router.gateway else [])):
            if interface.network_id not in known:
                raise FabricError(f"router {router.id} joins network {interface.network_id}, which this host does not "
                                  "know")
