"""Reshape: inventories and allocations of many providers changed at once."""

from __future__ import annotations

from msgspec import Struct

from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.placement import consumers, errors, inventories, providers
from haneul.placement.api.allocations import Mapped, claim_of
from haneul.placement.api.answers import full
from haneul.placement.api.inventories import Replace

routes = Routes()


class Reshape(Struct, forbid_unknown_fields=True):
    inventories: dict[str, Replace]
    allocations: dict[str, Mapped]


@routes.post("/reshaper", rule="placement:reshaper:reshape", body=Reshape, status=204, minimum=(1, 30))
def reshape(call: Call, body: Reshape) -> None:
    """New inventories first, beside those that go; then the allocations move; then what went is removed. All or nothing."""
    rows = {uuid: providers.get(call.tx, uuid) for uuid in body.inventories}
    for uuid, row in rows.items():
        if row.generation != body.inventories[uuid].resource_provider_generation:
            raise errors.ProviderConflict()
        have = {name: inventories.Record(**inventories.view(kept)) for name, kept in inventories.of(call.tx, row).items()}
        inventories.replace(call.tx, row, {**have, **body.inventories[uuid].inventories}, row.generation, full=full(call))
    consumers.set_all(call.tx, [claim_of(call, consumer, wanted) for consumer, wanted in body.allocations.items()])
    for uuid, row in rows.items():
        call.tx.refresh(row)
        inventories.replace(call.tx, row, body.inventories[uuid].inventories, row.generation, full=full(call))
