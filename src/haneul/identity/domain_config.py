"""Configuration of single domains, as Keystone keeps it where domains have no drivers of their own: stored and shown. Users and
groups of every domain are in haneul's database, whatever driver a domain's configuration names."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import delete, select

from haneul.identity.credentials import Vault
from haneul.identity.model import DomainOption
from haneul.kernel.config import Identity
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Forbidden, NotFound

Config = dict[str, dict[str, Any]]
# What may be set, with Keystone's defaults
OPTIONS: Config = {
    "identity": {"driver": "sql", "list_limit": None},
    "ldap": {
        "url": "ldap://localhost", "user": None, "suffix": "cn=example,cn=com", "query_scope": "one", "page_size": 0,
        "alias_dereferencing": "default", "debug_level": None, "chase_referrals": None, "user_tree_dn": None,
        "user_filter": None, "user_objectclass": "inetOrgPerson", "user_id_attribute": "cn", "user_name_attribute": "sn",
        "user_mail_attribute": "mail", "user_description_attribute": "description", "user_pass_attribute": "userPassword",
        "user_enabled_attribute": "enabled", "user_enabled_invert": False, "user_enabled_mask": 0,
        "user_enabled_default": "True", "user_attribute_ignore": ["default_project_id"],
        "user_default_project_id_attribute": None, "user_enabled_emulation": False, "user_enabled_emulation_dn": None,
        "user_enabled_emulation_use_group_config": False, "user_additional_attribute_mapping": [], "group_tree_dn": None,
        "group_filter": None, "group_objectclass": "groupOfNames", "group_id_attribute": "cn", "group_name_attribute": "ou",
        "group_members_are_ids": False, "group_member_attribute": "member", "group_desc_attribute": "description",
        "group_attribute_ignore": [], "group_additional_attribute_mapping": [], "tls_cacertfile": None, "tls_cacertdir": None,
        "use_tls": False, "tls_req_cert": "demand", "use_pool": True, "pool_size": 10, "pool_retry_max": 3,
        "pool_retry_delay": 0.1, "pool_connection_timeout": -1, "pool_connection_lifetime": 600, "use_auth_pool": True,
        "auth_pool_size": 100, "auth_pool_connection_lifetime": 60}}
SECRET = {"ldap": frozenset({"password"})}  # may be set, are never shown
SECURITY = ("password_regex", "password_regex_description")


def _invalid(reason: str) -> Forbidden:
    return Forbidden(f"Invalid domain specific configuration: {reason}.")


def _absent(domain_id: str, group: str | None, option: str | None) -> NotFound:
    what = f"option {option} in group {group}" if option else f"group {group}" if group else "any options"
    return NotFound(f"Could not find {what} in domain configuration for domain {domain_id}.")


def check(group: str | None, option: str | None) -> None:
    """Forbidden, as Keystone has it, for what is no option of a domain."""
    if group is not None and group not in OPTIONS:
        raise _invalid(f"Group {group[:64]} is not supported for domain specific configurations")
    if group is not None and option is not None and option not in OPTIONS[group] and option not in SECRET.get(group, ()):
        raise _invalid(f"Option {option[:64]} in group {group} is not supported for domain specific configurations")


def _check_config(config: Any) -> Config:
    if not config or not isinstance(config, dict):
        raise _invalid("No options specified")
    for group, options in config.items():
        if not options or not isinstance(options, dict):
            raise _invalid(f"The value of group {group[:64]} specified in the config should be a dictionary of options")
        for option in options:
            check(group, option)
    return config


def _stored(tx: Transaction, domain_id: str) -> Config:
    """With what is secret."""
    vault, found = tx.cloud.get(Vault), Config()
    for row in tx.execute(select(DomainOption).where(DomainOption.domain_id == domain_id)).scalars():
        found.setdefault(row.group, {})[row.name] = msgspec.json.decode(vault.open(row.sealed))
    return found


def _shown(config: Config) -> Config:
    open_ = {group: {name: value for name, value in options.items() if name not in SECRET.get(group, ())}
             for group, options in config.items()}
    return {group: options for group, options in open_.items() if options}


def show(tx: Transaction, domain_id: str, group: str | None = None, option: str | None = None) -> dict[str, Any]:
    """Of one option only {option: value}, else {group: {option: value}}."""
    check(group, option)
    config = _shown(_stored(tx, domain_id))
    if group is not None:
        config = {name: options for name, options in config.items() if name == group}
    if option is not None:
        config = {name: options for name, options in config.items() if option in options}
    if not config:
        raise _absent(domain_id, group, option)
    return config if option is None or group is None else {option: config[group][option]}


def replace(tx: Transaction, domain_id: str, config: Any) -> tuple[Config, bool]:
    """The configuration from now on, and whether there was none before."""
    wanted = _check_config(config)
    gone = tx.execute(delete(DomainOption).where(DomainOption.domain_id == domain_id).returning(DomainOption.name)).all()
    _store(tx, domain_id, wanted)
    return _shown(wanted), not gone


def _store(tx: Transaction, domain_id: str, config: Config) -> None:
    vault = tx.cloud.get(Vault)
    for group, options in config.items():
        for name, value in options.items():
            sealed = vault.seal(msgspec.json.encode(value).decode())
            row = tx.get(DomainOption, (domain_id, group, name))
            if row is None:
                tx.add(DomainOption(domain_id=domain_id, group=group, name=name, sealed=sealed))
            else:
                row.sealed = sealed
    tx.flush()


def change(tx: Transaction, domain_id: str, config: Any, group: str | None, option: str | None) -> Config:
    """Adds to the whole, or changes what one group or option is; that must have been there."""
    wanted = _check_config({group: config} if group is not None and option is not None else config)
    check(group, option)
    if group is not None:
        if set(wanted) != {group}:
            raise _invalid(f"Trying to update group {group}, so that, and only that, group must be specified in the config")
        if option is not None and set(wanted[group]) != {option}:
            raise _invalid(f"Trying to update option {option} in group {group}, so that, and only that, option must be "
                           "specified in the config")
        _require(_stored(tx, domain_id), domain_id, group, option)
    _store(tx, domain_id, wanted)
    return _shown(_stored(tx, domain_id))


def _require(config: Config, domain_id: str, group: str, option: str | None) -> None:
    if group not in config or (option is not None and option not in config[group]):
        raise _absent(domain_id, group, option)


def remove(tx: Transaction, domain_id: str, group: str | None, option: str | None) -> None:
    check(group, option)
    gone = delete(DomainOption).where(DomainOption.domain_id == domain_id)
    if group is not None:
        _require(_stored(tx, domain_id), domain_id, group, option)
        gone = gone.where(DomainOption.group == group)
    if option is not None:
        gone = gone.where(DomainOption.name == option)
    tx.execute(gone)


def defaults(group: str | None, option: str | None) -> dict[str, Any]:
    check(group, option)
    if group is None:
        return OPTIONS
    if option is None:
        return {group: OPTIONS[group]}
    if option not in OPTIONS[group]:
        raise _invalid(f"Reading the default for option {option} in group {group} is not supported")
    return {option: OPTIONS[group][option]}


def security(settings: Identity, domain_id: str, option: str | None) -> dict[str, Any]:
    """What users may know of the rules for passwords, the same in all domains and asked of the default one."""
    if domain_id != "default":
        raise _invalid("Reading security compliance information for any domain other than the default domain is not allowed "
                       "or supported")
    if option is not None and option not in SECURITY:
        raise _invalid("Reading security compliance values other than password_regex and password_regex_description is not "
                       "allowed")
    known = {name: getattr(settings, name) or None for name in SECURITY}
    return {"security_compliance": known} if option is None else {option: known[option]}
