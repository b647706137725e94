"""Check 30: a cloud at its most talkative, used with every secret there is, has none of them in its logs."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
from pathlib import Path

import httpx
import msgspec
import pytest

from running import ADMIN_PASSWORD, PATIENCE, free_port, wait_until


@pytest.mark.skipif(os.environ.get("HANEUL_TEST_DATABASE", "").startswith("postgresql"), reason="the same log")
def test_30_no_secret_is_logged_CVE_2019_14433_CVE_2015_9543(tmp_path: Path) -> None:
    port = free_port()
    settings = {"api": {"port": port}, "identity": {"admin_password": ADMIN_PASSWORD, "bcrypt_rounds": 4},
                "host": {"name": "host-1", "hypervisor": "fake", "fabric": "fake"}, "log": {"level": "debug"}}
    (tmp_path / "chosen.json").write_bytes(msgspec.json.encode(settings))
    (tmp_path / "run").mkdir()
    (tmp_path / "cloud-id").write_text("abcd1234\n")
    agent_secret = secrets.token_hex(32)
    (tmp_path / "agent-secret").write_text(agent_secret + "\n")
    log = tmp_path / "all.log"
    with open(log, "wb") as output:
        programs = [subprocess.Popen([sys.executable, "-m", module, "--state", str(tmp_path), *more],
                                     stdout=output, stderr=output)
                    for module, more in (("haneul.host.agent", ()), ("haneul.control", ("--stay-root",)))]
        try:
            hidden = used(f"http://127.0.0.1:{port}")
        finally:
            for program in programs:
                program.terminate()
            for program in programs:
                program.wait(20)
    text = log.read_text(errors="replace")
    assert "POST" in text and len(text) > 5000, "the log has something to say"
    found = [name for name, value in {**hidden, "agent secret": agent_secret}.items() if value in text]
    assert not found, f"in the log: {found}"


def up(url: str) -> bool:
    try:
        return httpx.get(url + "/identity/v3").status_code == 200
    except httpx.HTTPError:
        return False


def used(url: str) -> dict[str, str]:
    """Goes everywhere that a secret goes, well and badly; the secrets by name."""
    wait_until(lambda: up(url), PATIENCE, "the control plane")
    hidden = {name: f"SECRET-{name}-{secrets.token_hex(8)}" for name in (
        "password", "new-password", "wrong-password", "wrong-token", "blob", "user-data", "admin-pass", "key-data")}
    hidden["administrator"] = ADMIN_PASSWORD

    def log_in(name: str, password: str) -> httpx.Response:
        return httpx.post(url + "/identity/v3/auth/tokens", json={"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": name, "domain": {"id": "default"}, "password": password}}},
            "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}})

    answer = log_in("admin", ADMIN_PASSWORD)
    assert answer.status_code == 201
    hidden["token"] = answer.headers["X-Subject-Token"]
    api = httpx.Client(base_url=url, timeout=60, headers={
        "X-Auth-Token": hidden["token"], "OpenStack-API-Version": "compute 2.79"})
    log_in("admin", hidden["wrong-password"])
    httpx.get(url + "/compute/v2.1/servers", headers={"X-Auth-Token": hidden["wrong-token"]})
    api.get("/identity/v3/auth/tokens", headers={"X-Subject-Token": hidden["token"]})
    me = answer.json()["token"]["user"]["id"]
    user = api.post("/identity/v3/users", json={"user": {"name": "u", "password": hidden["password"]}}).json()["user"]["id"]
    api.post(f"/identity/v3/users/{user}/password", json={"user": {
        "original_password": hidden["password"], "password": hidden["new-password"]}})
    api.patch(f"/identity/v3/users/{user}", json={"user": {"password": hidden["password"], "enabled": "maybe"}})
    made = api.post(f"/identity/v3/users/{me}/application_credentials", json={"application_credential": {"name": "a"}}).json()
    hidden["application credential"] = made["application_credential"]["secret"]
    httpx.post(url + "/identity/v3/auth/tokens", json={"auth": {"identity": {
        "methods": ["application_credential"], "application_credential": {
            "id": made["application_credential"]["id"], "secret": hidden["application credential"]}}}})
    api.post("/identity/v3/credentials", json={"credential": {"user_id": me, "type": "t", "blob": hidden["blob"]}})
    network = api.post("/network/v2.0/networks", json={"network": {"name": "n"}}).json()["network"]["id"]
    api.post("/network/v2.0/subnets", json={"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.3.0.0/24"}})
    image = api.post("/image/v2/images", json={"name": "i", "disk_format": "raw", "container_format": "bare"}).json()["id"]
    api.put(f"/image/v2/images/{image}/file", content=b"x", headers={"Content-Type": "application/octet-stream"})
    wanted = {"name": "f", "ram": 64, "vcpus": 1, "disk": 1}
    flavor = api.post("/compute/v2.1/flavors", json={"flavor": wanted}).json()["flavor"]["id"]
    key = api.post("/compute/v2.1/os-keypairs", json={"keypair": {"name": "k"}}).json()["keypair"]
    hidden["private key"] = key["private_key"].splitlines()[2]
    hidden["user data as sent"] = base64.b64encode(hidden["user-data"].encode()).decode()
    body = {"name": "s", "flavorRef": flavor, "imageRef": image, "networks": [{"uuid": network}], "key_name": "k",
            "user_data": hidden["user data as sent"], "adminPass": hidden["admin-pass"], "config_drive": True,
            "personality": [{"path": "/x", "contents": hidden["key-data"]}]}
    api.post("/compute/v2.1/servers", json={"server": body})  # refused: personality is no more
    del body["personality"]
    server = api.post("/compute/v2.1/servers", json={"server": body}).json()["server"]["id"]
    wait_until(lambda: api.get(f"/compute/v2.1/servers/{server}").json()["server"]["status"] == "ACTIVE", 30, "the server")
    screen = api.post(f"/compute/v2.1/servers/{server}/remote-consoles", json={
        "remote_console": {"protocol": "vnc", "type": "novnc"}}).json()["remote_console"]["url"]
    hidden["screen token"] = screen.rpartition("token%3D")[2]
    httpx.get(screen)
    httpx.get(f"{url}/compute/vnc?token={hidden['screen token']}")
    api.delete(f"/compute/v2.1/servers/{server}")
    wait_until(lambda: api.get(f"/compute/v2.1/servers/{server}").status_code == 404, 30, "the end")
    api.delete("/identity/v3/auth/tokens", headers={"X-Subject-Token": hidden["token"]})
    return hidden
