"""Every action on a server, on fake hosts: states before, between and after, and what refuses it."""

from __future__ import annotations

from typing import Any

import pytest
from compute_world import Boot, Nova

from haneul.host.disks import qcow2
from running import RunningCloud, wait_until


def states(server: dict[str, Any]) -> tuple[str, Any, int]:
    return server["status"], server["OS-EXT-STS:task_state"], server["OS-EXT-STS:power_state"]


def test_a_server_becomes_active_with_an_address(boot: Boot) -> None:
    server = boot()
    assert states(server) == ("ACTIVE", None, 1)
    assert server["OS-EXT-SRV-ATTR:host"] == "host-1"
    assert [address["version"] for address in server["addresses"]["compute-net"]] == [4]
    assert server["OS-SRV-USG:launched_at"]


def test_stop_and_start(nova: Nova, boot: Boot) -> None:
    id = boot()["id"]
    nova.action(id, "os-stop", status=202)
    assert states(nova.wait(id, "SHUTOFF")) == ("SHUTOFF", None, 4)
    refused = nova.action(id, "os-stop", status=409)
    assert refused["conflictingRequest"]["message"] == f"Cannot 'stop' instance {id} while it is in vm_state stopped"
    nova.action(id, "os-start", status=202)
    assert states(nova.wait(id, "ACTIVE")) == ("ACTIVE", None, 1)


@pytest.mark.parametrize("kind", ["SOFT", "HARD"])
def test_reboot(nova: Nova, boot: Boot, kind: str) -> None:
    id = boot()["id"]
    nova.action(id, "reboot", {"type": kind}, status=202)
    nova.wait(id, "ACTIVE")
    assert nova.get(f"/servers/{id}/os-instance-actions")["instanceActions"][0]["action"] == "reboot"


def test_pause_and_unpause(nova: Nova, boot: Boot) -> None:
    id = boot()["id"]
    nova.action(id, "pause", status=202)
    assert states(nova.wait(id, "PAUSED")) == ("PAUSED", None, 3)
    nova.action(id, "unpause", status=202)
    nova.wait(id, "ACTIVE")


def test_suspend_and_resume(nova: Nova, boot: Boot) -> None:
    id = boot()["id"]
    nova.action(id, "suspend", status=202)
    nova.wait(id, "SUSPENDED")
    nova.action(id, "resume", status=202)
    assert states(nova.wait(id, "ACTIVE")) == ("ACTIVE", None, 1)


def test_lock_keeps_members_out_and_says_why(nova: Nova, boot: Boot) -> None:
    id = boot()["id"]
    nova.action(id, "lock", {}, version="2.1", status=202)
    nova.action(id, "lock", {"locked_reason": "audit"}, status=202)
    found = nova.server(id)
    assert found["locked"] and found["locked_reason"] == "audit"
    nova.action(id, "unlock", status=202)
    assert nova.server(id)["locked_reason"] is None


def test_rebuild_keeps_address_and_takes_new_name(nova: Nova, boot: Boot, image: str) -> None:
    before = boot()
    shown = nova.action(before["id"], "rebuild", {"imageRef": image, "name": "anew", "metadata": {"a": "b"}}, status=202)
    assert shown["server"]["adminPass"] and shown["server"]["status"] == "REBUILD"
    after = nova.wait(before["id"], "ACTIVE")
    assert (after["name"], after["metadata"], after["addresses"]) == ("anew", {"a": "b"}, before["addresses"])


def test_rebuild_of_a_stopped_server_leaves_it_stopped(nova: Nova, boot: Boot, image: str) -> None:
    id = boot()["id"]
    nova.action(id, "os-stop")
    nova.wait(id, "SHUTOFF")
    nova.action(id, "rebuild", {"imageRef": image}, status=202)
    nova.wait(id, "SHUTOFF")


def test_resize_and_confirm(nova: Nova, boot: Boot) -> None:
    id = boot(flavorRef="42")["id"]
    nova.action(id, "resize", {"flavorRef": "84"}, status=202)
    found = nova.wait(id, "VERIFY_RESIZE")
    assert found["flavor"]["ram"] == 192
    nova.action(id, "confirmResize", status=204)
    assert nova.wait(id, "ACTIVE")["flavor"]["original_name"] == "m1.micro"
    assert [row["status"] for row in nova.get(f"/os-migrations?instance_uuid={id}")["migrations"]] == ["confirmed"]


