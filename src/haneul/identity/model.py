"""The tables of identity. A domain is a project row with `is_domain`, as in Keystone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    event,
    false,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column, object_session

from haneul.kernel.database import Base, Transaction

Id = String(64)
Name = String(255)


class State(Base):
    """One row: `revision` counts the changes that tokens depend on, `url` is the address the catalog was written for."""

    __tablename__ = "identity_state"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    revision: Mapped[int] = mapped_column(Integer, default=1)
    url: Mapped[str] = mapped_column(Text, default="")


def bump(tx: Transaction) -> None:
    """Makes every cached token be looked at again, in all control processes, once this transaction is committed.

    Changes of mapped `Watched` objects do it by themselves; statements (update, delete) must call it.
    """
    if not tx.info.get("identity_bumped"):
        tx.info["identity_bumped"] = True
        tx.execute(update(State).values(revision=State.revision + 1))


class Watched:
    """Tables that the answer to "who is this and what may they" depends on."""


def _changed(mapper: Any, connection: Any, thing: Any) -> None:
    session = object_session(thing)
    assert session is not None
    if not session.info.get("identity_bumped"):
        session.info["identity_bumped"] = True
        connection.execute(update(State).values(revision=State.revision + 1))


for _moment in ("after_insert", "after_update", "after_delete"):
    event.listen(Watched, _moment, _changed, propagate=True)


class Project(Watched, Base):
    """Domains have neither domain nor parent; the parent of a project at the top is its domain."""

    __tablename__ = "identity_projects"
    __table_args__ = (
        UniqueConstraint("domain_id", "name"),
        Index("uq_identity_domains_name", "name", unique=True, sqlite_where=text("is_domain"),
              postgresql_where=text("is_domain")),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    domain_id: Mapped[str | None] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"))
    parent_id: Mapped[str | None] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"), index=True)
    is_domain: Mapped[bool] = mapped_column(Boolean, default=False)
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    description: Mapped[str] = mapped_column(Text, default="")
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)

    @property
    def policy_target(self) -> dict[str, Any]:
        return {"target.project.id": self.id, "target.project.domain_id": self.domain_id, "target.domain_id": self.domain_id,
                "target.domain.id": self.id if self.is_domain else self.domain_id}


class ProjectTag(Base):
    __tablename__ = "identity_project_tags"

    project_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(Name, primary_key=True)


class User(Watched, Base):
    __tablename__ = "identity_users"
    __table_args__ = (UniqueConstraint("domain_id", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    domain_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"))
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    default_project_id: Mapped[str | None] = mapped_column(Id)
    password_expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)
    last_active_at: Mapped[datetime | None]  # day of the last log-in, kept only where the configuration asks about it

    @property
    def policy_target(self) -> dict[str, Any]:
        return {"target.user.id": self.id, "target.user.domain_id": self.domain_id, "user_id": self.id}


class Password(Base):
    """The newest of a user is in force; older ones are kept to refuse their reuse."""

    __tablename__ = "identity_passwords"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_users.id", ondelete="CASCADE"), index=True)
    hash: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime]
    self_service: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())  # chosen by the user


class Failure(Base):
    """Failed log-ins of a user since the last good one. Not watched: a wrong password must not empty caches."""

    __tablename__ = "identity_failures"

    user_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_users.id", ondelete="CASCADE"), primary_key=True)
    count: Mapped[int] = mapped_column(Integer, default=0)
    last_at: Mapped[datetime]


class Group(Watched, Base):
    __tablename__ = "identity_groups"
    __table_args__ = (UniqueConstraint("domain_id", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    domain_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"))
    description: Mapped[str] = mapped_column(Text, default="")
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)

    @property
    def policy_target(self) -> dict[str, Any]:
        return {"target.group.id": self.id, "target.group.domain_id": self.domain_id}


class Membership(Watched, Base):
    __tablename__ = "identity_memberships"

    user_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_users.id", ondelete="CASCADE"), primary_key=True)
    group_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_groups.id", ondelete="CASCADE"), primary_key=True, index=True)


class Role(Watched, Base):
    __tablename__ = "identity_roles"
    __table_args__ = (
        UniqueConstraint("domain_id", "name"),
        Index("uq_identity_global_roles_name", "name", unique=True, sqlite_where=text("domain_id IS NULL"),
              postgresql_where=text("domain_id IS NULL")),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    domain_id: Mapped[str | None] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"))
    description: Mapped[str | None] = mapped_column(Text)
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)

    @property
    def policy_target(self) -> dict[str, Any]:
        return {"target.role.id": self.id, "target.role.name": self.name, "target.role.domain_id": self.domain_id}


class ImpliedRole(Watched, Base):
    __tablename__ = "identity_implied_roles"

    prior_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_roles.id", ondelete="CASCADE"), primary_key=True)
    implied_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_roles.id", ondelete="CASCADE"), primary_key=True)


class Assignment(Watched, Base):
    """`actor` is a user or a group; `target` a project, a domain or "system". Removed with either by their rules."""

    __tablename__ = "identity_assignments"
    __table_args__ = (Index("ix_identity_assignments_target", "target_id"),)

    actor_id: Mapped[str] = mapped_column(Id, primary_key=True)
    actor_type: Mapped[str] = mapped_column(String(8))  # user, group
    target_id: Mapped[str] = mapped_column(Id, primary_key=True)
    target_type: Mapped[str] = mapped_column(String(8))  # project, domain, system
    role_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_roles.id", ondelete="CASCADE"), primary_key=True)
    inherited: Mapped[bool] = mapped_column(Boolean, primary_key=True, default=False)


class Region(Watched, Base):
    __tablename__ = "identity_regions"

    id: Mapped[str] = mapped_column(Name, primary_key=True)
    parent_region_id: Mapped[str | None] = mapped_column(Name, ForeignKey("identity_regions.id"))
    description: Mapped[str] = mapped_column(Text, default="")
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)


class CatalogService(Watched, Base):
    __tablename__ = "identity_services"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    type: Mapped[str] = mapped_column(Name)
    name: Mapped[str | None] = mapped_column(Name)
    description: Mapped[str | None] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Endpoint(Watched, Base):
    __tablename__ = "identity_endpoints"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    service_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_services.id", ondelete="CASCADE"), index=True)
    region_id: Mapped[str | None] = mapped_column(Name, ForeignKey("identity_regions.id"))
    interface: Mapped[str] = mapped_column(String(8))  # public, internal, admin
    url: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ApplicationCredential(Watched, Base):
    """A secret of one user for one project, with no more than `role_ids` of theirs."""

    __tablename__ = "identity_application_credentials"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    description: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_users.id", ondelete="CASCADE"))
    project_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(String(255))
    expires_at: Mapped[datetime | None]
    unrestricted: Mapped[bool] = mapped_column(Boolean, default=False)
    system: Mapped[str | None] = mapped_column(String(8))
    role_ids: Mapped[list[str]] = mapped_column(default=list)
    access_rule_ids: Mapped[list[str]] = mapped_column(default=list)
    limited: Mapped[bool] = mapped_column(Boolean, default=False)  # has access rules: an empty list then allows nothing


class AccessRule(Watched, Base):
    __tablename__ = "identity_access_rules"
    __table_args__ = (UniqueConstraint("user_id", "service", "path", "method"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    user_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_users.id", ondelete="CASCADE"))
    service: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(String(128))
    method: Mapped[str] = mapped_column(String(16))


class Credential(Base):
    """A secret that a user keeps here: EC2 keys, TOTP seeds, anything. `sealed` is the encrypted blob."""

    __tablename__ = "identity_credentials"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    user_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_users.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[str | None] = mapped_column(Id)
    type: Mapped[str] = mapped_column(Name)
    sealed: Mapped[str] = mapped_column(Text)
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)

    @property
    def policy_target(self) -> dict[str, Any]:
        return {"target.credential.user_id": self.user_id, "user_id": self.user_id}


class StoredPolicy(Base):
    """A policy document kept for services that fetch theirs here. Nothing of haneul reads it."""

    __tablename__ = "identity_policies"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    type: Mapped[str] = mapped_column(Name)
    blob: Mapped[Any] = mapped_column(JSON)
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Revocation(Watched, Base):
    """Tokens that name any of these ids and were issued no later than `issued_before` are void. Rows end at `until`."""

    __tablename__ = "identity_revocations"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    subject: Mapped[str] = mapped_column(Id, index=True)  # an audit id, or the id of a user, project, domain, credential
    issued_before: Mapped[float] = mapped_column(Float)
    until: Mapped[float] = mapped_column(Float, index=True)
    kind: Mapped[str] = mapped_column(String(32), default="", server_default="")  # what `subject` is, as OS-REVOKE names it


class Trust(Watched, Base):
    """What a trustor lets a trustee do in one project. `remaining_uses` is counted down by statements, which empty no cache."""

    __tablename__ = "identity_trusts"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    trustor_user_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_users.id", ondelete="CASCADE"), index=True)
    trustee_user_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_users.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[str | None] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"), index=True)
    impersonation: Mapped[bool] = mapped_column(Boolean)
    expires_at: Mapped[datetime | None]
    remaining_uses: Mapped[int | None] = mapped_column(Integer)
    redelegation_count: Mapped[int] = mapped_column(Integer, default=0)
    redelegated_trust_id: Mapped[str | None] = mapped_column(Id, ForeignKey("identity_trusts.id", ondelete="CASCADE"), index=True)
    role_ids: Mapped[list[str]] = mapped_column(default=list)
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)

    @property
    def policy_target(self) -> dict[str, Any]:
        return {"target.trust.trustor_user_id": self.trustor_user_id, "target.trust.trustee_user_id": self.trustee_user_id}


class DomainOption(Base):
    """One option of a domain's configuration: kept and shown, obeyed where haneul has what it configures."""

    __tablename__ = "identity_domain_options"

    domain_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"), primary_key=True)
    group: Mapped[str] = mapped_column("option_group", Name, primary_key=True)
    name: Mapped[str] = mapped_column(Name, primary_key=True)
    sealed: Mapped[str] = mapped_column(Text)  # JSON, encrypted: some are passwords


