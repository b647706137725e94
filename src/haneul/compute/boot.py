"""Making servers: everything that can be refused is refused here, in the transaction that writes them and their tasks."""

from __future__ import annotations

import secrets
import string
from typing import Any

from msgspec import Struct, to_builtins
from sqlalchemy import insert, select

from haneul.compute import block_devices, flavors, groups, guests, keypairs, nics, personality, quotas, servers, zones
from haneul.compute.block_devices import Device, Plan
from haneul.compute.model import FlavorRow, ServerRow, ServerTagRow
from haneul.compute.nics import Nic
from haneul.compute.tasks.create import CreateArguments, create_server, create_with_volumes
from haneul.fleet.model import HostRow
from haneul.image import images
from haneul.image.model import ImageRow
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Forbidden, NotFound
from haneul.network import security_groups


class Wish(Struct, kw_only=True):
    """What a caller wants, decoded but not yet believed. `networks` None: whatever there is; "auto", "none" or cards."""

    name: str
    flavor_id: str
    image_id: str | None
    devices: list[Device] = []
    legacy: bool = False  # they are mappings of the first version
    shared: bool = True  # the caller knows of volumes that several servers have
    description: str | None = None
    hostname: str | None = None
    networks: list[Nic] | str | None = None
    groups: list[str] | None = None
    key_name: str | None = None
    user_data: str | None = None
    metadata: dict[str, str] = {}
    tags: list[str] = []
    config_drive: bool = False
    files: list[personality.File] = []
    least: int = 1
    most: int = 1
    zone: str | None = None
    host: str | None = None
    force: bool = False  # zone:host, past the filters; else `host` is where the scheduler must choose
    hints: dict[str, Any] = {}
    auto_disk_config: bool = True
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None


def create(tx: Transaction, context: Context, wish: Wish) -> list[ServerRow]:
    """The new servers, each with its task. As many of `most` as the quota allows, at least `least`."""
    flavor = _flavor(tx, context, wish.flavor_id)
    image = find_image(tx, context, wish.image_id) if wish.image_id is not None else None
    disks = block_devices.plan(tx, context, flavor, image, wish.devices, legacy=wish.legacy, many=wish.most > 1,
                               shared=wish.shared)
    if disks.image_id is not None:
        check_fit(flavor, image if image is not None else find_image(tx, context, disks.image_id))
    if flavor.disk == 0 and not disks.on_volume and not tx.cloud.policy.allows(
            "os_compute_api:servers:create:zero_disk_flavor", context, {"project_id": context.project_id}):
        raise Forbidden("Only volume-backed servers are allowed for flavors with zero disk.")
    key = _key(tx, context, wish.key_name)
    cards = _cards(tx, context, wish)
    group_ids = find_groups(tx, context, wish.groups)
    _check_place(tx, wish)
    if wish.metadata:
        quotas.check_metadata(tx, context.project_id or "", len(wish.metadata))
    personality.check(tx, context.project_id or "", wish.files)
    _check_many(wish, cards)
    server_group = groups.for_boot(tx, context, wish.hints, wish.most)
    count = quotas.room_for(tx, context.project_id or "", least=wish.least, most=wish.most, vcpus=flavor.vcpus, ram=flavor.ram)
    rows = _rows(context, wish, flavor, disks, key, server_group, count)
    tx.add_all(rows)
    tx.flush()
    if wish.tags:
        tx.execute(insert(ServerTagRow), [{"server_id": row.id, "tag": tag} for row in rows
                                          for tag in dict.fromkeys(wish.tags)])
    task = create_with_volumes if disks.volumes else create_server
    for row in rows:
        block_devices.take(tx, context, row, disks)
        if wish.files:
            personality.keep(tx, row.id, wish.files)
        task.submit(tx, CreateArguments(
            server_id=row.id, guest=guests.of(row), nics=cards, groups=group_ids, zone=wish.zone, host=wish.host,
            force=wish.force, hints=_hints(wish.hints)), resource=f"server:{row.id}", context=context)
    return rows


