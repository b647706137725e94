"""Keystone's rules: names and defaults of secure RBAC, the domain manager included.

Where Keystone writes token.domain.id and token.project.domain.id, a context has `domain_id` and `project_domain_id`.
"""

from __future__ import annotations

from haneul.kernel.policy import ALL_SCOPES, PROJECT, Rule

ANYONE = "@"
ADMIN = "role:admin"
SYSTEM_READER = f"{ADMIN} or (role:reader and system_scope:all)"
OWNER = "user_id:%(target.user.id)s"
DOMAIN_READER = f"{SYSTEM_READER} or (role:reader and domain_id:%(target.domain_id)s)"

_USER = "domain_id:%(target.user.domain_id)s"
_GROUP = "domain_id:%(target.group.domain_id)s"
_PROJECT = "domain_id:%(target.project.domain_id)s"
_DOMAIN = "domain_id:%(target.domain.id)s"
_ROLE = "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)"
_MANAGED = "('manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s)"
_GRANT = f"(({_USER} or {_GROUP}) and ({_PROJECT} or {_DOMAIN}))"
_PROJECT_USER = f"{SYSTEM_READER} or (role:reader and {_PROJECT}) or project_id:%(target.project.id)s"
_PROJECT_ADMIN = f"{ADMIN} or (role:manager and {_PROJECT})"
_TRUSTOR = "user_id:%(target.trust.trustor_user_id)s"
_TRUSTEE = "user_id:%(target.trust.trustee_user_id)s"
SERVICE = f"role:service or {ADMIN}"
_SELF_READER = f"{SYSTEM_READER} or (role:reader and {_USER}) or {OWNER}"