class Consumer(Base):
    """Who may ask for a user's access by OAuth 1. Secrets of consumers and tokens are encrypted."""

    __tablename__ = "identity_consumers"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    description: Mapped[str | None] = mapped_column(Text)
    sealed: Mapped[str] = mapped_column(Text)
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)


class OAuthToken(Watched, Base):
    """A request token, until it is exchanged, or an access token: `access` tells them apart."""

    __tablename__ = "identity_oauth_tokens"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    access: Mapped[bool] = mapped_column(Boolean)
    consumer_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_consumers.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[str | None] = mapped_column(Id, ForeignKey("identity_users.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"), index=True)
    role_ids: Mapped[list[str]] = mapped_column(default=list)
    sealed: Mapped[str] = mapped_column(Text)
    verifier: Mapped[str | None] = mapped_column(String(64))
    expires_at: Mapped[datetime | None]

    @property
    def policy_target(self) -> dict[str, Any]:
        return {"user_id": self.user_id, "target.user.id": self.user_id}


class OAuthNonce(Base):
    """Nonces of signed requests, so that none is played back while its time stamp is good."""

    __tablename__ = "identity_oauth_nonces"

    nonce: Mapped[str] = mapped_column(String(128), primary_key=True)
    used_at: Mapped[float] = mapped_column(Float, index=True)


