"""Checks 13, 16 and 18: every route there is, as everybody, with the ids of what somebody else owns.

Nothing here knows a single route: the table says what there is, the policy who may, and the checks hold for all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from running import RunningCloud
from security.bodies import LONG, MODES, body_of
from security.route_world import Entry, Things, entries

# Routes without a rule, and why nobody needs one there.
WITHOUT_RULE = {
    "POST /identity/v3/auth/tokens": "whoever logs in has no token yet",
    "POST /identity/v3/users/{user_id}/password": "proven by the old password, which may have expired",
    "POST /identity/v3/OS-OAUTH1/request_token": "signed by the consumer",
    "POST /identity/v3/OS-OAUTH1/access_token": "signed by the consumer, with the request token's secret",
    "GET /metadata-proxy": "guests have no tokens; signed by their host's agent",
    "GET /metadata-proxy/{rest:path}": "guests have no tokens; signed by their host's agent",
    "POST /metadata-proxy/{rest:path}": "guests have no tokens; signed by their host's agent"}
# What a reader may change: what is its own alone, as OpenStack has it.
READERS_OWN = {"identity:create_credential", "identity:create_application_credential", "identity:delete_application_credential",
               "identity:delete_access_rule", "identity:create_trust", "identity:update_credential", "identity:delete_credential",
               "identity:revoke_token", "identity:revoke_tokens_for_user", "os_compute_api:os-keypairs:create",
               "os_compute_api:os-keypairs:delete",
               "volume_extension:volume_image_metadata:show"}  # reads, though by POST
QUERIES = ("limit=-1&marker=%00", "limit=many", "sort_key=password&sort_dir=sideways", "marker=nothing", "fields=__class__",
           "changes-since=yesterday", f"name={LONG}", "all_tenants=perhaps", "name=%FF%FE", "page_reverse=maybe&limit=1",
           "x=1&" * 300, "resources=VCPU:x", "in_tree=x&member_of=!in:", "ip=(((&name=[", "created_at=like:%25", "enabled=2",
           "tags=,,,&not-tags=,", "fixed_ips=ip_address%3D", "changed_since=now", "mtu=99999999999999999999&port=1", "id=%00",
           "revision_number=9999999999999999999999", "segmentation_id=99999999999", "min_ram=99999999999&minRam=99999999999",
           "size_min=99999999999999999999", "user_id=9999999999999999999999&memory_mb=99999999999", "start=x&end=y&detailed=z")


@pytest.fixture(scope="module")
def own_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud of its own: what an administrator may delete here, others would miss."""
    running = RunningCloud(tmp_path_factory.mktemp("routes"), {"log": {"level": "error"}}).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def things(own_cloud: RunningCloud) -> Things:
    return Things(own_cloud)


@pytest.fixture(scope="module")
def table(own_cloud: RunningCloud) -> list[Entry]:
    return entries(own_cloud)


