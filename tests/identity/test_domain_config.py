"""Configuration of domains: what may be set, and that secrets are never shown."""

from __future__ import annotations

from typing import Any

LDAP = {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://192.0.2.1", "user_tree_dn": "ou=Users", "password": "secret"}}
SHOWN = {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://192.0.2.1", "user_tree_dn": "ou=Users"}}


def test_a_domains_configuration(world: Any) -> None:
    path = f"/domains/{world.domain()['id']}/config"
    world.get(path, 404)
    assert world.call("PUT", path, 201, {"config": LDAP})["config"] == SHOWN
    assert world.call("PUT", path, 200, {"config": LDAP})["config"] == SHOWN
    assert world.get(path)["config"] == SHOWN
    assert world.get(path + "/ldap")["config"] == {"ldap": SHOWN["ldap"]}
    assert world.get(path + "/ldap/url")["config"] == {"url": "ldap://192.0.2.1"}
    world.get(path + "/ldap/password", 404)
    changed = world.call("PATCH", path + "/ldap/url", 200, {"config": {"url": "ldap://192.0.2.2"}})["config"]
    assert changed["ldap"] == {**SHOWN["ldap"], "url": "ldap://192.0.2.2"} and changed["identity"] == SHOWN["identity"]
    world.call("PATCH", path + "/ldap/suffix", 404, {"config": {"suffix": "x"}})
    world.call("PATCH", path + "/ldap", 403, {"config": {"identity": {"driver": "sql"}}})
    for bad in ({}, {"ldap": {}}, {"ldap": "x"}, {"database": {"connection": "x"}}, {"ldap": {"colour": "red"}}):
        world.call("PUT", path, 403, {"config": bad})
    world.get(path + "/database", 403)
    world.call("DELETE", path + "/ldap/url", 204)
    world.get(path + "/ldap/url", 404)
    world.call("DELETE", path, 204)
    world.get(path, 404)


def test_defaults_are_keystones(world: Any) -> None:
    config = world.get("/domains/config/default")["config"]
    assert config["identity"]["driver"] == "sql" and config["ldap"]["url"] == "ldap://localhost"
    assert world.get("/domains/config/identity/default")["config"] == {"identity": {"driver": "sql", "list_limit": None}}
    assert world.get("/domains/config/ldap/page_size/default")["config"] == {"page_size": 0}
    world.get("/domains/config/ldap/password/default", 403)


def test_everybody_may_know_what_a_password_must_be(world: Any) -> None:
    _, _, token = world.somebody("reader")
    answer = world.client(token).get("/domains/default/config/security_compliance")
    assert answer.json() == {"config": {"security_compliance": {"password_regex": None, "password_regex_description": None}}}
    assert world.client(token).get("/domains/default/config/security_compliance/password_regex").status_code == 200
    assert world.client(token).get("/domains/default/config/security_compliance/lockout_duration").status_code == 403
    assert world.client(token).get("/domains/default/config").status_code == 403
