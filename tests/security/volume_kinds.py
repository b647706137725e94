"""What paths of block storage name beside volumes: types, QoS specs, a transfer, a message, and what is the cloud's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haneul.volume import messages
from running import wait_until

if TYPE_CHECKING:
    from security.route_world import Things

PREFIX = "/volume/v3"
OWNED = {"block-storage.transfer_id", "block-storage.message_id"}


def make(things: Things) -> None:
    ids = things.ids
    ids["type_id"] = str(things.make(things.admin, f"{PREFIX}/types", {"volume_type": {
        "name": f"made-{things.number}", "extra_specs": {"key": "v"}}}, "volume_type")["id"])
    ids["qos_id"] = str(things.make(things.admin, f"{PREFIX}/qos-specs", {"qos_specs": {
        "name": f"made-{things.number}", "key": "v"}}, "qos_specs")["id"])
    ids["block-storage.host"] = things.admin.get(f"{PREFIX}/os-services?binary=cinder-volume").json()["services"][0]["host"]
    ids.update({"block-storage.action": "enable", "block-storage.name": "none", "block-storage.alias": "os-hosts"})
    _transfer(things)
    _message(things)


def _transfer(things: Things) -> None:
    """`offer_id` is the same to whom it is offered: he knows of it, and needs the key."""
    volume_id = str(things.make(things.member, f"{PREFIX}/volumes", {"volume": {"size": 1}}, "volume")["id"])
    wait_until(lambda: things.member.get(f"{PREFIX}/volumes/{volume_id}").json()["volume"]["status"] == "available",
               what="the member's volume")
    found = things.make(things.member, f"{PREFIX}/volume-transfers", {"transfer": {"volume_id": volume_id}}, "transfer")
    things.ids["block-storage.transfer_id"] = things.ids["offer_id"] = str(found["id"])


def _message(things: Things) -> None:
    with things.cloud.cloud.database.write() as tx:
        messages.record(tx, project_id=things.ids["project_id"], request_id=things.ids["request_id"], action="EXTEND_VOLUME",
                        detail="UNKNOWN_ERROR", resource_type=messages.VOLUME,
                        resource_id=things.ids["block-storage.volume_id"])
    found = things.member.get(f"{PREFIX}/messages").json()["messages"]
    things.ids["block-storage.message_id"] = str(found[0]["id"])
