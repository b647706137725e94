"""What every cloud has from its first start on: a domain, an administrator, the roles, and a catalog of its own services."""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import func, select

from haneul.identity import passwords
from haneul.identity.credentials import Vault
from haneul.identity.keys import Keys
from haneul.identity.model import (
    Assignment,
    CatalogService,
    Endpoint,
    ImpliedRole,
    Password,
    Project,
    Region,
    Role,
    State,
    User,
)
from haneul.identity.tokens import Tokens
from haneul.kernel import clock, ids
from haneul.kernel.config import ConfigError
from haneul.kernel.database import Transaction

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud
    from haneul.kernel.wire.routes import Service

log = structlog.get_logger("identity")
ROLES = ("admin", "manager", "member", "reader", "service", "ResellerAdmin")
IMPLIED = (("admin", "manager"), ("manager", "member"), ("member", "reader"))
# Clients discover the version of these themselves; of the others the catalog names it.
UNVERSIONED = frozenset({"identity", "network", "image"})


def prepare(cloud: Cloud) -> None:
    settings = cloud.config.identity
    try:
        re.compile(settings.password_regex)
    except re.error as error:
        raise ConfigError(f"identity.password_regex: {error}") from error
    keys = Keys(cloud.paths.fernet_keys, settings.max_active_keys)
    cloud.put(keys)
    with cloud.database.read() as tx:
        state = tx.get(State, 1)
        known = set(tx.execute(select(CatalogService.type)).scalars())
        wanted = {kind for service in cloud.services if service.catalog for kind in (service.type, *service.catalog_types)}
        due = state is None or state.url != cloud.url or not wanted <= known
    if due:
        cloud.database.transact(_bootstrap)
    cloud.put(Tokens(cloud, keys))
    cloud.put(Vault(cloud.paths.control / "credential-keys"))


def _bootstrap(tx: Transaction) -> None:
    tx.lock("identity", "bootstrap")
    state = tx.get(State, 1)
    if state is None:
        state = State(id=1, revision=1, url=tx.cloud.url)
        tx.add(state)
        tx.flush()
        _first(tx)
    _catalog(tx, state)


def _first(tx: Transaction) -> None:
    config = tx.cloud.config
    tx.add(Project(id="default", name="Default", is_domain=True, enabled=True, description="The default domain"))
    tx.flush()
    project = Project(id=ids.new_hex(), name="admin", domain_id="default", parent_id="default", enabled=True,
                      description="Bootstrap project for initializing the cloud.")
    user = User(id=ids.new_hex(), name="admin", domain_id="default", enabled=True, created_at=clock.now())
    roles = {name: Role(id=ids.new_hex(), name=name, options={"immutable": True}) for name in ROLES}
    tx.add_all([project, user, *roles.values(), Region(id=config.api.region)])
    tx.flush()
    tx.add_all(ImpliedRole(prior_id=roles[prior].id, implied_id=roles[implied].id) for prior, implied in IMPLIED)
    for kind, target in (("project", project.id), ("system", "system")):
        tx.add(Assignment(actor_id=user.id, actor_type="user", target_id=target, target_type=kind, role_id=roles["admin"].id,
                          inherited=False))
    password = config.identity.admin_password or _new_admin_password(tx.cloud)
    tx.add(Password(user_id=user.id, hash=passwords.hashed(password, config.identity.bcrypt_rounds), created_at=clock.now()))


def _new_admin_password(cloud: Cloud) -> str:
    """Kept where only the owner of the state directory reads it; in the control plane's own folder if it may not write there."""
    password = secrets.token_urlsafe(18)
    for path in (cloud.paths.admin_password, cloud.paths.control / "admin-password"):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except PermissionError:
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(password + "\n")
        log.info("administrator created", user="admin", kept_in=str(path))
        return password
    raise PermissionError(f"the administrator's password cannot be kept in {cloud.paths.admin_password}")


def _catalog(tx: Transaction, state: State) -> None:
    """Adds this cloud's own services that the catalog lacks, and moves the addresses that it made to a new public address."""
    cloud, region = tx.cloud, tx.cloud.config.api.region
    if state.url != cloud.url:
        for endpoint in tx.execute(select(Endpoint)).scalars():
            if endpoint.url.startswith(state.url + "/"):
                endpoint.url = cloud.url + endpoint.url.removeprefix(state.url)
        state.url = cloud.url
    if tx.execute(select(func.count()).select_from(Region).where(Region.id == region)).scalar() == 0:
        tx.add(Region(id=region))
        tx.flush()
    known = set(tx.execute(select(CatalogService.type)).scalars())
    wanted = [(each, kind) for each in cloud.services for kind in (each.type, *each.catalog_types)]
    for service, kind in wanted:
        if kind in known or not service.catalog:
            continue
        row = CatalogService(id=ids.new_hex(), type=kind, name=service.name, enabled=True)
        tx.add(row)
        tx.flush()
        tx.add_all(Endpoint(id=ids.new_hex(), service_id=row.id, region_id=region, interface=interface,
                            url=_address(cloud, service), enabled=True) for interface in ("public", "internal", "admin"))


def _address(cloud: Cloud, service: Service) -> str:
    prefix = service.prefix
    if service.type in UNVERSIONED:
        prefix = prefix.rpartition("/")[0] or prefix
    return cloud.url + prefix
