"""One of everything that paths name, made as the member of a project (or the administrator, where only he may)."""

from __future__ import annotations

import itertools
import re
from typing import Any

import httpx

import identity_things
from haneul.kernel.wire.routes import Route, Service
from haneul.kernel.wire.versions import text
from running import RunningCloud, wait_until
from security import volume_kinds, volume_things

_numbers = itertools.count(1)
NOTHING = "0e0e0e0e-0000-4000-8000-00000000000e"


class Entry:
    """A route with its service: the path, the headers and the names of what it is about."""

    def __init__(self, service: Service, route: Route) -> None:
        self.service, self.route = service, route
        self.names = [name.removesuffix(":path") for name in re.findall(r"\{([\w:]+)\}", route.path)]

    def __str__(self) -> str:
        return f"{self.route.method} {self.service.prefix}{self.route.path}" + (
            f" [{self.route.action}]" if self.route.action else "")

    def value(self, name: str, ids: dict[str, str]) -> str | None:
        """`ids` by name, or by "service.name" where services mean different things by a name."""
        first = self.route.path.strip("/").split("/")[0]
        keys = (f"{self.service.type}.{first}.{name}", f"{self.service.type}.{name}", name)
        return next((ids[key] for key in keys if key in ids), None)

    def path(self, ids: dict[str, str]) -> str:
        return self.service.prefix + re.sub(
            r"\{([\w:]+)\}", lambda match: self.value(match[1].removesuffix(":path"), ids) or NOTHING, self.route.path)

    def headers(self) -> dict[str, str]:
        versions = self.service.microversions
        if versions is None:
            return {}
        return {"OpenStack-API-Version": f"{versions.service_type} {text(self.route.maximum or versions.maximum)}"}


def entries(cloud: RunningCloud) -> list[Entry]:
    return [Entry(service, route) for service in cloud.cloud.services for routes in service.routes for route in routes.items]


