"""Limits: a project's own, else the default class's, else the configured ones."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select

from haneul.compute.model import ServerRow
from haneul.compute.problems import TooMany
from haneul.kernel import quota
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.kernel.quota import QuotaLimit

CLASS = "class:default"  # the "project" whose limits hold for all that have none of their own
RESOURCES = ("instances", "cores", "ram", "metadata_items", "key_pairs", "server_groups", "server_group_members", "fixed_ips",
             "floating_ips", "security_groups", "security_group_rules", "injected_files", "injected_file_content_bytes",
             "injected_file_path_bytes")
_ELSEWHERE = {"fixed_ips": -1, "floating_ips": -1, "security_groups": -1, "security_group_rules": -1, "injected_files": 5,
              "injected_file_content_bytes": 10240, "injected_file_path_bytes": 255}


def default(tx: Transaction, resource: str) -> int:
    """What nobody has changed; resources of other services have numbers only because old clients want to see some."""
    return _ELSEWHERE[resource] if resource in _ELSEWHERE else quota.default(tx, resource)


def limits(tx: Transaction, project_id: str, resources: Iterable[str] = RESOURCES) -> dict[str, int]:
    found: dict[tuple[str, str], int] = {(owner, resource): value for owner, resource, value in tx.execute(
        select(QuotaLimit.project_id, QuotaLimit.resource, QuotaLimit.limit).where(
            QuotaLimit.service == "compute", QuotaLimit.project_id.in_((project_id, CLASS))))}
    return {resource: found.get((project_id, resource), found.get((CLASS, resource), default(tx, resource)))
            for resource in resources}


def limit(tx: Transaction, project_id: str, resource: str) -> int:
    return limits(tx, project_id, (resource,))[resource]


def used(tx: Transaction, project_id: str) -> dict[str, int]:
    return {**dict.fromkeys(RESOURCES, 0), **held(tx, project_id),
            "server_groups": quota.used(tx, "compute", project_id, "server_groups")}


def update(tx: Transaction, project_id: str, wanted: dict[str, int], *, force: bool) -> None:
    """Not below what is used, unless forced."""
    have = used(tx, project_id) if project_id != CLASS else {}
    for resource, value in wanted.items():
        if not force and 0 <= value < have.get(resource, 0):
            raise BadRequest(f"Quota limit {value} for {resource} must be greater than or equal to already used and reserved "
                             f"{have[resource]}.")
    for resource, value in wanted.items():
        quota.set_limit(tx, "compute", project_id, resource, value)


# ---------------------------------------------------------------- counting


def held(tx: Transaction, project_id: str) -> dict[str, int]:
    """Instances, cores and ram of a project, in one statement."""
    count, cores, ram = tx.execute(select(
        func.count(), func.coalesce(func.sum(ServerRow.vcpus), 0), func.coalesce(func.sum(ServerRow.ram), 0)).where(
        ServerRow.project_id == project_id, ServerRow.deleted.is_(False))).one()
    return {"instances": int(count), "cores": int(cores), "ram": int(ram)}


@quota.counted("compute", "instances")
def _instances(tx: Transaction, project_id: str) -> int:
    return held(tx, project_id)["instances"]


@quota.counted("compute", "cores")
def _cores(tx: Transaction, project_id: str) -> int:
    return held(tx, project_id)["cores"]


@quota.counted("compute", "ram")
def _ram(tx: Transaction, project_id: str) -> int:
    return held(tx, project_id)["ram"]


def room_for(tx: Transaction, project_id: str, *, least: int, most: int, vcpus: int, ram: int) -> int:
    """How many of `most` servers the quota allows; TooMany when not even `least`. Under the project's lock."""
    tx.lock("quota", "compute", project_id)
    most_of = limits(tx, project_id, ("instances", "cores", "ram"))
    have = held(tx, project_id)
    each = {"instances": 1, "cores": vcpus, "ram": ram}
    fits = most
    for name, one in each.items():
        if most_of[name] >= 0 and one > 0:
            fits = min(fits, max(0, (most_of[name] - have[name]) // one))
    if fits < least:
        over = [name for name, one in each.items() if most_of[name] >= 0 and have[name] + one * least > most_of[name]]
        raise TooMany(_over_text(over, {name: one * least for name, one in each.items()}, have, most_of))
    return fits


def room_to_grow(tx: Transaction, project_id: str, vcpus: int, ram: int) -> None:
    """For a resize: only what becomes larger is counted."""
    tx.lock("quota", "compute", project_id)
    most_of = limits(tx, project_id, ("cores", "ram"))
    have = held(tx, project_id)
    more = {"cores": vcpus, "ram": ram}
    over = [name for name, wanted in more.items() if wanted > 0 and 0 <= most_of[name] < have[name] + wanted]
    if over:
        raise TooMany(_over_text(over, more, have, most_of))


def _over_text(over: list[str], wanted: dict[str, int], have: dict[str, int], limits: dict[str, int]) -> str:
    def of(values: dict[str, int]) -> str:
        return ", ".join(str(values[name]) for name in over)

    return f"Quota exceeded for {', '.join(over)}: Requested {of(wanted)}, but already used {of(have)} of {of(limits)} " \
           f"{', '.join(over)}"


def check_metadata(tx: Transaction, project_id: str, items: int) -> None:
    most = limit(tx, project_id, "metadata_items")
    if 0 <= most < items:
        raise TooMany(f"Maximum number of metadata items exceeds {most}")
