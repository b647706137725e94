"""What every hypervisor driver does alike: fake and qemu."""

from __future__ import annotations

import uuid

import pytest
from guests import DISK_BYTES, Machine

from haneul.host.contract import Conflict, DiskSpec, NicSpec, NotThere, Refused, ServerSpec

NIC = NicSpec(port_id="00000000-0000-4000-8000-000000000002", mac="fa:16:3e:00:00:02")


def test_facts_say_what_the_host_is(machine: Machine) -> None:
    facts = machine.hypervisor.facts()
    assert facts.name == "testhost" and facts.hypervisor == machine.kind
    assert facts.cpus > 0 and facts.memory_mib > 0 and facts.disk_gib > 0 and facts.cpu_features
    assert facts.hypervisor_version >= 1_000_000


def test_life_of_a_server_with_every_verb_asked_twice(machine: Machine) -> None:
    hypervisor, spec = machine.hypervisor, machine.spec()
    for verb, argument, power in [
        (hypervisor.create, spec, "paused"), (hypervisor.run, spec.id, "running"), (hypervisor.create, spec, "running"),
        (hypervisor.pause, spec.id, "paused"), (hypervisor.run, spec.id, "running"), (hypervisor.reset, spec.id, "running"),
        (hypervisor.suspend, spec.id, "suspended"), (hypervisor.resume, spec, "running"),
        (hypervisor.kill, spec.id, "off"), (hypervisor.create, spec, "paused"),
    ]:
        for _ in range(2):
            state = verb(argument)  # type: ignore[operator]
            assert (state.id, state.power) == (spec.id, power), verb
            there = power in ("running", "paused")
            assert state.nics == ([spec.nics[0].port_id] if there else [])
            assert state.disks == (["root"] if there else [])
    assert [server.id for server in hypervisor.servers()] == [spec.id]
    for _ in range(2):
        hypervisor.forget(spec.id)
        assert hypervisor.servers() == []


def test_verbs_on_nothing(machine: Machine) -> None:
    id = str(uuid.uuid4())
    hypervisor = machine.hypervisor
    for verb in (hypervisor.server, hypervisor.run, hypervisor.pause, hypervisor.press_power_button, hypervisor.reset,
                 hypervisor.suspend, hypervisor.console_log, hypervisor.vnc_socket):
        with pytest.raises(NotThere):
            verb(id)
    with pytest.raises(NotThere):
        hypervisor.plug(id, NIC)
    assert hypervisor.kill(id).power == "off"
    hypervisor.forget(id)


def test_verbs_that_the_state_forbids(machine: Machine) -> None:
    spec = machine.running()
    hypervisor = machine.hypervisor
    hypervisor.pause(spec.id)
    with pytest.raises(Conflict):
        hypervisor.reset(spec.id)
    hypervisor.kill(spec.id)
    for verb in (hypervisor.run, hypervisor.pause, hypervisor.reset, hypervisor.suspend, hypervisor.vnc_socket):
        with pytest.raises(Conflict):
            verb(spec.id)
    with pytest.raises(Conflict):
        hypervisor.plug(spec.id, NIC)
    with pytest.raises(Conflict):
        hypervisor.resume(spec)
    assert hypervisor.press_power_button(spec.id).power == "off"


def test_a_server_needs_its_disks(machine: Machine) -> None:
    spec = ServerSpec(id=str(uuid.uuid4()), name="x", vcpus=1, memory_mib=32,
                      disks=[DiskSpec(name="root", format="qcow2")])
    with pytest.raises(NotThere):
        machine.hypervisor.create(spec)
    assert machine.hypervisor.servers() == []


def test_an_id_is_not_a_path(machine: Machine) -> None:
    for id in ("../x", "a/b", "", ".hidden", "x" * 200):
        with pytest.raises(Refused):
            machine.hypervisor.create(ServerSpec(id=id, name="x", vcpus=1, memory_mib=32, disks=[]))
        with pytest.raises(Refused):
            machine.disks.create(id, "root", "qcow2", DISK_BYTES)


def test_suspended_stays_suspended_when_created_again(machine: Machine) -> None:
    spec = machine.running()
    machine.hypervisor.suspend(spec.id)
    assert machine.hypervisor.create(spec).power == "suspended"
    assert machine.hypervisor.kill(spec.id).power == "off"
    with pytest.raises(Conflict):
        machine.hypervisor.resume(spec)


def test_a_card_is_plugged_and_survives_suspend(machine: Machine) -> None:
    spec = machine.running()
    hypervisor, first = machine.hypervisor, spec.nics[0].port_id
    for _ in range(2):
        assert hypervisor.plug(spec.id, NIC).nics == [first, NIC.port_id]
    hypervisor.suspend(spec.id)
    assert hypervisor.resume(spec).nics == [first, NIC.port_id]
    assert hypervisor.unplug(spec.id, str(uuid.uuid4())).nics == [first, NIC.port_id]


def test_the_console_says_something(machine: Machine) -> None:
    from guests import wait

    spec = machine.running()
    text = wait(lambda: machine.hypervisor.console_log(spec.id), "console")
    assert len(machine.hypervisor.console_log(spec.id, tail_bytes=1)) == 1
    machine.hypervisor.kill(spec.id)
    assert text[:1] in machine.hypervisor.console_log(spec.id)


def test_a_new_agent_knows_what_runs(machine: Machine) -> None:
    running, suspended, off = machine.running(), machine.running(), machine.running()
    machine.hypervisor.suspend(suspended.id)
    machine.hypervisor.kill(off.id)
    before = {server.id: server for server in machine.hypervisor.servers()}
    machine.restart()
    assert {server.id: server for server in machine.hypervisor.servers()} == before
    assert machine.hypervisor.pause(running.id).power == "paused"
    assert machine.hypervisor.resume(suspended).power == "running"
    assert {server.power for server in machine.hypervisor.servers()} == {"paused", "running", "off"}
