"""What can go wrong for a caller, as exceptions that every room raises and the wire turns into the service's own error body.

A room names its own by subclassing (`class NetworkNotFound(NotFound)`): Neutron's bodies carry the class's name.
"""

from __future__ import annotations


class Problem(Exception):
    """An answer other than success. `str()` is shown to the user: a plain sentence from a fixed vocabulary, no internals."""

    status = 500
    title = "Internal Server Error"

    def __init__(self, message: str = "", **details: object) -> None:
        super().__init__(message or self.title)
        self.message = message or self.title
        self.details = details

    @property
    def headers(self) -> dict[str, str]:
        return {}


class BadRequest(Problem):
    status = 400
    title = "Bad Request"


class Unauthorized(Problem):
    status = 401
    title = "Unauthorized"

    def __init__(self, message: str = "The request you have made requires authentication.", **details: object) -> None:
        super().__init__(message, **details)


class Forbidden(Problem):
    status = 403
    title = "Forbidden"


class NotFound(Problem):
    status = 404
    title = "Not Found"

    def __init__(self, message: str = "The resource could not be found.", **details: object) -> None:
        super().__init__(message, **details)


class MethodNotAllowed(Problem):
    status = 405
    title = "Method Not Allowed"


class NotAcceptable(Problem):
    status = 406
    title = "Not Acceptable"


class Conflict(Problem):
    status = 409
    title = "Conflict"


class Gone(Problem):
    status = 410
    title = "Gone"


class TooLarge(Problem):
    status = 413
    title = "Request Entity Too Large"


class UnsupportedMedia(Problem):
    status = 415
    title = "Unsupported Media Type"


class Unavailable(Problem):
    status = 503
    title = "Service Unavailable"


class NotImplementedHere(Problem):
    """An API that OpenStack has and haneul does not yet: docs/compatibility.md lists them."""

    status = 501
    title = "Not Implemented"


class OverQuota(Forbidden):
    """More than the project may have. Nova answers 403, Neutron 409, Glance 413: rooms subclass."""
