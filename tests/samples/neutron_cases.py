"""How each of Neutron's API samples comes about here, and which of them cannot."""

from __future__ import annotations

from typing import Any

from sample_book import DROP, Absent, Case, Rules

NOT_HERE = "of an extension that is not claimed"
OLDER = "the sample is older than the answer, which is Neutron's of today"
ENVELOPE: Any = {"missing": {name: "the sample leaves the envelope out" for name in (
    "addresses", "description", "id", "name", "project_id", "drivers", "type")},
    "extra": {name: "the sample leaves the envelope out" for name in ("address_group", "rule_type")}}
RULES = Rules(
    nullable=("gateway_ip", "subnetpool_id", "qos_policy_id", "port_id", "router_id", "fixed_ip_address", "ip_address",
              "description", "provider:physical_network", "provider:segmentation_id", "address_scope_id", "network_id",
              "external_gateway_info", "remote_group_id", "remote_ip_prefix", "remote_address_group_id", "port_range_max",
              "port_range_min", "protocol", "mtu", "dns_domain", "segmentation_id", "physical_network", "name", "segment_id",
              "ipv6_address_mode", "ipv6_ra_mode", "availability_zone", "qos_network_policy_id", "max_prefixlen", "port_details",
              "default_quota", "max_kpps", "ip_allocation", "resource_request", "hardware_offload_type", "hints", "host",
              "project_id", "remote_ip_prefix_normalized", "normalized_cidr", "data_plane_status", "numa_affinity_policy",
              "resources_synced", "binding:host_id", "configurations", "vlan_transparent", "flavor_id"),
    maps=("configurations", "quota_details", "binding:vif_details", "binding:profile"),
    empty=("tags", "availability_zones", "availability_zone_hints", "dns_nameservers", "host_routes", "service_types", "routes",
           "allowed_address_pairs", "extra_dhcp_opts", "fixed_ips", "security_groups", "subnets", "rules", "allocation_pools",
           "external_fixed_ips", "port_forwardings", "ipv4_address_scope", "sub_ports", "service_profiles", "dns_assignment"),
    missing={
        **{name: NOT_HERE for name in (
            "l2_adjacency", "pvlan", "qinq", "subnet.router:external", "subnets.*.router:external", "data_plane_status",
            "hardware_offload_type", "hints", "ip_allocation", "propagate_uplink_status", "pvlan_community", "pvlan_type",
                "trusted",
            "mac_learning_enabled", "ip_availability_details", "conntrack_helpers", "service_type_id", "belongs_to_default_sg",
            "security_group_rules.*.tags", "security_group_rule.tags", "ha_state", "resource_versions", "port.dns_domain",
            "ports.*.dns_domain")},
        "is_default": "of external networks", "used_in_default_non_sg": "the sample misspells it"},
    extra={
        **{name: "administrators see it" for name in (
            "provider:network_type", "provider:physical_network", "provider:segmentation_id", "binding:host_id",
            "binding:vnic_type", "binding:profile", "binding:vif_type", "binding:vif_details", "resource_request")},
        **{name: OLDER for name in (
            "tags", "vlan_transparent", "qos_network_policy_id", "external_gateway_info.qos_policy_id", "dns_name", "dns_domain",
            "qos_policy_id", "internal_port_range", "external_port_range", "normalized_cidr", "remote_address_group_id",
            "description", "created_at", "updated_at", "resources_synced", "quota.*", "quotas.*.*", "rules.*.direction",
                "policy.rules",
            "used_in_non_default_sg", "subnet.ipv6_ra_mode", "subnet.ipv6_address_mode", "subnet.subnetpool_id", "segment_id")}},
    other={name: "a number, as Neutron has it" for name in ("default_prefixlen", "min_prefixlen", "max_prefixlen")},
)


