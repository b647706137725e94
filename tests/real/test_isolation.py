"""What guests can and cannot send to each other. Each thing that must not pass is also seen to pass where it may."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ground import Guest, Tenant, until

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="a cloud needs root"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def neighbours(blue: Tenant) -> Iterator[tuple[Guest, Guest]]:
    with blue.guests("one", "two") as (one, two):
        yield one, two


def test_neighbours_reach_each_other_and_other_tenants_do_not(neighbours: tuple[Guest, Guest], red: Tenant) -> None:
    one, two = neighbours
    assert one.pings(two.ip) and two.pings(one.ip)
    with red.guests("stranger", networks=[{"uuid": red.network, "fixed_ip": "10.31.0.200"}]) as (stranger,):
        assert stranger.ip == "10.31.0.200" and stranger.pings(red.gateway)
        for guest in (one, two):  # the same network by its numbers, another one by its owner
            assert not stranger.pings(guest.ip) and not guest.pings(stranger.ip)
        assert stranger.pings(one.address), "over floating IPs, as from anywhere"
        with pytest.raises(Exception, match="404|NotFound|No Server"):
            red.cloud.compute.get_server(one.id)


def test_a_rule_taken_away_ends_its_traffic_at_once(neighbours: tuple[Guest, Guest], blue: Tenant) -> None:
    one, _ = neighbours
    words = one.ssh("while :; do echo tick; sleep 0.2; done")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as session:
        assert session.stdout is not None
        os.set_blocking(session.stdout.fileno(), False)
        ticks = Ticks(session.stdout)
        until(lambda: ticks.count() > 5, 60, "a session that talks")
        blue.cloud.network.delete_security_group_rule(blue.rules["ssh"])
        time.sleep(2)
        before = ticks.count()
        time.sleep(4)
        try:
            assert ticks.count() == before, "the established session goes on"
            assert not one.answers_ssh()
            assert subprocess.run(["ping", "-c1", "-W5", one.address], stdout=subprocess.DEVNULL).returncode == 0
        finally:
            blue.rules["ssh"] = blue.let_in("tcp", 22)
        until(one.answers_ssh, 10, "ssh is let in again")
        session.kill()


class Ticks:
    """Lines that came so far, read without waiting."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._seen = stream, 0

    def count(self) -> int:
        while data := self._stream.read(4096):
            self._seen += data.count(b"\n")
        return self._seen


def test_a_rule_lets_in_just_what_it_says(neighbours: tuple[Guest, Guest], blue: Tenant) -> None:
    one, two = neighbours
    one.run("echo hello >/tmp/index.html; httpd -p 7100 -h /tmp; httpd -p 7101 -h /tmp")

    def hears(guest: Guest, address: str, port: int) -> bool:
        return "hello" in guest.attempt(f"timeout 5 wget -q -O - http://{address}:{port}/").stdout

    assert hears(one, "127.0.0.1", 7100) and hears(one, "127.0.0.1", 7101)
    assert hears(two, one.ip, 7100), "members of the default group may talk to each other"
    other = blue.cloud.network.create_security_group(name="blue-other").id
    try:
        blue.let_in("tcp", 22, group=other)
        blue.cloud.network.update_port(two.port().id, security_groups=[other])  # no member of one's group any more
        until(lambda: not hears(two, one.ip, 7100), 10, "closed to who is no member")
        rule = blue.let_in("tcp", 7100)
        until(lambda: hears(two, one.ip, 7100), 10, "open")
        assert not hears(two, one.ip, 7101)
        blue.cloud.network.delete_security_group_rule(rule)
        until(lambda: not hears(two, one.ip, 7100), 10, "closed again")
    finally:
        blue.cloud.network.update_port(two.port().id, security_groups=[blue.group])
        one.run("killall httpd")
        blue.cloud.network.delete_security_group(other)


# ---------------------------------------------------------------- forgery


def forged_mac(forger: Guest, victim: Guest) -> bool:
    return _while_changed(forger, "ip link set eth0 address 02:00:00:00:66:66", f"ip link set eth0 address {forger.mac}",
                          f"ping -c 3 -W 1 {victim.ip}")


def forged_ip(forger: Guest, victim: Guest) -> bool:
    return _while_changed(forger, "ip addr add 10.31.0.222/32 dev eth0", "ip addr del 10.31.0.222/32 dev eth0",
                          f"ping -c 3 -W 1 -I 10.31.0.222 {victim.ip}")


def forged_arp(forger: Guest, victim: Guest) -> bool:
    """The address of the network's DHCP server is claimed; whether the victim believes it. (Not the router's, through which
    the victim is asked.)"""
    tenant = forger.tenant
    server = next(tenant.ground.admin.network.ports(network_id=tenant.network, device_owner="network:dhcp"))
    address = server.fixed_ips[0]["ip_address"]
    victim.run(f"sudo ip neigh flush to {address}; ping -c 1 -W 3 {address}")
    assert server.mac_address in victim.run(f"ip neigh show {address}")
    claim = f"arping -U -c 4 -I eth0 -s {address} {address}; arping -A -c 4 -I eth0 -s {address} {address}; true"
    _while_changed(forger, f"ip addr add {address}/32 dev eth0", f"ip addr del {address}/32 dev eth0", claim)
    return forger.mac in victim.run(f"ip neigh show {address}")


def forged_dhcp_answer(forger: Guest, victim: Guest) -> bool:
    victim.run("sudo sh -c 'rm -f /tmp/answer; (nc -u -l -p 68 >/tmp/answer 2>/dev/null </dev/null &)'; sleep 1")
    forger.run(f"sudo sh -c 'for i in 1 2 3; do echo forged | nc -u -w 1 -p 67 {victim.ip} 68; done' || true")
    heard = victim.run("cat /tmp/answer; sudo killall nc || true")
    return "forged" in heard


FORGERIES = {"mac": forged_mac, "ip": forged_ip, "arp": forged_arp, "dhcp": forged_dhcp_answer}


def _while_changed(guest: Guest, change: str, back: str, command: str) -> bool:
    """Whether the command succeeds between the two; the session may hang meanwhile, and goes on afterwards."""
    guest.run(f"sudo sh -c '{change}; ({command}) >/tmp/tried 2>&1; echo $? >/tmp/outcome; {back}'", seconds=90)
    return guest.run("cat /tmp/outcome") == "0"


@pytest.mark.parametrize("kind", FORGERIES)
def test_forgeries_get_nothing_through(kind: str, neighbours: tuple[Guest, Guest], blue: Tenant) -> None:
    forger, victim = neighbours
    forge = FORGERIES[kind]
    datagrams = blue.let_in("udp")
    port = forger.port().id
    try:
        assert not forge(forger, victim)
        blue.cloud.network.update_port(port, security_groups=[], is_port_security_enabled=False)
        until(lambda: forge(forger, victim), 60, "the forgery is a real one: without port security it works")
        blue.cloud.network.update_port(port, is_port_security_enabled=True, security_groups=[blue.group])
        until(lambda: not forge(forger, victim), 60, "port security is back")
    finally:
        blue.cloud.network.update_port(port, is_port_security_enabled=True, security_groups=[blue.group])
        blue.cloud.network.delete_security_group_rule(datagrams)
    until(lambda: forger.pings(victim.ip), 60, "honest traffic")
