"""What requests of Cinder's samples are about. Volumes are empty and small; each action has one of its own."""

from __future__ import annotations

import itertools
import secrets
from typing import Any

import httpx
from sample_book import World

from running import RunningCloud, wait_until
from volume.volume_world import Cinder

_numbers = itertools.count(1)


class CinderWorld(World):
    def __init__(self, cloud: RunningCloud) -> None:
        super().__init__()
        self.cinder = Cinder(cloud)
        self.http = self.cinder.http
        self.sdk = cloud.connect("admin")
        self.project = str(self.sdk.current_project_id)
        self.plain: httpx.Client = cloud.http("member")
        cloud.credentials("member")
        self.work = str(self.sdk.identity.find_project("work").id)
        for project in (self.project, self.work):
            self.cinder.call("PUT", f"/os-quota-sets/{project}", {"quota_set": {
                "volumes": -1, "gigabytes": -1, "snapshots": -1, "backups": -1, "groups": -1, "backup_gigabytes": -1}})
        wait_until(lambda: len(self.cinder.get("/scheduler-stats/get_pools")["pools"]) > 1, 20, "the back ends' first report")

    def project_id(self) -> str:
        return self.project

    def work_id(self) -> str:
        return self.work

    def each_number(self) -> int:
        return next(_numbers)

    def user(self) -> str:
        return str(self.sdk.current_user_id)

    def make(self, plural: str, word: str, until: str = "available", **values: Any) -> str:
        found = str(self.cinder.call("POST", f"/{plural}", {word: {"name": f"samples-{next(_numbers)}", **values}})[word]["id"])
        if until:
            self.cinder.wait(found, until, kind=plural)
        return found

    # ---------------------------------------------------------------- volumes

    def type_id(self) -> str:
        return str(self.cinder.call("POST", "/types",
            {"volume_type": {"name": f"samples-{next(_numbers)}"}})["volume_type"]["id"])

    def specified_type(self) -> str:
        return str(self.cinder.call("POST", "/types", {"volume_type": {"name": f"samples-{next(_numbers)}", "extra_specs": {
            "capabilities": "gpu"}}})["volume_type"]["id"])

    def each_type(self) -> str:
        return str(self.type_id())

    def each_private_type(self) -> str:
        found = self.cinder.call("POST", "/types", {"volume_type": {
            "name": f"samples-{next(_numbers)}", "os-volume-type-access:is_public": False}})["volume_type"]["id"]
        self.cinder.call("POST", f"/types/{found}/action", {"addProjectAccess": {"project": self.work}})
        return str(found)

    def each_closed_type(self) -> str:
        return str(self.cinder.call("POST", "/types", {"volume_type": {
            "name": f"samples-{next(_numbers)}", "os-volume-type-access:is_public": False}})["volume_type"]["id"])

    def each_encrypted_type(self) -> str:
        found = self.each_type()
        self.key = str(self.cinder.call("POST", f"/types/{found}/encryption", {"encryption": {
            "provider": "luks", "control_location": "front-end", "cipher": "aes-xts-plain64", "key_size": 256}})[
                "encryption"]["encryption_id"])
        return found

    def each_encryption(self) -> str:
        return self.key

    def type_name(self) -> str:
        return str(self.cinder.get(f"/types/{self['type_id']}")["volume_type"]["name"])

    def volume(self) -> str:
        return self.make("volumes", "volume", size=1, metadata={"name": "metadata0"}, description="x",
                         volume_type=self["type_id"])

    def each_volume(self) -> str:
        self._made["fresh"] = self.make("volumes", "volume", size=1, metadata={"name": "metadata0"}, volume_type=self["type_id"])
        return str(self["fresh"])

    def attached(self) -> str:
        """A volume with an attachment, for lists of attachments."""
        found = self.make("volumes", "volume", size=1)
        self.cinder.action(found, "os-attach", {"host_name": "samples-host", "mountpoint": "/dev/vdc"})
        return found

    def each_attached(self) -> str:
        found = self.each_volume()
        self.cinder.action(found, "os-attach", {"host_name": "samples-host", "mountpoint": "/dev/vdc"})
        return found

    def fresh_attachment(self) -> str:
        return str(self.cinder.volume(self["fresh"])["attachments"][0]["attachment_id"])

    def each_attachment_of_fresh(self) -> str:
        return self.fresh_attachment()

    def each_reserved(self) -> str:
        found = self.each_volume()
        self.cinder.action(found, "os-reserve", {})
        return found

    def each_detaching(self) -> str:
        found = self.each_attached()
        self.cinder.action(found, "os-begin_detaching", {})
        return found

    def each_pictured(self) -> str:
        found = self.each_volume()
        self.cinder.action(found, "os-set_image_metadata", {"metadata": {"image_id": "x", "ramdisk_id": "somedisk"}})
        return found

    def image(self) -> str:
        return str(self.sdk.image.create_image(name=f"samples-{secrets.token_hex(4)}", disk_format="raw", container_format="bare",
                                               data=bytes(1 << 16), wait=True).id)

    def each_with_snapshot(self) -> str:
        found = self.each_volume()
        self._made["fresh_snapshot"] = self.make("snapshots", "snapshot", volume_id=found)
        return found

    def each_fresh_snapshot(self) -> str:
        return str(self["fresh_snapshot"])

    def pool(self) -> str:
        return str(self.cinder.get("/scheduler-stats/get_pools")["pools"][0]["name"])

    def other_pool(self) -> str:
        found = str(self.cinder.volume(self["fresh"])["os-vol-host-attr:host"])
        return next(str(pool["name"]) for pool in self.cinder.get("/scheduler-stats/get_pools")["pools"] if pool["name"] != found)

    def each_other_pool(self) -> str:
        return self.other_pool()

    def host(self) -> str:
        return str(next(row["host"] for row in self.cinder.get("/os-services")["services"] if row["binary"] == "cinder-volume"))

    # ---------------------------------------------------------------- what comes of volumes

    def snapshot(self) -> str:
        return self.make("snapshots", "snapshot", volume_id=self["volume"], metadata={"key": "v3"}, description="x")

    def each_snapshot(self) -> str:
        return self.make("snapshots", "snapshot", volume_id=self["volume"], metadata={"key": "v3"})

    def each_creating_snapshot(self) -> str:
        found = self.each_snapshot()
        self.cinder.call("POST", f"/snapshots/{found}/action", {"os-reset_status": {"status": "creating"}})
        return found

    def backup(self) -> str:
        return self.make("backups", "backup", volume_id=self["volume"], description="x")

    def each_backup(self) -> str:
        return self.make("backups", "backup", volume_id=self["volume"])

    def kept_backup(self) -> str:
        return self.each_backup()

    def each_kept(self) -> str:
        """A backup that nothing is done with any more: one takes its time."""
        self.cinder.wait(self["kept_backup"], "available", kind="backups")
        return str(self["kept_backup"])

    def each_transfer(self) -> str:
        made = self.cinder.call("POST", "/volume-transfers", {"transfer": {"volume_id": self.each_volume(),
            "name": "first volume"}})
        self._made["auth_key"] = made["transfer"]["auth_key"]
        return str(made["transfer"]["id"])

    def each_key(self) -> str:
        return str(self._made["auth_key"])

    def transfer(self) -> str:
        return str(self.cinder.call("POST", "/volume-transfers", {"transfer": {
            "volume_id": self.make("volumes", "volume", size=1), "name": "first volume"}})["transfer"]["id"])

    def attachment(self) -> str:
        found = self.cinder.call("POST", "/attachments", {"attachment": {
            "volume_uuid": self.make("volumes", "volume", size=1), "connector": {"host": "samples-host", "ip": "192.168.1.20"}}})
        return str(found["attachment"]["id"])

    def each_attachment(self) -> str:
        return str(self.cinder.call("POST", "/attachments", {"attachment": {
            "volume_uuid": self.each_volume()}})["attachment"]["id"])

    def each_connected(self) -> str:
        found = self.each_attachment()
        self.cinder.call("PUT", f"/attachments/{found}", {"attachment": {"connector": {"host": "samples-host"}}})
        return found

    # ---------------------------------------------------------------- groups

    def group_type(self) -> str:
        return str(self.cinder.call("POST", "/group_types", {"group_type": {
            "name": f"samples-{next(_numbers)}", "group_specs": {"key1": "value1"}}})["group_type"]["id"])

    def each_group_type(self) -> str:
        return self.group_type()

    def group(self) -> str:
        found = self.make("groups", "group", group_type=self["group_type"], volume_types=[self["type_id"]], description="x")
        self._made["group_volume"] = self.make("volumes", "volume", size=1, volume_type=self["type_id"], group_id=found)
        return found

    def each_group(self) -> str:
        return self.make("groups", "group", group_type=self["group_type"], volume_types=[self["type_id"]])

    def group_snapshot(self) -> str:
        return self.make("group_snapshots", "group_snapshot", group_id=self["group"], description="x")

    def each_group_snapshot(self) -> str:
        return self.make("group_snapshots", "group_snapshot", group_id=self["group"])

    # ---------------------------------------------------------------- the operator's

    def qos(self) -> str:
        return str(self.cinder.call("POST", "/qos-specs", {"qos_specs": {
            "name": f"samples-{next(_numbers)}", "consumer": "back-end", "key1": "1"}})["qos_specs"]["id"])

    def each_qos(self) -> str:
        return self.qos()

    def each_associated_qos(self) -> str:
        found = self.qos()
        self._made["qos_type"] = self.each_type()
        self.cinder.get(f"/qos-specs/{found}/associate?vol_type_id={self['qos_type']}")
        return found

    def message(self) -> str:
        """A volume that no back end fits leaves one."""
        kind = self.cinder.call("POST", "/types", {"volume_type": {"name": f"samples-{next(_numbers)}", "extra_specs": {
            "volume_backend_name": "nowhere"}}})["volume_type"]["id"]
        self.make("volumes", "volume", "error", size=1, volume_type=kind)
        return str(self.cinder.get("/messages")["messages"][0]["id"])

    def each_manageable(self) -> str:
        """A volume that is on the back end and in no list."""
        found = self.each_volume()
        self._made["managed_host"] = self.cinder.volume(found)["os-vol-host-attr:host"]
        self.cinder.action(found, "os-unmanage", {})
        self.cinder.wait_gone(found)
        return f"volume-{found}"

    def each_managed_host(self) -> str:
        self._made["managed_name"] = self.each_manageable()
        return str(self["managed_host"])

    def each_managed_name(self) -> str:
        return str(self["managed_name"])

    def manageable_snapshot(self) -> str:
        found = self.each_snapshot()
        self.cinder.call("POST", f"/snapshots/{found}/action", {"os-unmanage": {}})
        self.cinder.wait_gone(found, kind="snapshots")
        return f"snapshot-{found}"