class EndpointGroup(Watched, Base):
    """Endpoints by what they have in common: `filters` over service_id, region_id and interface."""

    __tablename__ = "identity_endpoint_groups"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    description: Mapped[str | None] = mapped_column(Text)
    filters: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ProjectEndpoint(Watched, Base):
    """An endpoint that a project's catalog shows. A project with none, and no group, sees all endpoints."""

    __tablename__ = "identity_project_endpoints"

    project_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_endpoints.id", ondelete="CASCADE"), primary_key=True,
                                             index=True)


class ProjectEndpointGroup(Watched, Base):
    __tablename__ = "identity_project_endpoint_groups"

    project_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"), primary_key=True)
    group_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_endpoint_groups.id", ondelete="CASCADE"), primary_key=True,
                                          index=True)


class PolicyAssociation(Base):
    """Which stored policy an endpoint, a service, or a service in a region has; "" where it is for any."""

    __tablename__ = "identity_policy_associations"

    endpoint_id: Mapped[str] = mapped_column(Id, primary_key=True, default="")
    service_id: Mapped[str] = mapped_column(Id, primary_key=True, default="")
    region_id: Mapped[str] = mapped_column(Name, primary_key=True, default="")
    policy_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_policies.id", ondelete="CASCADE"), index=True)


class RegisteredLimit(Base):
    """How many of a service's resources a project may have, unless a limit of its own says otherwise."""

    __tablename__ = "identity_registered_limits"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    service_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_services.id", ondelete="CASCADE"), index=True)
    region_id: Mapped[str | None] = mapped_column(Name, ForeignKey("identity_regions.id", ondelete="CASCADE"))
    resource_name: Mapped[str] = mapped_column(Name)
    default_limit: Mapped[int] = mapped_column(BigInteger)
    description: Mapped[str | None] = mapped_column(Text)


class Limit(Base):
    """Of one project or one domain."""

    __tablename__ = "identity_limits"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    registered_id: Mapped[str] = mapped_column(Id, ForeignKey("identity_registered_limits.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[str | None] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"), index=True)
    domain_id: Mapped[str | None] = mapped_column(Id, ForeignKey("identity_projects.id", ondelete="CASCADE"), index=True)
    resource_limit: Mapped[int] = mapped_column(BigInteger)
    description: Mapped[str | None] = mapped_column(Text)
