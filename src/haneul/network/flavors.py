"""Flavors of services and the profiles behind them. What a router's flavor promises is a driver that is really here."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import select

from haneul.kernel.database import Transaction
from haneul.network.errors import BadAttribute
from haneul.network.errors_services import (
    FlavorDisabled,
    FlavorInUse,
    FlavorNotFound,
    FlavorServiceProfileBindingExists,
    FlavorServiceProfileBindingNotFound,
    ServiceProfileDisabled,
    ServiceProfileDriverNotFound,
    ServiceProfileEmpty,
    ServiceProfileInUse,
    ServiceProfileNotFound,
)
from haneul.network.model import RouterRow
from haneul.network.model_services import FlavorProfileRow, FlavorRow, ServiceProfileRow

L3 = "L3_ROUTER_NAT"
SERVICES = ("CORE", "FLAVORS", "L3_ROUTER_NAT", "PORTFORWARDING", "QOS", "segments", "trunk")
# Routing on one host, by the name under which Neutron's clients know that driver.
PROVIDERS = {"neutron.services.l3_router.service_providers.single_node.SingleNodeDriver": "single_node"}


def get(tx: Transaction, id: str) -> FlavorRow:
    row = tx.get(FlavorRow, id)
    if row is None:
        raise FlavorNotFound(id)
    return row


def profile(tx: Transaction, id: str) -> ServiceProfileRow:
    row = tx.get(ServiceProfileRow, id)
    if row is None:
        raise ServiceProfileNotFound(id)
    return row


def profiles_of(tx: Transaction, flavor_ids: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {id: [] for id in flavor_ids}
    for flavor, profile_id in tx.execute(
        select(FlavorProfileRow.flavor_id, FlavorProfileRow.profile_id)
        .where(FlavorProfileRow.flavor_id.in_(flavor_ids))
        .order_by(FlavorProfileRow.profile_id)
    ):
        found[flavor].append(profile_id)
    return found


def create(tx: Transaction, *, service_type: str, **values: Any) -> FlavorRow:
    if service_type not in SERVICES:
        raise BadAttribute("service_type", f"'{service_type[:64]}' is not a valid service type")
    row = FlavorRow(service_type=service_type, **values)
    tx.add(row)
    tx.flush()
    return row


def delete(tx: Transaction, row: FlavorRow) -> None:
    tx.lock("network-flavor", row.id)
    if tx.execute(select(RouterRow.id).where(RouterRow.flavor_id == row.id).limit(1)).first():
        raise FlavorInUse(row.id)
    tx.delete(row)
    tx.flush()


def create_profile(tx: Transaction, **values: Any) -> ServiceProfileRow:
    _check_driver(values.get("driver") or "")
    if not values.get("driver") and not values.get("metainfo"):
        raise ServiceProfileEmpty()
    row = ServiceProfileRow(**values)
    tx.add(row)
    tx.flush()
    return row


def update_profile(tx: Transaction, row: ServiceProfileRow, values: dict[str, Any]) -> ServiceProfileRow:
    _check_driver(values.get("driver") or "")
    _check_unused(tx, row)
    for key, value in values.items():
        setattr(row, key, value)
    tx.flush()
    return row


def delete_profile(tx: Transaction, row: ServiceProfileRow) -> None:
    _check_unused(tx, row)
    tx.delete(row)
    tx.flush()


def _check_driver(driver: str) -> None:
    if driver and driver not in PROVIDERS:
        raise ServiceProfileDriverNotFound(driver)


def _check_unused(tx: Transaction, row: ServiceProfileRow) -> None:
    if tx.execute(select(FlavorProfileRow.flavor_id).where(FlavorProfileRow.profile_id == row.id).limit(1)).first():
        raise ServiceProfileInUse(row.id)


def associate(tx: Transaction, flavor: FlavorRow, profile_id: str) -> None:
    row = profile(tx, profile_id)
    if tx.get(FlavorProfileRow, (flavor.id, row.id)) is not None:
        raise FlavorServiceProfileBindingExists(row.id, flavor.id)
    tx.add(FlavorProfileRow(flavor_id=flavor.id, profile_id=row.id))
    tx.flush()


def disassociate(tx: Transaction, flavor: FlavorRow, profile_id: str) -> None:
    binding = (FlavorProfileRow.flavor_id == flavor.id, FlavorProfileRow.profile_id == profile_id)
    if tx.execute(select(FlavorProfileRow.flavor_id).where(*binding)).first() is None:
        raise FlavorServiceProfileBindingNotFound(profile_id, flavor.id)
    tx.execute(delete_from(FlavorProfileRow).where(*binding))


def provider(tx: Transaction, flavor: FlavorRow) -> dict[str, str]:
    """Who does what a flavor offers: the driver of its first profile."""
    row = tx.execute(
        select(ServiceProfileRow)
        .join(FlavorProfileRow, FlavorProfileRow.profile_id == ServiceProfileRow.id)
        .where(FlavorProfileRow.flavor_id == flavor.id)
        .order_by(ServiceProfileRow.id)
        .limit(1)
    ).scalar()
    if row is None:
        raise FlavorServiceProfileBindingNotFound("", flavor.id)
    if not row.enabled:
        raise ServiceProfileDisabled()
    if row.driver not in PROVIDERS:
        raise ServiceProfileDriverNotFound(row.driver)
    return {"driver": row.driver, "provider": PROVIDERS[row.driver], "metainfo": row.metainfo}


def for_router(tx: Transaction, id: str) -> str:
    """A flavor that a router may be made of."""
    tx.lock("network-flavor", id)
    flavor = get(tx, id)
    if not flavor.enabled:
        raise FlavorDisabled()
    if flavor.service_type != L3:
        raise BadAttribute("flavor_id", f"flavor {id} is of service {flavor.service_type}, not {L3}")
    provider(tx, flavor)
    return id