def _crud(folder: str, path: str, word: str, thing: str, plural: str, fresh: str = "", create: dict[str, Any] | None = None,
          update: dict[str, Any] | None = None, **options: Any) -> list[Case]:
    """The five samples that most resources have; `fresh` is what an update changes."""
    at = f"{folder}/{word}"
    return [
        Case(f"POST {path}", 201, send=f"{at}-create-request", answer=f"{at}-create-response", put=create or {}, **options),
        Case(f"GET {path}/{{{thing}}}", answer=f"{at}-show-response", **options),
        Case(f"PUT {path}/{{{fresh or thing}}}", send=f"{at}-update-request", answer=f"{at}-update-response", put=update or {},
             **options),
        Case(f"GET {path}", answer=f"{folder}/{plural}-list-response", needs=(thing,), **options)]


WHOLE = "Neutron answers the whole router"
POLICY = {f"{word}/qos_policy_id": "{policy}" for word in ("network", "port", "floatingip")}
NET = {**POLICY, "network/pvlan": DROP, "network/dns_domain": "my-domain.org."}
PORT = {**POLICY, "port/network_id": "{network}", "port/pvlan_type": DROP, "port/pvlan_community": DROP, "port/hints": DROP,
        "port/propagate_uplink_status": DROP, "port/allowed_address_pairs/0/mac_address": "fa:14:2a:b3:cb:f0",
        "port/dns_name": DROP, "port/dns_domain": DROP, "port/data_plane_status": DROP, "port/binding:host_id": DROP,
        "port/hardware_offload_type": DROP, "port/fixed_ips": DROP, "port/device_id": DROP, "port/device_owner": DROP,
        "port/trusted": DROP}
GATEWAY = {"router/external_gateway_info/network_id": "{outside}", "router/distributed": DROP,
           "router/external_gateway_info/external_fixed_ips": DROP, "router/external_gateway_info/routes": DROP}
RULE = {"security_group_rule/remote_group_id": "{group}", "security_group_rule/remote_address_group_id": DROP,
        "security_group_rule/security_group_id": "{each_group}"}
