"""Projects, their tree and tags; domains are projects at its roots."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import delete, select, update

from haneul.identity.lookup import check_mutable, domain, duplicate, keep, merge_options, refuse, same_domain
from haneul.identity.lookup import require as _require
from haneul.identity.model import Assignment, Group, Project, ProjectTag, Role, User, bump
from haneul.identity.revocations import revoke
from haneul.identity.standing import ancestors, descendants
from haneul.kernel import ids
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound

DEPTH = 6  # of the tree, its domain included: Keystone's max_project_tree_depth
MOST_TAGS = 80


class Fields(Struct):
    """What a request may say of a project or domain; UNSET where it says nothing."""

    name: str | UnsetType = UNSET
    domain_id: str | None | UnsetType = UNSET
    parent_id: str | None | UnsetType = UNSET
    is_domain: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    options: dict[str, Any] | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET


def require(tx: Transaction, project_id: str) -> Project:
    """Raises NotFound."""
    return _require(tx, Project, project_id)


def parent_of(tx: Transaction, fields: Fields, default_domain: str) -> Project:
    """The domain or project that a new project goes below."""
    parent_id = fields.parent_id if isinstance(fields.parent_id, str) else None
    domain_id = fields.domain_id if isinstance(fields.domain_id, str) else None
    if parent_id is None:
        return domain(tx, domain_id or default_domain)
    parent = require(tx, parent_id)
    inside = parent.id if parent.is_domain else parent.domain_id
    if domain_id is not None and domain_id != inside:
        raise BadRequest(f"Cannot create project, since it specifies its domain_id {domain_id}, but specifies a parent in a "
                         f"different domain ({inside}).")
    return parent


def create(tx: Transaction, fields: Fields, parent: Project, extra: dict[str, Any]) -> Project:
    above = [parent, *parents(tx, parent)]
    if len(above) >= DEPTH:
        raise refuse(f"Max hierarchy depth reached for {parent.id} branch.")
    disabled = next((row for row in above if not row.enabled), None)
    if disabled is not None:
        raise refuse(f"Cannot create project, since it specifies its owner as {'domain' if disabled.is_domain else 'project'} "
                     f"{disabled.id}, which is disabled.")
    name = _name(fields.name)
    project = Project(
        id=ids.new_hex(), name=name, domain_id=parent.id if parent.is_domain else parent.domain_id, parent_id=parent.id,
        is_domain=False, enabled=fields.enabled is not False, description=fields.description or "", extra=extra,
        options=merge_options({}, fields.options or None))
    keep(tx, project, word="project", details=duplicate(name, project.domain_id))
    if fields.tags:
        set_tags(tx, project, fields.tags)
    return project


def create_domain(tx: Transaction, fields: Fields, extra: dict[str, Any], id: str | None = None) -> Project:
    name = _name(fields.name)
    row = Project(id=id or ids.new_hex(), name=name, is_domain=True, enabled=fields.enabled is not False,
                  description=fields.description or "", extra=extra, options=merge_options({}, fields.options or None))
    keep(tx, row, word="domain", details=duplicate(name, None))
    if fields.tags:
        set_tags(tx, row, fields.tags)
    return row


def _name(name: str | UnsetType) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > 64:
        raise BadRequest("Invalid input for field 'name': it must have 1 to 64 characters, not only spaces.")
    return name


def change(tx: Transaction, project: Project, fields: Fields, extra: dict[str, Any]) -> Project:
    check_mutable(project, "domain" if project.is_domain else "project", fields.options)
    if fields.parent_id is not UNSET and fields.parent_id != project.parent_id:
        raise refuse("Update of `parent_id` is not allowed.")
    if fields.is_domain is not UNSET and fields.is_domain != project.is_domain:
        raise BadRequest("Update of `is_domain` is not allowed.")
    same_domain(fields.domain_id or None, project.domain_id)
    if isinstance(fields.enabled, bool) and fields.enabled != project.enabled:
        _switch(tx, project, fields.enabled)
    if fields.name is not UNSET:
        project.name = _name(fields.name)
    if not isinstance(fields.description, UnsetType):
        project.description = fields.description or ""
    if isinstance(fields.options, dict):
        project.options = merge_options(project.options, fields.options)
    if extra:
        project.extra = {**project.extra, **extra}
    if isinstance(fields.tags, list):
        set_tags(tx, project, fields.tags)
    keep(tx, project, word="domain" if project.is_domain else "project", details=duplicate(project.name, project.domain_id))
    return project


def _switch(tx: Transaction, project: Project, enabled: bool) -> None:
    if enabled:
        off = next((row for row in parents(tx, project) if not row.enabled), None)
        if off is not None:
            raise refuse(f"Cannot enable project {project.id} since it has disabled parents")
    elif not project.is_domain:
        below = descendants(project.id)
        on = tx.execute(select(Project.id).where(Project.id.in_(select(below.c.id)), Project.enabled.is_(True)).limit(1))
        if on.first() is not None:
            raise refuse(f"Cannot disable project {project.id} since its subtree contains enabled projects.")
    project.enabled = enabled
    if not enabled:
        revoke(tx, project.id, "domain_id" if project.is_domain else "project_id")


def remove(tx: Transaction, project: Project) -> None:
    """With its assignments, tags and application credentials. Its children must be gone; a domain takes everything along."""
    check_mutable(project, "domain" if project.is_domain else "project")
    if project.is_domain:
        _remove_domain(tx, project)
        return
    if tx.execute(select(Project.id).where(Project.parent_id == project.id).limit(1)).first() is not None:
        raise refuse(f"Cannot delete the project {project.id} since it is not a leaf in the hierarchy. Use the cascade option if "
                     "you want to delete a whole subtree.")
    tx.execute(delete(Assignment).where(Assignment.target_id == project.id))
    tx.execute(update(User).where(User.default_project_id == project.id).values(default_project_id=None))
    tx.delete(project)
    tx.flush()


def _remove_domain(tx: Transaction, row: Project) -> None:
    if row.enabled:
        raise refuse("Cannot delete a domain that is enabled, please disable it first.")
    for kind in (User, Group):
        tx.execute(delete(Assignment).where(Assignment.actor_id.in_(select(kind.id).where(kind.domain_id == row.id))))
    inside = select(Project.id).where(Project.domain_id == row.id)
    tx.execute(delete(Assignment).where(Assignment.target_id.in_(inside)))
    tx.execute(delete(Assignment).where(Assignment.target_id == row.id))
    tx.execute(update(User).where(User.default_project_id.in_(inside)).values(default_project_id=None))
    tx.execute(delete(Role).where(Role.domain_id == row.id))
    tx.delete(row)  # users, groups and projects go with it
    bump(tx)
    tx.flush()


def parents(tx: Transaction, project: Project) -> list[Project]:
    """From the nearest up to the domain."""
    above = ancestors(project.id)
    rows = {row.id: row for row in tx.execute(select(Project).where(Project.id.in_(select(above.c.id)))).scalars()}
    chain: list[Project] = []
    at = project.parent_id
    while at is not None and at in rows:
        chain.append(rows[at])
        at = rows[at].parent_id
    return chain


def subtree(tx: Transaction, project: Project) -> list[Project]:
    below = descendants(project.id)
    return list(tx.execute(select(Project).where(Project.id.in_(select(below.c.id))).order_by(Project.name)).scalars())


# -------------------------------------------------------------------- tags

def tags(tx: Transaction, project_id: str) -> list[str]:
    query = select(ProjectTag.name).where(ProjectTag.project_id == project_id)
    return list(tx.execute(query.order_by(ProjectTag.name)).scalars())


def set_tags(tx: Transaction, project: Project, names: list[str]) -> None:
    wanted = list(dict.fromkeys(names))
    if len(wanted) > MOST_TAGS:
        raise BadRequest(f"Invalid input for field 'tags': a project has at most {MOST_TAGS} tags.")
    for name in wanted:
        check_tag(name)
    tx.execute(delete(ProjectTag).where(ProjectTag.project_id == project.id))
    tx.add_all(ProjectTag(project_id=project.id, name=name) for name in wanted)
    tx.flush()


def add_tag(tx: Transaction, project: Project, name: str) -> None:
    present = tags(tx, project.id)
    if name not in present:
        set_tags(tx, project, [*present, name])


def remove_tag(tx: Transaction, project: Project, name: str) -> None:
    gone = tx.execute(delete(ProjectTag).where(ProjectTag.project_id == project.id, ProjectTag.name == name)
                      .returning(ProjectTag.name)).first()
    if gone is None:
        raise NotFound(f"Could not find project tag: {name}.")


def check_tag(name: str) -> None:
    if not 1 <= len(name) <= 255 or "," in name or "/" in name:
        raise BadRequest("Invalid input for field 'tags': a tag has 1 to 255 characters, no comma and no slash.")
