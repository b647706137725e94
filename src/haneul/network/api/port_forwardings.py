"""/floatingips/{id}/port_forwardings."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal, cast

from msgspec import UNSET, Meta, Struct, UnsetType

from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import floating_ips, port_forwardings
from haneul.network.api import attributes, bodies
from haneul.network.api.networks import Name, Project
from haneul.network.errors import BadAttribute
from haneul.network.errors_services import BadForwarding, PortForwardingNotSupportFilterField
from haneul.network.model import FloatingIpRow
from haneul.network.model_services import PortForwardingRow
from haneul.network.port_forwardings import Range

routes = Routes()
PATH = "/floatingips/{floatingip_id}/port_forwardings"
ONE = PATH + "/{port_forwarding_id}"
RULE = "floatingip_port_forwarding"
READ_ONLY = frozenset({"id", "project_id", "tenant_id"})
FILTERS = ("id", "internal_port_id", "external_port", "external_port_range", "protocol", "description")
UNFILTERED = ("internal_ip_address", "internal_port", "internal_port_range")

Port = Annotated[int, Meta(ge=1, le=65535)]
PROTOCOLS = ("tcp", "udp", "sctp", "dccp")


class UpdateForwarding(Struct, kw_only=True, forbid_unknown_fields=True):
    internal_port_id: str | UnsetType = UNSET
    internal_ip_address: str | UnsetType = UNSET
    internal_port: Port | None | UnsetType = UNSET
    internal_port_range: str | int | None | UnsetType = UNSET
    external_port: Port | None | UnsetType = UNSET
    external_port_range: str | int | None | UnsetType = UNSET
    protocol: str | UnsetType = UNSET
    description: Name | UnsetType = UNSET


class CreateForwarding(UpdateForwarding, kw_only=True, forbid_unknown_fields=True):
    internal_port_id: str
    protocol: str
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


def view(row: PortForwardingRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "protocol": row.protocol,
        "internal_ip_address": row.internal_ip_address,
        "internal_port_id": row.internal_port_id,
        "internal_port": row.internal_first if row.internal_first == row.internal_last else None,
        "internal_port_range": f"{row.internal_first}:{row.internal_last}",
        "external_port": row.external_first if row.external_first == row.external_last else None,
        "external_port_range": f"{row.external_first}:{row.external_last}",
        "description": row.description,
    }


def brief(row: PortForwardingRow) -> dict[str, Any]:
    """What a floating IP shows of it. The ranges stand there only where single ports say less."""
    single = row.internal_first == row.internal_last and row.external_first == row.external_last
    hidden = {"description"} | ({"internal_port_range", "external_port_range"} if single else set())
    return {name: value for name, value in view(row).items() if name not in hidden}


def floating(call: Call) -> FloatingIpRow:
    return floating_ips.get(call.tx, call.context, call.values["floatingip_id"])


def _row(call: Call, parent: FloatingIpRow) -> PortForwardingRow:
    return port_forwardings.get(call.tx, parent, call.values["port_forwarding_id"])


def _one(call: Call, row: PortForwardingRow) -> dict[str, Any]:
    return {"port_forwarding": attributes.shown(call, RULE, [view(row)])[0]}


@routes.get(PATH, rule=f"get_{RULE}", target=floating)
def index(call: Call, parent: FloatingIpRow) -> dict[str, Any]:
    """A floating IP has few: filtered and sorted here."""
    found = [view(row) for row in port_forwardings.of(call.tx, [parent.id])[parent.id]]
    for key, _ in call.query:
        if key in UNFILTERED:
            raise PortForwardingNotSupportFilterField(key)
        if key in FILTERS:
            found = [entry for entry in found if str(entry[key]) in call.arguments(key)]
    for key, direction in reversed(paging.sort_of(call, list(FILTERS), [("id", "asc")])):
        found.sort(key=lambda entry: (entry[key] is None, entry[key]), reverse=direction == "desc")
    return {"port_forwardings": attributes.shown(call, RULE, found)}


@routes.get(ONE, rule=f"get_{RULE}", target=floating)
def show(call: Call, parent: FloatingIpRow) -> dict[str, Any]:
    return _one(call, _row(call, parent))


@routes.post(PATH, rule=f"create_{RULE}", target=floating, body=bodies.Body, status=201)
def create(call: Call, parent: FloatingIpRow, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "port_forwarding", "port_forwardings", CreateForwarding)
    rows = []
    for new in wanted:
        external, internal = _range(new, "external"), _range(new, "internal")
        if external is None or internal is None:
            raise BadForwarding("external and internal ports are required")
        rows.append(
            port_forwardings.create(
                call.tx,
                call.context,
                parent,
                port_id=new.internal_port_id,
                fixed_ip=_address(new.internal_ip_address),
                protocol=_protocol(new.protocol),
                external=external,
                internal=internal,
                description=new.description or "",
            )
        )
    return {"port_forwardings": [view(row) for row in rows]} if bulk else _one(call, rows[0])


@routes.put(ONE, rule=f"update_{RULE}", target=floating, body=bodies.Body)
def update(call: Call, parent: FloatingIpRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "port_forwarding", UpdateForwarding, read_only=READ_ONLY)
    values: dict[str, Any] = attributes.columns(new, {"description": "description"})
    if new.protocol is not UNSET:
        values["protocol"] = _protocol(new.protocol)
    row = port_forwardings.update(
        call.tx,
        call.context,
        parent,
        _row(call, parent),
        port_id=new.internal_port_id or None,
        fixed_ip=_address(new.internal_ip_address),
        external=_range(new, "external"),
        internal=_range(new, "internal"),
        **values,
    )
    return _one(call, row)


@routes.delete(ONE, rule=f"delete_{RULE}", target=floating)
def delete(call: Call, parent: FloatingIpRow) -> None:
    port_forwardings.delete(call.tx, _row(call, parent))


def _address(text: str | UnsetType) -> str | None:
    if text is UNSET:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise BadAttribute("internal_ip_address", f"'{text[:64]}' is not a valid IP address") from None


def _protocol(text: str) -> str:
    if text.lower() not in PROTOCOLS:
        raise BadAttribute("protocol", f"'{text[:32]}' is not in {list(PROTOCOLS)}: what has no ports is not forwarded")
    return text.lower()


def _range(new: UpdateForwarding, side: Literal["external", "internal"]) -> Range | None:
    """A single port or `first:last`, never both."""
    port = cast(int | None | UnsetType, getattr(new, f"{side}_port"))
    text = cast(str | int | None | UnsetType, getattr(new, f"{side}_port_range"))
    if isinstance(port, int) and isinstance(text, (str, int)):
        raise BadForwarding(f"Only one of {side}_port and {side}_port_range may be given")
    if isinstance(port, int):
        return port, port
    if not isinstance(text, (str, int)):
        return None
    first, _, last = str(text).partition(":")
    numbers = [int(word) if word.isascii() and word.isdigit() and len(word) < 6 else 0 for word in (first, last or first)]
    if not 1 <= numbers[0] <= numbers[1] <= 65535:
        raise BadAttribute(f"{side}_port_range", f"'{str(text)[:32]}' is not a valid range of ports")
    return numbers[0], numbers[1]
