"""Each host of the fleet as a resource provider: what it has, and what it can do."""

from __future__ import annotations

import re

from sqlalchemy import delete, select

from haneul.fleet.hosts import Listeners
from haneul.fleet.model import HostRow
from haneul.host.contract import HostFacts
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.config import Config
from haneul.kernel.database import Transaction
from haneul.placement import bandwidth
from haneul.placement.model import Inventory, Provider, ProviderTrait
from haneul.placement.traits import STANDARD_TRAITS, ensure_traits, is_custom, physnet_trait

_ALWAYS = ("COMPUTE_NODE", "COMPUTE_IMAGE_TYPE_ISO", "COMPUTE_IMAGE_TYPE_QCOW2", "COMPUTE_IMAGE_TYPE_RAW",
           "COMPUTE_IMAGE_TYPE_VDI", "COMPUTE_IMAGE_TYPE_VHD", "COMPUTE_IMAGE_TYPE_VHDX", "COMPUTE_IMAGE_TYPE_VMDK",
           "COMPUTE_GRAPHICS_MODEL_VGA", "COMPUTE_NET_ATTACH_INTERFACE", "COMPUTE_NET_VIF_MODEL_E1000",
           "COMPUTE_NET_VIF_MODEL_RTL8139", "COMPUTE_NET_VIF_MODEL_VIRTIO", "COMPUTE_STORAGE_BUS_IDE",
           "COMPUTE_STORAGE_BUS_SCSI", "COMPUTE_STORAGE_BUS_USB", "COMPUTE_STORAGE_BUS_VIRTIO", "COMPUTE_FIRMWARE_BIOS")
_SPELLED = {"pni": "SSE3", "sse4_1": "SSE41", "sse4_2": "SSE42", "aes": "AESNI", "fma": "FMA3", "sha_ni": "SHA", "bmi1": "BMI",
            "pclmulqdq": "CLMUL", "rtm": "TSX", "lm": ""}


def listen(cloud: Cloud) -> None:
    """Hosts that are known already learn what the configuration says now; new ones when they enrol."""
    cloud.get(Listeners).enrolled.append(enrolled)
    if cloud.config.network.bandwidths:
        with cloud.database.write() as tx:
            for provider in tx.execute(select(Provider).join(HostRow, HostRow.name == Provider.name)).scalars().all():
                bandwidth.enrolled(tx, provider, cloud.config)


def enrolled(tx: Transaction, row: HostRow, facts: HostFacts) -> None:
    """Provider, inventories and traits of a host that is new or whose facts changed. What operators set by hand stays:
    custom traits, custom classes' inventories."""
    provider = tx.execute(select(Provider).where(Provider.name == row.name)).scalar_one_or_none()
    if provider is None:
        provider = Provider(uuid=row.id, name=row.name, generation=0, created_at=clock.now(), updated_at=clock.now())
        tx.add(provider)
        tx.flush()
        provider.root_id = provider.id
        physnets = {physnet_trait(name) for name in _physnets(tx.cloud.config)}
        ensure_traits(tx, physnets)
        tx.add_all(ProviderTrait(provider_id=provider.id, trait=trait) for trait in sorted(physnets))
    _inventories(tx, provider, tx.cloud.config, facts)
    _traits(tx, provider, facts)
    bandwidth.enrolled(tx, provider, tx.cloud.config)
    provider.generation += 1
    provider.updated_at = clock.now()
    tx.flush()


def _physnets(config: Config) -> set[str]:
    return {*config.network.flat_networks, *config.network.vlan_ranges}


def _inventories(tx: Transaction, provider: Provider, config: Config, facts: HostFacts) -> None:
    compute = config.compute
    wanted = {"VCPU": (facts.cpus, 0, compute.cpu_allocation_ratio),
              "MEMORY_MB": (facts.memory_mib, compute.reserved_memory_mib, compute.ram_allocation_ratio),
              "DISK_GB": (facts.disk_gib, 0, compute.disk_allocation_ratio)}
    for name, (total, reserved, ratio) in wanted.items():
        if total < 1:
            continue  # a host without disk has no such inventory; Placement knows no total of 0
        found = tx.get(Inventory, (name, provider.id))
        if found is None:
            found = Inventory(provider_id=provider.id, resource_class=name, min_unit=1, step_size=1, used=0)
            tx.add(found)
        found.total, found.max_unit = total, total
        found.reserved, found.allocation_ratio = min(reserved, total), ratio


def _traits(tx: Transaction, provider: Provider, facts: HostFacts) -> None:
    wanted = {name for name in _ALWAYS if name in STANDARD_TRAITS}
    wanted |= {f"COMPUTE_ARCH_{facts.architecture.upper()}"} & STANDARD_TRAITS
    if facts.architecture in ("x86_64", "i686"):
        for feature in facts.cpu_features:
            name = _SPELLED.get(feature, re.sub(r"[^A-Z0-9]", "", feature.upper()))
            wanted |= {f"HW_CPU_X86_{name}"} & STANDARD_TRAITS
    have = set(tx.execute(select(ProviderTrait.trait).where(ProviderTrait.provider_id == provider.id)).scalars())
    gone = {trait for trait in have - wanted if not is_custom(trait)}
    if gone:
        tx.execute(delete(ProviderTrait).where(ProviderTrait.provider_id == provider.id, ProviderTrait.trait.in_(gone)))
    tx.add_all(ProviderTrait(provider_id=provider.id, trait=trait) for trait in sorted(wanted - have))
