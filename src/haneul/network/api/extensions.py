"""/extensions: what of Neutron's many extensions works here, and nothing else."""

from __future__ import annotations

from typing import Any

from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network.errors import ExtensionNotFound

routes = Routes()
EXTENSIONS = {
    "address-group": "Address group",
    "address-scope": "Address scope",
    "agent": "agent",
    "allowed-address-pairs": "Allowed Address Pairs",
    "auto-allocated-topology": "Auto Allocated Topology Services",
    "availability_zone": "Availability Zone",
    "binding": "Port Binding",
    "default-subnetpools": "Default Subnetpools",
    "dhcp_agent_scheduler": "DHCP Agent Scheduler",
    "expose-port-forwarding-in-fip": "Expose Floating IP port forwardings",
    "ext-gw-mode": "Neutron L3 Configurable external gateway mode",
    "external-net": "Neutron external network",
    "extra_dhcp_opt": "Neutron Extra DHCP options",
    "extraroute": "Neutron Extra Route",
    "extraroute-atomic": "Atomically add/remove extra routes",
    "filter-validation": "Filter parameters validation",
    "fip-port-details": "Floating IP Port Details Extension",
    "flavors": "Neutron Service Flavors",
    "floating-ip-port-forwarding": "Floating IP Port Forwarding",
    "floating-ip-port-forwarding-description": "Floating IP Port Forwarding new attribute description",
    "floating-ip-port-forwarding-detail": "Floating IP port forwarding detail",
    "floating-ip-port-forwarding-port-ranges": "Floating IP Port Forwarding support port ranges",
    "floating-ip-router-writable": "Floating IP Router (writable)",
    "floatingip-pools": "Floating IP Pools Extension",
    "ip-substring-filtering": "IP address substring filtering",
    "l2_adjacency": "L2 Adjacency",
    "l3-flavors": "Router Flavor Extension",
    "l3_agent_scheduler": "L3 Agent Scheduler",
    "net-mtu": "Network MTU",
    "net-mtu-writable": "Network MTU (writable)",
    "network-ip-availability": "Network IP Availability",
    "network_availability_zone": "Network Availability Zone",
    "pagination": "Pagination support",
    "port-mac-address-regenerate": "Neutron Port MAC address regenerate",
    "port-resource-request": "Port Resource Request",
    "port-resource-request-groups": "Port Resource Request Groups",
    "port-security": "Port Security",
    "project-id": "project_id field enabled",
    "provider": "Provider Network",
    "qos": "Quality of Service",
    "qos-bw-limit-direction": "Direction for QoS bandwidth limit rule",
    "qos-bw-minimum-ingress": "Ingress direction for QoS minimum bandwidth rule",
    "qos-default": "QoS default policy",
    "qos-fip": "Floating IP QoS",
    "qos-fip-network-policy": "QoS floating IP network policy ID",
    "qos-gateway-ip": "Router gateway IP QoS",
    "qos-port-network-policy": "QoS port network policy ID",
    "qos-pps": "QoS Rule Type Packet per Second Extension",
    "qos-pps-minimum": "QoS minimum packet rate rule",
    "qos-pps-minimum-rule-alias": "QoS minimum packet rate rule alias",
    "qos-rule-type-details": "Details of QoS rule types",
    "qos-rule-type-filter": "Allow to filter the list of QoS rule types",
    "qos-rules-alias": "Quality of Service rules alias API",
    "quota-check-limit": "Quota engine limit check",
    "quota-check-limit-default": "Quota engine limit check by default",
    "quota_details": "Quota details management support",
    "quotas": "Quota management support",
    "rbac-address-group": "Add address_group type to RBAC",
    "rbac-address-scope": "Add address_scope type to RBAC",
    "rbac-policies": "RBAC Policies",
    "rbac-security-groups": "Add security_group type to network RBAC",
    "rbac-subnetpool": "Add subnetpool type to RBAC",
    "revision-if-match": "If-Match constraints based on revision_number",
    "router": "Neutron L3 Router",
    "router-admin-state-down-before-update": "Enforce Router's Admin State Down Before Update Extension",
    "router_availability_zone": "Router Availability Zone",
    "security-group": "security-group",
    "security-groups-default-rules": "Default rules for security groups",
    "security-groups-normalized-cidr": "Normalized CIDR field for security group rules",
    "security-groups-remote-address-group": "Remote address group id field for security group rules",
    "segment": "Segment",
    "service-type": "Neutron Service Type Management",
    "sorting": "Sorting support",
    "standard-attr-description": "standard-attr-description",
    "standard-attr-revisions": "Resource revision numbers",
    "standard-attr-segment": "Standard Attribute Segment Extension",
    "standard-attr-tag": "Tag support for resources with standard attribute",
    "standard-attr-timestamp": "Resource timestamps",
    "stateful-security-group": "Stateful security group",
    "subnet-service-types": "Subnet service types",
    "subnet_allocation": "Subnet Allocation",
    "subnetpool-prefix-ops": "Subnet Pool Prefix Operations",
    "security-groups-rules-belongs-to-default-sg": "Security group rules belongs to the default SG",
    "security-groups-shared-filtering": "Security group filtering on the shared field",
    "tag": "Tag support",
    "tag-ports-during-bulk-creation": "Tag Ports During Bulk Creation",
    "trunk": "Trunk Extension",
    "trunk-details": "Trunk port details",
    "vlan-transparent": "Vlantransparent",
}


def _view(alias: str) -> dict[str, Any]:
    name = EXTENSIONS[alias]
    return {"alias": alias, "name": name, "description": name, "updated": "2020-01-01T00:00:00-00:00", "links": []}


@routes.get("/extensions", rule="get_extension")
def index(call: Call) -> dict[str, Any]:
    return {"extensions": [_view(alias) for alias in sorted(EXTENSIONS)]}


@routes.get("/extensions/{alias}", rule="get_extension")
def show(call: Call) -> dict[str, Any]:
    alias = call.values["alias"]
    if alias not in EXTENSIONS:
        raise ExtensionNotFound(alias)
    return {"extension": _view(alias)}