QOS = "/qos/policies/{ruled}"
CASES: list[Case] = [
    Case("GET ../", answer="networks/versions-list-response"),
    Case("GET /", answer="networks/version-show-response"),
    Case("GET /extensions", answer="extensions/extensions-list-response", empty=("links",)),
    Case("GET /extensions/router", answer="extensions/extension-show-response", empty=("links",)),
    Case("GET /availability_zones", answer="availability-zones/azs-list-response"),
    Case("GET /service-providers", answer="service-type-response", empty=("service_providers",)),
    # ---- networks, subnets, ports
    *_crud("networks", "/networks", "network", "network", "networks", "each_network", create=NET, update=NET),
    Case("POST /networks", 201, send="networks/networks-bulk-create-request",
         answer="networks/networks-bulk-create-response", put={
        "networks/0/qos_policy_id": "{policy}", "networks/1/qos_policy_id": "{policy}"}),
    Case("POST /networks", 201, send="networks/network-provider-create-request",
         answer="networks/network-provider-create-response",
         put={**NET, "network/provider:network_type": "vxlan", "network/provider:physical_network": DROP,
              "network/provider:segmentation_id": lambda world: 7000 + world["each_number"]}),
    Case("GET /networks/{network}", answer="networks/network-provider-show-response"),
    Case("GET /networks", answer="networks/networks-provider-list-response", needs=("network",)),
    *_crud("subnets", "/subnets", "subnet", "subnet", "subnets", create={"subnet/network_id": "{each_network}"}),
    Case("POST /subnets", 201, send="subnets/subnets-create-bulk-request", answer="subnets/subnets-create-bulk-response", put={
        "subnets/0/network_id": "{each_network}", "subnets/1/network_id": "{each_network}"}),
    *_crud("ports", "/ports", "port", "port", "ports", "each_port", create=PORT, update=PORT),
    Case("POST /ports", 201, send="ports/ports-bulk-create-request", answer="ports/ports-bulk-create-response", put={
        "ports/0/network_id": "{network}", "ports/1/network_id": "{network}", "ports/0/qos_policy_id": "{policy}",
        "ports/1/hardware_offload_type": DROP}),
    Case("POST /ports", 201, send="ports/port-bind-create-request", answer="ports/port-bind-create-response", put={
        **PORT, "+port/network_id": "{network}", "port/binding:vnic_type": "normal", "port/binding:profile": DROP}),
    Case("GET /ports/{port}", answer="ports/port-bind-show-response"),
    Case("PUT /ports/{each_port}", send="ports/port-bind-update-request", answer="ports/port-bind-update-response", put={
        **PORT, "port/binding:profile": DROP}),
    Case("GET /ports", answer="ports/ports-bind-list-response", needs=("port",)),
    *_crud("subnets", "/subnetpools", "subnetpool", "pool", "subnetpools", "each_pool6", create={
        "subnetpool/prefixes": lambda world: [f"10.{100 + world['each_number'] % 100}.0.0/16"]}),
    Case("PUT /subnetpools/{each_pool}/add_prefixes", send="subnets/subnetpool-add-prefixes-request",
         answer="subnets/subnetpool-add-prefixes-response"),
    Case("PUT /subnetpools/{each_filled_pool}/remove_prefixes", send="subnets/subnetpool-remove-prefixes-request",
         answer="subnets/subnetpool-remove-prefixes-response"),
    *_crud("address-scopes", "/address-scopes", "address-scope", "scope", "address-scopes", create={
        "address_scope/tenant_id": "{project}", "address_scope/project_id": "{project}"}),
    Case("GET /segments/{segment}", answer="segments/segment-show-response"),
    Case("PUT /segments/{segment}", send="segments/segment-update-request", answer="segments/segment-update-response"),
    Case("GET /segments", answer="segments/segments-list-response", needs=("segment",)),
    Case("PUT /networks/{each_network}/tags", send="tag/tag-update-request", answer="tag/tag-update-response"),
    Case("POST /networks/{each_network}/tags", 200, send="tag/tag-create-request"),
    Case("GET /networks/{network}/tags", answer="tag/tag-obtain-response"),
    Case("GET /network-ip-availabilities", answer="network-ip-availability/network-ip-availability-list", needs=("subnet",),
         empty=("subnet_ip_availability",)),
    Case("GET /network-ip-availabilities/{network}", answer="network-ip-availability/network-ip-availability-show",
         needs=("subnet",)),
    # ---- routers, floating IPs
    *_crud("routers", "/routers", "router", "router", "routers", "each_router", create=GATEWAY, update=GATEWAY),
    Case("PUT /routers/{each_router}/add_router_interface", send="routers/router-add-interface-request",
         answer="routers/router-add-interface-response", put={"subnet_id": "{each_subnet}"}),
    Case("PUT /routers/{each_router}/add_router_interface", send="routers/router-add-interface-request-with-port",
         answer="routers/router-add-interface-response", put={"port_id": "{each_loose_port}"}),
    Case("PUT /routers/{each_joined_router}/remove_router_interface", send="routers/router-remove-interface-request",
         answer="routers/router-remove-interface-response", put={"subnet_id": "{each_fresh_subnet}"}),
    Case("PUT /routers/{each_joined_router}/remove_router_interface", send="routers/router-remove-interface-request-with-port",
         answer="routers/router-remove-interface-response", put={"port_id": "{each_interface_port}"}),
    Case("PUT /routers/{each_joined_router}/add_extraroutes", send="routers/router-add-extraroutes-request",
         answer="routers/router-add-extraroutes-response", extra={"router.*": WHOLE}),
    Case("PUT /routers/{each_routed_router}/remove_extraroutes", send="routers/router-remove-extraroutes-request",
         answer="routers/router-remove-extraroutes-response", extra={"router.*": WHOLE}),
    Case("POST /floatingips", 201, send="floatingips/floatingip-create-request", answer="floatingips/floatingip-create-response",
         put={"floatingip/floating_network_id": "{outside}", "floatingip/port_id": DROP, "floatingip/router_id": DROP,
              "floatingip/subnet_id": "{each_outside_subnet}", "floatingip/fixed_ip_address": DROP,
              "floatingip/floating_ip_address": DROP, "floatingip/dns_domain": DROP, "floatingip/dns_name": DROP,
              "floatingip/qos_policy_id": "{policy}", "floatingip/distributed": DROP}),
    Case("GET /floatingips/{floatingip}", answer="floatingips/floatingip-show-response"),
    Case("GET /floatingips", answer="floatingips/floating-ips-list-response", needs=("floatingip",)),
    Case("PUT /floatingips/{each_floatingip}", send="floatingips/floatingip-update-request", needs=("router",),
         answer="floatingips/floatingip-update-response", put={"floatingip/port_id": "{each_port}",
             "floatingip/router_id": DROP}),
    Case("PUT /floatingips/{each_floatingip}", send="floatingips/floatingip-disassociate-request",
         answer="floatingips/floatingip-disassociate-response"),
    Case("GET /floatingip_pools", answer="floatingips/floating-ip-pools-list-response", needs=("outside",)),
    Case("POST /floatingips/{each_forwarded}/port_forwardings", 201, send="port_forwardings/port-fowarding-create-request",
         answer="port_forwardings/port-fowarding-create-response", put={
             "port_forwarding/internal_port_id": "{each_port}", "port_forwarding/internal_ip_address": "{each_fresh_address}",
             "port_forwarding/external_port": lambda world: 5000 + world["each_number"]}),
    Case("GET /floatingips/{each_forwarded}/port_forwardings/{forwarding}",
         answer="port_forwardings/port-fowarding-show-response"),
    Case("GET /floatingips/{each_forwarded}/port_forwardings", answer="port_forwardings/port-fowarding-list-response"),
    Case("PUT /floatingips/{each_forwarded}/port_forwardings/{forwarding}", send="port_forwardings/port-fowarding-update-request",
         answer="port_forwardings/port-fowarding-update-response", put={"port_forwarding/internal_port_id": DROP}),
    # ---- security groups
    *_crud("security-groups", "/security-groups", "security-group", "group", "security-groups", "each_group"),
    Case("POST /security-group-rules", 201, send="security-groups/security-group-rule-create-request",
         answer="security-groups/security-group-rule-create-response", put=RULE),
    Case("POST /security-group-rules", 201, send="security-groups/security-group-rule-bulk-create-request",
         answer="security-groups/security-group-rule-bulk-create-response", put={
             f"security_group_rules/{number}/{key}": value for number in (0, 1) for key, value in (
                 ("remote_group_id", "{group}"), ("remote_address_group_id", DROP), ("security_group_id", "{each_group}"))}),
    Case("GET /security-group-rules/{rule}", answer="security-groups/security-group-rule-show-response"),
    Case("GET /security-group-rules", answer="security-groups/security-group-rules-list-response", needs=("rule",)),
    Case("POST /default-security-group-rules", 201,
         send="security-group-default-rules/security-group-default-rule-create-request",
         answer="security-group-default-rules/security-group-default-rule-create-response"),
    Case("GET /default-security-group-rules/{template}",
         answer="security-group-default-rules/security-group-default-rule-show-response"),
    Case("GET /default-security-group-rules", needs=("template",),
         answer="security-group-default-rules/security-group-default-rules-list-response"),
    *_crud("address-groups", "/address-groups", "address-group", "address_group", "address-groups", empty=("addresses",),
           **ENVELOPE),
    Case("PUT /address-groups/{each_address_group}/add_addresses", send="address-groups/address-group-add-addresses-request",
         answer="address-groups/address-group-add-addresses-response"),
    Case("PUT /address-groups/{each_full_address_group}/remove_addresses", empty=("addresses",),
         send="address-groups/address-group-remove-addresses-request",
         answer="address-groups/address-group-remove-addresses-response"),
    *_crud("rbac_policy", "/rbac-policies", "rbac-policy", "rbac", "rbac-policies", create={
        "rbac_policy/object_id": "{each_network}", "rbac_policy/target_tenant": "{work}"}),
    # ---- QoS
    *_crud("qos", "/qos/policies", "policy", "policy", "policies", "each_policy"),
    *(case for kind in ("bandwidth_limit", "dscp_marking", "minimum_bandwidth", "packet_rate_limit", "minimum_packet_rate")
      for case in (
        Case(f"POST /qos/policies/{{each_policy}}/{kind}_rules", 201, send=f"qos/{kind}_rule-create-request",
             answer=f"qos/{kind}_rule-create-response"),
        Case(f"GET {QOS}/{kind}_rules/{{{kind}_rule}}", answer=f"qos/{kind}_rule-show-response"),
        Case(f"PUT {QOS}/{kind}_rules/{{{kind}_rule}}", send=f"qos/{kind}_rule-update-request",
             answer=f"qos/{kind}_rule-update-response", put={"minimum_bandwidth_rule/min_kbps": 9000}),
        Case(f"GET {QOS}/{kind}_rules", answer=f"qos/{kind}_rules-list-response"))),
    Case("GET /qos/rule-types", answer="qos/rule_types-list-response"),
    *(Case(f"GET /qos/rule-types/{kind}", answer=f"qos/rule_type-details-{kind}-response", **ENVELOPE)
      for kind in ("bandwidth_limit", "dscp_marking")),
    # ---- trunks
    Case("POST /trunks", 201, send="trunks/trunk-create-request", answer="trunks/trunks-create-response", put={
        "trunk/port_id": "{each_port}"}),
    Case("GET /trunks/{trunk}", answer="trunks/trunk-show-response"),
    Case("GET /trunks", answer="trunks/trunks-list-response", needs=("trunk",)),
    Case("PUT /trunks/{each_trunk}", send="trunks/trunk-update-request", answer="trunks/trunk-update-response"),
    Case("PUT /trunks/{each_trunk}/add_subports", send="trunks/trunk-add-subports-request",
         answer="trunks/trunk-add-subports-response", put={"sub_ports/0/port_id": "{each_port}"}),
    Case("PUT /trunks/{each_full_trunk}/remove_subports", send="trunks/trunk-remove-subports-request",
         answer="trunks/trunk-remove-subports-response", put={"sub_ports/0/port_id": "{each_sub_port}"}),
    Case("GET /ports/{trunk_parent}", answer="trunks/trunk-details-show-response", needs=("trunk",), extra={"port.*": OLDER}),
    Case("GET /trunks/{trunk}/get_subports", answer="trunks/trunk-list-subports-response"),
    # ---- the operator's
    Case("GET /agents", answer="agents/agents-list-response"),
    Case("GET /agents/{agent}", answer="agents/agent-show-response"),
    Case("PUT /agents/{agent}", send="agents/agent-update-request", answer="agents/agent-update-response"),
    Case("GET /agents/{dhcp_agent}/dhcp-networks", answer="agents/agent-dhcp-networks-list-response", needs=("subnet",),
         empty=("networks",)),
    Case("GET /agents/{l3_agent}/l3-routers", answer="agents/agent-l3-routers-list-response", needs=("router",)),
    Case("POST /agents/{dhcp_agent}/dhcp-networks", 201, send="agents/agent-dhcp-network-add-request", put={
        "network_id": "{each_network}"}),
    Case("POST /agents/{l3_agent}/l3-routers", 201, send="agents/agent-l3-router-add-request", put={
        "router_id": "{each_router}"}),
    Case("DELETE /agents/{l3_agent}/l3-routers/{each_hosted_router}", 204, send="agents/agent-l3-router-remove-request"),
    Case("GET /networks/{network}/dhcp-agents", answer="agents/network-dhcp-agent-list-response", needs=("subnet",),
         empty=("agents",)),
    Case("GET /routers/{router}/l3-agents", answer="agents/router-l3-agent-list-response"),
    Case("GET /quotas", answer="quotas/quotas-list-response", needs=("quota",), empty=("quotas",)),
    Case("GET /quotas/{work}", answer="quotas/quotas-list-for-project-response"),
    Case("PUT /quotas/{work}", send="quotas/quotas-update-request", answer="quotas/quotas-update-response",
         put={"quota/check_limit": DROP, "quota/force": DROP}),
    Case("GET /quotas/{work}/details.json", answer="quota_details/quota-details-show-for-project-response"),
    Case("POST /flavors", 201, send="flavors/flavor-create-request", answer="flavors/flavor-create-response", put={
        "flavor/service_type": "L3_ROUTER_NAT"}),
    Case("GET /flavors/{flavor}", answer="flavors/flavor-show-response"),
    Case("GET /flavors", answer="flavors/flavors-list-response", needs=("flavor",)),
    Case("PUT /flavors/{each_flavor}", send="flavors/flavor-update-request", answer="flavors/flavor-update-response"),
    Case("POST /flavors/{each_flavor}/service_profiles", 201, send="flavors/flavor-associate-request",
         answer="flavors/flavor-associate-response", put={"service_profile/id": "{profile}"}),
    Case("POST /service_profiles", 201, send="flavors/service-profile-create-request", put={"service_profile/driver": DROP},
         answer="flavors/service-profile-create-response"),
    Case("GET /service_profiles/{profile}", answer="flavors/service-profile-show-response"),
    Case("GET /service_profiles", answer="flavors/service-profiles-list-response", needs=("profile",)),
    Case("PUT /service_profiles/{each_profile}", send="flavors/service-profile-update-request",
         answer="flavors/service-profile-update-response", put={"service_profile/driver": DROP}),
]

