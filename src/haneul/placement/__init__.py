"""Placement: who has what, who holds what of it, and the scheduler that stands on both."""

from haneul.kernel.room import Room
from haneul.kernel.wire.errors import placement
from haneul.kernel.wire.routes import Service
from haneul.kernel.wire.versions import Microversions
from haneul.placement import hosts
from haneul.placement.api import ROUTES
from haneul.placement.policy import RULES

service = Service(type="placement", name="placement", prefix="/placement", error_body=placement,
                  microversions=Microversions("placement", (1, 0), (1, 39)), routes=ROUTES)
room = Room(name="placement", services=[service], rules=RULES, prepare=hosts.listen)
