"""The configuration: one TOML file, a default for every key, unknown keys refused.

The file is `<state>/config.toml`; a cloud runs without one. What was given to `haneul up` once (port, hypervisor) or chosen
by it (a free external network) is remembered in `<state>/chosen.json` and wins over the file. `haneul config` prints the
effective values.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[int, Meta(ge=1)]


class ConfigError(Exception):
    """The file cannot be read or says something that cannot be; the message names file and key."""


class Section(Struct, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


class Api(Section):
    bind: str = "127.0.0.1"
    port: Port = 5000
    public_url: str = ""  # as clients reach it; empty: http://<bind>:<port>
    threads: Positive = 16  # of the pool that runs request handlers
    max_body_bytes: Positive = 1 << 20  # of a JSON body; streams have their own limits
    page_limit: Positive = 1000  # most items in one page of a list
    region: str = "RegionOne"


class Database(Section):
    url: str = ""  # empty: SQLite in the state directory
    pool: Positive = 20
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"  # SQLite: FULL also survives a power cut without losing a commit


class Tasks(Section):
    runners: Positive = 12  # threads
    lease_seconds: Positive = 15
    poll_seconds: float = 1.0
    keep_days: Positive = 30  # how long an ended task, and with it a server's actions, can be looked at


class Identity(Section):
    admin_password: str = ""  # empty: made at first start and kept in <state>/admin-password
    bcrypt_rounds: Annotated[int, Meta(ge=4, le=31)] = 12
    token_seconds: Positive = 3600
    key_rotation_seconds: Positive = 86400
    max_active_keys: Positive = 3
    lockout_failures: int = 0  # 0: never locked
    lockout_seconds: int = 1800
    unique_last_passwords: int = 0
    minimum_password_age: int = 0  # days until users may change a password that they chose
    password_expires_days: int = 0  # 0: never
    password_regex: str = ""  # what a new password must match; empty: anything
    password_regex_description: str = ""
    change_password_upon_first_use: bool = False  # of one that an administrator chose
    disable_user_account_days_inactive: int = 0  # 0: never


class ImageStore(Section):
    """`file` keeps data in a folder, `http` only knows addresses of data elsewhere."""

    driver: Literal["file", "http"] = "file"
    path: str = ""  # of a file store; empty: in the state directory
    weight: int = 0  # data is read from the heaviest store that has it
    default: bool = False  # takes what names no store; none: `file`
    description: str = ""


class Image(Section):
    """`stores` are `[image.stores.NAME]`. The store `file`, in the state directory, is always there."""

    max_bytes: Positive = 1 << 40
    user_quota_bytes: int = 0  # 0: no limit
    require_format_match: bool = True  # uploads of another format than declared are refused; else hosts refuse to use them
    web_download_private: bool = False  # may import fetch from private addresses; loopback ranges below always may not
    web_download_allow: list[str] = []  # CIDRs, or ADDRESS:PORT, that may be fetched from although they are private or loopback
    stores: dict[str, ImageStore] = {}
    import_stores: list[str] = []  # where imports that name no store go; empty: the default store
    show_multiple_locations: bool = False  # users see where data is, and may add addresses of their own
    do_secure_hash: bool = True  # data elsewhere is fetched once and hashed when its address is added
    cache_bytes: Positive = 10 << 30  # of data elsewhere, kept here once it was read


class Network(Section):
    public_cidr: str = "172.24.4.0/24"
    mtu: Annotated[int, Meta(ge=576, le=65535)] = 1500
    vni_min: Positive = 1
    vni_max: Positive = 16_777_215
    dns_domain: str = "novalocal"
    dns_nameservers: list[str] = []
    vlan_ranges: dict[str, tuple[int, int]] = {}  # physical network: (first, last) VLAN id
    flat_networks: list[str] = field(default_factory=lambda: ["public"])
    bandwidths: dict[str, tuple[int, int]] = {}  # physical network: what each host can promise, (egress, ingress) in kbit/s


class Compute(Section):
    cpu_allocation_ratio: float = 16.0
    ram_allocation_ratio: float = 1.5
    disk_allocation_ratio: float = 1.0
    reserved_memory_mib: int = 512
    resize_confirm_seconds: int = 0  # 0: confirmed by the user only
    shutdown_seconds: Positive = 60
    dhcp_domain: str = "novalocal"


class Volume(Section):
    """`backends` are `[volume.backends.NAME]`: `driver` (file, ceph, or one that an entry point of the group `haneul.volumes`
    names), `volume_backend_name` (what volume types ask for; empty: NAME), `host` (whose agent serves it; empty: this
    machine's), and the driver's own keys."""

    backends: dict[str, dict[str, Any]] = field(default_factory=lambda: {"file": {"driver": "file"}})
    default_type: str = "__DEFAULT__"
    max_over_subscription_ratio: float = 20.0
    backup_folder: str = ""  # empty: in the state directory
    backup_chunk_bytes: Annotated[int, Meta(ge=1 << 16)] = 4 << 20
    message_days: Positive = 30


class Quota(Section):
    """Defaults of every project; -1 is no limit."""

    instances: int = 10
    cores: int = 20
    ram: int = 51200
    metadata_items: int = 128
    key_pairs: int = 100
    server_groups: int = 10
    server_group_members: int = 10
    network: int = 100
    subnet: int = 100
    port: int = 500
    router: int = 10
    floatingip: int = 50
    security_group: int = 10
    security_group_rule: int = 100
    subnetpool: int = -1
    rbac_policy: int = 10
    trunk: int = -1
    volumes: int = 10
    snapshots: int = 10
    gigabytes: int = 1000
    per_volume_gigabytes: int = -1
    backups: int = 10
    backup_gigabytes: int = 1000
    groups: int = 10


class Host(Section):
    """This machine's agent."""

    name: str = ""  # empty: the machine's host name
    hypervisor: Literal["auto", "qemu", "fake"] = "auto"
    fabric: Literal["auto", "linux", "fake"] = "auto"  # auto: fake with the fake hypervisor, else linux
    fake_hosts: Positive = 1  # how many hosts the agent plays with the fake hypervisor
    tunnel_ip: str = "127.0.0.1"
    image_cache_gib: Positive = 20
    timeout_seconds: float = 60.0  # of one call of the control plane to an agent
    calls_at_once: Positive = 16
    heartbeat_seconds: float = 5.0
    down_seconds: float = 20.0


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class Config(Section):
    """The whole file. `state` comes from the command line, never from the file."""

    api: Api = field(default_factory=Api)
    database: Database = field(default_factory=Database)
    tasks: Tasks = field(default_factory=Tasks)
    identity: Identity = field(default_factory=Identity)
    image: Image = field(default_factory=Image)
    network: Network = field(default_factory=Network)
    compute: Compute = field(default_factory=Compute)
    volume: Volume = field(default_factory=Volume)
    quota: Quota = field(default_factory=Quota)
    host: Host = field(default_factory=Host)
    log: Log = field(default_factory=Log)


class Paths:
    """Where a cloud keeps its files, below its state directory."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.config = state / "config.toml"
        self.chosen = state / "chosen.json"  # what `haneul up` was told or chose: section, key, value
        self.cloud_id = state / "cloud-id"  # eight hex digits; in the names of namespaces, links and tables
        self.policy = state / "policy.yaml"  # the operator's overrides
        self.control = state / "control"  # the control plane's own: owned by its user
        self.database = self.control / "haneul.db"
        self.fernet_keys = self.control / "fernet-keys"
        self.images = self.control / "images"
        self.image_stores = self.control / "image-stores"  # file stores without a folder of their own
        self.image_cache = self.control / "image-cache"
        self.backups = self.control / "backups"  # of volumes, where the configuration names no other folder
        self.volume_key = self.control / "volume-key"  # under it the keys of encrypted volumes are kept
        self.host = state / "host"  # the agent's own: owned by root
        self.run = state / "run"  # pid files, sockets and locks
        self.agent_socket = self.run / "agent.sock"
        self.agent_secret = state / "agent-secret"  # shared by control and agent: signs metadata requests
        self.admin_password = state / "admin-password"
        self.logs = state / "log"


def load(state: Path, overrides: dict[str, dict[str, Any]] | None = None) -> Config:
    """The effective configuration of a state directory.

    `overrides` (section, key, value), from the command line, win over the file. Raises ConfigError.
    """
    path, chosen = Paths(state).config, Paths(state).chosen
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text()) if path.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        remembered = msgspec.json.decode(chosen.read_bytes(), type=dict[str, dict[str, Any]]) if chosen.exists() else {}
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{chosen}: {error}") from error
    for layer in (remembered, overrides or {}):
        for section, values in layer.items():
            raw.setdefault(section, {}).update(values)
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error


_TABLES = (("volume", "backends"), ("image", "stores"))  # written as [section.key.NAME]


def dump(config: Config) -> str:
    """TOML text of a configuration, every key present."""
    lines: list[str] = []
    for section, values in msgspec.to_builtins(config).items():
        lines.append(f"[{section}]")
        tables = {key: value for key, value in values.items() if (section, key) in _TABLES}
        for key, value in values.items():
            if key in tables:
                continue
            if isinstance(value, dict):
                inner = ", ".join(f"{msgspec.json.encode(k).decode()} = {msgspec.json.encode(v).decode()}"
                                  for k, v in value.items())
                lines.append(f"{key} = {{ {inner} }}" if inner else f"{key} = {{}}")
            else:
                lines.append(f"{key} = {msgspec.json.encode(value).decode()}")
        lines.append("")
        for key, table in tables.items():
            for name, entries in table.items():
                lines.append(f"[{section}.{key}.{msgspec.json.encode(name).decode()}]")
                lines += [f"{word} = {msgspec.json.encode(value).decode()}" for word, value in entries.items()]
                lines.append("")
    return "\n".join(lines)
