"""What requests of Neutron's samples are about."""

from __future__ import annotations

import itertools
from typing import Any

from sample_book import World

from running import RunningCloud

_numbers = itertools.count(1)


class NeutronWorld(World):
    def __init__(self, cloud: RunningCloud) -> None:
        super().__init__()
        self.http = cloud.http("admin")
        self.sdk = cloud.connect("admin")
        cloud.credentials("member")
        self.http.put(f"/network/v2.0/quotas/{self.sdk.current_project_id}", json={"quota": {
            name: -1 for name in ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule")}})

    def quota(self) -> str:
        answer = self.http.put(f"/network/v2.0/quotas/{self['work']}", json={"quota": {"network": 50}})
        assert answer.status_code == 200, answer.text
        return self.work()

    def make(self, path: str, word: str, **values: Any) -> str:
        answer = self.http.post(f"/network/v2.0/{path}", json={word: values})
        assert answer.status_code == 201, answer.text
        return str(answer.json()[word]["id"])

    def each_number(self) -> int:
        return next(_numbers)

    def project(self) -> str:
        return str(self.sdk.current_project_id)

    def work(self) -> str:
        return str(self.sdk.identity.find_project("work").id)

    # ---------------------------------------------------------------- networks

    def network(self) -> str:
        """With tags, a subnet, a port and a policy."""
        found = self.make("networks", "network", name="samples")
        self.http.put(f"/network/v2.0/networks/{found}/tags", json={"tags": ["red"]})
        return found

    def each_network(self) -> str:
        return self.make("networks", "network", name="samples")

    def subnet(self) -> str:
        return self.make("subnets", "subnet", network_id=self["network"], ip_version=4, cidr="10.81.0.0/20",
                         dns_nameservers=["10.81.0.2"], host_routes=[{"destination": "10.90.0.0/24", "nexthop": "10.81.0.3"}])

    def each_subnet(self) -> str:
        number = next(_numbers)
        return self.make("subnets", "subnet", network_id=self["network"], ip_version=4, cidr=f"10.82.{number}.0/24")

    def port(self) -> str:
        return self.make("ports", "port", network_id=self["network"], name="samples", fixed_ips=[{"subnet_id": self["subnet"]}],
                         allowed_address_pairs=[{"ip_address": "12.12.11.12"}],
                         extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": "1400"}])

    def each_port(self) -> str:
        self._made["fresh_port"] = self.make("ports", "port", network_id=self["network"],
            fixed_ips=[{"subnet_id": self["subnet"]}])
        return str(self["fresh_port"])

    def each_fresh_address(self) -> str:
        return str(self.http.get(f"/network/v2.0/ports/{self['fresh_port']}").json()["port"]["fixed_ips"][0]["ip_address"])

    def scope(self) -> str:
        return self.make("address-scopes", "address_scope", name="samples", ip_version=4)

    def pool(self) -> str:
        return self.make("subnetpools", "subnetpool", name="samples", prefixes=["192.168.0.0/16"], default_prefixlen=26)

    def each_pool(self) -> str:
        return self.make("subnetpools", "subnetpool", name="samples", prefixes=["10.101.0.0/16"], default_prefixlen=26)

    def each_filled_pool(self) -> str:
        return self.make("subnetpools", "subnetpool", name="samples", prefixes=["192.168.0.0/24", "192.168.1.0/24"])

    def each_pool6(self) -> str:
        return self.make("subnetpools", "subnetpool", name="samples", prefixes=["2001:db8::/64"], default_prefixlen=64,
                         min_prefixlen=64, max_prefixlen=64)

    # ---------------------------------------------------------------- routers and floating IPs

    def outside(self) -> str:
        found = self.make("networks", "network", name="samples-outside", **{"router:external": True})
        self._made["outside_subnet"] = self.make("subnets", "subnet", network_id=found, ip_version=4, cidr="172.24.4.0/24",
                                                 enable_dhcp=False)
        return found

    def each_outside_subnet(self) -> str:
        _ = self["outside"]
        return str(self["outside_subnet"])

    def router(self) -> str:
        found = self.make("routers", "router", name="samples", external_gateway_info={"network_id": self["outside"]})
        self._joined(found, self["subnet"])
        self.http.put(f"/network/v2.0/routers/{found}/add_extraroutes", json={"router": {"routes": [
            {"destination": "10.0.9.0/24", "nexthop": "10.81.0.13"}]}})
        return found

    def _joined(self, router: str, subnet: str) -> None:
        answer = self.http.put(f"/network/v2.0/routers/{router}/add_router_interface", json={"subnet_id": subnet})
        assert answer.status_code == 200, answer.text

    def each_router(self) -> str:
        return self.make("routers", "router", name="samples")

    def each_joined_router(self) -> str:
        found = self.each_router()
        self._made["fresh_subnet"] = self.make("subnets", "subnet", network_id=self.each_network(), ip_version=4,
                                               cidr="10.0.0.0/24")
        self._joined(found, self["fresh_subnet"])
        return found

    def each_fresh_subnet(self) -> str:
        return str(self["fresh_subnet"])

    def each_interface_port(self) -> str:
        return str(self.http.get("/network/v2.0/ports", params={
            "fixed_ips": f"subnet_id={self['fresh_subnet']}",
                "device_owner": "network:router_interface"}).json()["ports"][0]["id"])

    def each_loose_port(self) -> str:
        network = self.each_network()
        self.make("subnets", "subnet", network_id=network, ip_version=4, cidr="10.1.0.0/24")
        return self.make("ports", "port", network_id=network)

    def each_routed_router(self) -> str:
        found = str(self.each_joined_router())
        answer = self.http.put(f"/network/v2.0/routers/{found}/add_extraroutes", json={"router": {"routes": [
            {"destination": "10.0.3.0/24", "nexthop": "10.0.0.13"}, {"destination": "10.0.4.0/24", "nexthop": "10.0.0.14"}]}})
        assert answer.status_code == 200, answer.text
        return found

    def floatingip(self) -> str:
        _ = self["router"]
        return self.make("floatingips", "floatingip", floating_network_id=self["outside"], port_id=self["each_port"])

    def each_floatingip(self) -> str:
        return self.make("floatingips", "floatingip", floating_network_id=self["outside"])

    def forwarding(self) -> str:
        _ = self["router"]
        self._made["forwarded"] = self.each_floatingip()
        return self._forwarding(str(self["forwarded"]))

    def _forwarding(self, floating: str) -> str:
        port = self["each_port"]
        return self.make(f"floatingips/{floating}/port_forwardings", "port_forwarding", protocol="tcp", internal_port=25,
                         external_port=next(_numbers) + 3000, internal_port_id=port,
                             internal_ip_address=self["each_fresh_address"],
                         description="x")

    def each_forwarded(self) -> str:
        _ = self["forwarding"]
        return str(self["forwarded"])

    # ---------------------------------------------------------------- security groups

    def group(self) -> str:
        return self.make("security-groups", "security_group", name="samples", description="x")

    def each_group(self) -> str:
        return self.group()

    def rule(self) -> str:
        return self.make("security-group-rules", "security_group_rule", security_group_id=self["group"], direction="ingress",
                         protocol="tcp", port_range_min=22, port_range_max=22)

    def template(self) -> str:
        return self.make("default-security-group-rules", "default_security_group_rule", direction="ingress", protocol="tcp",
                         port_range_min=4000 + next(_numbers), port_range_max=6000)

    def address_group(self) -> str:
        return self.make("address-groups", "address_group", name="samples", addresses=["10.0.2.100/32"])

    def each_address_group(self) -> str:
        return self.make("address-groups", "address_group", name="samples", addresses=[])

    def each_full_address_group(self) -> str:
        return self.make("address-groups", "address_group", name="samples", addresses=["10.0.2.100/32"])

    def rbac(self) -> str:
        return self.make("rbac-policies", "rbac_policy", object_type="network", object_id=self["network"],
                         action="access_as_shared", target_tenant="0" * 32)

    # ---------------------------------------------------------------- QoS and trunks

    def policy(self) -> str:
        found = self.make("qos/policies", "policy", name="samples", description="x")
        self.make(f"qos/policies/{found}/bandwidth_limit_rules", "bandwidth_limit_rule", max_kbps=10000)
        return found

    def each_policy(self) -> str:
        return self.make("qos/policies", "policy", name="samples")

    def ruled(self) -> str:
        """A policy with one rule of every kind; their ids are `…_rule`."""
        found = self.each_policy()
        for kind, values in (("bandwidth_limit", {"max_kbps": 10000}), ("dscp_marking", {"dscp_mark": 26}),
                             ("minimum_bandwidth", {"min_kbps": 10000}), ("packet_rate_limit", {"max_kpps": 100}),
                             ("minimum_packet_rate", {"min_kpps": 1000, "direction": "any"})):
            answer = self.http.post(f"/network/v2.0/qos/policies/{found}/{kind}_rules", json={f"{kind}_rule": values})
            if answer.status_code == 201:
                self._made[f"{kind}_rule"] = answer.json()[f"{kind}_rule"]["id"]
        return found

    def trunk_parent(self) -> str:
        return str(self["each_port"])

    def each_hosted_router(self) -> str:
        found = self.each_router()
        answer = self.http.post(f"/network/v2.0/agents/{self['l3_agent']}/l3-routers", json={"router_id": found})
        assert answer.status_code == 201, answer.text
        return found

    def trunk(self) -> str:
        return self.make("trunks", "trunk", name="samples", port_id=self["trunk_parent"], sub_ports=[
            {"port_id": self["each_port"], "segmentation_type": "vlan", "segmentation_id": 44}])

    def each_trunk(self) -> str:
        return self.make("trunks", "trunk", name="samples", port_id=self["each_port"])

    def each_full_trunk(self) -> str:
        port = self["each_port"]
        self._made["sub_port"] = port
        return self.make("trunks", "trunk", name="samples", port_id=self["each_port"], sub_ports=[
            {"port_id": port, "segmentation_type": "vlan", "segmentation_id": 44}])

    def each_sub_port(self) -> str:
        return str(self["sub_port"])

    # ---------------------------------------------------------------- the operator's

    def agent(self) -> str:
        return str(self.http.get("/network/v2.0/agents").json()["agents"][0]["id"])

    def _agent(self, kind: str) -> str:
        return next(str(one["id"]) for one in self.http.get("/network/v2.0/agents").json()["agents"] if one["agent_type"] == kind)

    def l3_agent(self) -> str:
        return self._agent("L3 agent")

    def dhcp_agent(self) -> str:
        return self._agent("DHCP agent")

    def segment(self) -> str:
        return str(self.http.get(f"/network/v2.0/segments?network_id={self['network']}").json()["segments"][0]["id"])

    def flavor(self) -> str:
        return self.make("flavors", "flavor", service_type="L3_ROUTER_NAT", name="samples", description="x")

    def each_flavor(self) -> str:
        return self.flavor()

    def profile(self) -> str:
        return self.make("service_profiles", "service_profile", description="x", metainfo="{}")

    def each_profile(self) -> str:
        return self.profile()
