"""A server's command line: the machine, and every device at an address of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from haneul.host.contract import Conflict, DiskSpec, NicSpec
from haneul.host.hypervisor.qemu.drives import Drive
from haneul.host.hypervisor.qemu.record import Record

VIDEO, RNG, SCSI, USB = 2, 3, 4, 5  # PCI slots; 0, 1 and on q35 31 are the chipset's
FIRST_SLOT = 6
LAST_SLOT = {"pc": 30, "q35": 21}
MACHINE = {"pc": "pc,usb=off,vmport=off,hpet=off", "q35": "q35,usb=off,vmport=off,hpet=off"}
ACCELERATOR = {"kvm": ["-accel", "kvm", "-cpu", "host"], "tcg": ["-accel", "tcg,thread=multi", "-cpu", "max,la57=off"]}
SLEEP_STATES = {"pc": "PIIX4_PM", "q35": "ICH9-LPC"}
NIC = {"virtio": "virtio-net-pci", "e1000": "e1000", "rtl8139": "rtl8139"}
SERIAL_LENGTH = 20  # what virtio-blk can hold
USB_PORTS = 8
UNITS = {"scsi": 256, "ide": 4, "usb": USB_PORTS}

Device = dict[str, Any]


def device_id(kind: str, name: str) -> str:
    return f"{kind}-{name}"


def take_slot(record: Record, id: str) -> int:
    """The device's PCI slot, the same for as long as the device is there."""
    if id not in record.slots:
        used = set(record.slots.values())
        free = [slot for slot in range(FIRST_SLOT, LAST_SLOT[record.spec.machine] + 1) if slot not in used]
        if not free:
            raise Conflict(f"server {record.spec.id} has no free slot for another device")
        record.slots[id] = free[0]
    return record.slots[id]


def address(record: Record, slot: int) -> Device:
    if record.spec.machine == "pc":
        return {"bus": "pci.0", "addr": hex(slot)}
    return {"bus": "pcie.0", "addr": hex(slot)} if slot < FIRST_SLOT else {"bus": f"port{slot}", "addr": "0x0"}


def nic_device(record: Record, nic: NicSpec) -> Device:
    id = device_id("nic", nic.port_id)
    device = {"driver": NIC[nic.model], "id": id, "netdev": device_id("net", nic.port_id), "mac": nic.mac,
              "romfile": "", **address(record, take_slot(record, id))}
    return device | ({"host_mtu": nic.mtu} if nic.model == "virtio" else {})


def netdev(nic: NicSpec, slot: int, fd: int | str | None) -> Device:
    """Without a tap (the fake fabric) the card hangs on a hub of its own."""
    backend = {"type": "hubport", "hubid": slot} if fd is None else {"type": "tap", "fd": str(fd)}
    return backend | {"id": device_id("net", nic.port_id)}


def controllers(record: Record) -> list[Device]:
    """Of disks on other buses than PCI. They are there from the start: guests find no others later."""
    devices: list[Device] = []
    buses = {*record.controllers, *(disk.bus for disk in record.spec.disks)}  # records of older agents have disks only
    if "scsi" in buses:
        devices.append({"driver": "virtio-scsi-pci", "id": "scsi0", **address(record, SCSI)})
    if "usb" in buses:
        devices.append({"driver": "qemu-xhci", "id": "usb0", "p2": USB_PORTS, "p3": USB_PORTS, **address(record, USB)})
    return devices


def _take_unit(record: Record, disk: DiskSpec) -> int:
    """The disk's number on its bus, the same for as long as it is there."""
    if disk.name not in record.units:
        used = {record.units[each.name] for each in record.spec.disks if each.bus == disk.bus and each.name in record.units}
        most = UNITS[disk.bus] + (2 if (disk.bus, record.spec.machine) == ("ide", "q35") else 0)
        free = [number for number in range(most) if number not in used]
        if not free:
            raise Conflict(f"server {record.spec.id} has room for {most} {disk.bus.upper()} disks")
        record.units[disk.name] = free[0]
    return record.units[disk.name]


