"""Makes an image of data elsewhere: its address is noted, and what is there fetched once, hashed and looked at."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from haneul.image import cache, fetch, store
from haneul.image.images import exclusive
from haneul.image.inspection import NotWhatItSays
from haneul.image.model import ACTIVE, IMPORTING, QUEUED, ImageRow
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Gone, Problem
from haneul.kernel.tasks import Fault, Task, Work


class LocateArguments(Struct):
    """`algorithm` and `value` are what the user says of the data. `asked` is what he sees of his request in the task."""

    image_id: str
    url: str
    store: str
    algorithm: str | None = None
    value: str | None = None
    asked: dict[str, Any] = {}
    type: str = "location_import"


locate_image = Task("image.locate", LocateArguments, deadline=2 * 3600.0)


@locate_image.step(deadline=60.0)
def place(work: Work[LocateArguments]) -> None:
    """The address is the image's. Unless there is a hash to be checked, the image can be used from now on."""
    arguments = work.arguments
    checked = work.cloud.config.image.do_secure_hash
    with work.commit() as tx:
        row = exclusive(tx, arguments.image_id)
        if row is None or row.status != IMPORTING:
            return
        row.locations = [{"store": arguments.store, "url": arguments.url}]
        if checked:
            row.os_hash_algo = arguments.algorithm or "sha512"
        elif arguments.value:
            row.os_hash_algo, row.os_hash_value = arguments.algorithm, arguments.value
        if not checked or not arguments.value:
            row.status = ACTIVE
        row.updated_at = clock.now()


@locate_image.step(deadline=3600.0)
def measure(work: Work[LocateArguments]) -> None:
    """An image that was deleted meanwhile, or has its hash, needs nothing."""
    arguments, cloud = work.arguments, work.cloud
    with cloud.database.read() as tx:
        row = tx.get(ImageRow, arguments.image_id)
    if row is None or row.os_hash_value is not None or not row.locations or not cloud.config.image.do_secure_hash:
        return

    def settle(tx: Transaction, there: ImageRow, taken: store.Taken) -> None:
        if arguments.value not in (None, taken.os_hash_value):
            raise Fault(f"os_hash_value: ({arguments.value}) not matched with actual os_hash_value: ({taken.os_hash_value})")
        there.checksum, there.os_hash_value, there.updated_at = taken.checksum, taken.os_hash_value, clock.now()
        if there.status == IMPORTING:  # an administrator may have deactivated one that was to be used at once
            there.status = ACTIVE

    try:
        with fetch.one_of_few():
            cache.bring(cloud, row, settle=settle, commit=work.commit)
    except Gone:
        return
    except Problem as problem:
        raise Fault(problem.message, code=problem.status) from problem


@locate_image.failed
def unplaced(work: Work[LocateArguments], tx: Transaction, fault: Fault) -> None:
    """What is found wrong, is of another format or must not be fetched is no image; what could not be reached once may be
    there later. The address stays to be seen: new data takes its place."""
    row = exclusive(tx, work.arguments.image_id)
    if row is None or row.os_hash_value is not None:
        return
    if row.status == IMPORTING or (row.status == ACTIVE and fault.code in (NotWhatItSays.status, fetch.Refused.status)):
        row.status = QUEUED
        cache.drop(tx, row.id)  # it may be of another format from now on
    row.os_hash_algo = row.checksum = None
    row.updated_at = clock.now()
