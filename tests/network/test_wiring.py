"""What `wiring` tells hosts, for typical topologies and several hosts, from a database without any host behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from haneul.fleet.agents import Agents
from haneul.fleet.hosts import Listeners
from haneul.fleet.model import HostRow
from haneul.host.contract import Conflict, FabricIds
from haneul.kernel import clock, ids
from haneul.kernel.cloud import Cloud
from haneul.kernel.config import Config, Paths
from haneul.kernel.context import Context
from haneul.kernel.database import Base, Database
from haneul.kernel.reconcilers import Reconcilers
from haneul.kernel.tasks import Runner, TaskRow
from haneul.network import (
    address_groups,
    addresses,
    agents,
    floating_ips,
    networks,
    port_forwardings,
    ports,
    prepare,
    reconcile,
    routers,
    security_groups,
    subnets,
    wiring,
)
from haneul.network.model import ChangeRow, PortRow
from haneul.network.model_services import DHCP_AGENT, PortForwardingRow

MEMBER = Context(user_id="u", project_id="p", roles=frozenset({"member", "reader"}))
ADMIN = Context(user_id="a", project_id="p", roles=frozenset({"admin", "manager", "member", "reader"}))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Cloud]:
    """Two hosts that are up; tasks are only written down."""
    cloud = Cloud(Config(), Paths(tmp_path))
    cloud.database = Database.at(tmp_path / "haneul.db")
    cloud.database.cloud = cloud
    Base.metadata.create_all(cloud.database.engine)
    cloud.runner = Runner(cloud)
    cloud.reconcilers = Reconcilers(cloud)
    cloud.put(Listeners())
    prepare(cloud)
    with cloud.database.write() as tx:
        for number, name in enumerate(("one", "two"), 1):
            tx.add(
                HostRow(
                    name=name,
                    id=ids.new(),
                    endpoint="unix:/nowhere",
                    facts={"tunnel_ip": f"192.0.2.{number}"},
                    number=number,
                    created_at=clock.now(),
                    updated_at=clock.now(),
                )
            )
    yield cloud
    cloud.database.close()


def network(tx: Any, cidr: str = "10.0.0.0/24", **values: Any) -> Any:
    made = networks.create(tx, ADMIN, project_id="p", **values)
    subnet = subnets.create(
        tx,
        ADMIN,
        made,
        subnets.NewSubnet(
            network_id=made.id, project_id="p", ip_version=4, cidr=cidr, enable_dhcp=not values.get("external", False)
        ),
    )
    return made, subnet


def changed(cloud: Cloud) -> set[tuple[str, str, str]]:
    with cloud.database.write() as tx:
        rows = tx.query(ChangeRow).all()
        found = {(row.host, row.kind, row.object_id) for row in rows}
        for row in rows:
            tx.delete(row)
        return found


def test_a_servers_port_with_all_it_needs(world: Cloud) -> None:
    with world.database.write() as tx:
        net, subnet = network(tx)
        port = ports.create(
            tx,
            MEMBER,
            network_id=net.id,
            device_id="server",
            device_owner="compute:nova",
            host="one",
            dns_name="web",
            extra_dhcp_opts=[{"opt_name": "tftp-server", "opt_value": "192.0.2.1"}],
        )
        other = ports.create(tx, MEMBER, network_id=net.id, device_id="other", device_owner="compute:nova", host="two")
    before = world.database.statements
    with world.database.read() as tx:
        state = wiring.of_ports(tx, "one", [port.id])
    assert world.database.statements - before <= 16
    (spec,) = state.ports
    assert (spec.id, spec.mac, spec.hostname, spec.server_id) == (port.id, port.mac_address, "web", "server")
    assert (
        spec.dhcp_options == [(4, "tftp-server", "192.0.2.1")]
        and spec.fixed_ips[0].ip == port.fixed_ips[0]["ip_address"]
    )
    (net_spec,) = state.networks
    assert net_spec.type == "vxlan" and net_spec.peers == ["192.0.2.2"] and net_spec.dhcp_ips == ["10.0.0.2/24"]
    assert net_spec.subnets[0].id == subnet.id and net_spec.mtu == 1450
    (group,) = state.security_groups
    assert set(group.members) == {row.fixed_ips[0]["ip_address"] for row in (port, other)} and len(group.rules) == 4
    with world.database.read() as tx:
        assert wiring.of_ports(tx, "one", [other.id]).ports == []  # it is the other host's


def test_remote_groups_come_along_with_their_members(world: Cloud) -> None:
    with world.database.write() as tx:
        net, _ = network(tx)
        front = security_groups.create(tx, ADMIN, project_id="p", name="front")
        back = security_groups.create(tx, ADMIN, project_id="p", name="back")
        security_groups.add_rules(
            tx,
            ADMIN,
            [
                {
                    "security_group_id": back.id,
                    "project_id": "p",
                    "direction": "ingress",
                    "ethertype": "IPv4",
                    "protocol": "tcp",
                    "port_range_min": 5432,
                    "port_range_max": 5432,
                    "remote_group_id": front.id,
                }
            ],
        )
        web = ports.create(
            tx,
            MEMBER,
            network_id=net.id,
            security_groups=[front.id],
            host="two",
            allowed_address_pairs=[{"ip_address": "10.0.0.200"}],
        )
        db = ports.create(tx, MEMBER, network_id=net.id, security_groups=[back.id], host="one")
    with world.database.read() as tx:
        groups = {group.id: group for group in wiring.of_ports(tx, "one", [db.id]).security_groups}
    assert set(groups) == {front.id, back.id} and groups[back.id].members == []
    assert set(groups[front.id].members) == {web.fixed_ips[0]["ip_address"], "10.0.0.200"}
    changed(world)
    with world.database.write() as tx:
        ports.delete(tx, ADMIN, web.id)
    assert ("one", "security_groups", back.id) in changed(world)  # its rule's members are fewer now


def test_a_router_with_gateway_floating_ip_and_routes(world: Cloud) -> None:
    with world.database.write() as tx:
        public, _ = network(tx, "198.51.100.0/24", external=True)
        net, subnet = network(tx)
        router = routers.create(tx, MEMBER, project_id="p", gateway=routers.Gateway(network_id=public.id))
        routers.add_interface(tx, MEMBER, router, subnet_id=subnet.id)
        routers.update(tx, MEMBER, router, {"routes": [{"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}]})
        port = ports.create(tx, MEMBER, network_id=net.id, device_id="server", host="two")
        floating = floating_ips.create(tx, MEMBER, project_id="p", floating_network_id=public.id, port_id=port.id)
        host = router.host
    assert host == "one"
    with world.database.read() as tx:
        state, gone = wiring.of(tx, "one", FabricIds(routers=[router.id], networks=[net.id]))
        (spec,) = state.routers
        assert spec.gateway_ips == ["198.51.100.1"] and spec.enable_snat and spec.gateway is not None
        assert spec.interfaces[0].ips == ["10.0.0.1/24"] and spec.routes[0].nexthop == "10.0.0.9"
        assert [(entry.floating_ip, entry.fixed_ip) for entry in spec.floating_ips] == [
            (floating.floating_ip_address, port.fixed_ips[0]["ip_address"])
        ]
        assert {entry.id for entry in state.networks} == {net.id, public.id} and gone == FabricIds()
        assert next(entry for entry in state.networks if entry.id == net.id).peers == ["192.0.2.2"]
        assert wiring.wanted(tx, "one").routers == [router.id] and set(wiring.wanted(tx, "one").networks) == {
            net.id,
            public.id,
        }
        assert wiring.of(tx, "two", FabricIds(routers=[router.id]))[1].routers == [router.id]
        assert [(entry.kind, entry.ip) for entry in addresses.of_devices(tx, ["server"])["server"]] == [
            ("fixed", port.fixed_ips[0]["ip_address"]),
            ("floating", floating.floating_ip_address),
        ]


def test_a_router_leaves_a_host_that_is_down(world: Cloud) -> None:
    with world.database.write() as tx:
        _, subnet = network(tx)
        router = routers.create(tx, MEMBER, project_id="p")
        assert router.host is None  # nothing to route yet
        routers.add_interface(tx, MEMBER, router, subnet_id=subnet.id)
        tx.get_one(HostRow, "one").state = "down"
    changed(world)
    assert reconcile.move_routers(world) == 1
    with world.database.read() as tx:
        assert routers.get(tx, MEMBER, router.id).host == "two"
    assert ("two", "routers", router.id) in changed(world)
    assert reconcile.move_routers(world) == 0


def test_changes_of_one_host_wait_in_one_task(world: Cloud) -> None:
    with world.database.write() as tx:
        net, _ = network(tx)
        for _ in range(3):
            ports.create(tx, MEMBER, network_id=net.id, host="one")
        group = security_groups.default(tx, "p")
        security_groups.add_rules(
            tx,
            MEMBER,
            [
                {
                    "security_group_id": group,
                    "project_id": "p",
                    "direction": "ingress",
                    "ethertype": "IPv4",
                    "protocol": "tcp",
                    "port_range_min": number,
                    "port_range_max": number,
                }
                for number in (22, 80)
            ],
        )
    with world.database.write() as tx:
        security_groups.add_rules(
            tx,
            MEMBER,
            [
                {
                    "security_group_id": group,
                    "project_id": "p",
                    "direction": "ingress",
                    "ethertype": "IPv4",
                    "protocol": "icmp",
                }
            ],
        )
    with world.database.read() as tx:
        assert tx.query(TaskRow).filter_by(kind="network.wire", resource="fabric:one").count() == 1
    assert ("one", "security_groups", group) in changed(world)


def test_binding_tells_other_hosts_of_a_new_peer(world: Cloud) -> None:
    with world.database.write() as tx:
        net, _ = network(tx)
        ports.create(tx, MEMBER, network_id=net.id, host="one", port_security_enabled=False)
        late = ports.create(tx, MEMBER, network_id=net.id, port_security_enabled=False)
    changed(world)
    with world.database.write() as tx:
        port = ports.bind(tx, late.id, host="two", device_id="server")
        assert port.status == "BUILD"
        assert ports.bind(tx, late.id, host="two", device_id="server").revision_number == port.revision_number
    assert changed(world) == {("one", "networks", net.id)}
    with world.database.write() as tx:
        with pytest.raises(Exception, match="already has an attached device"):
            ports.bind(tx, late.id, host="two", device_id="another")
    with world.database.write() as tx:
        ports.plugged(tx, [late.id])
    with world.database.write() as tx:
        rows = {row.id: row.status for row in tx.query(PortRow)}
        assert rows[late.id] == "ACTIVE"
        ports.unbind(tx, [late.id])
        found = ports.of_device(tx, ["server"])["server"]
    assert found == [] and ("two", "ports", late.id) in changed(world)


def test_a_boot_with_a_port_costs_few_statements(world: Cloud) -> None:
    with world.database.write() as tx:
        net, _ = network(tx)
        ports.create(tx, MEMBER, network_id=net.id, host="one")
        tx.delete(tx.get_one(HostRow, "two"))
    before = world.database.statements
    with world.database.write() as tx:
        ports.create_many(
            tx, MEMBER, [ports.NewPort(network_id=net.id, device_id="s", device_owner="compute:nova", host="one")]
        )
    made = world.database.statements - before
    with world.database.write() as tx:
        ports.create_many(tx, MEMBER, [ports.NewPort(network_id=net.id, device_id="s", host="one") for _ in range(20)])
    assert made <= 13 and world.database.statements - before - made <= 13


class Recorder:
    """Stands where the agents are: keeps what was applied, refuses states that hold a certain port."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.bad: str | None = None
        self.fabric = self

    def of(self, host: str) -> Recorder:
        return self

    def apply(self, state: Any) -> None:
        found = [port.id for port in state.ports]
        if self.bad in found:
            raise Conflict("this one is refused")
        time.sleep(0.05)
        self.calls.append(found)


