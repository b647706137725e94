"""Neutron's API v2.0 on the wire."""

from __future__ import annotations

from haneul.kernel.wire.errors import neutron
from haneul.kernel.wire.routes import Service
from haneul.network.api import (
    address_groups,
    agents,
    extensions,
    flavors,
    floating_ips,
    ip_availability,
    network_segments,
    networks,
    port_forwardings,
    ports,
    qos_policies,
    qos_rules,
    quotas,
    rbac,
    routers,
    security_groups,
    subnet_pools,
    subnets,
    tags,
    topologies,
    trunks,
)

service = Service(
    type="network",
    name="neutron",
    prefix="/network/v2.0",
    error_body=neutron,
    routes=[
        networks.routes,
        subnets.routes,
        ports.routes,
        routers.routes,
        floating_ips.routes,
        security_groups.routes,
        subnet_pools.routes,
        rbac.routes,
        quotas.routes,
        tags.routes,
        agents.routes,
        ip_availability.routes,
        address_groups.routes,
        port_forwardings.routes,
        flavors.routes,
        topologies.routes,
        network_segments.routes,
        qos_policies.routes,
        qos_rules.routes,
        trunks.routes,
        extensions.routes,
    ],
)
