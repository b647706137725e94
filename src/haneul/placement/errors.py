"""What Placement answers when it refuses, with its fixed codes."""

from __future__ import annotations

from haneul.kernel.errors import BadRequest, Conflict, NotFound

CONCURRENT = "placement.concurrent_update"
IN_USE = "placement.inventory.inuse"
DUPLICATE = "placement.duplicate_name"
PROVIDER_IN_USE = "placement.resource_provider.inuse"
CANNOT_DELETE_PARENT = "placement.resource_provider.cannot_delete_parent"
BAD_QUERY = "placement.query.bad_value"
DUPLICATE_QUERY = "placement.query.duplicate_key"
MISSING_QUERY = "placement.query.missing_value"


class ConcurrentUpdate(Conflict):
    def __init__(self, message: str) -> None:
        super().__init__(message, code=CONCURRENT)


class ProviderConflict(ConcurrentUpdate):
    def __init__(self) -> None:
        super().__init__("resource provider generation conflict")


class NoSuchProvider(NotFound):
    def __init__(self, uuid: str) -> None:
        super().__init__(f"No resource provider with uuid {uuid[:64]} found")


class BadQuery(BadRequest):
    def __init__(self, message: str, code: str = BAD_QUERY) -> None:
        super().__init__(message, code=code)


class NoRoom(Conflict):
    """Inventory does not hold what an allocation asks for."""

    def __init__(self, resource_class: str, provider: str) -> None:
        super().__init__(f"Unable to allocate inventory: Unable to create allocation for '{resource_class}' on resource "
                         f"provider '{provider}'. The requested amount would exceed the capacity.")