def test_boots_that_wait_for_a_host_go_together_and_fail_alone(world: Cloud) -> None:
    recorder = Recorder()
    world._things[Agents] = recorder
    with world.database.write() as tx:
        net, _ = network(tx)
        made = [ports.create(tx, MEMBER, network_id=net.id, host="one").id for _ in range(8)]
    recorder.bad = made[3]
    failed: list[str] = []

    def boot(port_id: str) -> None:
        try:
            wiring.apply(world, "one", [port_id])
        except Conflict:
            failed.append(port_id)

    with wiring.turn(world, "one"):  # everybody waits
        threads = [threading.Thread(target=boot, args=(id,)) for id in made]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert failed == [made[3]]
    assert sorted(id for call in recorder.calls for id in call) == sorted(set(made) - {made[3]})
    recorder.bad, recorder.calls = None, []
    with wiring.turn(world, "one"):
        threads = [threading.Thread(target=boot, args=(id,)) for id in made]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert len(recorder.calls) == 1 and set(recorder.calls[0]) == set(made)


def test_an_address_group_goes_where_rules_name_it(world: Cloud) -> None:
    """To a host it is a group of nothing but members; changing it concerns that host alone, and so does its end."""
    with world.database.write() as tx:
        net, _ = network(tx)
        group = security_groups.create(tx, MEMBER, project_id="p", name="guarded")
        offices = address_groups.create(tx, project_id="p", addresses=["192.0.2.0/24"])
        wish = {"security_group_id": group.id, "project_id": "p", "direction": "ingress", "ethertype": "IPv4"}
        (rule,) = security_groups.add_rules(tx, MEMBER, [{**wish, "remote_address_group_id": offices.id}])
        port = ports.create(
            tx, MEMBER, network_id=net.id, device_id="s", device_owner="compute:nova", host="one", security_groups=[group.id]
        )
    with world.database.read() as tx:
        state = wiring.of_ports(tx, "one", [port.id])
        specs = {spec.id: spec for spec in state.security_groups}
        assert specs[offices.id].members == ["192.0.2.0/24"] and specs[offices.id].rules == []
        assert [entry.remote_group for entry in specs[group.id].rules if entry.id == rule.id] == [offices.id]
        assert offices.id in wiring.wanted(tx, "one").security_groups
        assert offices.id not in wiring.wanted(tx, "two").security_groups
    changed(world)
    with world.database.write() as tx:
        address_groups.add(tx, address_groups.get(tx, MEMBER, offices.id), ["198.51.100.0/24"])
    assert changed(world) == {("one", "security_groups", offices.id)}
    with world.database.read() as tx:
        state, gone = wiring.of(tx, "one", FabricIds(security_groups=[offices.id]))
        assert [spec.members for spec in state.security_groups] == [["192.0.2.0/24", "198.51.100.0/24"]]
        assert gone == FabricIds()
    with world.database.write() as tx:
        security_groups.remove_rule(tx, security_groups.rule(tx, MEMBER, rule.id))
    with world.database.read() as tx:
        assert offices.id not in wiring.wanted(tx, "one").security_groups
        assert wiring.of(tx, "one", FabricIds(security_groups=[offices.id]))[1].security_groups == [offices.id]