def disk_device(record: Record, disk: DiskSpec) -> list[Device]:
    """The device and what it hangs on, in order."""
    id = device_id("disk", disk.name)
    device: Device = {"id": id, "drive": record.node(disk.name)}
    if disk.serial:
        device["serial"] = disk.serial[:SERIAL_LENGTH]
    if disk.boot_index is not None:
        device["bootindex"] = disk.boot_index
    if disk.shared:
        device["share-rw"] = True
    optical = disk.device == "cdrom"
    if disk.bus == "virtio":
        return [device | {"driver": "virtio-blk-pci"} | address(record, take_slot(record, id))]
    number = _take_unit(record, disk)
    if disk.bus == "scsi":
        return [device | {"driver": "scsi-cd" if optical else "scsi-hd", "bus": "scsi0.0", "scsi-id": number}]
    if disk.bus == "ide":
        place = ({"bus": f"ide.{number // 2}", "unit": number % 2} if record.spec.machine == "pc"
                 else {"bus": f"ide.{number}", "unit": 0})
        return [device | {"driver": "ide-cd" if optical else "ide-hd"} | place]
    if optical:
        bridge = device_id("usb", disk.name)
        return [{"driver": "usb-bot", "id": bridge, "bus": "usb0.0", "port": str(number + 1)},
                device | {"driver": "scsi-cd", "bus": f"{bridge}.0", "scsi-id": 0, "lun": 0}]
    return [device | {"driver": "usb-storage", "bus": "usb0.0", "port": str(number + 1), "removable": False}]


def command(record: Record, drives: list[Drive], keys: dict[str, int], taps: dict[str, int | None], monitor_fd: int,
            console_fd: int, vnc: Path, *, incoming: bool = False) -> list[str]:
    """The arguments of QEMU. Descriptors in `keys` (by secret), in `taps` and the two others are inherited by it."""
    spec = record.spec
    words = [
        "-name", spec.id, "-uuid", spec.id, "-machine", MACHINE[spec.machine], *ACCELERATOR[record.virt],
        "-smp", str(spec.vcpus), "-m", f"{spec.memory_mib}M", "-rtc", "base=utc",
        "-global", f"{SLEEP_STATES[spec.machine]}.disable_s3=1",
        "-global", f"{SLEEP_STATES[spec.machine]}.disable_s4=1",
        "-smbios", "type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova,"  # what cloud-init looks for
                   f"serial={spec.id},uuid={spec.id},family=Virtual Machine",
        "-boot", "menu=off,strict=on", "-S", "-action", "shutdown=pause", "-msg", "timestamp=on",
        "-chardev", f"socket,id=qmp,fd={monitor_fd},server=on,wait=off", "-mon", "chardev=qmp,mode=control",
        "-add-fd", f"fd={console_fd},set=1",
        "-chardev", "file,id=serial0,path=/dev/fdset/1,append=on",
        "-object", '{"qom-type":"rng-builtin","id":"rng0"}',
    ]
    devices: list[Device] = [{"driver": "isa-serial", "chardev": "serial0"}]
    if spec.machine == "q35":
        devices += [{"driver": "pcie-root-port", "id": f"port{slot}", "bus": "pcie.0", "addr": hex(slot),
                     "chassis": slot}
                    for slot in range(FIRST_SLOT, LAST_SLOT["q35"] + 1)]
    devices.append({"driver": "virtio-rng-pci", "rng": "rng0", **address(record, RNG)})
    if spec.vnc:
        path = str(vnc).replace(",", ",,")
        words += ["-vnc", f"unix:{path}"]
        devices.append({"driver": "VGA", "id": "video0", **address(record, VIDEO)})
    else:
        words += ["-display", "none"]
    for secret, fd in keys.items():
        words += ["-object", json.dumps({"qom-type": "secret", "id": secret, "format": "base64",
                                         "file": f"/dev/fd/{fd}"})]
    for drive in drives:
        words += ["-blockdev", json.dumps(drive.node)]
    devices += controllers(record)
    for disk in spec.disks:
        devices += disk_device(record, disk)
    for nic in record.nics:
        device = nic_device(record, nic)
        words += ["-netdev", json.dumps(netdev(nic, record.slots[device["id"]], taps[nic.port_id]))]
        devices.append(device)
    for device in devices:
        words += ["-device", json.dumps(device)]
    if incoming:
        words += ["-incoming", "defer"]
    return words
