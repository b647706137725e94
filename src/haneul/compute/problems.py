"""What compute answers when it cannot: Nova's statuses and words."""

from __future__ import annotations

from haneul.kernel.errors import BadRequest, Conflict, NotFound, OverQuota


class ServerNotFound(NotFound):
    def __init__(self, server_id: str) -> None:
        super().__init__(f"Instance {server_id} could not be found.")


class FlavorNotFound(NotFound):
    def __init__(self, flavor_id: str) -> None:
        super().__init__(f"Flavor {flavor_id} could not be found.")


class InvalidState(Conflict):
    """The server's state forbids the action."""

    def __init__(self, action: str, server_id: str, attribute: str, state: object) -> None:
        super().__init__(f"Cannot '{action}' instance {server_id} while it is in {attribute} {state}")


class Locked(Conflict):
    def __init__(self, server_id: str) -> None:
        super().__init__(f"Instance {server_id} is locked")


class InvalidMapping(BadRequest):
    """A block device mapping that cannot be."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Block Device Mapping is Invalid: {reason}")


class NotReady(Conflict):
    def __init__(self, server_id: str) -> None:
        super().__init__(f"Instance {server_id} is not ready")


class TooMany(OverQuota):
    """Nova's 403 of a quota."""


class MarkerNotFound(BadRequest):
    def __init__(self, marker: str) -> None:
        super().__init__(f"marker [{marker[:255]}] not found")
