"""What a flavor's extra specs may be called and say, since 2.86: Nova's list. Names of no known namespace are anyone's."""

from __future__ import annotations

import re

from haneul.kernel.errors import BadRequest
from haneul.placement.traits import STANDARD_CLASSES, STANDARD_TRAITS

_TRUE, _FALSE = {"1", "t", "true", "on", "y", "yes"}, {"0", "f", "false", "off", "n", "no"}
# What Nova's patterns match, each in one way only: theirs take time that doubles with every character of a wrong value.
_CPUS = r"\^?\d+(-\d+|,\^?\d+)*"
_GROUP = r"([a-zA-Z0-9_-]{1,64})?"

_BOOLEANS = frozenset((
    "hw:cpu_realtime", "hw:hide_hypervisor_id", "hw:locked_memory", "hw:boot_menu", "hw:vif_multiqueue_enabled",
    "hw:mem_encryption", "hw:pmu", "hw:virtio_packed_ring", "hw:ephemeral_encryption", "hw_rng:allowed", "hide_hypervisor_id"))
_CHOICES: dict[str, tuple[str, ...]] = {
    "hw:cpu_policy": ("dedicated", "shared", "mixed"), "hw:cpu_thread_policy": ("prefer", "isolate", "require"),
    "hw:emulator_threads_policy": ("isolate", "share"),
    "hw:pci_numa_affinity_policy": ("required", "preferred", "legacy", "socket"),
    "hw:mem_encryption_model": ("amd-sev", "amd-sev-es", "amd-sev-snp", "intel-tdx"), "hw:tpm_model": ("tpm-tis", "tpm-crb"),
    "hw:tpm_version": ("1.2", "2.0"), "hw:tpm_secret_security": ("user", "host", "deployment"),
    "hw:watchdog_action": ("none", "pause", "poweroff", "reset", "disabled"),
    "hw:viommu_model": ("intel", "smmuv3", "virtio", "auto"),
    "hw:sound_model": ("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio"),
    "hw:usb_model": ("none", "nec-xhci", "qemu-xhci"), "hw:ephemeral_encryption_format": ("plain", "luks", "luksv2"),
    "os:secure_boot": ("disabled", "required"), "group_policy": ("isolate", "none"),
    **{f"quota:{what}_shares_level": ("custom", "high", "normal", "low") for what in ("cpu", "memory", "disk_io", "vif")}}
_PATTERNS = {
    "hw:cpu_realtime_mask": _CPUS, "hw:cpu_dedicated_mask": _CPUS,
    "hw:mem_page_size": r"(large|small|any|\d+([kKMGT]i?)?(b|bit|B)?)", "hw:pmem": r"[a-zA-Z0-9_]+(,[a-zA-Z0-9_]+)*,?",
    "pci_passthrough:alias": r"[^:]+:\d+(?:\s*,\s*[^:]+:\d+)*"}
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    **dict.fromkeys(("hw:numa_nodes", "hw:cpu_sockets", "hw:cpu_cores", "hw:cpu_threads", "hw:cpu_max_sockets",
                     "hw:cpu_max_cores", "hw:cpu_max_threads"), (1, None)),
    **dict.fromkeys(("hw:serial_port_count", "hw_rng:rate_bytes", "hw_rng:rate_period", "hw_video:ram_max_mb",
                     "quota:cpu_shares", "quota:cpu_period"), (0, None)),
    "hw:redirected_usb_ports": (0, 15), "quota:cpu_quota": (None, None),
    **{f"quota:{what}_{kind}": (least, None) for what in ("cpu", "memory", "disk_io", "vif")
       for kind, least in (("limit", 0), ("reservation", None), ("shares_share", 0))},
    **{f"quota:disk_{way}_{unit}_sec": (0, None) for way in ("read", "write", "total") for unit in ("bytes", "iops")},
    **{f"quota:vif_{way}_{kind}": (0, None) for way in ("inbound", "outbound") for kind in ("average", "peak", "burst")}}
_CAPABILITIES = "|".join((
    "id", "uuid", "service_id", "host", "vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used",
    "hypervisor_type", "hypervisor_version", "hypervisor_hostname", "free_ram_mb", "free_disk_gb", "current_workload",
    "running_vms", "disk_available_least", "host_ip", "mapped", "cpu_allocation_ratio", "ram_allocation_ratio",
    "disk_allocation_ratio", "total_usable_ram_mb", "total_usable_disk_gb", "disk_mb_used", "free_disk_mb", "vcpus_total",
    "num_instances", "num_io_ops", "failed_builds", "aggregates", "cell_uuid", "updated"))
_NESTED = "|".join(("cpu_info", "metrics", "stats", "numa_topology", "supported_hv_specs", "pci_device_pools", "nodename",
                    "pci_stats", "supported_instances", "limits", "instances"))
_FREE = re.compile(rf"accel:device_profile|aggregate_instance_extra_specs:.+|vmware:(hw_version|storage_policy)"
                   rf"|capabilities:(({_CAPABILITIES})|({_NESTED})(:\w+)*)")
_NAMESPACES = re.compile(rf"accel|aggregate_instance_extra_specs|capabilities|hw|hw_rng|hw_video|os|pci_passthrough|quota|vmware"
                         rf"|resources{_GROUP}|trait{_GROUP}")


def check(name: str, value: str) -> None:
    """BadRequest for a known namespace's unknown name, and for a value that the name cannot have."""
    if name in _BOOLEANS:
        if value.strip().lower() not in _TRUE | _FALSE:
            raise BadRequest(f"Validation failed; '{value}' is not a valid boolean-like value.")
    elif name in _CHOICES:
        _choice(value, _CHOICES[name])
    elif name in _PATTERNS:
        _pattern(value, _PATTERNS[name])
    elif name in _NUMBERS:
        _number(value, *_NUMBERS[name])
    elif not _parametrized(name, value) and ":" in name and _NAMESPACES.fullmatch(name.split(":", 1)[0]):
        raise BadRequest(f"Validation failed; extra spec '{name}' does not appear to be a valid extra spec.")


def _parametrized(name: str, value: str) -> bool:
    """Names with something of the caller's in them; whether this is one."""
    space, _, rest = name.partition(":")
    if re.fullmatch("resources" + _GROUP, space) and (rest in STANDARD_CLASSES or re.fullmatch("CUSTOM_[A-Z0-9_]+", rest)):
        _number(value, None, None)
    elif re.fullmatch("trait" + _GROUP, space) and (rest in STANDARD_TRAITS or re.fullmatch("CUSTOM_[A-Z0-9_]+", rest)):
        _choice(value, ("required", "forbidden"))
    elif re.fullmatch(r"hw:numa_cpus\.\d+", name):
        _pattern(value, _CPUS)
    elif re.fullmatch(r"hw:numa_mem\.\d+", name):
        _number(value, 1, None)
    else:
        return _FREE.fullmatch(name) is not None
    return True


def _choice(value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BadRequest(f"Validation failed; '{value}' is not one of: {', '.join(choices)}.")


def _pattern(value: str, pattern: str) -> None:
    if not re.fullmatch(pattern, value):
        raise BadRequest(f"Validation failed; '{value}' is not of the format '{pattern}'.")


def _number(value: str, least: int | None, most: int | None) -> None:
    try:
        found = int(value)
    except ValueError:
        raise BadRequest(f"Validation failed; '{value}' is not a valid integer value.")
    if most is not None and found > most:
        raise BadRequest(f"Validation failed; '{found}' is greater than the max value of '{most}'.")
    if least is not None and found < least:
        raise BadRequest(f"Validation failed; '{found}' is less than the min value of '{least}'.")