class Things:
    """`ids`: what to put into paths. `owned`: the names whose objects belong to the project `work` alone."""

    owned = {"network.network_id", "network.subnet_id", "network.port_id", "network.router_id", "network.floatingip_id",
             "network.security_group_id", "network.rule_id", "network.subnetpool_id", "network.address_scope_id",
             "network.rbac_policy_id", "network.address_group_id", "network.port_forwarding_id", "network.trunk_id",
             "compute.server_id", "compute.os-server-groups.group_id",
             "compute.os-security-groups.group_id", "compute.os-security-group-rules.rule_id", "compute.floating_ip_id",
             "compute.network_id", "compute.image_id", "image.image_id", *volume_things.OWNED, *volume_kinds.OWNED}

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.member, self.admin = cloud.http("member"), cloud.http("admin")
        for client in (self.member, self.admin):
            client.headers["OpenStack-API-Version"] = "compute 2.79, volume 3.71"
        self.number = next(_numbers)
        self.ids: dict[str, str] = {"tag": "tag", "value": "tag", "key": "key", "alias": "standard-attr-tag", "rest": "openstack",
                                    "class_id": "default", "request_id": "req-00000000-0000-4000-8000-000000000000"}
        self._network()
        self._image()
        self._compute()
        self._identity()
        self._placement()
        volume_things.make(self)
        volume_kinds.make(self)

    def make(self, client: httpx.Client, path: str, body: Any, word: str | None = None) -> Any:
        answer = client.post(path, json=body)
        assert answer.status_code in (200, 201, 202), f"{path}: {answer.status_code} {answer.text}"
        found = answer.json()
        return found[word] if word else found

    def is_owned(self, entry: Entry) -> bool:
        first = entry.route.path.strip("/").split("/")[0]
        return any({f"{entry.service.type}.{name}", f"{entry.service.type}.{first}.{name}"} & self.owned for name in entry.names)

    def nowhere(self) -> dict[str, str]:
        """The same names with ids of nothing, in the shape of each service's ids."""
        made = dict.fromkeys(self.ids, NOTHING)
        kept = ("tag", "value", "key", "alias", "rest", "class_id", "request_id", "image.schemas.name", "image.kind",
                "network.network")
        return {**made, **{name: self.ids[name] for name in kept if name in self.ids}}

    # ---------------------------------------------------------------- rooms

    def _network(self) -> None:
        prefix, number, ids = "/network/v2.0", self.number, self.ids
        external = self.make(self.admin, f"{prefix}/networks", {"network": {
            "name": f"outside-{number}", "router:external": True}}, "network")["id"]
        self.make(self.admin, f"{prefix}/subnets", {"subnet": {
            "network_id": external, "ip_version": 4, "cidr": f"203.0.{number}.0/24", "enable_dhcp": False}})

        def own(plural: str, word: str, **values: Any) -> str:
            return str(self.make(self.member, f"{prefix}/{plural}", {word: values}, word)["id"])

        ids["network_id"] = own("networks", "network", name="inside")
        ids["subnet_id"] = own("subnets", "subnet", network_id=ids["network_id"], ip_version=4, cidr="10.8.0.0/24")
        ids["port_id"] = own("ports", "port", network_id=ids["network_id"])
        ids["router_id"] = own("routers", "router", name="r", external_gateway_info={"network_id": external})
        ids["floatingip_id"] = own("floatingips", "floatingip", floating_network_id=external)
        ids["security_group_id"] = own("security-groups", "security_group", name="sg")
        ids["network.rule_id"] = own("security-group-rules", "security_group_rule", security_group_id=ids["security_group_id"],
                                     direction="ingress", protocol="tcp", port_range_min=22, port_range_max=22)
        ids["subnetpool_id"] = own("subnetpools", "subnetpool", name="pool", prefixes=["10.20.0.0/16"], default_prefixlen=26)
        ids["address_scope_id"] = own("address-scopes", "address_scope", name="scope", ip_version=4)
        ids["rbac_policy_id"] = own("rbac-policies", "rbac_policy", object_type="network", object_id=ids["network_id"],
                                    action="access_as_shared", target_tenant="0" * 32)
        ids["template_id"] = self.make(self.admin, f"{prefix}/default-security-group-rules", {"default_security_group_rule": {
            "direction": "ingress", "protocol": "tcp", "port_range_min": number, "port_range_max": number}},
            "default_security_group_rule")["id"]
        ids["address_group_id"] = own("address-groups", "address_group", name="addresses", addresses=["192.0.2.0/24"])
        inside = self.make(self.member, f"{prefix}/floatingips", {"floatingip": {"floating_network_id": external}},
                           "floatingip")["id"]
        routed = own("routers", "router", name="forwards", external_gateway_info={"network_id": external})
        answer = self.member.put(f"{prefix}/routers/{routed}/add_router_interface", json={"subnet_id": ids["subnet_id"]})
        assert answer.status_code == 200, answer.text
        ids["network.port_forwarding_id"] = own(f"floatingips/{inside}/port_forwardings", "port_forwarding", protocol="tcp",
                                                internal_port_id=ids["port_id"], internal_port=22, external_port=22)
        ids["network.flavor_id"] = self.make(self.admin, f"{prefix}/flavors", {"flavor": {
            "service_type": "L3_ROUTER_NAT"}}, "flavor")["id"]
        ids["network.profile_id"] = self.make(self.admin, f"{prefix}/service_profiles", {"service_profile": {
            "metainfo": "{}"}}, "service_profile")["id"]
        ids["segment_id"] = self.admin.get(f"{prefix}/segments?network_id={ids['network_id']}").json()["segments"][0]["id"]
        self._qos(prefix)
        ids["trunk_id"] = own("trunks", "trunk", port_id=own("ports", "port", network_id=ids["network_id"]))
        ids["agent_id"] = self.admin.get(f"{prefix}/agents").json()["agents"][0]["id"]
        ids["compute.network"] = "inside"

    def _qos(self, prefix: str) -> None:
        """A policy that is the member's project's, with a rule of each type."""
        self.ids["network.rule_type"] = "bandwidth_limit"
        project = self.cloud.connect("member").current_project_id
        policy = self.make(self.admin, f"{prefix}/qos/policies", {"policy": {"name": "q", "project_id": project}}, "policy")["id"]
        self.ids["qos_policy_id"] = policy
        for kind, word in (("bandwidth_limit", "max_kbps"), ("dscp_marking", "dscp_mark"), ("minimum_bandwidth", "min_kbps"),
                           ("packet_rate_limit", "max_kpps"), ("minimum_packet_rate", "min_kpps")):
            self.ids[f"{kind}_rule_id"] = self.make(self.admin, f"{prefix}/qos/policies/{policy}/{kind}_rules", {
                f"{kind}_rule": {word: 8}}, f"{kind}_rule")["id"]

    def _image(self) -> None:
        made = self.make(self.member, "/image/v2/images", {"name": "own", "disk_format": "raw", "container_format": "bare",
                                                            "tags": ["tag"]})
        self.ids["image_id"] = made["id"]
        answer = self.member.put(f"/image/v2/images/{made['id']}/file", content=b"own bytes",
                                 headers={"Content-Type": "application/octet-stream"})
        assert answer.status_code == 204, answer.text
        space = f"OS::Own::{self.number}"
        self.make(self.admin, "/image/v2/metadefs/namespaces", {
            "namespace": space, "objects": [{"name": "object"}], "properties": {"property": {"title": "P", "type": "string"}},
            "tags": [{"name": "tag"}], "resource_type_associations": [{"name": "OS::Nova::Server"}]})
        self.ids.update({"image.namespace": space, "object_name": "object", "property_name": "property", "tag_name": "tag",
                         "image.resource_type": "OS::Nova::Server", "image.kind": "namespace", "image.store": "file"})
        self.ids.update({"member_id": "0" * 32, "task_id": "0e0e0e0e-0000-4000-8000-00000000000e", "image.schemas.name": "image"})

    def _compute(self) -> None:
        prefix, ids = "/compute/v2.1", self.ids
        ids["flavor_id"] = self.make(self.admin, f"{prefix}/flavors", {"flavor": {
            "name": f"flavor-{self.number}", "ram": 64, "vcpus": 1, "disk": 1}}, "flavor")["id"]
        ids["server_id"] = self.make(self.member, f"{prefix}/servers", {"server": {
            "name": "own", "flavorRef": ids["flavor_id"], "imageRef": ids["image_id"], "tags": ["tag"], "metadata": {"key": "v"},
            "networks": [{"uuid": ids["network_id"]}]}}, "server")["id"]
        ids["compute.os-server-groups.group_id"] = self.make(self.member, f"{prefix}/os-server-groups", {"server_group": {
            "name": "own", "policy": "anti-affinity"}}, "server_group")["id"]
        ids["compute.name"] = f"key-{self.number}"
        self.make(self.member, f"{prefix}/os-keypairs", {"keypair": {"name": ids["compute.name"]}})
        ids["aggregate_id"] = str(self.make(self.admin, f"{prefix}/os-aggregates", {"aggregate": {
            "name": f"aggregate-{self.number}"}}, "aggregate")["id"])
        ids["hypervisor_id"] = str(self.admin.get(f"{prefix}/os-hypervisors").json()["hypervisors"][0]["id"])
        ids["compute.service_id"] = str(self.admin.get(f"{prefix}/os-services").json()["services"][0]["id"])
        ids["compute.os-security-groups.group_id"], ids["floating_ip_id"] = ids["security_group_id"], ids["floatingip_id"]
        ids["compute.os-security-group-rules.rule_id"] = ids["network.rule_id"]
        ids["host"], ids["before"] = "host-1", "2020-01-01 00:00:00"
        ids["volume_id"] = ids["share_id"] = NOTHING

        def active() -> bool:
            found = self.member.get(f"{prefix}/servers/{ids['server_id']}").json()["server"]
            assert found["status"] != "ERROR", self.admin.get(f"{prefix}/servers/{ids['server_id']}").json()["server"]["fault"]
            return bool(found["status"] == "ACTIVE")

        wait_until(active, what="the member's server")
        ids["compute.port_id"] = self.member.get(f"{prefix}/servers/{ids['server_id']}/os-interface").json()[
            "interfaceAttachments"][0]["port_id"]

    def _identity(self) -> None:
        prefix, ids = "/identity/v3", self.ids

        def own(plural: str, word: str, **values: Any) -> str:
            return str(self.make(self.admin, f"{prefix}/{plural}", {word: values}, word)["id"])

        name = f"made-{self.number}"
        ids["domain_id"] = own("domains", "domain", name=name)
        ids["identity.user_id"] = own("users", "user", name=name, password="pw", domain_id=ids["domain_id"])
        ids["identity.group_id"] = own("groups", "group", name=name, domain_id=ids["domain_id"])
        ids["identity.project_id"] = own("projects", "project", name=name, domain_id=ids["domain_id"], tags=["tag"])
        ids["role_id"], ids["implied_id"] = own("roles", "role", name=name), own("roles", "role", name=name + "-implied")
        ids["region_id"] = own("regions", "region", id=name)
        ids["identity.service_id"] = own("services", "service", type="made", name=name)
        ids["endpoint_id"] = own("endpoints", "endpoint", service_id=ids["identity.service_id"], interface="public",
                                 url="http://192.0.2.1")
        ids["policy_id"] = own("policies", "policy", type="t", blob="{}")
        ids["stored_id"] = own("credentials", "credential", user_id=ids["identity.user_id"], type="t", blob="b")
        ids["access"] = str(self.make(self.admin, f"{prefix}/users/{ids['identity.user_id']}/credentials/OS-EC2",
                                      {"tenant_id": ids["identity.project_id"]}, "credential")["access"])
        who = self.member.get(f"{prefix}/auth/tokens", headers={"X-Subject-Token": self.member.headers["X-Auth-Token"]})
        mine = self.cloud.connect("member")
        ids["project_id"], ids["user_id"] = str(mine.current_project_id), str(mine.current_user_id)
        assert who.status_code in (200, 403)
        made = self.make(self.member, f"{prefix}/users/{ids['user_id']}/application_credentials", {"application_credential": {
            "name": name, "access_rules": [{"service": "identity", "method": "GET", "path": f"/v3/{name}"}]}},
            "application_credential")
        ids["credential_id"], ids["identity.users.rule_id"] = made["id"], made["access_rules"][0]["id"]
        ids.update({f"identity.{name}": id for name, id in identity_things.extensions(
            lambda path, body: self.make(self.admin, prefix + path, body), ids["identity.service_id"],
            ids["identity.project_id"]).items()})
        ids["trust_id"] = identity_things.trust(lambda path, body: self.make(self.member, prefix + path, body), ids["user_id"],
                                                ids["identity.user_id"], ids["project_id"])

    def _placement(self) -> None:
        answer = self.admin.post("/placement/resource_providers", json={"name": f"made-{self.number}"},
                                 headers={"OpenStack-API-Version": "placement 1.39"})
        assert answer.status_code == 200, answer.text
        self.ids.update({"uuid": answer.json()["uuid"], "consumer": self.ids["server_id"], "resource_class": "VCPU",
                         "placement.resource_classes.name": "CUSTOM_MADE", "placement.traits.name": "CUSTOM_MADE"})
