"""What a user does with servers, as real guests tell it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from ground import Ground, Guest, Tenant, until
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="a cloud needs root"), pytest.mark.timeout(600)]
USER_DATA = "#!/bin/sh\necho user-data of $(hostname) by $(id -un) >/dev/console\necho here >/etc/from-user-data\n"


@pytest.fixture(scope="module")
def guest(blue: Tenant) -> Iterator[Guest]:
    """Its metadata comes from the service."""
    with blue.guests("first-guest", user_data=base64.b64encode(USER_DATA.encode()).decode(), metadata={"mood": "fine"}) as made:
        yield made[0]


def test_key_host_name_and_user_data_arrive(guest: Guest) -> None:
    assert guest.run("hostname").split(".")[0] == "first-guest"
    until(lambda: guest.attempt("cat /etc/from-user-data").stdout.strip() == "here", 60, "user data")
    until(lambda: "user-data of first-guest by root" in guest.console(), 30, "user data on the console")
    assert guest.ip in guest.run("ip -o -4 addr show dev eth0")
    assert "metadata from http://169.254.169.254" in guest.console()


def test_metadata_says_who_asks(guest: Guest) -> None:
    told = guest.run("curl http://169.254.169.254/openstack/latest/meta_data.json")
    assert guest.id in told and '"mood"' in told
    assert guest.run("curl http://169.254.169.254/latest/meta-data/local-ipv4") == guest.ip
    assert guest.run("curl http://169.254.169.254/latest/meta-data/public-ipv4") == guest.address


def test_the_console_log_and_the_screen(ground: Ground, guest: Guest) -> None:
    until(lambda: "login:" in guest.console(), 60, "a login prompt")
    assert len(guest.console().splitlines()) >= 10
    opened = guest.compute.create_server_remote_console(guest.id, protocol="vnc", type="novnc")
    parts = urlsplit(opened.url)
    socket = f"ws://{parts.netloc}/{parse_qs(parts.query)['path'][0].lstrip('/')}"
    with connect(socket, subprotocols=["binary"]) as screen:  # type: ignore[list-item]
        assert screen.recv(timeout=10) == b"RFB 003.008\n"
    with pytest.raises((WebSocketException, InvalidStatus)):  # the token works once
        with connect(socket, subprotocols=["binary"]) as screen:  # type: ignore[list-item]
            screen.recv(timeout=10)


def test_suspended_and_paused_guests_go_on_where_they_were(guest: Guest) -> None:
    guest.run("(n=0; while :; do n=$((n+1)); echo $n >/tmp/count; sleep 0.2; done) >/dev/null 2>&1 & echo $! >/tmp/counter.pid")
    boot = guest.run("cat /proc/sys/kernel/random/boot_id")
    for away, back, status in (("suspend_server", "resume_server", "SUSPENDED"), ("pause_server", "unpause_server", "PAUSED")):
        before = int(until(lambda: guest.attempt("cat /tmp/count").stdout.strip(), 20, "a process that counts"))
        getattr(guest.compute, away)(guest.id)
        guest.until(status)
        assert not guest.answers_ssh()
        assert bool(guest.tenant.ground.qemu(guest.id)) == (status == "PAUSED")
        getattr(guest.compute, back)(guest.id)
        guest.until("ACTIVE")
        guest.until_login()
        assert guest.run("cat /proc/sys/kernel/random/boot_id") == boot
        guest.run("kill -0 $(cat /tmp/counter.pid)")
        until(lambda seen=before: int(guest.attempt("cat /tmp/count").stdout or 0) > seen, 20, "a process that goes on counting")


def test_a_card_is_plugged_in_and_out(blue: Tenant, guest: Guest) -> None:
    network = blue.cloud.network.create_network(name="blue-second")
    blue.cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.32.0.0/24", gateway_ip=None)
    try:
        card = guest.compute.create_server_interface(guest.id, net_id=network.id)
        until(lambda: card.mac_addr in guest.run("ip -o link"), 30, "the card in the guest")
        name = guest.run(f"ip -o link | grep {card.mac_addr} | cut -d: -f2").strip()
        guest.run(f"sudo ip link set {name} up; sudo udhcpc -n -q -t 10 -i {name} -s /usr/share/udhcpc/default.script")
        assert card.fixed_ips[0]["ip_address"] in guest.run(f"ip -o -4 addr show dev {name}")
        guest.compute.delete_server_interface(card.port_id, server=guest.id)
        until(lambda: card.mac_addr not in guest.run("ip -o link"), 60, "the card is out of the guest")
        until(lambda: blue.cloud.network.find_port(card.port_id, ignore_missing=True) is None, 30, "its port is gone")
    finally:
        blue.cloud.network.delete_network(network.id)


def test_reboots_soft_and_hard(guest: Guest) -> None:
    for kind in ("SOFT", "HARD"):
        boot = guest.run("cat /proc/sys/kernel/random/boot_id; sync")
        guest.compute.reboot_server(guest.id, kind)
        guest.until("ACTIVE")
        until(lambda old=boot: guest.attempt("cat /proc/sys/kernel/random/boot_id").stdout.strip() not in ("", old), 240,
              f"a new boot after a {kind} reboot")


def test_snapshot_and_a_server_from_it(blue: Tenant, guest: Guest) -> None:
    guest.run("echo precious >/tmp/kept; sync")
    image = guest.compute.create_server_image(guest.id, name="of-first", wait=True, timeout=120)
    guest.run("echo later >/tmp/kept; sync")
    try:
        with blue.guests("from-snapshot", image_id=image.id) as (copy,):
            assert copy.run("cat /tmp/kept") == "precious"
            assert copy.run("hostname").split(".")[0] == "from-snapshot"
            assert copy.run("cat /var/lib/haneul/instance") == copy.id
    finally:
        blue.cloud.image.delete_image(image.id)


def test_a_config_drive_instead_of_the_service(blue: Tenant) -> None:
    data = base64.b64encode(USER_DATA.encode()).decode()
    with blue.guests("by-drive", config_drive=True, user_data=data) as (guest,):
        assert guest.run("hostname").split(".")[0] == "by-drive"
        until(lambda: guest.attempt("cat /etc/from-user-data").stdout.strip() == "here", 60, "user data")
        device = guest.run("sudo blkid -L config-2 -o device")
        told = guest.run(f"sudo mount -o ro {device} /mnt && cat /mnt/openstack/latest/meta_data.json && sudo umount /mnt")
        assert guest.id in told and blue.key.with_suffix(".pub").read_text().split()[1] in told
        assert f"config drive on {device}" in guest.console()


def test_rebuild_resize_revert_and_rescue(ground: Ground, blue: Tenant) -> None:
    with blue.guests("changing") as (guest,):
        guest.run("echo old >/tmp/mark; sync")
        guest.compute.resize_server(guest.id, ground.large_flavor)
        guest.until("VERIFY_RESIZE", 240)
        guest.until_login()
        assert guest.run("grep -c ^processor /proc/cpuinfo") == "2" and guest.run("cat /tmp/mark") == "old"
        until(lambda: int(guest.run("df -m / | awk 'NR == 2 {print $2}'")) > 1500, 60, "a larger root file system")
        guest.run("echo new >/tmp/mark; sync")
        guest.compute.revert_server_resize(guest.id)
        guest.until("ACTIVE", 240)
        guest.until_login()
        assert guest.run("grep -c ^processor /proc/cpuinfo") == "1" and guest.run("cat /tmp/mark") == "new"
        assert guest.show().flavor["original_name"] == "real.small"

        guest.compute.rescue_server(guest.id)
        guest.until("RESCUE", 240)
        guest.until_login()
        assert guest.attempt("test -e /tmp/mark").returncode == 1, "the rescue system has a disk of its own"
        guest.run("sudo mount /dev/vdb2 /mnt && test \"$(cat /mnt/tmp/mark)\" = new && echo mended | sudo tee /mnt/tmp/mark"
                  " && sudo umount /mnt && sync")
        guest.compute.unrescue_server(guest.id)
        guest.until("ACTIVE", 240)
        guest.until_login()
        assert guest.run("cat /tmp/mark") == "mended"

        ip = guest.ip
        guest.compute.rebuild_server(guest.id, image=ground.image)
        guest.until("ACTIVE", 240)
        guest.until_login()
        assert guest.attempt("test -e /tmp/mark").returncode == 1 and guest.ip == ip
