"""Bandwidth of physical networks: a provider below each host's for each physical network whose bandwidth is configured.

Neutron's agents report the like; here what a host has is the operator's to say (`[network] bandwidths`).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from sqlalchemy import select

from haneul.kernel import clock
from haneul.kernel.config import Config
from haneul.kernel.database import Transaction
from haneul.placement import allocations
from haneul.placement.model import Allocation, Inventory, Provider, ProviderTrait
from haneul.placement.traits import ensure_traits, physnet_trait

EGRESS, INGRESS = "NET_BW_EGR_KILOBIT_PER_SEC", "NET_BW_IGR_KILOBIT_PER_SEC"
VNIC_TRAIT = "CUSTOM_VNIC_TYPE_NORMAL"


def provider_of(host_id: str, physnet: str) -> str:
    """The uuid of a host's provider for a physical network: always the same, so that nobody has to keep it."""
    return str(uuid.uuid5(uuid.UUID(host_id), f"bandwidth:{physnet}"))


def enrolled(tx: Transaction, host: Provider, config: Config) -> None:
    """The providers below a host's, with what is configured now. One that is configured no more gives nothing to new ports."""
    for physnet, (egress, ingress) in config.network.bandwidths.items():
        id = provider_of(host.uuid, physnet)
        row = tx.execute(select(Provider).where(Provider.uuid == id)).scalar_one_or_none()
        if row is None:
            row = Provider(uuid=id, name=f"{host.name}:{physnet}", parent_id=host.id, root_id=host.id, generation=0,
                           created_at=clock.now(), updated_at=clock.now())
            tx.add(row)
            tx.flush()
            traits = {physnet_trait(physnet), VNIC_TRAIT}
            ensure_traits(tx, traits)
            tx.add_all(ProviderTrait(provider_id=row.id, trait=trait) for trait in sorted(traits))
        for name, total in ((EGRESS, egress), (INGRESS, ingress)):
            found = tx.get(Inventory, (name, row.id))
            if found is None:
                found = Inventory(provider_id=row.id, resource_class=name, total=total, max_unit=total, used=0)
                tx.add(found)
            found.total = found.max_unit = total
    tx.flush()


def below(tx: Transaction, host_provider: int, wanted: Mapping[str, Mapping[str, int]]) -> dict[int, Mapping[str, int]] | None:
    """What a claim on a host takes from the providers below it, by their ids; None when one is not there. `wanted` is by
    physical network."""
    if not wanted:
        return {}
    host = tx.get_one(Provider, host_provider)
    ids = {provider_of(host.uuid, physnet): amounts for physnet, amounts in wanted.items()}
    found = {id: ids[uuid] for id, uuid in tx.execute(select(Provider.id, Provider.uuid).where(Provider.uuid.in_(ids)))}
    return found if len(found) == len(ids) else None


def adjust(tx: Transaction, consumer_id: str, provider_uuid: str, more: Mapping[str, int]) -> bool:
    """A consumer takes more of a provider, or gives some back (never more than it has). False, and nothing changed, when
    there is no room."""
    tx.lock("placement.claim")
    provider = tx.execute(select(Provider.id).where(Provider.uuid == provider_uuid)).scalar()
    if provider is None:
        return not any(amount > 0 for amount in more.values())
    held: dict[int, dict[str, int]] = {provider: {}}
    for id, name, used in tx.execute(
            select(Allocation.provider_id, Allocation.resource_class, Allocation.used).where(
                Allocation.consumer_id == consumer_id)):
        held.setdefault(id, {})[name] = used
    if set(held) == {provider} and not held[provider] and all(amount <= 0 for amount in more.values()):
        return True
    for name, amount in more.items():
        held[provider][name] = max(0, held[provider].get(name, 0) + amount)
    return allocations.write(tx, consumer_id, held) is None
