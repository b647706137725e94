"""Nova v2.1: servers and what they are made of."""

from __future__ import annotations

from haneul.compute import flavors
from haneul.compute.api import (
    aggregates,
    consoles,
    flavor_access,
    hypervisors,
    instance_actions,
    interfaces,
    keypairs,
    metadata_proxy,
    others,
    quotas,
    server_actions,
    server_changes,
    server_groups,
    server_metadata,
    server_tags,
    servers,
    servers_create,
    servers_list,
    services,
    tenant_usage,
    vnc,
)
from haneul.compute.api import flavors as flavors_api
from haneul.compute.policy import RULES
from haneul.compute.reconcilers import leaks, power
from haneul.kernel.cloud import Cloud
from haneul.kernel.room import Room
from haneul.kernel.wire.errors import nova
from haneul.kernel.wire.routes import Service
from haneul.kernel.wire.versions import Microversions


def _prepare(cloud: Cloud) -> None:
    power.listen(cloud)
    with cloud.database.write() as tx:
        flavors.bootstrap(tx)


service = Service(
    type="compute", name="nova", prefix="/compute/v2.1", error_body=nova,
    microversions=Microversions("compute", (2, 1), (2, 96), "X-OpenStack-Nova-API-Version"),
    request_id_headers=("x-openstack-request-id", "x-compute-request-id"),
    routes=[flavors_api.routes, flavor_access.routes, keypairs.routes, servers_list.routes, servers_create.routes,
            servers.routes, server_actions.routes, server_changes.routes, server_metadata.routes, server_tags.routes,
            interfaces.routes, consoles.routes, instance_actions.routes, server_groups.routes, hypervisors.routes,
            services.routes, aggregates.routes, quotas.routes, tenant_usage.routes, others.routes])
room = Room(name="compute", services=[service, metadata_proxy.service], rules=RULES, prepare=_prepare,
            plain={vnc.PATH: vnc.page}, sockets={vnc.PATH: vnc.socket})
__all__ = ["leaks", "power", "room"]
