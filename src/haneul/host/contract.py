"""What one host can be asked to do: the types and verbs between the control plane and a host agent.

Every verb is idempotent: asked twice it does the thing once and answers the same. A verb never decides and never keeps
anything that the control plane's database cannot rebuild. Sizes are in bytes unless a name says otherwise (`_mib`,
`_gib`), times in seconds. The agent serves a verb as `POST /v1/<driver>/<verb>` with the arguments as a JSON object
(`haneul.host.agent`); `haneul.fleet.agents` is the client. This module imports neither services nor a database.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from msgspec import Struct, field

from haneul.host.storage import DiskLimits, VolumeSource

# ---------------------------------------------------------------- failures


class HostError(Exception):
    """A verb could not be carried out. `code` is a fixed word that travels; `str()` is a plain sentence for an operator."""

    code = "failed"
    status = 500


class NotThere(HostError):
    """The object that the verb names does not exist on this host."""

    code = "not_there"
    status = 404


class Conflict(HostError):
    """The object exists but its state forbids the verb (pause of a stopped server, a disk in use)."""

    code = "conflict"
    status = 409


class NoRoom(HostError):
    """Disk, memory or another finite thing of the host is exhausted; nothing was changed."""

    code = "no_room"
    status = 507


class Refused(HostError):
    """The request is well formed but must not be carried out (an image that lies about its format)."""

    code = "refused"
    status = 422


# ---------------------------------------------------------------- facts about the machine


class HostFacts(Struct, frozen=True, kw_only=True):
    """What a host is and has. `virt` says how guests really run: kvm only after a probe guest ran under it."""

    name: str
    hypervisor: Literal["qemu", "fake"]
    virt: Literal["kvm", "tcg", "fake"]
    hypervisor_version: int  # 7.2.11 is 7002011, as Nova's hypervisor_version
    architecture: str
    cpu_model: str
    cpu_features: list[str]
    cpus: int
    memory_mib: int
    disk_gib: int
    fabric: Literal["linux", "fake"]
    tunnel_ip: str = "127.0.0.1"
    uptime: str = ""
    problems: list[str] = []  # plain sentences: what is missing or degraded


# ---------------------------------------------------------------- servers

Power = Literal["running", "paused", "off", "crashed", "suspended"]


class DiskSpec(Struct, frozen=True, kw_only=True):
    """A disk as the guest sees it: a volume (`source`), or made by `Disks.create` or `Disks.create_config_drive` before."""

    name: str  # root, swap, ephemeral0, config, rescue, vol-…: unique within the server, at most 26 characters
    format: Literal["qcow2", "raw"]
    source: VolumeSource | None = None
    limits: DiskLimits | None = None
    read_only: bool = False
    shared: bool = False  # a multi-attach volume: other guests may have it open too
    bus: Literal["virtio", "scsi", "ide", "usb"] = "virtio"
    device: Literal["disk", "cdrom"] = "disk"
    serial: str | None = None
    boot_index: int | None = None


class NicSpec(Struct, frozen=True, kw_only=True):
    """A network card. Its tap is made by `Fabric.apply` for the port of the same id."""

    port_id: str
    mac: str
    mtu: int = 1500
    model: Literal["virtio", "e1000", "rtl8139"] = "virtio"


class CpuLimits(Struct, frozen=True, kw_only=True):
    """Of one virtual CPU: `shares` weigh it against other servers' (1024 is usual), `quota` of every `period` microseconds is
    what it may run. None: as if nothing was said."""

    shares: int | None = None
    period: int | None = None
    quota: int | None = None


class ServerSpec(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    vcpus: int
    memory_mib: int
    disks: list[DiskSpec]
    nics: list[NicSpec] = []
    vnc: bool = True
    machine: Literal["pc", "q35"] = "pc"
    cpu: CpuLimits | None = None


class ServerState(Struct, frozen=True, kw_only=True):
    id: str
    power: Power
    nics: list[str] = []  # ids of the ports plugged in
    disks: list[str] = []  # names of the disks attached
    pid: int | None = None
    reason: str = ""  # why it crashed, when it did


class CardCounters(Struct, frozen=True, kw_only=True):
    """As the guest counts: what it receives is `rx`."""

    port_id: str
    rx_octets: int
    rx_packets: int
    rx_errors: int
    rx_drop: int
    tx_octets: int
    tx_packets: int
    tx_errors: int
    tx_drop: int


class DiskCounters(Struct, frozen=True, kw_only=True):
    name: str
    read_bytes: int
    read_requests: int
    write_bytes: int
    write_requests: int
    errors: int


class ServerCounters(Struct, frozen=True, kw_only=True):
    """What a server has used since its process began; nothing when it is off. Cards without a tap are not counted."""

    power: Power
    uptime: int | None = None  # seconds
    memory_used_mib: int | None = None  # of the machine's memory
    cpu_nanoseconds: list[int] = []
    nics: list[CardCounters] = []
    disks: list[DiskCounters] = []


class Hypervisor(ABC):
    """Runs servers. Guests outlive the agent: on start a driver adopts what runs."""

    @abstractmethod
    def facts(self) -> HostFacts: ...

    @abstractmethod
    def servers(self) -> list[ServerState]:
        """Every server this host knows, whatever started it."""

    @abstractmethod
    def server(self, id: str) -> ServerState:
        """Raises NotThere."""

    @abstractmethod
    def counters(self, id: str) -> ServerCounters:
        """Measured now. Raises NotThere."""

    @abstractmethod
    def create(self, spec: ServerSpec) -> ServerState:
        """The server's process exists with its virtual CPUs stopped (power `paused`); one that exists is left as it is."""

    @abstractmethod
    def run(self, id: str) -> ServerState:
        """Virtual CPUs run: first start, and unpause."""

    @abstractmethod
    def pause(self, id: str) -> ServerState: ...

    @abstractmethod
    def press_power_button(self, id: str) -> ServerState:
        """ACPI power button; returns at once. The caller watches `server` for `off` and decides when to `kill`."""

    @abstractmethod
    def reset(self, id: str) -> ServerState:
        """Hardware reset of a running guest."""

    @abstractmethod
    def interrupt(self, id: str) -> ServerState:
        """A non-maskable interrupt to a running or paused guest, which a kernel may be set up to leave a crash dump at."""

    @abstractmethod
    def suspend(self, id: str) -> ServerState:
        """Memory saved to disk, process gone (power `suspended`). A suspended server is left as it is."""

    @abstractmethod
    def resume(self, spec: ServerSpec) -> ServerState:
        """A suspended server runs again from its saved memory."""

    @abstractmethod
    def kill(self, id: str) -> ServerState:
        """No process afterwards (power `off`); saved memory dropped. Fine for one that is off already or unknown."""

    @abstractmethod
    def forget(self, id: str) -> None:
        """`kill`, and every trace but the disks gone: sockets, logs, cgroup."""

    @abstractmethod
    def plug(self, id: str, nic: NicSpec) -> ServerState:
        """Hot plug into a running or paused server; Conflict when off (the next `create` has it)."""

    @abstractmethod
    def unplug(self, id: str, port_id: str) -> ServerState:
        """Asks the guest to let go; the caller watches `nics`. One that is not plugged is fine."""

    @abstractmethod
    def attach(self, id: str, disk: DiskSpec) -> ServerState:
        """Hot plug of a volume into a running or paused server; Conflict when off (the next `create` has it). One that is
        plugged in is left as it is, but gets the spec's limits. On failure nothing of it is open."""

    @abstractmethod
    def detach(self, id: str, name: str) -> ServerState:
        """Asks the guest to let go of a disk; the caller watches `disks`, where it is until QEMU has closed the volume. One
        that is not plugged in is fine."""

    @abstractmethod
    def resize_disk(self, id: str, name: str, size_bytes: int) -> ServerState:
        """Grows a volume that this running or paused server has open, store and guest both. Refused when it would shrink."""

    @abstractmethod
    def replace_disk(self, id: str, disk: DiskSpec) -> ServerState:
        """The guest's disk of that name is copied to the volume that `disk` names while the guest runs, and then is that: QEMU's
        mirror job. The volume must be as large. May take minutes; asked again, it is awaited. On failure the old one stays."""

    @abstractmethod
    def console_log(self, id: str, tail_bytes: int = 1 << 20) -> str:
        """The serial console's last bytes, decoded as UTF-8 with replacement."""

    @abstractmethod
    def vnc_socket(self, id: str) -> str:
        """Path of the Unix socket that speaks RFB; raises Conflict when the server is off."""