def test_forwardings_reach_the_routers_host(world: Cloud) -> None:
    with world.database.write() as tx:
        outside, _ = network(tx, "203.0.113.0/24", external=True)
        net, subnet = network(tx)
        router = routers.create(tx, ADMIN, project_id="p", gateway=routers.Gateway(network_id=outside.id))
        routers.add_interface(tx, ADMIN, router, subnet_id=subnet.id)
        port = ports.create(tx, MEMBER, network_id=net.id)
        floating = floating_ips.create(tx, MEMBER, project_id="p", floating_network_id=outside.id).id
    changed(world)
    with world.database.write() as tx:
        row = port_forwardings.create(
            tx, MEMBER, floating_ips.get(tx, MEMBER, floating), port_id=port.id, fixed_ip=None, protocol="tcp",
            external=(80, 90), internal=(8080, 8080), description="",
        )
    assert (router.host, "routers", router.id) in changed(world)
    with world.database.read() as tx:
        (spec,) = wiring.of(tx, router.host, FabricIds(routers=[router.id]))[0].routers
    assert spec.floating_ips == [] and len(spec.forwardings) == 1
    assert (spec.forwardings[0].external, spec.forwardings[0].internal) == ((80, 90), (8080, 8080))
    with world.database.write() as tx:
        ports.delete(tx, MEMBER, port.id)
        assert tx.get(PortForwardingRow, row.id) is None
    assert (router.host, "routers", router.id) in changed(world)