def _rows(context: Context, wish: Wish, flavor: FlavorRow, disks: Plan, key: tuple[str | None, str | None],
          server_group: str | None, count: int) -> list[ServerRow]:
    now = clock.now()
    system: dict[str, Any] = {"image": disks.image}
    if disks.on_volume:
        system["on_volume"] = True
    if wish.hints:
        system["hints"] = wish.hints
    if disks.local is not None:
        system["local"] = to_builtins(disks.local)
    reservation = "r-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    found = []
    for index in range(count):
        server_id = ids.new()
        name = wish.name if wish.most == 1 else f"{wish.name}-{index + 1}"
        drive = wish.config_drive or bool(wish.files) or disks.image["properties"].get("img_config_drive") == "mandatory"
        found.append(ServerRow(
            id=server_id, name=name, hostname=wish.hostname or servers.hostname_of(name, server_id),
            description=wish.description, project_id=context.project_id, user_id=context.user_id, image_id=disks.image_id,
            flavor_id=flavor.id, flavor=flavors.snapshot(flavor), vcpus=flavor.vcpus, ram=flavor.ram, vm_state="building",
            task_state="scheduling", power_state=0, progress=0, meta=wish.metadata, system=dict(system),
            config_drive=drive, key_name=key[0], key_data=key[1], user_data=wish.user_data, root_device_name=disks.root_name,
            access_ip_v4=wish.access_ip_v4, access_ip_v6=wish.access_ip_v6, auto_disk_config=wish.auto_disk_config,
            reservation_id=reservation, launch_index=index, group_id=server_group, pinned_zone=wish.zone,
            availability_zone=wish.zone, deleted=False, created_at=now, updated_at=now))
    return found


# ---------------------------------------------------------------- what is asked for


def _flavor(tx: Transaction, context: Context, flavor_id: str) -> FlavorRow:
    try:
        return flavors.get(tx, context, flavor_id)
    except NotFound as error:
        raise BadRequest(error.message)


def find_image(tx: Transaction, context: Context, image_id: str, *, any_format: bool = False) -> ImageRow:
    """An image that can be booted now; of any format, if it becomes a volume first."""
    try:
        image = images.get(tx, context, image_id)
    except NotFound:
        raise BadRequest("Can not find requested image")
    if image.status != "active":
        raise BadRequest(f"Image {image_id} is not active.")
    if image.disk_format not in ("qcow2", "raw") and not any_format:
        raise BadRequest(f"Image {image_id} is unacceptable: its disk format {image.disk_format} cannot be booted; "
                         "qcow2 and raw can.")
    return image


def check_fit(flavor: FlavorRow | Any, image: ImageRow) -> None:
    """The flavor is large enough for the image."""
    if flavor.ram < (image.min_ram or 0):
        raise BadRequest("Flavor's memory is too small for requested image.")
    disk = flavor.disk << 30
    if not disk:
        return
    if image.min_disk and disk < image.min_disk << 30:
        raise BadRequest("Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is "
                         f"{disk} bytes, minimum size is {image.min_disk << 30} bytes.")
    size = image.virtual_size or image.size or 0
    if disk < size:
        raise BadRequest(f"Flavor's disk is too small for requested image. Flavor disk is {disk} bytes, image is {size} bytes.")


def _key(tx: Transaction, context: Context, name: str | None) -> tuple[str | None, str | None]:
    if name is None:
        return None, None
    try:
        row = keypairs.get(tx, context.user_id or "", name)
    except NotFound:
        raise BadRequest("Invalid key_name provided.")
    return row.name, row.public_key


def _cards(tx: Transaction, context: Context, wish: Wish) -> list[Nic]:
    if wish.networks == "none":
        return []
    if wish.networks is None or wish.networks == [] or wish.networks == "auto":
        return nics.automatic(tx, context, required=wish.networks == "auto")
    assert not isinstance(wish.networks, str)
    nics.check(tx, context, wish.networks)
    return wish.networks


def find_groups(tx: Transaction, context: Context, names: list[str] | None) -> list[str]:
    """Ids of security groups. None: the port's own default."""
    if not names:
        return []
    try:
        return security_groups.named(tx, context, names)
    except NotFound:
        raise BadRequest(f"Security group {', '.join(names)[:255]} not found.")


def _check_place(tx: Transaction, wish: Wish) -> None:
    if wish.host is not None and tx.execute(select(HostRow.name).where(HostRow.name == wish.host)).first() is None:
        raise BadRequest(f"Compute host {wish.host} could not be found.")
    if wish.zone is not None and not zones.exists(tx, wish.zone):
        raise BadRequest("The requested availability zone is not available")


def _check_many(wish: Wish, cards: list[Nic]) -> None:
    if wish.most > 1:
        if any(nic.port_id or nic.fixed_ip for nic in cards):
            raise BadRequest("Unable to launch multiple instances with a single configured port ID or a fixed IP. Please "
                             "launch your instance one by one with different ports.")
        if wish.hostname is not None:
            raise BadRequest("Unable to allocate a single hostname to multiple instances")


def _hints(hints: dict[str, Any]) -> dict[str, list[str]]:
    """The hints that the scheduler knows, as lists."""
    found = {}
    for name in ("same_host", "different_host"):
        value = hints.get(name)
        if value:
            found[name] = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    return found