def ask(client: httpx.Client, entry: Entry, ids: dict[str, str], *, query: str = "", body: Any = None,
        content: bytes | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
    if content is None and body is None and entry.route.method in ("POST", "PUT", "PATCH"):
        body = body_of(entry, "right")
    return client.request(entry.route.method, entry.path(ids) + (f"?{query}" if query else ""), content=content,
                          json=body if content is None else None,
                          headers={"Content-Type": "application/json", **entry.headers(), **(headers or {})})


def all_of(found: list[str]) -> None:
    """One report of everything that is wrong, not of the first."""
    assert not found, f"{len(found)}:\n" + "\n".join(found)


def is_ok(answer: httpx.Response) -> bool:
    return answer.status_code < 400


def test_18_no_route_without_a_rule(own_cloud: RunningCloud, table: list[Entry]) -> None:
    assert {str(entry) for entry in table if entry.route.rule is None} == set(WITHOUT_RULE)
    assert {str(entry) for entry in table if entry.route.anonymous} == set(WITHOUT_RULE)
    all_of([f"{entry}: {entry.route.rule} is no rule" for entry in table
            if entry.route.rule is not None and entry.route.rule not in own_cloud.cloud.policy.rules])


def test_18_everything_that_paths_name_was_made(things: Things, table: list[Entry]) -> None:
    """Else the checks below would say little about a route that is new."""
    all_of([f"{entry}: nothing for {name}" for entry in table for name in entry.names if entry.value(name, things.ids) is None])


@pytest.mark.parametrize("token", [None, "", "gAAAAABnonsense", "a" * 3000])
def test_18_nobody_passes_without_a_token(own_cloud: RunningCloud, things: Things, table: list[Entry], token: str | None) -> None:
    client = httpx.Client(base_url=own_cloud.url, headers={} if token is None else {"X-Auth-Token": token})
    all_of([f"{entry}: {answer.status_code}" for entry in table if entry.route.rule is not None
            for answer in [ask(client, entry, things.ids)] if answer.status_code != 401])


def test_16_identity_headers_open_nothing_CVE_2026_22797(own_cloud: RunningCloud, things: Things, table: list[Entry]) -> None:
    forged = {"X-User-Id": things.ids["user_id"], "X-Roles": "admin", "X-Project-Id": things.ids["project_id"],
              "X-Identity-Status": "Confirmed", "OpenStack-System-Scope": "all", "X-Service-Roles": "service",
              "X-Service-Identity-Status": "Confirmed", "X-Is-Admin-Project": "True", "REMOTE_USER": "admin",
              "Forwarded": "for=127.0.0.1", "X-Forwarded-For": "127.0.0.1"}
    nobody = httpx.Client(base_url=own_cloud.url)
    found = [f"{entry}: {answer.status_code}" for entry in table if entry.route.rule is not None
             for answer in [ask(nobody, entry, things.ids, headers=forged)] if answer.status_code != 401]
    reader = own_cloud.http("reader")
    for entry in table:
        if entry.route.rule is not None and entry.route.method == "GET":
            plain, dressed = (ask(reader, entry, things.ids, headers=more).status_code for more in ({}, forged))
            if plain != dressed:
                found.append(f"{entry}: {plain}, with forged headers {dressed}")
    all_of(found)


@pytest.mark.parametrize("persona", ["other", "nobody"])
def test_18_foreign_objects_are_as_if_they_were_not(own_cloud: RunningCloud, things: Things, table: list[Entry],
                                                    persona: str) -> None:
    """What somebody else owns answers like what does not exist: the same status, and never success."""
    client, found = own_cloud.http(persona), []
    for entry in table:
        if entry.route.rule is None or not things.is_owned(entry):
            continue
        answer, nothing = ask(client, entry, things.ids), ask(client, entry, things.nowhere())
        if answer.status_code not in (403, 404):
            found.append(f"{entry}: {answer.status_code} {answer.text[:100]}")
        elif answer.status_code != nothing.status_code:
            found.append(f"{entry}: {answer.status_code} tells from {nothing.status_code} that there is something")
    all_of(found)


def test_18_what_the_owner_sees_is_404_to_others(own_cloud: RunningCloud, things: Things, table: list[Entry]) -> None:
    member, other, seen, found = own_cloud.http("member"), own_cloud.http("other"), 0, []
    for entry in table:
        if entry.route.method == "GET" and things.is_owned(entry) and is_ok(ask(member, entry, things.ids)):
            seen += 1
            status = ask(other, entry, things.ids).status_code
            if status != 404:
                found.append(f"{entry}: {status}")
    all_of(found)
    assert seen > 25


def test_18_lists_show_nothing_foreign(own_cloud: RunningCloud, things: Things, table: list[Entry]) -> None:
    """Whatever filter asks for it."""
    public = ("agent_id", "compute.service_id", "hypervisor_id", "flavor_id", "group_type_id", "type_id", "request_id",
              "template_id", "network.flavor_id", "domain_id",
              "identity.registered_limit_id", "identity.service_id", "endpoint_id")  # the last two: the catalog is everybody's
    secrets = {name: value for name, value in things.ids.items()
               if len(value) >= 32 and "0e0e0e0e" not in value and set(value) != {"0"} and name not in public}
    project, user = things.ids["project_id"], things.ids["user_id"]
    queries = (
        "", "all_tenants=1", f"project_id={project}", f"tenant_id={project}&all_tenants=True", f"user_id={user}",
        f"owner={project}&visibility=all&member_status=all", f"network_id={things.ids['network_id']}",
        f"device_id={things.ids['server_id']}", f"id={things.ids['network_id']}", "shared=False",
        f"target_tenant={project}")
    found = []
    for persona in ("other", "nobody"):
        client = own_cloud.http(persona)
        for entry in table:
            if entry.route.method != "GET" or entry.route.rule is None or entry.names:
                continue
            for query in queries:
                answer = ask(client, entry, things.ids, query=query)
                shown = [name for name, value in secrets.items()
                         if is_ok(answer) and value in answer.text.replace(f"?{query}", "") and value not in query]
                if shown:
                    found.append(f"{persona} {entry}?{query}: shows {shown}")
    all_of(found)


@pytest.mark.parametrize("persona", ["reader", "nobody"])
def test_18_readers_change_nothing(own_cloud: RunningCloud, things: Things, table: list[Entry], persona: str) -> None:
    client, found = own_cloud.http(persona), []
    for entry in table:
        if entry.route.method in ("GET", "HEAD") or entry.route.rule is None or entry.route.rule in READERS_OWN:
            continue
        answer = ask(client, entry, things.ids)
        if answer.status_code not in (400, 403, 404):
            found.append(f"{entry}: {answer.status_code} {answer.text[:100]}")
    all_of(found)


def _decisions(cloud: RunningCloud, persona: str, things: Things, entry: Entry) -> bool:
    """Whether the policy grants the rule to the persona in its own project."""
    from haneul.identity import authenticate
    context = authenticate(cloud.cloud, cloud.connect(persona).auth_token)
    assert context is not None
    own = {"project_id": context.project_id, "user_id": context.user_id, "domain_id": context.domain_id}
    return cloud.cloud.policy.allows(entry.route.rule, context, own)


@pytest.mark.parametrize("persona", ["manager", "member", "reader", "nobody", "other"])
def test_18_the_rule_decides(own_cloud: RunningCloud, things: Things, table: list[Entry], persona: str) -> None:
    """Where a route has no target of its own, the rule against the caller's project is the whole answer to 403 or not."""
    client, found = own_cloud.http(persona), []
    for entry in table:
        if entry.route.rule is None or entry.route.target is not None or entry.route.method in ("DELETE",):
            continue
        status = ask(client, entry, things.nowhere()).status_code
        granted = _decisions(own_cloud, persona, things, entry)
        if not granted and status not in (400, 403, 404):  # 400: a body is read before an action has a name
            found.append(f"{entry}: {status} though {entry.route.rule} denies it")
        if not granted and entry.route.action is None and status != 403:
            found.append(f"{entry}: {status}, not 403, though {entry.route.rule} denies it")
    all_of(found)


FORGED: dict[str, Any] = {
    "is_admin": True, "is_admin_project": True, "roles": ["admin"], "role": "admin", "system_scope": "all", "all_tenants": True,
    "service_roles": ["service"]}


@pytest.mark.parametrize("persona", ["other", "reader", "nobody"])
def test_13_forged_targets_change_no_decision_CVE_2026_42999(own_cloud: RunningCloud, things: Things, table: list[Entry],
                                                             persona: str) -> None:
    client, found, tried = own_cloud.http(persona), [], 0
    mine = own_cloud.connect(persona)
    project, user = str(mine.current_project_id), str(mine.current_user_id)
    claim = {**FORGED, "project_id": project, "tenant_id": project, "owner": project, "user_id": user, "id": project}
    target = {"target": {**claim, "project": claim, "user": {**claim, "id": user}, "server": claim, "image": claim},
              "target.project_id": project, "target.project.id": project, "target.user.id": user, **claim}
    query = "&".join(f"{name}={value}" for name, value in target.items() if isinstance(value, str))
    for entry in table:
        if entry.route.rule is None or entry.route.rule in READERS_OWN:
            continue
        plain = ask(client, entry, things.ids).status_code
        if plain not in (403, 404):
            continue
        body = body_of(entry, "right") if entry.route.method in ("POST", "PUT", "PATCH") else {}
        if isinstance(body, dict):
            body = {**target, **{name: {**value, **target} if isinstance(value, dict) else value for name, value in body.items()}}
            if entry.route.action:
                body = {entry.route.action: body[entry.route.action]}
        tried += 1
        for more in ({"query": query}, {"body": body}, {"query": query, "body": body}):
            status = ask(client, entry, things.ids, **more).status_code
            if status not in (400, 403, 404):
                found.append(f"{entry}: {plain} became {status} with forged {' and '.join(more)}")
    all_of(found)
    assert tried > 120


# ---------------------------------------------------------------- bad input


CONTENTS = {
    "empty": b"{}", "broken": b'{"a": ', "list": b"[]", "word": b'"word"', "bytes": b"\xff\xfe\x00", "nothing": b"",
    "surrogate": b'{"name": "\\ud800"}', "deep": b"[" * 5000 + b"]" * 5000, "nan": b'{"a": NaN}'}
STRANGE_IDS = {"odd": "%00%0a..%2f" + LONG, "huge": "9" * 40, "big": "99999999999", "negative": "-1"}


def hostile(entry: Entry) -> Iterator[tuple[str, dict[str, Any]]]:
    if entry.route.method in ("POST", "PUT", "PATCH"):
        for mode in MODES:
            yield mode, {"content": json.dumps(body_of(entry, mode)).encode()}
        for name, content in CONTENTS.items():
            yield name, {"content": content}
        if entry.route.action:
            yield "no action", {"content": b'{"%s": null, "other": null}' % entry.route.action.encode()}
            yield "null action", {"content": b'{"%s": null}' % entry.route.action.encode()}
    elif not entry.names:
        for query in QUERIES:
            yield query[:40], {"query": query}


@pytest.mark.parametrize("persona", ["member", "admin"])
def test_no_input_is_an_internal_error(own_cloud: RunningCloud, table: list[Entry], persona: str) -> None:
    """501 is an honest word; 503 says that a host does not answer, which is so for none here."""
    things, client, found = Things(own_cloud), own_cloud.http(persona), []
    for entry in sorted(table, key=lambda entry: entry.route.method == "DELETE"):
        tries = [(name, things.ids, options) for name, options in hostile(entry)]
        tries += [(name, dict.fromkeys(things.ids, id), {}) for name, id in STRANGE_IDS.items() if entry.names]
        for name, ids, options in [*tries, ("what is right", things.ids, {})]:
            answer = ask(client, entry, ids, **options)
            if answer.status_code >= 500 and answer.status_code != 501:
                found.append(f"{entry} with {name}: {answer.status_code} {answer.text[:120]}")
    all_of(found)


def test_long_names_are_refused_or_kept_whole(own_cloud: RunningCloud, things: Things) -> None:
    """256 characters are one too many, where OpenStack's column has 255; what is taken is not cut."""
    client = own_cloud.http("admin")
    for path, word, more in (
            ("/compute/v2.1/flavors", "flavor", {"ram": 64, "vcpus": 1, "disk": 1}),
            ("/compute/v2.1/os-aggregates", "aggregate", {}), ("/compute/v2.1/os-keypairs", "keypair", {}),
            ("/compute/v2.1/os-server-groups", "server_group", {"policies": ["affinity"]}),
            ("/compute/v2.1/servers", "server", {"flavorRef": things.ids["flavor_id"], "imageRef": things.ids["image_id"],
                                                 "networks": [{"uuid": things.ids["network_id"]}]}),
            ("/network/v2.0/networks", "network", {}), ("/network/v2.0/routers", "router", {}),
            ("/network/v2.0/security-groups", "security_group", {}),
            ("/network/v2.0/ports", "port", {"network_id": things.ids["network_id"]}),
            ("/identity/v3/users", "user", {"password": "pw"}), ("/identity/v3/roles", "role", {}),
            ("/identity/v3/groups", "group", {}), ("/image/v2/images", "", {})):
        body = {"name": "n" * 256, **more}
        answer = client.post(path, json={word: body} if word else body)
        assert answer.status_code == 400, (path, answer.status_code, answer.text)


def test_bodies_are_bounded_everywhere(own_cloud: RunningCloud, things: Things, table: list[Entry]) -> None:
    """A body that says how large it is need not be sent to be refused."""
    client, found = own_cloud.http("admin"), []
    limit = own_cloud.cloud.config.api.max_body_bytes
    large = b'{"a": "' + b"x" * limit + b'"}'
    for entry in table:
        if entry.route.method in ("POST", "PUT", "PATCH") and not entry.route.stream:
            status = ask(client, entry, things.ids, content=large).status_code
            if status != 413:
                found.append(f"{entry}: {status}")
    all_of(found)


def test_unknown_microversions_are_406_with_the_range(own_cloud: RunningCloud) -> None:
    client = own_cloud.http("admin")
    for service in own_cloud.cloud.services:
        if service.microversions is None:
            continue
        for version, status in (("99.99", 406), ("0.1", 406), ("nonsense", 400), ("2", 400), ("-1.-1", 400), ("1.0.0", 400)):
            root = {"compute": "/servers", "placement": "/traits", "block-storage": "/volumes"}[service.type]
            name = service.microversions.service_type
            answer = client.get(service.prefix + root, headers={"OpenStack-API-Version": f"{name} {version}"})
            assert answer.status_code == status, (service.type, version, answer.status_code, answer.text)
            assert re.search(r"\d\.\d+", answer.text) or status == 400