def test_a_host_serves_no_dhcp_that_was_taken_from_it(world: Cloud) -> None:
    with world.database.write() as tx:
        net, _ = network(tx)
        other, _ = network(tx, "10.1.0.0/24")
        for made in (net, other):
            for host in ("one", "two"):
                ports.create(tx, MEMBER, network_id=made.id, device_id=host, device_owner="compute:nova", host=host)
    changed(world)
    with world.database.write() as tx:
        agent = next(entry for entry in agents.of_hosts(tx, ["one"]) if entry.kind == DHCP_AGENT)
        agents.remove_network(tx, ADMIN, agent, net.id)
    assert changed(world) == {("one", "networks", net.id)}

    def served(host: str) -> list[bool]:
        with world.database.read() as tx:
            state = wiring.of(tx, host, FabricIds(networks=[net.id, other.id]))[0]
        return [bool(next(spec for spec in state.networks if spec.id == id).dhcp_ips) for id in (net.id, other.id)]

    assert (served("one"), served("two")) == ([False, True], [True, True])
    with world.database.write() as tx:
        agents.update(tx, agent, {"admin_state_up": False})
    assert changed(world) == {("one", "networks", net.id), ("one", "networks", other.id)}
    assert (served("one"), served("two")) == ([False, False], [True, True])
    with world.database.write() as tx:
        agents.update(tx, agent, {"admin_state_up": True})
        agents.add_network(tx, ADMIN, agent, net.id)
    assert served("one") == [True, True]
