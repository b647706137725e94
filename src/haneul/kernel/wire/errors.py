"""Each service's own error body for a `Problem`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from haneul.kernel.errors import Problem

ErrorBody = Callable[[Problem, str], dict[str, Any]]

_NOVA = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod",
         406: "notAcceptable", 409: "conflictingRequest", 413: "overLimit", 415: "badMediaType", 429: "overLimit",
         501: "notImplemented", 503: "serviceUnavailable"}


def nova(problem: Problem, request_id: str) -> dict[str, Any]:
    """Compute and block storage: {"itemNotFound": {"code": 404, "message": …}}."""
    return {_NOVA.get(problem.status, "computeFault"): {"code": problem.status, "message": problem.message,
                                                        **problem.details}}


def keystone(problem: Problem, request_id: str) -> dict[str, Any]:
    return {"error": {"code": problem.status, "message": problem.message, "title": problem.title}}


def neutron(problem: Problem, request_id: str) -> dict[str, Any]:
    name = str(problem.details.get("type") or type(problem).__name__)
    name = {"BadRequest": "HTTPBadRequest", "NotFound": "HTTPNotFound", "Forbidden": "PolicyNotAuthorized"}.get(name, name)
    return {"NeutronError": {"type": name, "message": problem.message, "detail": ""}}


def glance(problem: Problem, request_id: str) -> dict[str, Any]:
    return {"message": problem.message, "code": f"{problem.status} {problem.title}", "title": problem.title}


def placement(problem: Problem, request_id: str) -> dict[str, Any]:
    """Per the API working group's guideline; the code is a fixed word since 1.23."""
    return {"errors": [{"status": problem.status, "title": problem.title, "detail": problem.message,
                        "request_id": request_id, "code": str(problem.details.get("code", "placement.undefined_code"))}]}
