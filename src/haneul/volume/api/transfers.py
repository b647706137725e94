"""/volume-transfers (3.55) and /os-volume-transfer."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy import select

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import rows, transfers
from haneul.volume.api import lists, shapes
from haneul.volume.api.shapes import Body, Boolean, Name
from haneul.volume.model import TransferRow, VolumeRow
from haneul.volume.transfers import TransferNotFound

routes = Routes()
SNAPSHOTS, PROJECTS, PAGES, ENCRYPTED = (3, 55), (3, 57), (3, 59), (3, 70)
OLD, NEW = "/os-volume-transfer", "/volume-transfers"
_T: Any = TransferRow.__table__
_SORTABLE = {"id": _T.c.id, "name": _T.c.name, "created_at": _T.c.created_at, "volume_id": _T.c.volume_id}
_FILTERS = {name: _T.c[name] for name in ("name", "id", "volume_id")}


class New30(Body):
    volume_id: str
    name: Name = None


class New355(New30):
    no_snapshots: Boolean = False


class Create30(Body):
    transfer: New30


class Create355(Body):
    transfer: New355


class Accepted(Body):
    auth_key: Annotated[str, Meta(max_length=255)]


class Accept(Body):
    accept: Accepted


def _loaded(call: Call) -> TransferRow:
    return transfers.get(call.tx, call.context, call.values["transfer_id"])


def _path(call: Call) -> str:
    return NEW if NEW + "/" in call.path + "/" else OLD


def _summary(call: Call, row: Any) -> dict[str, Any]:
    path = _path(call)
    return {"id": row.id, "volume_id": row.volume_id, "name": row.name, "links": [
        {"rel": "self", "href": f"{call.base_url}{path}/{row.id}"},
        {"rel": "bookmark", "href": f"{call.base_url.removesuffix('/v3')}{path}/{row.id}"}]}


def _detail(call: Call, row: Any) -> dict[str, Any]:
    found = {**_summary(call, row), "created_at": shapes.moment(row.created_at)}
    if call.version >= SNAPSHOTS:
        found["no_snapshots"] = row.no_snapshots
    if call.version >= PROJECTS:
        found.update(source_project_id=row.project_id, destination_project_id=row.destination_project_id,
                     accepted=row.accepted)
    return found


def _list(call: Call, view: Any) -> dict[str, Any]:
    where = lists.owned(call, _T)
    if call.version >= PAGES:
        where += lists.filters(call, "transfer", _FILTERS)
    listing = lists.of(call, _T, sortable=_SORTABLE, unique="id", where=where, missing=TransferNotFound)
    found = call.tx.core(lists.page(select(_T), _SORTABLE, listing)).all()
    return {"transfers": [view(call, row) for row in found], **lists.links(call, list(found), listing, "transfers_links")}


def _index(call: Call) -> dict[str, Any]:
    return _list(call, _summary)


def _index_detail(call: Call) -> dict[str, Any]:
    return _list(call, _detail)


def _show(call: Call, row: TransferRow) -> dict[str, Any]:
    return {"transfer": _detail(call, row)}


def _create(call: Call, body: Create30 | Create355) -> dict[str, Any]:
    new = body.transfer
    volume: VolumeRow = rows.get(call.tx, call.context, shapes.uuid(new.volume_id, "volume_id"))
    no_snapshots = shapes.truth(new.no_snapshots) if isinstance(new, New355) else False
    row, key = transfers.create(call.tx, call.context, volume, name=shapes.stripped(new.name), no_snapshots=no_snapshots,
                                encrypted=call.version >= ENCRYPTED)
    return {"transfer": {**_detail(call, row), "auth_key": key}}


def _delete(call: Call, row: TransferRow) -> None:
    transfers.delete(call.tx, row)


def _accept(call: Call, body: Accept) -> dict[str, Any]:
    """The key is all that says who may: the offer is another project's."""
    if call.context.project_id is None:
        raise BadRequest("A volume is accepted for a project: the token is of none.")
    return {"transfer": _summary(call, transfers.accept(call.tx, call.context, call.values["offer_id"], body.accept.auth_key))}


for _prefix, _since in ((OLD, None), (NEW, SNAPSHOTS)):
    routes.get(_prefix, rule="volume:get_all_transfers", minimum=_since)(_index)
    routes.get(_prefix + "/detail", rule="volume:get_all_transfers", minimum=_since)(_index_detail)
    routes.get(_prefix + "/{transfer_id}", rule="volume:get_transfer", target=_loaded, minimum=_since)(_show)
    routes.post(_prefix, rule="volume:create_transfer", status=202, minimum=_since,
                body=[((3, 0), Create30), (SNAPSHOTS, Create355)])(_create)
    routes.delete(_prefix + "/{transfer_id}", rule="volume:delete_transfer", target=_loaded, status=202, minimum=_since)(_delete)
    routes.post(_prefix + "/{offer_id}/accept", rule="volume:accept_transfer", status=202, minimum=_since,
                body=Accept)(_accept)
