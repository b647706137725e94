"""Cinder v3: volumes that outlive servers."""

from __future__ import annotations

from haneul.kernel.cloud import Cloud
from haneul.kernel.room import Room
from haneul.kernel.wire.errors import nova
from haneul.kernel.wire.routes import Service
from haneul.kernel.wire.versions import Microversions
from haneul.volume import group_types, pools, types
from haneul.volume.api import ROUTES
from haneul.volume.listeners import Listeners
from haneul.volume.policy import RULES
from haneul.volume.reconcilers import leaks


def _prepare(cloud: Cloud) -> None:
    cloud.put(Listeners())
    pools.listen(cloud)
    with cloud.database.write() as tx:
        types.bootstrap(tx)
        group_types.bootstrap(tx)


service = Service(
    type="block-storage", name="cinder", prefix="/volume/v3", catalog_types=("volumev3", "block-store"), project_in_path=True,
    error_body=nova, routes=ROUTES, microversions=Microversions("volume", (3, 0), (3, 71)),
    request_id_headers=("x-openstack-request-id", "x-compute-request-id"))
room = Room(name="volume", services=[service], rules=RULES, prepare=_prepare)
__all__ = ["leaks", "room"]
