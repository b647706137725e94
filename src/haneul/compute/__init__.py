"""Nova v2.1: servers and what they are made of."""

from __future__ import annotations

from haneul.compute import flavors
from haneul.compute.api import ROUTES
from haneul.compute.api.metadata_proxy import service as metadata_service
from haneul.compute.api.vnc import PATH as VNC_PATH
from haneul.compute.api.vnc import page as vnc_page
from haneul.compute.api.vnc import socket as vnc_socket
from haneul.compute.policy import RULES
from haneul.compute.reconcilers import leaks, power
from haneul.compute.reconcilers import volumes as attached  # the rules have that name
from haneul.compute.tasks import grown
from haneul.kernel.cloud import Cloud
from haneul.kernel.room import Room
from haneul.kernel.wire.errors import nova
from haneul.kernel.wire.routes import Service
from haneul.kernel.wire.versions import Microversions


def _prepare(cloud: Cloud) -> None:
    power.listen(cloud)
    attached.listen(cloud)
    grown.listen(cloud)
    with cloud.database.write() as tx:
        flavors.bootstrap(tx)


service = Service(
    type="compute", name="nova", prefix="/compute/v2.1", aliases=("/compute/v2",), error_body=nova, routes=ROUTES,
    project_in_path=True,
    microversions=Microversions("compute", (2, 1), (2, 104), "X-OpenStack-Nova-API-Version"),
    request_id_headers=("x-openstack-request-id", "x-compute-request-id"))
room = Room(name="compute", services=[service, metadata_service], rules=RULES, prepare=_prepare,
            plain={VNC_PATH: vnc_page}, sockets={VNC_PATH: vnc_socket})
__all__ = ["attached", "leaks", "power", "room"]