# ---------------------------------------------------------------- disks


class ConfigDrive(Struct, frozen=True, kw_only=True):
    """Files of a config drive by path ("openstack/latest/meta_data.json"), base64 where not UTF-8."""

    files: dict[str, str]
    base64_files: dict[str, str] = {}
    format: Literal["iso9660", "vfat"] = "iso9660"


class DiskState(Struct, frozen=True, kw_only=True):
    server_id: str
    name: str
    format: str
    virtual_bytes: int
    allocated_bytes: int
    image_id: str | None = None


class ImageState(Struct, frozen=True, kw_only=True):
    id: str
    format: str
    bytes: int
    last_used: float


class SnapshotState(Struct, frozen=True, kw_only=True):
    """A finished flat copy of a disk, ready to be read with `GET /v1/disks/snapshots/<id>`."""

    id: str
    format: str
    bytes: int


class Disks(ABC):
    """Images (a bounded cache), servers' disks on top of them, config drives and snapshots.

    Besides the verbs, the agent streams: `PUT /v1/disks/images/<id>?format=&sha512=` takes an image's bytes into the
    cache (Refused when digest or inspected format disagree, nothing kept of a broken upload), `GET
    /v1/disks/snapshots/<id>` gives a snapshot's.
    """

    @abstractmethod
    def images(self) -> list[ImageState]: ...

    @abstractmethod
    def has_image(self, id: str) -> bool: ...

    @abstractmethod
    def drop_image(self, id: str) -> None: ...

    @abstractmethod
    def create(self, server_id: str, name: str, format: Literal["qcow2", "raw"], size_bytes: int,
               image_id: str | None = None, image_format: str | None = None) -> DiskState:
        """A disk of at least `size_bytes`: empty, or an overlay on a cached image. One that exists is left as it is."""

    @abstractmethod
    def create_config_drive(self, server_id: str, drive: ConfigDrive) -> DiskState:
        """The disk named `config`; written anew if it exists (its server must be off: Conflict)."""

    @abstractmethod
    def resize(self, server_id: str, name: str, size_bytes: int) -> DiskState:
        """Grows a disk of a server that is off. Never shrinks: Refused."""

    @abstractmethod
    def disks(self) -> list[DiskState]: ...

    @abstractmethod
    def remove(self, server_id: str, name: str | None = None) -> None:
        """One disk, or every disk of the server."""

    @abstractmethod
    def snapshot(self, server_id: str, name: str, snapshot_id: str) -> SnapshotState:
        """A flat, point-in-time copy, taken through QEMU's own job when the guest runs. May take minutes."""

    @abstractmethod
    def drop_snapshot(self, snapshot_id: str) -> None: ...


