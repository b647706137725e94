"""What every hypervisor driver does alike: fake and qemu."""

from __future__ import annotations

import uuid

import pytest
from guests import DISK_BYTES, LET_GO, Machine, wait
from msgspec import structs

from haneul.host.contract import Conflict, DiskSpec, NicSpec, NotThere, Refused, ServerSpec
from haneul.host.storage import DiskLimits

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
        (hypervisor.interrupt, spec.id, "running"),
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
                 hypervisor.interrupt,
                 hypervisor.suspend, hypervisor.console_log, hypervisor.vnc_socket, hypervisor.counters):
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
    for verb in (hypervisor.run, hypervisor.pause, hypervisor.reset, hypervisor.suspend, hypervisor.vnc_socket,
                 hypervisor.interrupt):
        with pytest.raises(Conflict):
            verb(spec.id)
    with pytest.raises(Conflict):
        hypervisor.plug(spec.id, NIC)
    with pytest.raises(Conflict):
        hypervisor.resume(spec)
    assert hypervisor.press_power_button(spec.id).power == "off"


def test_what_a_server_has_used_is_counted(machine: Machine) -> None:
    spec = machine.running()
    counters = machine.hypervisor.counters(spec.id)
    assert counters.power == "running" and len(counters.cpu_nanoseconds) == spec.vcpus
    assert [disk.name for disk in counters.disks] == ["root"] and counters.disks[0].errors == 0
    if machine.kind == "qemu":
        wait(lambda: machine.hypervisor.counters(spec.id).cpu_nanoseconds[0] > 0, "work")
        wait(lambda: machine.hypervisor.counters(spec.id).disks[0].read_bytes > 0, "reading")
        assert counters.uptime is not None and 0 < (counters.memory_used_mib or 0) <= spec.memory_mib
    machine.hypervisor.kill(spec.id)
    off = machine.hypervisor.counters(spec.id)
    assert off.power == "off" and off.disks == [] and off.cpu_nanoseconds == []


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


def test_volumes_in_and_out_of_a_running_server(machine: Machine) -> None:
    spec, disk = machine.running(LET_GO), machine.volume("a")
    hypervisor = machine.hypervisor
    wait(lambda: hypervisor.console_log(spec.id), "boot")
    for _ in range(2):
        assert hypervisor.attach(spec.id, disk).disks == ["root", "vol-a"]
    assert hypervisor.attach(spec.id, structs.replace(disk, limits=DiskLimits(total_iops_sec=100))).disks == ["root", "vol-a"]
    with pytest.raises(Conflict):
        hypervisor.attach(spec.id, structs.replace(machine.volume("b"), name="vol-a"))
    with pytest.raises(Conflict):
        machine.store.delete("volume-a")
    hypervisor.detach(spec.id, "vol-a")
    machine.until(spec.id, lambda state: state.disks == ["root"])
    assert hypervisor.detach(spec.id, "vol-a").disks == ["root"]
    machine.store.delete("volume-a")


def test_a_volume_is_attached_to_nothing(machine: Machine) -> None:
    disk, hypervisor = machine.volume("a"), machine.hypervisor
    for verb in (hypervisor.attach, hypervisor.replace_disk):
        with pytest.raises(NotThere):
            verb(str(uuid.uuid4()), disk)
    spec = machine.running()
    absent = structs.replace(disk, source=structs.replace(disk.source, volume="volume-none"))
    with pytest.raises(NotThere):
        hypervisor.attach(spec.id, absent)
    with pytest.raises(Refused):
        hypervisor.attach(spec.id, DiskSpec(name="x", format="raw"))
    with pytest.raises(Conflict):
        hypervisor.attach(spec.id, structs.replace(disk, bus="ide"))
    for verb in (hypervisor.resize_disk, hypervisor.detach):
        with pytest.raises(NotThere):
            verb(spec.id, *(("root", 1 << 30) if verb == hypervisor.resize_disk else ("root",)))
    assert hypervisor.server(spec.id).disks == ["root"]
    hypervisor.kill(spec.id)
    with pytest.raises(Conflict):
        hypervisor.attach(spec.id, disk)
    with pytest.raises(Conflict):
        hypervisor.resize_disk(spec.id, "vol-a", 1 << 30)
    assert hypervisor.detach(spec.id, "vol-a").disks == []
    machine.store.delete("volume-a")


