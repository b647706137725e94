"""Bodies made from what a route says it decodes: right, long, of wrong types, empty of sense, and large."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from security.route_world import Entry

Mode = Literal["right", "long", "wrong", "null", "big", "huge", "nul"]
MODES: tuple[Mode, ...] = ("right", "long", "wrong", "null", "big", "huge", "nul")
LONG = "n" * 300


def body_of(entry: Entry, mode: Mode, names: dict[str, str] | None = None) -> Any:
    kind = entry.route.body
    if isinstance(kind, list):
        kind = kind[-1][1]
    if kind is None or kind is dict or str(kind).startswith("dict"):
        made = _guessed(entry, mode)
    else:
        made = _value(msgspec.inspect.type_info(kind), mode, 0)
    return {entry.route.action: made} if entry.route.action else made


def _leaf(mode: Mode, right: Any) -> Any:
    if mode == "right":
        return right
    if mode == "null":
        return None
    if mode in ("big", "huge"):  # more than a column of 32 bits holds, and of 64
        return (1 << 40 if mode == "big" else 10**30) if not isinstance(right, str) else "\ud7ff\U0001f600'\";--<script>\r\n" * 8
    if mode == "nul":
        return "a\0b" if isinstance(right, str) else right
    if mode == "long":
        return LONG if isinstance(right, str) else right
    return [{"a": 1}] if isinstance(right, (str, bool)) else "word"


def _value(info: Any, mode: Mode, depth: int) -> Any:
    kinds = msgspec.inspect
    match info:
        case kinds.StructType():
            wanted = [field for field in info.fields if field.required or mode != "right" or depth == 0]
            return {field.encode_name: _value(field.type, mode, depth + 1) for field in wanted} if depth < 8 else {}
        case kinds.UnionType():
            real = [one for one in info.types if not isinstance(one, (kinds.NoneType,)) and "Unset" not in type(one).__name__]
            return _value(real[0], mode, depth) if real else None
        case kinds.Metadata():
            return _value(info.type, mode, depth)
        case kinds.ListType() | kinds.VarTupleType() | kinds.SetType():
            return [_value(info.item_type, mode, depth + 1)] if mode != "null" else None
        case kinds.DictType():
            return {"key": _value(info.value_type, mode, depth + 1)}
        case kinds.EnumType() | kinds.LiteralType():
            return _leaf(mode, "word") if mode != "right" else list(getattr(info, "values", None) or info.cls)[0]
        case kinds.BoolType():
            return _leaf(mode, True)
        case kinds.IntType() | kinds.FloatType():
            return _leaf(mode, 1)
        case _:
            return _leaf(mode, "word")


_FIELDS = ("name", "description", "id", "type", "enabled", "password", "email", "domain_id", "project_id", "parent_id", "url",
           "interface", "service_id", "region_id", "blob", "user_id", "tags", "options", "roles", "access_rules", "expires_at",
           "unrestricted", "cidr", "ip_version", "network_id", "fixed_ips", "security_groups", "admin_state_up", "shared",
           "mac_address", "device_id", "device_owner", "allowed_address_pairs", "allocation_pools", "host_routes",
           "dns_nameservers", "gateway_ip", "prefixlen", "prefixes", "min_prefixlen", "max_prefixlen", "direction", "protocol",
           "ethertype", "port_range_min", "port_range_max", "remote_ip_prefix", "remote_group_id", "external_gateway_info",
           "routes", "floating_network_id", "fixed_ip_address", "port_id", "object_type", "object_id", "action", "target_tenant",
           "mtu", "provider:network_type", "provider:segmentation_id", "router:external", "subnetpool_id", "extra_dhcp_opts",
           "binding:host_id", "binding:profile", "port", "network", "floatingip", "subnet", "dns_name", "dns_domain", "member",
           "status", "disk_format", "container_format", "min_disk", "min_ram", "visibility", "protected", "uuid", "generation",
           "resources", "inventories", "traits", "aggregates", "allocations", "consumer_generation", "os_hidden", "method")
_RIGHT = {"enabled": True, "ip_version": 4, "admin_state_up": True, "cidr": "10.99.0.0/24", "tags": ["tag"]}


def _guessed(entry: Entry, mode: Mode) -> Any:
    """For bodies that a handler takes apart itself: every key that any of them knows, below the path's word and bare."""
    segments = [part for part in entry.route.path.strip("/").split("/") if not part.startswith("{")]
    word = re.sub("ies$", "y", segments[-1] if segments else "thing").removesuffix("s").replace("-", "_")
    fields = {name: _leaf(mode, _RIGHT.get(name, "word")) for name in (("name", "description") if mode == "right" else _FIELDS)}
    if entry.service.type == "placement" or entry.service.type == "image":
        return fields
    words = {word, {"securitygroup": "security_group", "address_scope": "address_scope"}.get(word, word)}
    if entry.route.method == "PUT" and word.endswith("tag"):
        return {"tags": [_leaf(mode, "word")]}
    return {name: fields for name in words}