# ---------------------------------------------------------------- fabric


class HostRoute(Struct, frozen=True):
    destination: str
    nexthop: str


class SubnetSpec(Struct, frozen=True, kw_only=True):
    id: str
    cidr: str
    gateway_ip: str | None
    enable_dhcp: bool = True
    dns_nameservers: list[str] = []
    host_routes: list[HostRoute] = []
    ipv6_address_mode: Literal["slaac", "dhcpv6-stateful", "dhcpv6-stateless"] | None = None
    ipv6_ra_mode: Literal["slaac", "dhcpv6-stateful", "dhcpv6-stateless"] | None = None


class NetworkSpec(Struct, frozen=True, kw_only=True):
    """A network as one host needs it. `dhcp_ips` are the addresses of its DHCP port (CIDR notation)."""

    id: str
    type: Literal["vxlan", "flat", "vlan", "local"]
    segmentation_id: int | None = None
    physical_network: str | None = None
    mtu: int = 1450
    external: bool = False
    subnets: list[SubnetSpec] = []
    dhcp_port_id: str | None = None
    dhcp_mac: str | None = None
    dhcp_ips: list[str] = []
    dns_domain: str = ""
    peers: list[str] = []  # tunnel addresses of the other hosts that have ports of this network


class FixedIP(Struct, frozen=True):
    subnet_id: str
    ip: str


class AddressPair(Struct, frozen=True):
    ip: str  # an address or a CIDR
    mac: str


class Rate(Struct, frozen=True, kw_only=True):
    """At most so much in one direction: a bucket of `burst` that fills at the rate. 0: no limit of that kind."""

    kbps: int = 0
    burst_kbit: int = 0
    kpps: int = 0
    burst_kpackets: int = 0


class Qos(Struct, frozen=True, kw_only=True):
    """What a port or an address may send (`egress`) and be sent, and the mark that its packets leave with."""

    egress: Rate | None = None
    ingress: Rate | None = None
    dscp: int | None = None