_DEFAULTS: dict[str, str] = {
    # tokens
    "get_auth_catalog": ANYONE, "get_auth_projects": ANYONE, "get_auth_domains": ANYONE, "get_auth_system": ANYONE,
    "check_token": f"{SYSTEM_READER} or user_id:%(target.token.user_id)s",
    "validate_token": f"{SYSTEM_READER} or role:service or user_id:%(target.token.user_id)s",
    "revoke_token": f"{ADMIN} or user_id:%(target.token.user_id)s",
    "revoke_tokens_for_user": f"{ADMIN} or {OWNER}",
    # domains
    "get_domain": f"{SYSTEM_READER} or {_DOMAIN} or project_domain_id:%(target.domain.id)s",
    "list_domains": f"{SYSTEM_READER} or (role:reader and {_DOMAIN})",
    "create_domain": ADMIN, "update_domain": ADMIN, "delete_domain": ADMIN,
    # projects
    "get_project": _PROJECT_USER, "list_projects": DOMAIN_READER, "list_user_projects": _SELF_READER,
    "create_project": _PROJECT_ADMIN, "update_project": _PROJECT_ADMIN, "delete_project": _PROJECT_ADMIN,
    "list_project_tags": _PROJECT_USER, "get_project_tag": _PROJECT_USER, "update_project_tags": _PROJECT_ADMIN,
    "create_project_tag": _PROJECT_ADMIN, "delete_project_tags": _PROJECT_ADMIN, "delete_project_tag": _PROJECT_ADMIN,
    # users and groups
    "get_user": _SELF_READER, "list_users": DOMAIN_READER,
    "create_user": f"{ADMIN} or (role:manager and {_USER})", "update_user": f"{ADMIN} or (role:manager and {_USER})",
    "delete_user": f"{ADMIN} or (role:manager and {_USER})",
    "get_group": f"{SYSTEM_READER} or (role:reader and {_GROUP})", "list_groups": DOMAIN_READER,
    "list_groups_for_user": _SELF_READER,
    "create_group": f"{ADMIN} or (role:manager and {_GROUP})", "update_group": f"{ADMIN} or (role:manager and {_GROUP})",
    "delete_group": f"{ADMIN} or (role:manager and {_GROUP})",
    "list_users_in_group": f"{SYSTEM_READER} or (role:reader and {_GROUP})",
    "check_user_in_group": f"{SYSTEM_READER} or (role:reader and {_GROUP} and {_USER})",
    "add_user_to_group": f"{ADMIN} or (role:manager and {_GROUP} and {_USER})",
    "remove_user_from_group": f"{ADMIN} or (role:manager and {_GROUP} and {_USER})",
    # roles
    "get_role": f"{SYSTEM_READER} or (role:manager and domain_id:%(target.domain_id)s)",
    "list_roles": f"{SYSTEM_READER} or (role:manager and domain_id:%(target.domain_id)s)",
    "create_role": ADMIN, "update_role": ADMIN, "delete_role": ADMIN,
    "get_domain_role": SYSTEM_READER, "list_domain_roles": SYSTEM_READER, "create_domain_role": ADMIN,
    "update_domain_role": ADMIN, "delete_domain_role": ADMIN,
    "get_implied_role": SYSTEM_READER, "list_implied_roles": SYSTEM_READER, "create_implied_role": ADMIN,
    "delete_implied_role": ADMIN, "list_role_inference_rules": SYSTEM_READER, "check_implied_role": SYSTEM_READER,
    # grants
    "check_grant": f"{SYSTEM_READER} or (role:reader and {_GRANT} and {_ROLE})",
    "list_grants": f"{SYSTEM_READER} or (role:reader and {_GRANT})",
    "create_grant": f"{ADMIN} or (role:manager and {_GRANT} and {_ROLE} and {_MANAGED})",
    "revoke_grant": f"{ADMIN} or (role:manager and {_GRANT} and {_ROLE} and {_MANAGED})",
    "list_system_grants_for_user": SYSTEM_READER, "check_system_grant_for_user": SYSTEM_READER,
    "create_system_grant_for_user": ADMIN, "revoke_system_grant_for_user": ADMIN,
    "list_system_grants_for_group": SYSTEM_READER, "check_system_grant_for_group": SYSTEM_READER,
    "create_system_grant_for_group": ADMIN, "revoke_system_grant_for_group": ADMIN,
    "list_role_assignments": DOMAIN_READER,
    "list_role_assignments_for_tree": f"{SYSTEM_READER} or (role:reader and {_PROJECT})",
    # catalog
    "get_region": ANYONE, "list_regions": ANYONE, "create_region": ADMIN, "update_region": ADMIN, "delete_region": ADMIN,
    "get_service": SYSTEM_READER, "list_services": SYSTEM_READER, "create_service": ADMIN, "update_service": ADMIN,
    "delete_service": ADMIN,
    "get_endpoint": SYSTEM_READER, "list_endpoints": SYSTEM_READER, "create_endpoint": ADMIN, "update_endpoint": ADMIN,
    "delete_endpoint": ADMIN,
    # secrets kept for users, and documents kept for services
    "get_credential": f"{SYSTEM_READER} or user_id:%(target.credential.user_id)s",
    "list_credentials": ANYONE,  # only what get_credential allows is listed
    "create_credential": f"{ADMIN} or user_id:%(target.credential.user_id)s",
    "update_credential": f"{ADMIN} or user_id:%(target.credential.user_id)s",
    "delete_credential": f"{ADMIN} or user_id:%(target.credential.user_id)s",
    "ec2_get_credential": f"{SYSTEM_READER} or {OWNER}", "ec2_list_credentials": f"{SYSTEM_READER} or {OWNER}",
    "ec2_create_credential": f"{ADMIN} or {OWNER}", "ec2_delete_credential": f"{ADMIN} or {OWNER}",
    "get_policy": SYSTEM_READER, "list_policies": SYSTEM_READER, "create_policy": ADMIN, "update_policy": ADMIN,
    "delete_policy": ADMIN,
    # application credentials: made by their owner only, whoever asks
    "get_application_credential": f"{SYSTEM_READER} or {OWNER}", "list_application_credentials": f"{SYSTEM_READER} or {OWNER}",
    "create_application_credential": OWNER, "delete_application_credential": f"{ADMIN} or {OWNER}",
    "get_access_rule": f"{SYSTEM_READER} or {OWNER}", "list_access_rules": f"{SYSTEM_READER} or {OWNER}",
    "delete_access_rule": f"{ADMIN} or {OWNER}",
    # what the limits are
    "get_limit_model": ANYONE, "list_limits": ANYONE,  # only what get_limit allows is listed
    "get_limit": f"{SYSTEM_READER} or domain_id:%(target.limit.domain.id)s or domain_id:%(target.limit.project.domain_id)s or "
                 "(project_id:%(target.limit.project_id)s and not None:%(target.limit.project_id)s)",
    "get_registered_limit": ANYONE, "list_registered_limits": ANYONE,
    "get_security_compliance_domain_config": ANYONE,
    "ec2tokens_validate": SERVICE, "s3tokens_validate": SERVICE,
}
# Not by a domain's token
_IN_PROJECTS: dict[str, str] = {
    # trusts
    "list_trusts": SYSTEM_READER,
    "list_trusts_for_trustor": f"{SYSTEM_READER} or {_TRUSTOR}", "list_trusts_for_trustee": f"{SYSTEM_READER} or {_TRUSTEE}",
    "get_trust": f"{SYSTEM_READER} or {_TRUSTOR} or {_TRUSTEE}", "delete_trust": f"{ADMIN} or {_TRUSTOR}",
    "list_roles_for_trust": f"{SYSTEM_READER} or {_TRUSTOR} or {_TRUSTEE}",
    "get_role_for_trust": f"{SYSTEM_READER} or {_TRUSTOR} or {_TRUSTEE}",
    # OAuth 1
    "get_consumer": SYSTEM_READER, "list_consumers": SYSTEM_READER, "create_consumer": ADMIN, "update_consumer": ADMIN,
    "delete_consumer": ADMIN,
    # configuration of domains
    "create_domain_config": ADMIN, "get_domain_config": SYSTEM_READER, "update_domain_config": ADMIN,
    "delete_domain_config": ADMIN, "get_domain_config_default": SYSTEM_READER,
    # limits
    "create_limits": ADMIN, "update_limit": ADMIN, "delete_limit": ADMIN, "create_registered_limits": ADMIN,
    "update_registered_limit": ADMIN, "delete_registered_limit": ADMIN,
    "list_revoke_events": SERVICE,
    # which endpoints a project's catalog shows
    "create_endpoint_group": ADMIN, "list_endpoint_groups": SYSTEM_READER, "get_endpoint_group": SYSTEM_READER,
    "update_endpoint_group": ADMIN, "delete_endpoint_group": ADMIN,
    "list_projects_associated_with_endpoint_group": SYSTEM_READER,
    "list_endpoints_associated_with_endpoint_group": SYSTEM_READER, "get_endpoint_group_in_project": SYSTEM_READER,
    "list_endpoint_groups_for_project": SYSTEM_READER, "add_endpoint_group_to_project": ADMIN,
    "remove_endpoint_group_from_project": ADMIN, "list_projects_for_endpoint": SYSTEM_READER, "add_endpoint_to_project": ADMIN,
    "check_endpoint_in_project": SYSTEM_READER, "list_endpoints_for_project": SYSTEM_READER,
    "remove_endpoint_from_project": ADMIN,
    # which stored policy an endpoint has
    **{f"{verb}_policy_association_for_{what}": SYSTEM_READER if verb == "check" else ADMIN
       for verb in ("create", "check", "delete") for what in ("endpoint", "service", "region_and_service")},
    "get_policy_for_endpoint": SYSTEM_READER, "list_endpoints_for_policy": SYSTEM_READER,
}
_IN_A_PROJECT: dict[str, str] = {
    "create_trust": _TRUSTOR,
    "authorize_request_token": ADMIN, "get_access_token": ADMIN, "get_access_token_role": ADMIN, "list_access_tokens": ADMIN,
    "list_access_token_roles": ADMIN, "delete_access_token": ADMIN,
}
RULES = [Rule(f"identity:{name}", check, scopes=scopes)
         for rules, scopes in ((_DEFAULTS, ALL_SCOPES), (_IN_PROJECTS, ("system", "project")), (_IN_A_PROJECT, PROJECT))
         for name, check in rules.items()]
