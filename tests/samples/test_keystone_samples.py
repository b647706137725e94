"""Identity answers as Keystone's own API samples do."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest
from sample_book import DROP, Absent, Book, Case, Rules, Tally, Version, World, check, parameters

from running import ADMIN_PASSWORD, RunningCloud

BOOK = Book("keystone")
OLDER = "the sample is older than the answer, which is Keystone's of today"
RULES = Rules(
    maps=("options", "blob", "policy.blob"),
    nullable=("parent_region_id", "expires_at", "password_expires_at", "default_project_id", "description", "domain_id", "next",
              "previous", "region", "region_id", "project_id"),
    extra={name: OLDER for name in (
        "links.next", "links.previous", "options", "tags", "project.description", "project.is_domain", "projects.*.is_domain",
        "projects.*.description", "projects.*.parent_id", "role.domain_id", "roles.*.domain_id", "roles.*.description",
        "application_credential.user_id", "application_credential.system", "application_credentials.*.user_id",
        "application_credentials.*.system", "endpoints.*.region_id", "endpoint.region", "endpoint.enabled", "users.*.description",
        "users.*.email", "users.*.default_project_id", "user.email", "user.description", "scope.system", "links.prior_role")},
    missing={"services.*.description": "of those that were given one"},
    empty=("token.catalog.*.endpoints", "catalog.*.endpoints"),
)
_numbers = itertools.count(1)


class KeystoneWorld(World):
    def __init__(self, cloud: RunningCloud) -> None:
        super().__init__()
        self.http = cloud.http("admin")
        self.sdk = cloud.connect("admin")
        self.url = cloud.url

    def make(self, path: str, word: str, **values: Any) -> str:
        answer = self.http.post(f"/identity/v3/{path}", json={word: values})
        assert answer.status_code == 201, answer.text
        return str(answer.json()[word]["id"])

    def put(self, path: str) -> None:
        answer = self.http.put("/identity/v3" + self.fill(path))
        assert answer.status_code in (201, 204), answer.text

    def name(self) -> str:
        return f"samples-{next(_numbers)}"

    def each_name(self) -> str:
        return self.name()

    def password(self) -> str:
        return ADMIN_PASSWORD

    def admin(self) -> str:
        return str(self.sdk.current_user_id)

    def admin_project(self) -> str:
        return str(self.sdk.current_project_id)

    def token(self) -> str:
        return str(self.sdk.auth_token)

    def each_unscoped(self) -> str:
        answer = self.http.post("/identity/v3/auth/tokens", json={"auth": {"identity": {"methods": ["password"], "password": {
            "user": {"id": self["admin"], "password": ADMIN_PASSWORD}}}, "scope": "unscoped"}})
        return answer.headers["x-subject-token"]

    def domain(self) -> str:
        return self.make("domains", "domain", name=self.name(), description="x")

    def each_domain(self) -> str:
        return self.domain()

    def own_domain(self) -> str:
        """The administrator may log in to it."""
        self.put(f"/domains/{self['domain']}/users/{self['admin']}/roles/{self['admin_role']}")
        return str(self["domain"])

    def own_domain_name(self) -> str:
        return str(self.http.get(f"/identity/v3/domains/{self['own_domain']}").json()["domain"]["name"])

    def child(self) -> str:
        return self.make("projects", "project", name=self.name(), domain_id="default", parent_id=self["seen"])

    def each_child_seen(self) -> str:
        self.put(f"/projects/{self['child']}/users/{self['admin']}/roles/{self['admin_role']}")
        return str(self["child"])

    def seen(self) -> str:
        """A project, with one below it, in which the administrator has a role."""
        found = self.make("projects", "project", name=self.name(), domain_id="default")
        self.put(f"/projects/{found}/users/{self['admin']}/roles/{self['admin_role']}")
        return found

    def project(self) -> str:
        return self.make("projects", "project", name=self.name(), domain_id="default", parent_id=self["parent"], tags=["foo"])

    def parent(self) -> str:
        found = self.make("projects", "project", name=self.name(), domain_id="default")
        self.put(f"/projects/{found}/users/{self['admin']}/roles/{self['admin_role']}")
        return found

    def each_project(self) -> str:
        return self.make("projects", "project", name=self.name(), domain_id="default")

    def user(self) -> str:
        return self.make("users", "user", name=self.name(), domain_id="default", password="secretsecret", email="x@example.com",
                         default_project_id=self["project"], description="x")

    def each_user(self) -> str:
        return self.make("users", "user", name=self.name(), domain_id="default", password="secretsecret")

    def group(self) -> str:
        found = self.make("groups", "group", name=self.name(), domain_id="default", description="x")
        self.put(f"/groups/{found}/users/{self['user']}")
        return found

    def each_group(self) -> str:
        return self.make("groups", "group", name=self.name(), domain_id="default")

    def role(self) -> str:
        return self.make("roles", "role", name=self.name(), description="x")

    def each_role(self) -> str:
        return self.role()

    def other_role(self) -> str:
        return self.role()

    def admin_role(self) -> str:
        return str(self.sdk.identity.find_role("admin").id)

    def implied(self) -> str:
        self.put(f"/roles/{self['role']}/implies/{self['other_role']}")
        return str(self["other_role"])

    def granted(self) -> str:
        """Of the role, everywhere, to the user and the group."""
        for kind in ("users/{user}", "groups/{group}"):
            for place in ("projects/{project}", "domains/{domain}", "system"):
                self.put(f"/{place}/{kind}/roles/{{role}}")
        return ""

    def service(self) -> str:
        return self.make("services", "service", type=self.name(), name=self.name(), description="x")

    def each_service(self) -> str:
        return self.service()

    def endpoint(self) -> str:
        return self.make("endpoints", "endpoint", interface="public", region_id="RegionOne", url="http://example.com/",
                         service_id=self["service"])

    def region(self) -> str:
        return self.make("regions", "region", id=self.name(), description="x", parent_region_id="RegionOne")

    def credential(self) -> str:
        return self.make("credentials", "credential", blob="{}", type="samples", user_id=self["admin"],
                         project_id=self["admin_project"])

    def policy(self) -> str:
        return self.make("policies", "policy", blob="{}", type="application/json")

    def app(self) -> str:
        return self.make(f"users/{self['admin']}/application_credentials", "application_credential", name=self.name(),
                         secret="rEaqvJka48mpv", description="x", expires_at="2099-02-27T18:30:59Z", roles=[{"name": "admin"}],
                         access_rules=[{"path": "/v2.0/metrics", "method": "GET", "service": "monitoring"}])

    def plain_app(self) -> str:
        """With no access rules, and a name that is known."""
        self._made["plain_app_name"] = self.name()
        return self.make(f"users/{self['admin']}/application_credentials", "application_credential",
                         name=self["plain_app_name"], secret="rEaqvJka48mpv")

    def each_plain_app_name(self) -> str:
        _ = self["plain_app"]
        return str(self["plain_app_name"])

    def access_rule(self) -> str:
        _ = self["app"]
        return str(self.http.get(f"/identity/v3/users/{self['admin']}/access_rules").json()["access_rules"][0]["id"])

    # ---------------------------------------------------------------- limits

    def registered(self) -> str:
        answer = self.http.post("/identity/v3/registered_limits", json={"registered_limits": [
            {"service_id": self["service"], "region_id": "RegionOne", "resource_name": "snapshot", "default_limit": 50},
            {"service_id": self["service"], "resource_name": "volume", "default_limit": 10, "description": "x"}]})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["registered_limits"][0]["id"])

    def each_registered(self) -> str:
        self._made["fresh_service"] = self.service()
        answer = self.http.post("/identity/v3/registered_limits", json={"registered_limits": [
            {"service_id": self["fresh_service"], "resource_name": self.name(), "default_limit": 50}]})
        return str(answer.json()["registered_limits"][0]["id"])

    def limit(self) -> str:
        _ = self["registered"]
        answer = self.http.post("/identity/v3/limits", json={"limits": [{
            "service_id": self["service"], "project_id": self["project"], "region_id": "RegionOne", "resource_name": "snapshot",
            "resource_limit": 5, "description": "x"}]})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["limits"][0]["id"])

    # ---------------------------------------------------------------- a domain's configuration

    def each_configured(self) -> str:
        found = self.domain()
        answer = self.http.put(f"/identity/v3/domains/{found}/config", json={"config": {
            "identity": {"driver": "ldap"}, "ldap": {"url": "ldap://x/", "user_tree_dn": "ou=Users"}}})
        assert answer.status_code == 201, answer.text
        return found


@pytest.fixture(scope="module")
def world(cloud: RunningCloud) -> KeystoneWorld:
    return KeystoneWorld(cloud)


def _crud(path: str, word: str, plural: str, method: str = "PATCH", create: dict[str, Any] | None = None,
          update: dict[str, Any] | None = None, fresh: str = "", **options: Any) -> list[Case]:
    """The five samples that most resources have."""
    return [
        Case(f"POST /{path}", 201, send=f"admin/{word}-create-request", answer=f"admin/{word}-create-response", put=create or {},
             **options),
        Case(f"GET /{path}/{{{word}}}", answer=f"admin/{word}-show-response", **options),
        Case(f"{method} /{path}/{{{fresh or word}}}", send=f"admin/{word}-update-request", answer=f"admin/{word}-update-response",
             put=update or {}, **options),
        Case(f"GET /{path}", answer=f"admin/{plural}-list-response", needs=(word,), **options)]


NEW = "{each_name}"
ENVELOPE: Any = {"extra": {"config": "the sample leaves the envelope out"}, "missing": {
    name: "it is in the envelope" for name in ("ldap", "url", "driver")}}
LOG_IN = "POST /auth/tokens"
USER = {"auth/identity/password/user/id": "{admin}", "auth/identity/password/user/password": "{password}",
        "auth/identity/password/user/name": "admin", "auth/identity/token/id": "{each_unscoped}"}
APP = {"auth/identity/application_credential/id": "{plain_app}",
       "auth/identity/application_credential/name": "{each_plain_app_name}",
       "auth/identity/application_credential/user/id": "{admin}"}
PROJECT = {**USER, "auth/scope/project/id": "{admin_project}", "auth/scope/project/name": "admin",
           "auth/scope/domain/id": "{own_domain}", "auth/scope/domain/name": "{own_domain_name}"}
CASES: list[Case] = [
    *_crud("domains", "domain", "domains", create={"domain/name": NEW}),
    *_crud("projects", "project", "projects", create={"project/name": NEW}, update={"project/name": NEW},
           extra={"project.tags": OLDER}),
    Case("POST /projects", 201, send="admin/project-create-domain-request", put={"project/name": NEW}),
    Case("PATCH /projects/{each_project}", send="admin/project-enable-request"),
    Case("GET /projects/{project}?parents_as_list", answer="admin/project-show-parents-response", other={"parents": OLDER}),
    Case("GET /projects/{seen}?subtree_as_list", answer="admin/project-show-subtree-response", needs=("each_child_seen",)),
    Case("GET /projects/{project}/tags", answer="admin/project-tags-list-response", extra={"links": OLDER}),
    Case("PUT /projects/{each_project}/tags", send="admin/project-tags-update-request",
         answer="admin/project-tags-update-response",
         missing={"projects": OLDER}),
    *_crud("users", "user", "users", fresh="each_user", create={
        "user/name": NEW, "user/default_project_id": "{project}", "user/domain_id": "default", "user/federated": DROP},
        update={"user/default_project_id": "{project}"},
        missing={name: "federated users are absent; the others are a user's own" for name in (
            "federated", "email", "description", "default_project_id", "password_expires_at")}),
    Case("POST /users/{each_user}/password", 204, send="admin/user-password-update-request"),
    Case("GET /users/{user}/groups", answer="admin/user-groups-list-response", needs=("group",)),
    Case("GET /users/{admin}/projects", answer="admin/user-projects-list-response"),
    *_crud("groups", "group", "groups", create={"group/name": NEW}, update={"group/name": NEW}),
    *_crud("roles", "role", "roles", create={"role/name": NEW}, update={"role/name": NEW}, fresh="each_role"),
    *(Case(f"GET /{place}/{{{place[:-1]}}}/{kind}s/{{{kind}}}/roles", answer=f"admin/{name}", needs=("granted",))
      for place, kind, name in (("domains", "user", "domain-user-roles-list-response"),
                                ("domains", "user", "user-roles-domain-list-response"),
                                ("domains", "group", "domain-group-roles-list-response"),
                                ("domains", "group", "group-roles-domain-list-response"),
                                ("projects", "user", "project-user-roles-list-response"),
                                ("projects", "group", "project-group-roles-list-response"))),
    *(Case(f"GET /system/{kind}s/{{{kind}}}/roles", answer=f"admin/list-system-roles-for-{kind}-response", needs=("granted",))
      for kind in ("user", "group")),
    Case("GET /roles/{role}/implies", answer="admin/list-implied-roles-for-role-response", needs=("implied",)),
    Case("PUT /roles/{role}/implies/{each_role}", 201, answer="admin/create-role-inferences-response"),
    Case("GET /roles/{role}/implies/{implied}", answer="admin/get-role-inferences-response"),
    Case("GET /role_inferences", answer="admin/role-inferences-response", needs=("implied",),
         missing={name: "Keystone shows their names alone" for name in ("prior_role.description", "implies.*.description")}),
    Case("GET /role_assignments", answer="admin/role-assignments-list-response", needs=("granted",), 
         missing={name: "each assignment has its own" for name in (
             "scope.project", "scope.domain", "user", "group", "scope.OS-INHERIT:inherited_to")}),
    Case("GET /role_assignments?effective", answer="admin/role-assignments-effective-list-response", needs=("granted",)),
    Case("GET /role_assignments?scope.project.id={parent}&include_subtree=true", needs=("granted",),
         answer="admin/role-assignments-list-include-subtree-response"),
    *_crud("services", "service", "services", fresh="each_service"),
    *_crud("endpoints", "endpoint", "endpoints", create={"endpoint/service_id": "{service}"},
           update={"endpoint/service_id": "{service}", "endpoint/region_id": "RegionOne"}),
    *_crud("regions", "region", "regions", create={"region/id": NEW}),
    *_crud("credentials", "credential", "credentials", create={
        "credential/user_id": "{admin}", "credential/project_id": "{admin_project}",
        "credential/blob": '{"access":"{each_name}","secret":"secretKey"}'}),
    *_crud("policies", "policy", "policies", update={"policy/blob": "x"},
        other={name: "a text, as it was given" for name in ("policy.blob", "policies.*.blob")}),
    # ---- application credentials
    Case("POST /users/{admin}/application_credentials", 201, send="admin/application-credential-create-request",
         answer="admin/application-credential-create-response", put={
             "application_credential/name": NEW, "application_credential/expires_at": "2099-02-27T18:30:59Z",
             "application_credential/roles/0/name": "admin"}),
    Case("GET /users/{admin}/application_credentials/{app}", answer="admin/application-credential-get-response"),
    Case("GET /users/{admin}/application_credentials", answer="admin/application-credential-list-response", needs=("app",)),
    Case("GET /users/{admin}/access_rules/{access_rule}", answer="admin/access-rule-get-response"),
    Case("GET /users/{admin}/access_rules", answer="admin/access-rules-list-response", needs=("app",)),
    # ---- logging in
    *(Case(LOG_IN, 201, send=f"admin/auth-application-credential-{by}-request",
           answer="admin/auth-application-credential-response", put=APP) for by in ("id", "name")),
    *(Case(LOG_IN, 201, send=f"admin/auth-{how}-request", answer=answer, put=PROJECT) for how, answer in (
        ("password-explicit-unscoped", "admin/auth-password-explicit-unscoped-response"),
        ("password-unscoped", "admin/auth-password-unscoped-response"),
        ("token-explicit-unscoped", "admin/auth-token-unscoped-response"),
        ("token-unscoped", "admin/auth-token-unscoped-response"),
        ("token-scoped", "admin/auth-token-scoped-response"))),
    *(Case(LOG_IN, 201, send=f"admin/auth-password-{how}-request-with-domain", put=PROJECT) for how in (
        "system-scoped", "unscoped")),
    Case("POST /auth/tokens", 201, answer="admin/auth-password-project-scoped-response", body={"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"id": "{admin}", "password": "{password}"}}},
        "scope": {"project": {"id": "{admin_project}"}}}}),
    *(Case(LOG_IN, 201, send=f"auth/requests/{where}-{how}", put=PROJECT,
           answer=f"auth/responses/{where.split('-')[0]}-scoped-{how}")
      for where in ("project-id", "project-name", "domain-id", "domain-name", "system") for how in ("password", "token")),
    Case("POST /auth/tokens", 201, answer="auth/responses/unscoped-password", body={"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"id": "{admin}", "password": "{password}"}}}}}),
    Case("GET /auth/catalog", answer="admin/get-service-catalog-response"),
    Case("GET /auth/projects", answer="admin/get-available-project-scopes-response"),
    Case("GET /auth/domains", answer="admin/get-available-domain-scopes-response", needs=("own_domain",)),
    Case("GET /auth/system", answer="admin/get-available-system-scopes-response"),
    Case("GET ../", 300, answer="admin/identity-versions-response"),
    Case("GET /", answer="admin/identity-version-response"),
    # ---- limits
    Case("POST /registered_limits", 201, send="admin/registered-limits-create-request",
         answer="admin/registered-limits-create-response", put={
             "registered_limits/0/service_id": "{service}", "registered_limits/1/service_id": "{service}",
             "registered_limits/0/resource_name": NEW, "registered_limits/1/resource_name": NEW}),
    Case("GET /registered_limits/{registered}", answer="admin/registered-limit-show-response"),
    Case("GET /registered_limits", answer="admin/registered-limits-list-response", needs=("registered",)),
    Case("PATCH /registered_limits/{each_registered}", send="admin/registered-limits-update-request",
         answer="admin/registered-limits-update-response", put={
             "registered_limit/service_id": "{service}", "registered_limit/resource_name": NEW}),
    Case("POST /limits", 201, send="admin/limits-create-request", answer="admin/limits-create-response",
         needs=("registered",), put={
        "limits/0/service_id": "{service}", "limits/1/service_id": "{service}", "limits/0/project_id": "{parent}",
        "limits/1/domain_id": "{domain}"}),
    Case("GET /limits/{limit}", answer="admin/limit-show-response"),
    Case("GET /limits", answer="admin/limits-list-response", needs=("limit",)),
    Case("PATCH /limits/{limit}", send="admin/limits-update-request", answer="admin/limits-update-response"),
    Case("GET /limits/model", answer="admin/limit-flat-model-response"),
    # ---- a domain's configuration
    Case("PUT /domains/{each_domain}/config", 201, send="admin/domain-config-create-request",
         answer="admin/domain-config-create-response"),
    Case("GET /domains/{each_configured}/config", answer="admin/domain-config-show-response"),
    Case("PATCH /domains/{each_configured}/config", send="admin/domain-config-update-request",
         answer="admin/domain-config-update-response"),
    Case("GET /domains/{each_configured}/config/ldap", answer="admin/domain-config-group-show-response", **ENVELOPE),
    Case("PATCH /domains/{each_configured}/config/ldap", send="admin/domain-config-group-update-request",
         answer="admin/domain-config-group-update-response"),
    Case("PATCH /domains/{each_configured}/config/ldap", send="admin/domain-group-update-request"),
    Case("GET /domains/{each_configured}/config/ldap/url", answer="admin/domain-config-group-option-show-response", **ENVELOPE),
    Case("PATCH /domains/{each_configured}/config/ldap/url", send="admin/domain-config-group-option-update-request",
         answer="admin/domain-config-group-option-update-response", put={"url": DROP, "+config": {"url": "http://x/"}}),
    Case("GET /domains/config/ldap/url/default", answer="admin/domain-config-group-option-default-response", **ENVELOPE),
]
ABSENT: list[Absent] = [
    Absent("auth/*totp*", LOG_IN, "no TOTP", 401, {"auth": {"identity": {"methods": ["totp"], "totp": {"user": {
        "id": "{admin}", "passcode": "1"}}}}}),
    Absent("auth/responses/auth-receipt-password", LOG_IN, "the receipt's second method would be TOTP", 401, {"auth": {
        "identity": {"methods": ["totp"], "totp": {"user": {"id": "{admin}", "passcode": "1"}}}}}),
]


def _ask(world: KeystoneWorld) -> Any:
    def ask(method: str, path: str, body: Any, headers: dict[str, str], plain: bool) -> httpx.Response:
        return world.http.request(method, "/identity/" if path == "../" else "/identity/v3" + path, json=body, headers=headers)
    return ask


@pytest.mark.parametrize("case, version", parameters(BOOK, CASES))
def test_answer_is_as_in_the_sample(world: KeystoneWorld, case: Case, version: Version) -> None:
    check(BOOK, case, version, world, RULES, _ask(world))


@pytest.mark.parametrize("entry", ABSENT, ids=lambda entry: entry.samples)
def test_what_is_listed_as_absent_is_absent(world: KeystoneWorld, entry: Absent) -> None:
    method, _, path = entry.request.partition(" ")
    answer = world.http.request(method, "/identity/v3" + world.fill(path), json=world.fill(entry.body))
    assert answer.status_code == entry.status, answer.text


def test_no_sample_is_forgotten() -> None:
    tally = Tally(BOOK, CASES, ABSENT, (0, 0))
    print(f"keystone: {tally.line}")
    assert not tally.forgotten, "\n".join(sorted(tally.forgotten))
