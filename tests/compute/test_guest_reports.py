"""What guests are told, and what the cloud notices of them by itself."""

from __future__ import annotations

import base64
import hmac
import time
from hashlib import sha256

import httpx
import pytest
from compute_world import Boot, Nova

from running import RunningCloud, wait_until


class Guest:
    """Asks the metadata service as the agent of the guest's host would."""

    def __init__(self, cloud: RunningCloud, port_id: str) -> None:
        self.secret = cloud.paths.agent_secret.read_text().strip().encode()
        self.port_id = port_id
        self.http = httpx.Client(base_url=cloud.url)

    def ask(self, path: str, method: str = "GET", *, at: float | None = None, secret: bytes | None = None,
            content: bytes | None = None) -> httpx.Response:
        stamp = str(at if at is not None else time.time())
        signature = hmac.new(secret or self.secret, f"{self.port_id}\n{stamp}".encode(), sha256).hexdigest()
        return self.http.request(method, "/metadata-proxy" + path, content=content, headers={
            "X-Haneul-Port-Id": self.port_id, "X-Haneul-Timestamp": stamp, "X-Haneul-Signature": signature})


@pytest.fixture
def guest(cloud: RunningCloud, nova: Nova, boot: Boot) -> Guest:
    nova.call("POST", "/os-keypairs", {"keypair": {"name": "guest"}}, version="2.91")
    server = boot(name="guest", key_name="guest", user_data=base64.b64encode(b"hello").decode(), metadata={"a": "b"})
    port = nova.get(f"/servers/{server['id']}/os-interface")["interfaceAttachments"][0]["port_id"]
    found = Guest(cloud, port)
    found.id = server["id"]  # type: ignore[attr-defined]
    nova.call("DELETE", "/os-keypairs/guest")
    return found


def test_openstack_layout(guest: Guest) -> None:
    assert "latest" in guest.ask("/openstack").text.split()
    data = guest.ask("/openstack/latest/meta_data.json").json()
    assert data["name"] == "guest" and data["hostname"] == "guest.novalocal" and data["meta"] == {"a": "b"}
    assert data["public_keys"]["guest"].startswith("ssh-rsa ")
    assert guest.ask("/openstack/latest/user_data").content == b"hello"
    network = guest.ask("/openstack/latest/network_data.json").json()
    assert network["links"][0]["vif_id"] == guest.port_id and network["networks"][0]["type"] == "ipv4_dhcp"
    assert guest.ask("/openstack/latest/nonsense").status_code == 404


def test_ec2_layout(guest: Guest) -> None:
    assert "public-ipv4" in guest.ask("/latest/meta-data/").text.split("\n")
    assert guest.ask("/2009-04-04/meta-data/local-ipv4").text.startswith("10.77.")
    assert guest.ask("/latest/meta-data/public-keys/").text == "0=guest"
    assert guest.ask("/latest/meta-data/public-keys/0/openssh-key").text.startswith("ssh-rsa ")
    assert guest.ask("/latest/meta-data/public-ipv4").text == ""
    assert guest.ask("/latest/user-data").content == b"hello"


def test_a_password_is_left_once(guest: Guest, nova: Nova) -> None:
    assert guest.ask("/openstack/latest/password", "POST", content=b"secret").status_code == 200
    assert guest.ask("/openstack/latest/password", "POST", content=b"other").status_code == 409
    assert nova.get(f"/servers/{guest.id}/os-server-password") == {"password": "secret"}  # type: ignore[attr-defined]


def test_only_agents_may_ask(guest: Guest) -> None:
    assert guest.ask("/openstack", secret=b"wrong").status_code == 403
    assert guest.ask("/openstack", at=time.time() - 3600).status_code == 403
    assert httpx.get(str(guest.http.base_url) + "/metadata-proxy/openstack").status_code == 403


def _happens(cloud: RunningCloud, id: str, power: str, reason: str = "") -> None:
    agent = httpx.Client(transport=httpx.HTTPTransport(uds=str(cloud.paths.agent_socket)), base_url="http://agent")
    assert agent.post("/v1/fake/power", json={"id": id, "power": power, "reason": reason}).status_code == 200


def test_a_guest_that_turns_itself_off_is_shutoff(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    id = boot()["id"]
    time.sleep(1.1)
    _happens(cloud, id, "off")
    assert nova.wait(id, "SHUTOFF")["OS-EXT-STS:power_state"] == 4
    nova.action(id, "os-start", status=202)
    nova.wait(id, "ACTIVE")


def test_a_guest_that_crashes_is_noticed(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    id = boot()["id"]
    time.sleep(1.1)
    _happens(cloud, id, "crashed", "killed by signal 9")
    assert nova.wait(id, "SHUTOFF")["OS-EXT-STS:power_state"] == 6
    nova.action(id, "reboot", {"type": "HARD"}, status=202)
    nova.wait(id, "ACTIVE")


def test_servers_that_are_gone_from_their_host_are_started_again(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    from haneul.fleet.agents import Agents
    id = boot()["id"]
    time.sleep(1.1)
    cloud.cloud.get(Agents).of("host-1").hypervisor.forget(id)
    wait_until(lambda: "start" in {row["action"] for row in nova.get(f"/servers/{id}/os-instance-actions")["instanceActions"]})
    nova.wait(id, "ACTIVE")
    assert cloud.cloud.get(Agents).of("host-1").hypervisor.server(id).power == "running"


def test_leaks_are_mended_and_shown(nova: Nova, cloud: RunningCloud) -> None:
    from haneul.fleet.agents import Agents
    agent = cloud.cloud.get(Agents).of("host-1")
    agent.disks.create("99999999-0000-4000-8000-000000000001", "root", "qcow2", 1 << 30)
    assert cloud.cloud.reconcilers.run_once("compute.leaks") >= 1
    assert not [disk for disk in agent.disks.disks() if disk.server_id.startswith("99999999")]
    leaks = nova.http.get("/haneul/v1/status").json()["status"]["leaks"]
    assert {"kind": "disk", "host": "host-1", "mended": True}.items() <= leaks[0].items()