def test_a_volume_has_one_server_unless_it_is_shared(machine: Machine) -> None:
    first, second, disk = machine.running(), machine.running(), machine.volume("a")
    hypervisor = machine.hypervisor
    hypervisor.attach(first.id, disk)
    with pytest.raises(Conflict):
        hypervisor.attach(second.id, disk)
    assert hypervisor.server(second.id).disks == ["root"]
    both, locked = machine.volume("b", shared=True), machine.volume("l", shared=True, key="secret")
    for spec in (first, second):
        assert "vol-b" in hypervisor.attach(spec.id, both).disks
        assert "vol-l" in hypervisor.attach(spec.id, locked).disks
    with pytest.raises(Refused):
        hypervisor.replace_disk(first.id, structs.replace(machine.volume("c"), name="vol-b"))
    hypervisor.kill(first.id)
    assert hypervisor.attach(second.id, disk).disks == ["root", "vol-b", "vol-l", "vol-a"]


def test_a_server_of_volumes_only(machine: Machine) -> None:
    key = "secret-of-the-volume"
    disks = [machine.volume("root", boot_index=0), machine.volume("b", format="qcow2"), machine.volume("c", key=key),
             machine.volume("d", read_only=True, limits=DiskLimits(read_bytes_sec=1 << 20))]
    spec = ServerSpec(id=str(uuid.uuid4()), name="x", vcpus=1, memory_mib=32, disks=disks)
    hypervisor, names = machine.hypervisor, [disk.name for disk in disks]
    assert hypervisor.create(spec).disks == names
    assert hypervisor.run(spec.id).disks == names
    hypervisor.attach(spec.id, machine.volume("e"))
    assert hypervisor.suspend(spec.id).disks == []
    with pytest.raises(Conflict):
        machine.store.delete("volume-e")
    machine.restart()
    hypervisor = machine.hypervisor
    assert hypervisor.resume(spec).disks == [*names, "vol-e"]
    machine.restart()
    assert machine.hypervisor.server(spec.id).disks == [*names, "vol-e"]
    assert not [path for path in (machine.state / "host").rglob("*.json*") if key in path.read_text()]
    machine.hypervisor.forget(spec.id)
    for disk in [*disks, machine.volume("e")]:
        assert disk.source
        machine.store.delete(disk.source.volume)


def test_a_volume_grows_in_its_server(machine: Machine) -> None:
    spec = machine.running()
    for disk in (machine.volume("a"), machine.volume("b", format="qcow2"), machine.volume("c", key="secret")):
        assert disk.source
        machine.hypervisor.attach(spec.id, disk)
        for _ in range(2):
            machine.hypervisor.resize_disk(spec.id, disk.name, 4 * DISK_BYTES)
        assert 4 * DISK_BYTES <= machine.store.volume(disk.source.volume).size_bytes < 5 * DISK_BYTES + (16 << 20)
        with pytest.raises(Refused):
            machine.hypervisor.resize_disk(spec.id, disk.name, 2 * DISK_BYTES)