def test_resize_and_revert_gives_room_back(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    id = boot(flavorRef="42")["id"]
    nova.action(id, "resize", {"flavorRef": "84"}, status=202)
    nova.wait(id, "VERIFY_RESIZE")
    nova.action(id, "revertResize", status=202)
    assert nova.wait(id, "ACTIVE")["flavor"]["ram"] == 128
    from haneul.placement import allocations
    with cloud.cloud.database.read() as tx:
        assert allocations.of(tx, id)["host-1"]["MEMORY_MB"] == 128


def test_resize_needs_another_flavor_and_never_shrinks_a_disk(nova: Nova, boot: Boot) -> None:
    id = boot(flavorRef="42")["id"]
    assert "must change flavor" in nova.action(id, "resize", {"flavorRef": "42"}, status=400)["badRequest"]["message"]


def test_rescue_and_unrescue(nova: Nova, boot: Boot) -> None:
    id = boot()["id"]
    assert nova.action(id, "rescue", None, status=200)["adminPass"]
    nova.wait(id, "RESCUE")
    nova.action(id, "unrescue", status=202)
    nova.wait(id, "ACTIVE")


def test_a_rescue_disk_is_no_larger_than_the_flavors(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    client = cloud.connect("admin").image
    huge = client.create_image(name="huge", disk_format="qcow2", container_format="bare", data=qcow2.empty(1 << 50), wait=True)
    id = boot()["id"]
    nova.action(id, "rescue", {"rescue_image_ref": huge.id}, status=400)
    assert nova.server(id)["status"] == "ACTIVE"
    client.delete_image(huge.id)


def test_shelve_leaves_the_host_and_unshelve_comes_back(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    before = boot()
    id = before["id"]
    nova.action(id, "shelve", status=202)
    found = nova.wait(id, "SHELVED_OFFLOADED", 60)
    assert found["OS-EXT-SRV-ATTR:host"] is None
    images = cloud.connect("admin").image
    assert images.find_image(f"{before['name']}-shelved").status == "active"
    nova.action(id, "unshelve", status=202)
    assert nova.wait(id, "ACTIVE", 60)["addresses"] == before["addresses"]
    assert images.find_image(f"{before['name']}-shelved") is None


def test_create_image_then_boot_from_it(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    id = boot()["id"]
    image_id = nova.action(id, "createImage", {"name": "snap", "metadata": {"k": "v"}}, status=202)["image_id"]
    found = wait_until(lambda: (image := cloud.connect("admin").image.get_image(image_id)).status == "active" and image, 60)
    assert found.properties["image_type"] == "snapshot" and found.properties["k"] == "v"
    nova.wait(id, "ACTIVE")
    assert boot(imageRef=image_id)["status"] == "ACTIVE"


def test_backups_rotate(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    id = boot()["id"]
    made = []
    for number in range(2):
        body = {"name": f"backup-{number}", "backup_type": "daily", "rotation": 1}
        made.append(nova.action(id, "createBackup", body, status=202)["image_id"])
        nova.wait(id, "ACTIVE", 60)
    client = cloud.http("admin")
    assert [client.get(f"/image/v2/images/{image}").status_code for image in made] == [404, 200]


def test_interfaces_come_and_go(nova: Nova, boot: Boot, network: str) -> None:
    id = boot()["id"]
    added = nova.call("POST", f"/servers/{id}/os-interface", {"interfaceAttachment": {"net_id": network}})
    port = added["interfaceAttachment"]["port_id"]
    wait_until(lambda: nova.get(f"/servers/{id}/os-interface/{port}")["interfaceAttachment"]["port_state"] == "ACTIVE")
    assert len(nova.get(f"/servers/{id}/os-interface")["interfaceAttachments"]) == 2
    nova.call("DELETE", f"/servers/{id}/os-interface/{port}", status=202)
    wait_until(lambda: len(nova.get(f"/servers/{id}/os-interface")["interfaceAttachments"]) == 1)
    action = nova.get(f"/servers/{id}/os-instance-actions")["instanceActions"][0]
    path = f"/servers/{id}/os-instance-actions/{action['request_id']}"
    wait_until(lambda: {"compute_detach_interface", "Success"} <= set(nova.get(path)["instanceAction"]["events"][-1].values()))


def test_console_log_and_its_length(nova: Nova, boot: Boot) -> None:
    id = boot()["id"]
    text = nova.action(id, "os-getConsoleOutput", {})["output"]
    assert f"uuid {id}" in text
    assert nova.action(id, "os-getConsoleOutput", {"length": 2})["output"] == "\n".join(text.split("\n")[-2:])


def test_actions_list_steps_with_durations(nova: Nova, boot: Boot) -> None:
    id = boot()["id"]
    action = nova.get(f"/servers/{id}/os-instance-actions")["instanceActions"][0]
    shown = nova.get(f"/servers/{id}/os-instance-actions/{action['request_id']}")["instanceAction"]
    assert [event["event"] for event in shown["events"]] == [
        "compute_schedule", "compute_network", "compute_image", "compute_disks", "compute_wire", "compute_spawn", "compute_run"]
    assert {event["result"] for event in shown["events"]} == {"Success"}


def test_delete_in_the_middle_of_a_build(nova: Nova, boot: Boot) -> None:
    id = boot(until=None)["id"]
    nova.call("DELETE", f"/servers/{id}", status=204)
    nova.wait_gone(id)


def test_reset_state(nova: Nova, boot: Boot) -> None:
    id = boot()["id"]
    nova.action(id, "os-resetState", {"state": "error"}, status=202)
    assert nova.server(id)["status"] == "ERROR"
    nova.action(id, "os-resetState", {"state": "active"}, status=202)
    assert nova.server(id)["status"] == "ACTIVE"


def test_vnc_tokens_are_for_active_servers(nova: Nova, boot: Boot) -> None:
    id = boot()["id"]
    made = nova.call("POST", f"/servers/{id}/remote-consoles", {"remote_console": {"protocol": "vnc", "type": "novnc"}})
    assert "/compute/vnc?path=" in made["remote_console"]["url"]
    assert nova.http.get(made["remote_console"]["url"]).text.rstrip().endswith("</html>")
    refused = nova.call("POST", f"/servers/{id}/remote-consoles",
                        {"remote_console": {"protocol": "spice", "type": "spice-html5"}}, status=400)
    assert "Unavailable console type" in refused["badRequest"]["message"]