class Tagged(Struct, frozen=True, kw_only=True):
    """A port without a card of its own: its frames pass the parent's, with a VLAN tag that only the guest sees."""

    parent: str  # id of a port
    vlan: int


class PortSpec(Struct, frozen=True, kw_only=True):
    id: str
    network_id: str
    mac: str
    fixed_ips: list[FixedIP] = []
    allowed_address_pairs: list[AddressPair] = []
    port_security: bool = True
    admin_up: bool = True
    security_groups: list[str] = []
    hostname: str = ""
    dhcp_options: list[tuple[int, str, str]] = []  # (IP version, option name or number, value)
    server_id: str | None = None
    qos: Qos | None = None
    tagged: Tagged | None = None


class SecurityRule(Struct, frozen=True, kw_only=True):
    id: str
    direction: Literal["ingress", "egress"]
    ethertype: Literal["IPv4", "IPv6"]
    protocol: str | None = None  # a name that Neutron knows or a number as text
    port_min: int | None = None  # for ICMP: the type
    port_max: int | None = None  # for ICMP: the code
    remote_cidr: str | None = None
    remote_group: str | None = None  # id of a security group whose `members` are meant


class SecurityGroupSpec(Struct, frozen=True, kw_only=True):
    """A group's rules, and its members' addresses on all hosts (for rules of others that name it as remote)."""

    id: str
    stateful: bool = True
    rules: list[SecurityRule] = []
    members: list[str] = []


class RouterInterface(Struct, frozen=True, kw_only=True):
    port_id: str
    network_id: str
    mac: str
    ips: list[str]  # CIDR notation


class FloatingIP(Struct, frozen=True, kw_only=True):
    id: str
    floating_ip: str
    fixed_ip: str


class PortForwarding(Struct, frozen=True, kw_only=True):
    """Ports of a floating IP, first and last, that lead to a fixed address: to as many ports, or all to one."""

    id: str
    floating_id: str
    floating_ip: str
    protocol: Literal["tcp", "udp", "sctp", "dccp"]
    external: tuple[int, int]
    fixed_ip: str
    internal: tuple[int, int]


class RouterSpec(Struct, frozen=True, kw_only=True):
    id: str
    admin_up: bool = True
    interfaces: list[RouterInterface] = []
    gateway: RouterInterface | None = None
    gateway_ips: list[str] = []  # next hops, one an IP version
    limits: dict[str, Qos] = {}  # by public address: floating IPs, the gateway's own
    enable_snat: bool = True
    floating_ips: list[FloatingIP] = []
    forwardings: list[PortForwarding] = []
    routes: list[HostRoute] = []


class FabricState(Struct, frozen=True, kw_only=True):
    """What should be. A list that is left out says nothing about what exists."""

    networks: list[NetworkSpec] = []
    security_groups: list[SecurityGroupSpec] = []
    ports: list[PortSpec] = []
    routers: list[RouterSpec] = []


class FabricIds(Struct, frozen=True, kw_only=True):
    networks: list[str] = []
    security_groups: list[str] = []
    ports: list[str] = []
    routers: list[str] = []


class FabricInventory(Struct, frozen=True, kw_only=True):
    """What is. `strays` are links, namespaces, processes and tables of this cloud that belong to none of the others."""

    networks: list[str] = field(default_factory=list)
    security_groups: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    routers: list[str] = field(default_factory=list)
    unhealthy: list[str] = field(default_factory=list)  # ids of the above that `apply` must mend (a dead dnsmasq)
    strays: list[str] = field(default_factory=list)


class Fabric(ABC):
    """Networks, ports, routers and filters of one host."""

    @abstractmethod
    def apply(self, state: FabricState) -> None:
        """Makes everything named exactly so, order and dependencies its own business. When it returns, a port's tap
        exists, its lease is served, its filters and its metadata listener are in place. A rule or member that went
        away ends live sessions too. All or an error; asked again it goes on."""

    @abstractmethod
    def remove(self, ids: FabricIds) -> None:
        """What is named is gone afterwards; what never was is fine."""

    @abstractmethod
    def inventory(self) -> FabricInventory: ...

    @abstractmethod
    def remove_strays(self) -> list[str]:
        """Removes what `inventory` calls strays; answers what it removed."""

    @abstractmethod
    def purge(self) -> None:
        """Nothing of this cloud's fabric remains on the machine."""
