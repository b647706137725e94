"""Neutron's rules with its secure-RBAC defaults. Names with a third part guard single attributes."""

from __future__ import annotations

from haneul.kernel.policy import ADMIN, ANYONE, PROJECT_MEMBER, PROJECT_READER, Rule

SERVICE = "role:admin or role:service"
NET_OWNER = "role:admin or role:service or (role:member and project_id:%(network:project_id)s)"
MEMBER_OR_SERVICE = f"{PROJECT_MEMBER} or role:service"
READER_OR_SERVICE = f"{PROJECT_READER} or role:service"
PORT_MEMBER = f"{MEMBER_OR_SERVICE} or (role:member and project_id:%(network:project_id)s)"
_PROVIDER = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")


def _four(name: str, write: str = PROJECT_MEMBER, read: str = PROJECT_READER) -> list[Rule]:
    return [
        Rule(f"create_{name}", write),
        Rule(f"get_{name}", read),
        Rule(f"update_{name}", write),
        Rule(f"delete_{name}", write),
    ]


def _attributes(actions: tuple[str, ...], resource: str, names: tuple[str, ...], check: str) -> list[Rule]:
    return [Rule(f"{action}_{resource}:{name}", check) for action in actions for name in names]


_WRITE = ("create", "update")
_QOS_RULES = ("bandwidth_limit", "dscp_marking", "minimum_bandwidth", "packet_rate_limit", "minimum_packet_rate")

RULES: list[Rule] = [
    *_four("network", write=MEMBER_OR_SERVICE, read=READER_OR_SERVICE),
    *_attributes(_WRITE, "network", ("shared", "router:external", "is_default", *_PROVIDER), ADMIN),
    *_attributes(("get",), "network", _PROVIDER, ADMIN),
    *_attributes(_WRITE, "network", ("port_security_enabled",), PROJECT_MEMBER),
    *_four("subnet", write=f"{PROJECT_MEMBER} or (role:member and project_id:%(network:project_id)s)"),
    *_attributes(_WRITE, "subnet", ("service_types",), ADMIN),
    *(rule for rule in _four("port", write=MEMBER_OR_SERVICE, read=READER_OR_SERVICE) if rule.name != "delete_port"),
    Rule("delete_port", PORT_MEMBER),
    *_attributes(
        _WRITE,
        "port",
        ("mac_address", "fixed_ips:ip_address", "port_security_enabled", "allowed_address_pairs"),
        NET_OWNER,
    ),
    *_attributes(_WRITE, "port", ("fixed_ips:subnet_id",), f"{NET_OWNER} or True:%(network:shared)s"),
    *_attributes(_WRITE, "port", ("binding:host_id", "binding:profile"), SERVICE),
    *_attributes(
        ("get",),
        "port",
        ("binding:host_id", "binding:profile", "binding:vif_type", "binding:vif_details", "resource_request"),
        SERVICE,
    ),
    *_attributes(_WRITE, "port", ("device_owner",), f"not rule:network_device or {NET_OWNER}"),
    Rule("network_device", "'network':%(device_owner_kind)s"),
    *_four("router"),
    *_attributes(
        _WRITE,
        "router",
        ("distributed", "ha", "external_gateway_info:enable_snat", "external_gateway_info:external_fixed_ips"),
        ADMIN,
    ),
    *_attributes(("get",), "router", ("distributed", "ha"), ADMIN),
    Rule("add_router_interface", PROJECT_MEMBER),
    Rule("remove_router_interface", PROJECT_MEMBER),
    Rule("add_extraroutes", PROJECT_MEMBER),
    Rule("remove_extraroutes", PROJECT_MEMBER),
    *_four("floatingip"),
    Rule("create_floatingip:floating_ip_address", ADMIN),
    Rule("get_floatingip_pool", PROJECT_READER),
    *_four("security_group"),
    Rule("create_security_group_rule", PROJECT_MEMBER),
    Rule("get_security_group_rule", PROJECT_READER),
    Rule("delete_security_group_rule", PROJECT_MEMBER),
    Rule("get_default_security_group_rule", ANYONE),
    Rule("create_default_security_group_rule", ADMIN),
    Rule("delete_default_security_group_rule", ADMIN),
    *_four("subnetpool"),
    *_attributes(_WRITE, "subnetpool", ("shared", "is_default"), ADMIN),
    Rule("add_prefixes", PROJECT_MEMBER),
    Rule("remove_prefixes", PROJECT_MEMBER),
    *_four("address_scope"),
    *_attributes(_WRITE, "address_scope", ("shared",), ADMIN),
    *_four("rbac_policy"),
    *_attributes(_WRITE, "rbac_policy", ("target_tenant",), "role:admin or not '*':%(target_tenant)s"),
    *_four("policy", write=ADMIN),
    Rule("get_rule_type", ANYONE),
    *(rule for kind in _QOS_RULES for rule in _four(f"policy_{kind}_rule", write=ADMIN)),
    *(
        Rule(f"{action}_alias_{kind}_rule", check)
        for kind in _QOS_RULES
        if kind != "packet_rate_limit"
        for action, check in (("get", PROJECT_READER), ("update", ADMIN), ("delete", ADMIN))
    ),
    *_four("trunk"),
    Rule("get_subports", PROJECT_READER),
    Rule("add_subports", PROJECT_MEMBER),
    Rule("remove_subports", PROJECT_MEMBER),
    Rule("get_quota", PROJECT_READER),
    Rule("update_quota", ADMIN),
    Rule("delete_quota", ADMIN),
    Rule("get_agent", ADMIN),
    Rule("update_agent", ADMIN),
    Rule("get_network_ip_availability", ADMIN),
    Rule("get_availability_zone", ANYONE),
    Rule("get_extension", ANYONE),
    Rule("get_service_provider", ANYONE),
    Rule("delete_agent", ADMIN),
    Rule("get_l3-agents", ADMIN),
    Rule("get_l3-routers", ADMIN),
    Rule("create_l3-router", ADMIN),
    Rule("delete_l3-router", ADMIN),
    Rule("get_dhcp-agents", ADMIN),
    Rule("get_dhcp-networks", ADMIN),
    Rule("create_dhcp-network", ADMIN),
    Rule("delete_dhcp-network", ADMIN),
    *_four("address_group"),
    Rule("add_addresses", PROJECT_MEMBER),
    Rule("remove_addresses", PROJECT_MEMBER),
    *_four("floatingip_port_forwarding"),
    *_four("flavor", write=ADMIN, read="role:reader"),
    *_four("service_profile", write=ADMIN, read=ADMIN),
    Rule("create_flavor_service_profile", ADMIN),
    Rule("delete_flavor_service_profile", ADMIN),
    Rule("get_auto_allocated_topology", PROJECT_READER),
    Rule("delete_auto_allocated_topology", PROJECT_MEMBER),
    *_four("segment", write=ADMIN, read=ADMIN),
]
