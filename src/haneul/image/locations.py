"""Where an image's data is, as its owner sees and says it: addresses of the store that knows addresses."""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from haneul.image import fetch, store, stores
from haneul.image.images import ImageConflict
from haneul.image.model import ACTIVE, IMPORTING, QUEUED, ImageRow
from haneul.image.tasks.importing import PENDING
from haneul.image.tasks.locating import LocateArguments, locate_image
from haneul.kernel import clock
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, Forbidden, NotFound, TooLarge

ALGORITHMS = ("sha1", "sha256", "sha512", "md5")
MOST = 10  # locations of an image: Glance's image_location_quota
HASH = "sha512"  # of everything that the cloud hashes by itself


class Validation(Struct, forbid_unknown_fields=True):
    """Both or, as clients send it, neither."""

    os_hash_algo: str = ""
    os_hash_value: str = ""


class NewLocation(Struct, forbid_unknown_fields=True):
    url: str
    validation_data: Validation | UnsetType | None = UNSET


def shown(tx: Transaction, row: ImageRow) -> list[dict[str, Any]]:
    return [{"url": _url(tx, row, at), "metadata": {**at.get("metadata", {}), "store": at["store"]}}
            for at in stores.ordered(tx.cloud, row)]


def _url(tx: Transaction, row: ImageRow, at: dict[str, Any]) -> str:
    return at["url"] if "url" in at else f"file://{store.path_of(tx.cloud, row.id, at['store'])}"


def check_url(tx: Transaction, url: Any) -> str:
    """The store that the address is of. BadRequest for addresses that no store knows or that must not be fetched."""
    web = stores.web(tx.cloud)
    if not isinstance(url, str) or not url.startswith(("http://", "https://")) or web is None:
        raise BadRequest("Invalid location: no store of this cloud knows such an address.")
    try:
        fetch.check(url, tx.cloud.config.image)
    except fetch.Refused as error:
        raise BadRequest(f"URI for add location does not pass filtering: {url[:255]}") from error
    return web


# ---------------------------------------------------------------- the location API


def add(tx: Transaction, context: Context, row: ImageRow, asked: NewLocation) -> None:
    """The image's data is at an address. A task notes and hashes it."""
    if row.status != QUEUED:
        raise ImageConflict(f"It's not allowed to add locations if image status is {row.status}.")
    if stores.web(tx.cloud) is None and "service" not in context.roles:
        raise Forbidden("http store must be enabled to use location API by normal user.")
    known = asked.validation_data or None
    if known is not None and not known.os_hash_algo and not known.os_hash_value:
        known = None
    if known is not None:
        _check_hash(known.os_hash_algo, known.os_hash_value)
    name = check_url(tx, asked.url)
    for key in ("container_format", "disk_format"):
        if getattr(row, key) is None:
            raise ImageConflict(f"'{key}' needs to be set before a location is added")
    row.status, row.updated_at = IMPORTING, clock.now()
    validation = {"os_hash_algo": known.os_hash_algo, "os_hash_value": known.os_hash_value} if known else {}
    locate_image.submit(tx, LocateArguments(
        image_id=row.id, url=asked.url, store=name, algorithm=known.os_hash_algo if known else None,
        value=known.os_hash_value.lower() if known else None,
        asked={"image_id": row.id, "loc_url": asked.url, "validation_data": validation}),
        resource=f"image:{row.id}", context=context)


def _check_hash(algorithm: str, value: str) -> None:
    if algorithm not in ALGORITHMS:
        raise BadRequest(f"os_hash_algo {algorithm[:32]!r} is not one of: {', '.join(ALGORITHMS)}")
    wanted = hashlib.new(algorithm, usedforsecurity=False).digest_size
    if len(_bytes(value, BadRequest)) != wanted:
        raise BadRequest(f"os_hash_value: ({value[:128]}) is not the correct size for ({algorithm}) (should be ({wanted}) bytes)")


def _bytes(value: Any, problem: type[BadRequest | Conflict]) -> bytes:
    try:
        return bytes.fromhex(value)
    except (ValueError, TypeError) as error:
        raise problem(f"({str(value)[:128]}) is not a valid hexadecimal value") from error


# ---------------------------------------------------------------- locations by PATCH


def change(tx: Transaction, context: Context, row: ImageRow, op: str, position: str | None, value: Any) -> None:
    """One operation on `locations`. Forbidden unless the cloud shows them."""
    words = {"add": "add", "replace": "update", "remove": "remove"}
    if not tx.cloud.config.image.show_multiple_locations:
        raise Forbidden(f"It's not allowed to {words[op]} locations if locations are invisible.")
    rule = "delete_image_location" if op == "remove" else "set_image_location"
    if not tx.cloud.policy.allows(rule, context, row.policy_target):
        raise Forbidden(f"You are not authorized to complete {rule} action.")
    if (position is None) != (op == "replace"):
        raise BadRequest("Locations are added and removed at a position, and replaced as a whole.")
    if row.status not in ((ACTIVE,) if op == "remove" else (ACTIVE, QUEUED)) or row.properties.get(PENDING):
        raise ImageConflict(f"It's not allowed to {words[op]} locations if image status is {row.status}.")
    if op == "remove":
        remove(tx, row, _position(position, len(row.locations), below=True))
    elif op == "add":
        _insert(tx, row, _position(position, len(row.locations), below=False), value)
    else:
        _replace(tx, row, value)