def test_a_disk_changes_over_to_another_volume(machine: Machine) -> None:
    spec, first, second = machine.running(), machine.volume("a"), machine.volume("b", format="qcow2")
    machine.file_of(first).write_bytes(b"what was written".ljust(DISK_BYTES, b"."))
    hypervisor = machine.hypervisor
    hypervisor.attach(spec.id, first)
    moved = structs.replace(second, name="vol-a")
    for _ in range(2):
        assert hypervisor.replace_disk(spec.id, moved).disks == ["root", "vol-a"]
    machine.store.delete("volume-a")
    with pytest.raises(Conflict):
        machine.store.delete("volume-b")
    back = structs.replace(machine.volume("c"), name="vol-a")
    assert hypervisor.replace_disk(spec.id, back).disks == ["root", "vol-a"]
    assert machine.file_of(back).read_bytes().startswith(b"what was written....")
    locked = structs.replace(machine.volume("d", key="secret"), name="vol-a")
    assert hypervisor.replace_disk(spec.id, locked).disks == ["root", "vol-a"]
    assert b"what was written" not in machine.file_of(locked).read_bytes()
    machine.restart()
    hypervisor = machine.hypervisor
    again = structs.replace(machine.volume("e", key="secret"), name="vol-a")
    assert hypervisor.replace_disk(spec.id, again).disks == ["root", "vol-a"]
    open_again = structs.replace(machine.volume("f"), name="vol-a")
    assert hypervisor.replace_disk(spec.id, open_again).disks == ["root", "vol-a"]
    assert machine.file_of(open_again).read_bytes().startswith(b"what was written....")
    hypervisor.kill(spec.id)
    for name in "cdef":
        machine.store.delete(f"volume-{name}")


def test_a_volume_of_another_size_is_not_moved_to(machine: Machine) -> None:
    spec, disk = machine.running(), machine.volume("a", 2 * DISK_BYTES)
    machine.hypervisor.attach(spec.id, disk)
    for name, size in (("b", DISK_BYTES), ("c", 3 * DISK_BYTES)):
        with pytest.raises(Refused):
            machine.hypervisor.replace_disk(spec.id, structs.replace(machine.volume(name, size), name="vol-a"))
        machine.store.delete(f"volume-{name}")


@pytest.mark.parametrize("limits", [
    DiskLimits(total_bytes_sec=1, read_bytes_sec=1), DiskLimits(write_iops_sec_max=1), DiskLimits(size_iops_sec=1),
    DiskLimits(total_iops_sec=2, total_iops_sec_max=1), DiskLimits(total_bytes_sec=2, write_bytes_sec_max=3)])
def test_limits_that_cannot_be_are_refused_before_anything_is_opened(machine: Machine, limits: DiskLimits) -> None:
    spec = machine.running()
    with pytest.raises(Refused):
        machine.hypervisor.attach(spec.id, machine.volume("a", limits=limits))
    assert machine.hypervisor.server(spec.id).disks == ["root"]
    assert not machine.hypervisor.uses("file", "volume-a")  # type: ignore[attr-defined]
    machine.hypervisor.kill(spec.id)
    with pytest.raises(Refused):
        machine.hypervisor.create(structs.replace(spec, disks=[*spec.disks, machine.volume("a", limits=limits)]))


def test_disks_that_cannot_be(machine: Machine) -> None:
    spec = machine.running()
    for wrong in (machine.volume("a", format="qcow2", shared=True), machine.volume("b", bus="ide", read_only=True)):
        with pytest.raises((Refused, Conflict)):
            machine.hypervisor.attach(spec.id, wrong)
        assert wrong.source and not machine.hypervisor.uses("file", wrong.source.volume)  # type: ignore[attr-defined]
    for bus in ("scsi", "usb"):
        with pytest.raises(Conflict):
            machine.hypervisor.attach(spec.id, machine.volume("c", bus=bus))
    machine.hypervisor.attach(spec.id, machine.volume("d", read_only=True))
    with pytest.raises(Conflict):
        machine.hypervisor.resize_disk(spec.id, "vol-d", 2 * DISK_BYTES)
    with pytest.raises(Refused):
        machine.hypervisor.replace_disk(spec.id, structs.replace(machine.volume("e"), name="vol-d"))
    machine.hypervisor.kill(spec.id)
    for wrong in (machine.volume("a", format="qcow2", shared=True), machine.volume("b", bus="ide", read_only=True)):
        with pytest.raises(Refused):
            machine.hypervisor.create(structs.replace(spec, disks=[*spec.disks, wrong]))
        assert machine.hypervisor.server(spec.id).power == "off"
