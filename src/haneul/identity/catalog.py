"""The service catalog as tokens carry it."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select

from haneul.identity import endpoint_groups
from haneul.identity.model import CatalogService, Endpoint, ProjectEndpoint, ProjectEndpointGroup
from haneul.kernel.database import Transaction

_PROJECT = re.compile(r"[$%]\((?:project|tenant)_id\)s")
_USER = re.compile(r"[$%]\(user_id\)s")


def entries(tx: Transaction, project_id: str, user_id: str) -> tuple[list[dict[str, Any]], bool]:
    """Enabled services with their enabled endpoints, and whether what is shown depends on who asks.

    An endpoint that needs a project is left out when there is none. A project with endpoints of its own sees those alone.
    """
    chosen, personal = _chosen(tx, project_id)
    services: dict[str, dict[str, Any]] = {
        id: {"endpoints": [], "id": id, "type": type, "name": name or ""}
        for id, type, name in tx.execute(select(CatalogService.id, CatalogService.type, CatalogService.name)
                                         .where(CatalogService.enabled.is_(True)).order_by(CatalogService.type))}
    for id, service_id, region, interface, url in tx.execute(
            select(Endpoint.id, Endpoint.service_id, Endpoint.region_id, Endpoint.interface, Endpoint.url)
            .where(Endpoint.enabled.is_(True)).order_by(Endpoint.interface, Endpoint.id)):
        if service_id not in services or (chosen and id not in chosen):
            continue
        if _PROJECT.search(url):
            personal = True
            if not project_id:
                continue
            url = _PROJECT.sub(project_id, url)
        if _USER.search(url):
            personal = True
            url = _USER.sub(user_id, url)
        services[service_id]["endpoints"].append(
            {"id": id, "interface": interface, "region_id": region, "url": url, "region": region})
    return [service for service in services.values() if service["endpoints"] or not chosen], personal


def _chosen(tx: Transaction, project_id: str) -> tuple[set[str], bool]:
    """The endpoints of a project's own, empty if it sees all; and whether any project has some."""
    filtering = tx.execute(select(ProjectEndpoint.project_id).limit(1)).first() is not None \
        or tx.execute(select(ProjectEndpointGroup.project_id).limit(1)).first() is not None
    return (endpoint_groups.ids_of_project(tx, project_id) if filtering and project_id else set()), filtering
