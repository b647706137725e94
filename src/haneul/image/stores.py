"""Which stores there are: folders of this machine, and addresses elsewhere. `file` is always one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from haneul.image.model import ImageRow
from haneul.kernel.cloud import Cloud
from haneul.kernel.config import ImageStore
from haneul.kernel.errors import Conflict

FILE = "file"


def all_of(cloud: Cloud) -> dict[str, ImageStore]:
    """By name; the default one first."""
    config = cloud.config.image
    found = {FILE: ImageStore(description="Files of the control plane"), **config.stores}
    first = default(cloud)
    return {first: found[first], **found}


def default(cloud: Cloud) -> str:
    return next((name for name, store in cloud.config.image.stores.items() if store.default and store.driver == "file"), FILE)


def files(cloud: Cloud) -> list[str]:
    """The stores that data can be written to."""
    return [name for name, store in all_of(cloud).items() if store.driver == "file"]


def web(cloud: Cloud) -> str | None:
    """The store that knows addresses, where there is one."""
    return next((name for name, store in all_of(cloud).items() if store.driver == "http"), None)


def folder(cloud: Cloud, name: str = FILE) -> Path:
    """A file store's folder, made if need be."""
    path = cloud.config.image.stores.get(name, ImageStore()).path
    found = Path(path) if path else cloud.paths.images if name == FILE else cloud.paths.image_stores / name
    found.mkdir(parents=True, exist_ok=True)
    return found


def asked(cloud: Cloud, names: list[str], everywhere: bool) -> list[str]:
    """Where a request wants data: what it names, all that can be written to, or what the operator says. Conflict for others."""
    writable = files(cloud)
    if everywhere:
        return writable
    wanted = names or cloud.config.image.import_stores or [default(cloud)]
    for name in wanted:
        if name not in writable:
            raise Conflict(f"The selected store {name[:64]} is not available on this node, or it is read-only.")
    return list(dict.fromkeys(wanted))


def ordered(cloud: Cloud, row: ImageRow) -> list[dict[str, Any]]:
    """An image's locations, the heaviest store's first; as they were added within one weight."""
    if len(row.locations) < 2:
        return list(row.locations)
    known = all_of(cloud)
    return sorted(row.locations, key=lambda at: -known[at["store"]].weight if at["store"] in known else 0)


def names(cloud: Cloud, row: ImageRow) -> list[str]:
    return list(dict.fromkeys(at["store"] for at in ordered(cloud, row)))
