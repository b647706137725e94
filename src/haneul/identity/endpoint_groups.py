"""Which endpoints the catalogs of single projects show: by their ids, or by groups that say what endpoints have in common."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import select

from haneul.identity.directory import INTERFACES
from haneul.identity.model import Endpoint, EndpointGroup, Project, ProjectEndpoint, ProjectEndpointGroup
from haneul.kernel import ids
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, NotFound

Name = Annotated[str, Meta(min_length=1, max_length=255)]
_COLUMNS = {"service_id": Endpoint.service_id, "region_id": Endpoint.region_id, "region": Endpoint.region_id,
            "interface": Endpoint.interface, "enabled": Endpoint.enabled}


class Fields(Struct, forbid_unknown_fields=True):
    id: str | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    filters: dict[str, Any] | UnsetType = UNSET


def create(tx: Transaction, fields: Fields) -> EndpointGroup:
    if not isinstance(fields.name, str):
        raise BadRequest("Invalid input: 'name' is a required property.")
    if not fields.filters:
        raise BadRequest("filters field is required and cannot be empty")
    row = EndpointGroup(id=ids.new_hex(), name=fields.name, description=fields.description or None,
                        filters=_filters(fields.filters))
    tx.add(row)
    tx.flush()
    return row


def change(tx: Transaction, row: EndpointGroup, fields: Fields) -> EndpointGroup:
    if fields.id is not UNSET and fields.id != row.id:
        raise BadRequest("Cannot change the ID of an endpoint group.")
    if isinstance(fields.name, str):
        row.name = fields.name
    if not isinstance(fields.description, UnsetType):
        row.description = fields.description
    if isinstance(fields.filters, dict):
        row.filters = _filters(fields.filters)
    tx.flush()
    return row


def _filters(filters: dict[str, Any]) -> dict[str, Any]:
    for name, value in filters.items():
        right = isinstance(value, bool) if name == "enabled" else isinstance(value, str) and len(value) <= 255
        if name not in _COLUMNS or not right or (name == "interface" and value not in INTERFACES):
            raise BadRequest(f"Invalid input for field 'filters/{name[:64]}': an endpoint is filtered by service_id, region_id, "
                             "interface (admin, internal, public) and enabled.")
    return filters


def endpoints_of(tx: Transaction, group: EndpointGroup) -> list[Endpoint]:
    query = select(Endpoint).where(*(_COLUMNS[name] == value for name, value in group.filters.items()))
    return list(tx.execute(query.order_by(Endpoint.id)).scalars())


# -------------------------------------------------------------------- projects

def groups_of(tx: Transaction, project_id: str) -> list[EndpointGroup]:
    mine = select(ProjectEndpointGroup.group_id).where(ProjectEndpointGroup.project_id == project_id)
    return list(tx.execute(select(EndpointGroup).where(EndpointGroup.id.in_(mine)).order_by(EndpointGroup.id)).scalars())


def ids_of_project(tx: Transaction, project_id: str) -> set[str]:
    found = set(tx.execute(select(ProjectEndpoint.endpoint_id).where(ProjectEndpoint.project_id == project_id)).scalars())
    for group in groups_of(tx, project_id):
        found |= {endpoint.id for endpoint in endpoints_of(tx, group)}
    return found


def endpoints_of_project(tx: Transaction, project_id: str) -> list[Endpoint]:
    wanted = ids_of_project(tx, project_id)
    return list(tx.execute(select(Endpoint).where(Endpoint.id.in_(wanted)).order_by(Endpoint.id)).scalars())


def projects_of_endpoint(tx: Transaction, endpoint_id: str) -> list[Project]:
    wanted = select(ProjectEndpoint.project_id).where(ProjectEndpoint.endpoint_id == endpoint_id)
    return list(tx.execute(select(Project).where(Project.id.in_(wanted)).order_by(Project.id)).scalars())


def projects_of_group(tx: Transaction, group_id: str) -> list[Project]:
    wanted = select(ProjectEndpointGroup.project_id).where(ProjectEndpointGroup.group_id == group_id)
    return list(tx.execute(select(Project).where(Project.id.in_(wanted)).order_by(Project.id)).scalars())


def add_endpoint(tx: Transaction, project: Project, endpoint: Endpoint) -> None:
    _add(tx, ProjectEndpoint(project_id=project.id, endpoint_id=endpoint.id), (project.id, endpoint.id))


def add_group(tx: Transaction, project: Project, group: EndpointGroup) -> None:
    _add(tx, ProjectEndpointGroup(project_id=project.id, group_id=group.id), (project.id, group.id))


def _add(tx: Transaction, row: ProjectEndpoint | ProjectEndpointGroup, key: tuple[str, str]) -> None:
    if tx.get(type(row), key) is not None:
        raise Conflict("Conflict occurred attempting to store project_endpoint - Duplicate entry.")
    tx.add(row)
    tx.flush()


def endpoint_in(tx: Transaction, project_id: str, endpoint_id: str) -> ProjectEndpoint:
    row = tx.get(ProjectEndpoint, (project_id, endpoint_id))
    if row is None:
        raise NotFound(f"Endpoint {endpoint_id} not found in project {project_id}")
    return row


def group_in(tx: Transaction, project_id: str, group_id: str) -> ProjectEndpointGroup:
    row = tx.get(ProjectEndpointGroup, (project_id, group_id))
    if row is None:
        raise NotFound("Project Endpoint Group Association not found")
    return row