def _position(text: str | None, most: int, *, below: bool) -> int:
    if text == "-":
        return most - 1 if below else most
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 6 or int(text) > (most - 1 if below else most):
        raise BadRequest("Invalid position for a location.")
    return int(text)


def _insert(tx: Transaction, row: ImageRow, position: int, value: Any) -> None:
    url, metadata, validation = _parsed(value)
    name = check_url(tx, url)
    if any(_url(tx, row, at) == url for at in row.locations):
        raise BadRequest(f"The location {url[:255]} already exists")
    new = _validated(row, validation)
    if row.status == QUEUED and not row.locations and None in (row.disk_format, row.container_format):
        raise BadRequest("Properties disk_format, container_format must be set prior to saving data.")
    kept = stores.ordered(tx.cloud, row) if row.status == ACTIVE else []
    if len(kept) >= MOST:
        raise TooLarge("The limit has been exceeded on the number of allowed image locations. "
                       f"Attempted: {len(kept) + 1}, Maximum: {MOST}")
    kept.insert(position, {"store": name, "url": url, "metadata": metadata})
    row.locations = kept
    if row.status == QUEUED:
        row.status = ACTIVE
        for key, said in new.items():
            setattr(row, key, said)


def _replace(tx: Transaction, row: ImageRow, value: Any) -> None:
    """Of what is there only the metadata may change; an image without data gets all its locations."""
    if not isinstance(value, list):
        raise BadRequest("Locations are a list.")
    before = stores.ordered(tx.cloud, row)
    if row.status == ACTIVE:
        if [_url(tx, row, at) for at in before] != [_parsed(entry)[0] for entry in value]:
            raise BadRequest("Original locations is not empty: only the metadata of locations can be replaced.")
        row.locations = [{**at, "metadata": _parsed(entry)[1]} for at, entry in zip(before, value, strict=True)]
        return
    if not value:
        raise BadRequest("Locations cannot be empty.")
    row.locations = []
    for position, entry in enumerate(value):
        _insert(tx, row, position, entry)


def remove(tx: Transaction, row: ImageRow, position: int) -> None:
    """One of several places where the data is; the data there goes, if it is ours."""
    before, cloud, image_id = stores.ordered(tx.cloud, row), tx.cloud, row.id
    if len(before) == 1:
        raise Forbidden("Cannot remove last location in the image.")
    gone = before.pop(position)
    row.locations, row.updated_at = before, clock.now()
    if "url" not in gone:
        tx.after_commit(lambda: store.path_of(cloud, image_id, gone["store"]).unlink(missing_ok=True))


def remove_from_store(tx: Transaction, context: Context, row: ImageRow, name: str) -> None:
    if name not in stores.all_of(tx.cloud):
        raise ImageConflict(f"The selected store {name[:64]} is not available on this node.")
    if row.status != ACTIVE:
        raise ImageConflict("It's not allowed to remove image data from store if image status is not 'active'")
    found = [position for position, at in enumerate(stores.ordered(tx.cloud, row)) if at["store"] == name]
    if not found:
        raise NotFound(f"Image {row.id} is not stored in store {name}.")
    if len(row.locations) == 1:
        raise Forbidden("Cannot delete image data from the only store containing it. Consider deleting the image instead.")
    remove(tx, row, found[0])


def _parsed(value: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """A location's url, metadata and validation data. The store is not the caller's to say."""
    if not isinstance(value, dict) or not isinstance(value.get("url"), str) or len(value["url"]) > 2048 \
            or not isinstance(value.get("metadata"), dict) or set(value) - {"url", "metadata", "validation_data"} \
            or not isinstance(value.get("validation_data", {}), dict):
        raise BadRequest("A location has a url, metadata and perhaps validation_data.")
    metadata = {key: said for key, said in value["metadata"].items() if key != "store"}
    return value["url"], metadata, value.get("validation_data", {})


def _validated(row: ImageRow, said: dict[str, Any]) -> dict[str, Any]:
    """What is new of `said`: it must fit what is known, and may be said of an image without data only."""
    if set(said) - {"checksum", "os_hash_algo", "os_hash_value"}:
        raise BadRequest("validation_data has checksum, os_hash_algo and os_hash_value.")
    for key, value in said.items():
        if getattr(row, key) not in (None, value):
            raise ImageConflict(f"{key} is already set with a different value")
    new = {key: value for key, value in said.items() if getattr(row, key) is None}
    if not new:
        return {}
    if row.status != QUEUED:
        raise ImageConflict(f"New value(s) for {', '.join(new)} may only be provided when image status is 'queued'")
    if "checksum" in new and len(_bytes(new["checksum"], ImageConflict)) != 16:
        raise ImageConflict("checksum is not the correct size for md5 (should be 16 bytes)")
    if new.get("os_hash_algo") != HASH:
        raise ImageConflict(f"os_hash_algo must be {HASH}, not {str(new.get('os_hash_algo'))[:32]}")
    if len(_bytes(new.get("os_hash_value"), ImageConflict)) != 64:
        raise ImageConflict(f"os_hash_value is not the correct size for {HASH} (should be 64 bytes)")
    return {key: value.lower() for key, value in new.items()}
