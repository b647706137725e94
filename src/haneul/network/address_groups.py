"""Address groups: named lists of prefixes that rules of security groups refer to. Changing the list changes the rules."""

from __future__ import annotations

import ipaddress
from typing import Any

from sqlalchemy import select

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.network import access, changes
from haneul.network.errors import BadAttribute
from haneul.network.errors_services import (
    AddressesAlreadyExist,
    AddressesNotFound,
    AddressGroupInUse,
    AddressGroupNotFound,
)
from haneul.network.model import MembershipRow, PortRow, SecurityRuleRow
from haneul.network.model_services import AddressGroupRow

MOST = 1000


def get(tx: Transaction, context: Context, id: str) -> AddressGroupRow:
    row = tx.execute(
        select(AddressGroupRow).where(AddressGroupRow.id == id, access.shareable(AddressGroupRow, context))
    ).scalar()
    if row is None:
        raise AddressGroupNotFound(id)
    return row


def owned(tx: Transaction, context: Context, id: str) -> AddressGroupRow:
    """Who may only use a group cannot tell it from none when changing it, as in Neutron."""
    row = get(tx, context, id)
    if not access.sees_all(context) and row.project_id != context.project_id:
        raise AddressGroupNotFound(id)
    return row


def create(tx: Transaction, *, project_id: str, addresses: list[str], **values: Any) -> AddressGroupRow:
    row = AddressGroupRow(project_id=project_id, addresses=_checked(addresses), **values)
    tx.add(row)
    tx.flush()
    return row


def update(tx: Transaction, row: AddressGroupRow, values: dict[str, Any]) -> AddressGroupRow:
    for key, value in values.items():
        setattr(row, key, value)
    row.touch()
    tx.flush()
    return row


def delete(tx: Transaction, row: AddressGroupRow) -> None:
    tx.lock("address-group", row.id)
    if tx.execute(select(SecurityRuleRow.id).where(SecurityRuleRow.remote_address_group_id == row.id).limit(1)).first():
        raise AddressGroupInUse(row.id)
    access.forget(tx, row.id)
    tx.delete(row)
    tx.flush()


def add(tx: Transaction, row: AddressGroupRow, addresses: list[str]) -> AddressGroupRow:
    wanted = _checked(addresses)
    tx.lock("address-group", row.id)
    if present := [address for address in wanted if address in row.addresses]:
        raise AddressesAlreadyExist(present, row.id)
    return _set(tx, row, [*row.addresses, *wanted])


def remove(tx: Transaction, row: AddressGroupRow, addresses: list[str]) -> AddressGroupRow:
    gone = _checked(addresses, hosts=True)
    tx.lock("address-group", row.id)
    if absent := [address for address in gone if address not in row.addresses]:
        raise AddressesNotFound(absent, row.id)
    return _set(tx, row, [address for address in row.addresses if address not in gone])


def _set(tx: Transaction, row: AddressGroupRow, addresses: list[str]) -> AddressGroupRow:
    if len(addresses) > MOST:
        raise BadAttribute("addresses", f"an address group has at most {MOST} addresses")
    row.addresses = addresses
    row.touch()
    tx.flush()
    noted(tx, row.id)
    return row


def noted(tx: Transaction, id: str) -> None:
    """Every host that has a port whose rules name the address group."""
    naming = select(SecurityRuleRow.security_group_id).where(SecurityRuleRow.remote_address_group_id == id)
    hosts = tx.execute(
        select(PortRow.host)
        .distinct()
        .join(MembershipRow, MembershipRow.port_id == PortRow.id)
        .where(PortRow.host != "", MembershipRow.security_group_id.in_(naming))
    )
    changes.note(tx, [(host, "security_groups", id) for (host,) in hosts])


def _checked(addresses: list[str], *, hosts: bool = False) -> list[str]:
    """CIDRs in their normal form, each once. `hosts`: a bare address is a prefix of its own."""
    found: list[str] = []
    for text in addresses:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise BadAttribute("addresses", f"'{text[:64]}' is not a valid IP subnet") from None
        if "/" not in text and not hosts:
            raise BadAttribute("addresses", f"'{text[:64]}' isn't a recognized IP subnet cidr, '{network}' is recommended")
        if str(network) not in found:
            found.append(str(network))
    if len(found) > MOST:
        raise BadAttribute("addresses", f"an address group has at most {MOST} addresses")
    return found
