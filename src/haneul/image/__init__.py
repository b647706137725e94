"""Glance v2: images, their data, and who shares them."""

from haneul.image import sweep
from haneul.image.api import ROUTES
from haneul.image.policy import RULES
from haneul.kernel.room import Room
from haneul.kernel.wire.errors import glance
from haneul.kernel.wire.routes import Service

service = Service(type="image", name="glance", prefix="/image/v2", error_body=glance, routes=ROUTES)
room = Room(name="image", services=[service], rules=RULES, prepare=sweep.at_start)
