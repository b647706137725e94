"""What requests of Nova's samples are about: a server to look at, one that actions are tried on, and what belongs to them."""

from __future__ import annotations

import itertools
import secrets
from typing import Any

import httpx
from sample_book import World

from compute.compute_world import Nova
from haneul.host.disks import qcow2
from running import RunningCloud, wait_until

_numbers = itertools.count(1)
BACK = {"SHUTOFF": "os-start", "PAUSED": "unpause", "SUSPENDED": "resume", "RESCUE": "unrescue", "VERIFY_RESIZE": "revertResize",
        "SHELVED_OFFLOADED": "unshelve"}
INTO = {"SHUTOFF": "os-stop", "PAUSED": "pause", "SUSPENDED": "suspend", "RESCUE": "rescue", "SHELVED_OFFLOADED": "shelve"}


class NovaWorld(World):
    def __init__(self, cloud: RunningCloud) -> None:
        super().__init__()
        self.cloud = cloud
        self.service_touched = False
        self.nova = Nova(cloud)
        self.sdk = cloud.connect("admin")
        self.project = self.sdk.current_project_id
        self.nova.call("PUT", f"/os-quota-sets/{self.project}", {"quota_set": {
            "instances": -1, "cores": -1, "ram": -1, "server_groups": -1, "server_group_members": -1, "key_pairs": -1}})
        admin = cloud.http("admin")
        answer = admin.put(f"/volume/v3/os-quota-sets/{self.project}", json={"quota_set": {
            "volumes": -1, "gigabytes": -1, "snapshots": -1}})
        assert answer.status_code == 200, answer.text
        self.volumes = admin
        self.plain = self._member(cloud)
        for id in ("samples-1", "samples-2"):
            if self.nova.http.get(f"/compute/v2.1/flavors/{id}").status_code == 404:
                self.nova.call("POST", "/flavors", {"flavor": {"name": id, "id": id, "ram": 64, "vcpus": 1, "disk": 1}})
                self.nova.call("POST", f"/flavors/{id}/os-extra_specs", {"extra_specs": {"quota:cpu_shares": "10"}})

    def _member(self, cloud: RunningCloud) -> httpx.Client:
        """A client of a mere member of the administrator's project: what samples without OS-EXT-SRV-ATTR:host are of."""
        identity, name = self.sdk.identity, f"samples-{secrets.token_hex(4)}"
        user = identity.create_user(name=name, password="secret", domain_id="default")
        identity.assign_project_role_to_user(self.project, user, identity.find_role("member"))
        client = httpx.Client(base_url=cloud.url, timeout=60)
        client.headers["X-Auth-Token"] = client.post("/identity/v3/auth/tokens", json={"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"id": user.id, "password": "secret"}}},
            "scope": {"project": {"id": self.project}}}}).headers["X-Subject-Token"]
        return client

    # ---------------------------------------------------------------- names

    def project_id(self) -> str:
        return str(self.project)

    def user(self) -> str:
        return str(self.sdk.current_user_id)

    def each_number(self) -> int:
        return next(_numbers)

    def host(self) -> str:
        return str(self.nova.get("/os-services")["services"][0]["host"])

    def service(self) -> str:
        return str(self.nova.get("/os-services")["services"][0]["id"])

    def hypervisor(self) -> str:
        return str(self.nova.get("/os-hypervisors")["hypervisors"][0]["id"])

    def hypervisor_name(self) -> str:
        return str(self.nova.get("/os-hypervisors")["hypervisors"][0]["hypervisor_hostname"])

    def old_hypervisor(self) -> str:
        return str(self.nova.get("/os-hypervisors", version="2.1")["hypervisors"][0]["id"])

    def before(self) -> str:
        return "2099-01-01T00:00:00Z"

    def oldest_request(self) -> str:
        return str(self.nova.get(f"/servers/{self['server']}/os-instance-actions")["instanceActions"][0]["request_id"])

    def migration(self) -> str:
        self["resized"]
        self.resized()
        return str(self.nova.get("/os-migrations", version="2.59")["migrations"][0]["uuid"])

    # ---------------------------------------------------------------- what servers are made of

    def image(self) -> str:
        return str(self.sdk.image.create_image(name=f"samples-{secrets.token_hex(4)}", disk_format="qcow2",
            container_format="bare",
                                               data=qcow2.empty(1 << 20), wait=True, auto_disk_config="True",
                                               architecture="x86_64").id)

    def network(self) -> str:
        found = self.sdk.network.create_network(name="samples")
        self.sdk.network.create_subnet(network_id=found.id, cidr="10.79.0.0/20", ip_version=4)
        return str(found.id)

    def outside(self) -> str:
        found = self.sdk.network.create_network(name="samples-outside", is_router_external=True)
        self.sdk.network.create_subnet(network_id=found.id, cidr="203.0.113.0/24", ip_version=4, is_dhcp_enabled=False)
        router = self.sdk.network.create_router(external_gateway_info={"network_id": found.id})
        subnet = next(iter(self.sdk.network.subnets(network_id=self["network"])))
        self.sdk.network.add_interface_to_router(router, subnet_id=subnet.id)
        return str(found.id)

    def outside_name(self) -> str:
        return str(self.sdk.network.get_network(self["outside"]).name)

    def floating_ip(self) -> str:
        return str(self.sdk.network.create_ip(floating_network_id=self["outside"]).id)

    def each_floating_address(self) -> str:
        port = next(iter(self.sdk.network.ports(device_id=self["each_active"])))
        for bound in self.sdk.network.ips(port_id=port.id):
            self.sdk.network.delete_ip(bound)
        return str(self.sdk.network.create_ip(floating_network_id=self["outside"]).floating_ip_address)

    def each_bound_address(self) -> str:
        """A floating IP of the server that actions are tried on."""
        address = self["each_floating_address"]
        self.nova.call("POST", f"/servers/{self['subject']}/action", {"addFloatingIp": {"address": address}}, version="2.43")
        return str(address)

    def each_port(self) -> str:
        return str(self.sdk.network.create_port(network_id=self["network"]).id)

    def each_fixed_ip(self) -> str:
        return f"10.79.1.{next(_numbers)}"

    def security_group(self) -> str:
        group = self.sdk.network.create_security_group(name="samples-group")
        self.sdk.network.create_security_group_rule(security_group_id=group.id, direction="ingress", protocol="tcp",
                                                    port_range_min=22, port_range_max=22, remote_ip_prefix="10.0.0.0/24")
        return str(group.id)

    def each_group_name(self) -> str:
        return str(self.sdk.network.create_security_group(name=f"samples-group-{next(_numbers)}").name)

    def each_given_group(self) -> str:
        name = self["each_group_name"]
        self.nova.action(self["each_active"], "addSecurityGroup", {"name": name})
        return str(name)

    def keypair(self) -> str:
        self.nova.call("POST", "/os-keypairs", {"keypair": {"name": "samples-key"}}, version="2.79")
        return "samples-key"

    def each_flavor(self) -> str:
        """A flavor of the sample's id."""
        self["each_no_flavor"]
        self.nova.call("POST", "/flavors", {"flavor": {
            "name": "test_flavor", "id": "10", "ram": 64, "vcpus": 1, "disk": 1, "os-flavor-access:is_public": False}})
        return "10"

    def each_no_flavor(self) -> str:
        """The sample's flavor is not there."""
        self.nova.http.delete("/compute/v2.1/flavors/10")
        return "10"

    def each_specified_flavor(self) -> str:
        self["each_flavor"]
        self.nova.call("POST", "/flavors/10/os-extra_specs", {"extra_specs": {"hw:cpu_policy": "shared", "hw:numa_nodes": "1"}})
        return "10"

    def each_private_flavor(self) -> str:
        self["each_flavor"]
        self.nova.call("POST", "/flavors/10/action", {"addTenantAccess": {"tenant": self["work"]}})
        return "10"

    def work(self) -> str:
        self.cloud.credentials("member")
        return str(self.sdk.identity.find_project("work").id)

    def volume(self) -> str:
        return str(self["each_volume"])

    def each_volume(self) -> str:
        return self._stored("volumes", "volume", size=1)

    def snapshot(self) -> str:
        return self._stored("snapshots", "snapshot", volume_id=self["each_volume"])

    def _stored(self, plural: str, word: str, **values: Any) -> str:
        answer = self.volumes.post(f"/volume/v3/{plural}", json={word: {"name": "samples", "description": "x", **values}})
        found = str(answer.json()[word]["id"])
        wait_until(lambda: self.volumes.get(f"/volume/v3/{plural}/{found}").json()[word]["status"] == "available", 20, word)
        return found

    # ---------------------------------------------------------------- servers

    def boot(self, hints: dict[str, str] | None = None, **values: Any) -> str:
        self["each_enabled"]
        found = self.nova.call("POST", "/servers", {"server": {
            "name": f"samples-{next(_numbers)}", "imageRef": self["image"], "flavorRef": "samples-1", "networks": [
                {"uuid": self["network"]}], **values}, "os:scheduler_hints": hints or {}}, status=202)["server"]["id"]
        self.nova.wait(found, "ACTIVE")
        return str(found)

    def server(self) -> str:
        """To look at: with a key, tags, metadata and a volume."""
        id = self.boot(key_name=self["keypair"], tags=["tag1", "tag2"], metadata={"My Server Name": "Apache1"}, user_data="eA==",
                       hints={"group": self["server_group"]}, security_groups=[{"name": "default"}])
        self.nova.call("POST", f"/servers/{id}/os-volume_attachments", {"volumeAttachment": {"volumeId": self["each_volume"]}})
        wait_until(lambda: self.sdk.get_volume(self.attached(id)).status == "in-use", 20, "the attachment")
        return id

    def attached(self, id: str) -> str:
        found = self.nova.get(f"/servers/{id}/os-volume_attachments")["volumeAttachments"]
        return str(found[-1]["volumeId"]) if found else ""

    def server_volume(self) -> str:
        return self.attached(self["server"])

    def server_port(self) -> str:
        return str(next(iter(self.sdk.network.ports(device_id=self["server"]))).id)

    def server_request(self) -> str:
        return str(self.nova.get(f"/servers/{self['server']}/os-instance-actions")["instanceActions"][-1]["request_id"])

    def resized(self) -> str:
        """A server that has been resized: there is a record of a migration."""
        id = self.boot()
        self.nova.action(id, "resize", {"flavorRef": "samples-2"})
        self.nova.wait(id, "VERIFY_RESIZE")
        return id

    def subject(self) -> str:
        return self.boot(hints={"group": self["server_group"]}, tags=["tag1"])

    def each_server(self) -> str:
        return self.boot()

    def bring(self, status: str) -> str:
        """The server that actions are tried on, in that status."""
        id = str(self["subject"])
        self["each_enabled"]
        self.cloud.settle()  # a resize that is being confirmed looks as one that waits for it
        for _ in range(3):
            found = wait_until(lambda: self._quiet(id), 30, "a server without a task")
            if found["locked"]:
                self.nova.action(id, "unlock")
            if found["status"] == status:
                return id
            if found["status"] == "ERROR":
                self.nova.action(id, "os-resetState", {"state": "active"})
            elif found["status"] != "ACTIVE":
                self.nova.action(id, BACK[found["status"]])
            elif status == "VERIFY_RESIZE":
                other = {"samples-1": "samples-2"}.get(found["flavor"]["original_name"], "samples-1")
                self.nova.action(id, "resize", {"flavorRef": other})
            else:
                self.nova.action(id, INTO[status])
        return str(self.nova.wait(id, status)["id"])

    def _quiet(self, id: str) -> dict[str, Any] | None:
        found = self.nova.server(id)
        return found if found["OS-EXT-STS:task_state"] is None and found["status"] != "BUILD" else None

    def each_active(self) -> str:
        return self.bring("ACTIVE")

    def each_stopped(self) -> str:
        return self.bring("SHUTOFF")

    def each_paused(self) -> str:
        return self.bring("PAUSED")

    def each_suspended(self) -> str:
        return self.bring("SUSPENDED")

    def each_rescued(self) -> str:
        return self.bring("RESCUE")

    def each_resized(self) -> str:
        return self.bring("VERIFY_RESIZE")

    def each_shelved(self) -> str:
        return self.bring("SHELVED_OFFLOADED")

    def each_other_flavor(self) -> str:
        found = self.nova.server(self["each_active"])["flavor"]["original_name"]
        return {"samples-1": "samples-2"}.get(found, "samples-1")

    def each_address(self) -> str:
        return str(next(iter(self.sdk.network.ports(device_id=self["subject"]))).fixed_ips[0]["ip_address"])

    def each_added_address(self) -> str:
        """A second address of a card."""
        self.nova.call("POST", f"/servers/{self['subject']}/action", {"addFixedIp": {"networkId": self["network"]}},
            version="2.43")

        def second() -> str | None:
            found = [each["ip_address"] for port in self.sdk.network.ports(device_id=self["subject"]) for each in port.fixed_ips]
            return str(found[-1]) if len(found) > 1 else None

        return str(wait_until(second, 20, "a second address"))

    def each_with_volume(self) -> str:
        """The id of a server that has a volume, which is attached anew each time; `fresh_volume` is the volume."""
        id = self["each_active"]
        self._made["fresh_volume"] = self["each_volume"]
        self.nova.call("POST", f"/servers/{id}/os-volume_attachments", {"volumeAttachment": {
            "volumeId": self["fresh_volume"], "delete_on_termination": True}})
        wait_until(lambda: self.sdk.get_volume(self["fresh_volume"]).status == "in-use", 20, "the attachment")
        return str(id)

    # ---------------------------------------------------------------- groups of things

    def server_group(self) -> str:
        return str(self.nova.call("POST", "/os-server-groups", {"server_group": {
            "name": "samples", "policy": "soft-affinity"}})["server_group"]["id"])

    def aggregate(self) -> int:
        found = self.nova.call("POST", "/os-aggregates", {"aggregate": {"name": f"samples-{next(_numbers)}"}})["aggregate"]["id"]
        self.nova.call("POST", f"/os-aggregates/{found}/action", {"add_host": {"host": self["host"]}})
        self.nova.call("POST", f"/os-aggregates/{found}/action", {"set_metadata": {"metadata": {"key": "value"}}})
        return int(found)

    def each_aggregate(self) -> int:
        return int(self.nova.call("POST", "/os-aggregates", {"aggregate": {
            "name": f"samples-{next(_numbers)}", "availability_zone": f"zone-{next(_numbers)}"}})["aggregate"]["id"])

    def each_plain_aggregate(self) -> int:
        """Without a zone, since the host has servers."""
        name = f"samples-{next(_numbers)}"
        return int(self.nova.call("POST", "/os-aggregates", {"aggregate": {"name": name}})["aggregate"]["id"])

    def each_aggregate_of_host(self) -> int:
        found = self.each_plain_aggregate()
        self.nova.call("POST", f"/os-aggregates/{found}/action", {"add_host": {"host": self["host"]}})
        return found

    def each_enabled(self) -> str:
        """The service is up and enabled again, if a case has changed it."""
        if not self.service_touched:
            return str(self["service"])
        self.service_touched = False
        self.nova.call("PUT", f"/os-services/{self['service']}", {"status": "enabled", "forced_down": False})
        return str(self["service"])

    def each_disabled(self) -> str:
        """The service is disabled, with a reason; old APIs name it by its host."""
        self.service_touched = True
        self.nova.call("PUT", f"/os-services/{self['service']}", {"status": "disabled", "disabled_reason": "test"})
        return str(self["service"])