NO = "no such extension here"
SEVERAL = "several segments of one network"
ABSENT: list[Absent] = [
    Absent("conntrack_helpers/*", "GET /routers/{router}/conntrack_helpers", NO),
    Absent("local_ips/*", "GET /local_ips", NO),
    Absent("logs/*", "GET /log/logs", NO),
    Absent("metering/*", "GET /metering/metering-labels", NO),
    Absent("ndp_proxies/*", "GET /ndp_proxies", NO),
    Absent("network_segment_ranges/*", "GET /network_segment_ranges", NO),
    Absent("networks/network-multi-*", "POST /networks", SEVERAL, 400, {"network": {"segments": [
        {"provider:network_type": "vxlan"}, {"provider:network_type": "flat", "provider:physical_network": "default"}]}}),
    Absent("networks/network-provider-update-request", "PUT /networks/{network}", "a network's kind does not change", 400, {
        "network": {"provider:network_type": "vlan"}}),
    Absent("port_bindings/*", "GET /ports/{port}/bindings", NO),
    Absent("ports/port-resource-request-new-format", "GET /ports/{port}/resource_request", "no part of an answer by itself"),
    Absent("routers/router-*-external-gateways-*", "PUT /routers/{router}/add_external_gateways", "one gateway a router", 404, {
        "router": {"external_gateways": []}}),
    Absent("security-groups-default-statefulness/*", "GET /security-groups-default-statefulness", NO),
    Absent("subnets/subnets-onboard-*", "PUT /subnetpools/{pool}/onboard_network_subnets", NO, 404, {"network_id": "x"}),
    Absent("segments/segment-create-*", "POST /segments", "a network has its one segment", 409, {"segment": {
        "network_id": "{network}", "network_type": "vxlan", "segmentation_id": 2000}}),
    Absent("auto-topology/*", "GET /auto-allocated-topology/{project}", "no external network is the default one here", 409),
]
