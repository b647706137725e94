"""`haneul tempest-config`: tempest.conf for the running cloud, from what it offers; makes what Tempest expects to find.

Only what this cloud has is switched on: services by the catalog, network extensions by their list, microversions by
discovery. Times are for guests without KVM.
"""

from __future__ import annotations

import configparser
import sys
from pathlib import Path
from typing import Any

from haneul.cli import demo, guest, state
from haneul.cli.api import Api, wait
from haneul.cli.up import Steps
from haneul.kernel.config import Config, Paths, load

CINDER = "/volume/v3"
MULTIATTACH = "multiattach"
IMAGE_LIMITS = ("image_size_total", "image_stage_total", "image_count_total", "image_count_uploading")
SERVICES = {"nova": "compute", "neutron": "network", "glance": "image", "cinder": "block-storage", "swift": "object-store"}


def run(directory: Path, output: Path | None, web: str | None, workspace: Path | None = None) -> None:
    """Logs and locks are kept in the workspace; without one, in the state directory."""
    paths = state.existing(directory)
    config = load(paths.state)
    api = Api.of(paths, config)
    workspace = workspace or paths.state / "tempest"
    for name in ("logs", "lock"):
        (workspace / name).mkdir(parents=True, exist_ok=True)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict({section: {key: _text(value) for key, value in values.items()}
                      for section, values in settings(paths, config, api, workspace, web).items()})
    if output is None:
        parser.write(sys.stdout)
    else:
        with output.open("w") as file:
            parser.write(file)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def settings(paths: Paths, config: Config, api: Api, workspace: Path, web: str | None) -> dict[str, dict[str, Any]]:
    """Sections and their values: what the cloud offers, and times that emulated guests on two cores need."""
    offered = {service["type"] for service in api.get(f"{demo.KEYSTONE}/services")["services"]}
    fake = config.host.hypervisor == "fake"
    patience = 120 if fake else 600
    return {
        "DEFAULT": {"debug": True, "use_stderr": False, "log_dir": workspace / "logs", "log_file": "tempest.log",
                    "resource_name_prefix": "tempest"},
        "oslo_concurrency": {"lock_path": workspace / "lock"},
        "auth": {"use_dynamic_credentials": True, "create_isolated_networks": True, "default_credentials_domain_name": "Default",
                 "admin_username": "admin", "admin_password": state.admin_password(paths), "admin_project_name": "admin",
                 "admin_domain_name": "Default", "admin_system": "all"},
        "enforce_scope": {name: True for name in ("keystone", "glance", "nova", "neutron", "placement", "cinder")},
        "service-clients": {"http_timeout": 180},
        "service_available": {name: kind in offered for name, kind in SERVICES.items()} | {"horizon": False},
        **_identity(config),
        **_images(api, config, web, patience),
        **(_networks(api, config, patience) if "network" in offered else {}),
        **(_servers(api, paths, config, patience, "block-storage" in offered) if "compute" in offered else {}),
        **(_volumes(api, patience) if "block-storage" in offered else {}),
        "placement": {"catalog_type": "placement", "endpoint_type": "public", "min_microversion": "1.0",
                      "max_microversion": "latest"},
        **_guests(fake),
    }


def _identity(config: Config) -> dict[str, dict[str, Any]]:
    rules = config.identity
    return {
        "identity": {"uri_v3": f"{state.url(config)}/identity/v3", "auth_version": "v3", "region": config.api.region,
                     "catalog_type": "identity", "v3_endpoint_type": "public", "default_domain_id": "default",
                     "admin_role": "admin", "user_lockout_failure_attempts": rules.lockout_failures,
                     "user_lockout_duration": rules.lockout_seconds,
                     "user_unique_last_password_count": rules.unique_last_passwords,
                     "user_minimum_password_age": rules.minimum_password_age},
        # Its tests fail log-ins and change passwords until the rules forbid it: without rules they cannot end
        "identity-feature-enabled": {
            "api_v2": False, "api_v2_admin": False, "api_v3": True, "trust": True, "access_rules": True,
            "application_credentials": True, "domain_specific_drivers": True, "federation": False, "api_extensions": "all",
            "security_compliance": rules.lockout_failures > 0 and rules.unique_last_passwords > 0}}


def _images(api: Api, config: Config, web: str | None, patience: int) -> dict[str, dict[str, Any]]:
    """By what the service says of its stores and ways of import. Raw comes first: tests upload noise of the first format."""
    stores = api.get("/image/v2/info/stores/detail")["stores"]
    methods = api.get("/image/v2/info/import")["import-methods"]["value"]
    writable = [store for store in stores if store.get("read-only") != "true"]
    _register_limits(api, config.api.region)
    return {
        "image": {"catalog_type": "image", "build_timeout": patience, "build_interval": 1, "hashing_algorithm": "sha512",
                  "http_image": web or "", "http_qcow2_image": web or "", "image_caching_enabled": True,
                  "container_formats": ["bare", "ami", "ari", "aki", "ovf", "ova"],
                  "disk_formats": ["raw", "qcow2", "ami", "ari", "aki", "vhd", "vmdk", "vdi", "iso", "vhdx"]},
        "image-feature-enabled": {"api_v2": True, "import_image": bool(methods) and web is not None, "os_glance_reserved": True,
                                  "image_format_enforcement": config.image.require_format_match, "image_conversion": False,
                                  "manage_locations": config.image.show_multiple_locations and web is not None,
                                  "do_secure_hash": config.image.do_secure_hash,
                                  # Tempest expects the store of addresses by this name
                                  "http_store_enabled": web is not None and "web" in [store["id"] for store in stores],
                                  "store_weight_enabled": len({store["weight"] for store in writable}) > 1}}


def _register_limits(api: Api, region: str) -> None:
    """Limits of images that bind nobody: tests give their own projects narrower ones."""
    service = api.one(f"{demo.KEYSTONE}/services", "services", type="image")["id"]
    there = {limit["resource_name"] for limit in api.get(
        f"{demo.KEYSTONE}/registered_limits", service_id=service, region_id=region)["registered_limits"]}
    missing = [{"service_id": service, "region_id": region, "resource_name": name, "default_limit": -1}
               for name in IMAGE_LIMITS if name not in there]
    if missing:
        api.post(f"{demo.KEYSTONE}/registered_limits", {"registered_limits": missing})


def _networks(api: Api, config: Config, patience: int) -> dict[str, dict[str, Any]]:
    extensions = [found["alias"] for found in api.get(f"{demo.NEUTRON}/extensions")["extensions"]]
    return {
        "network": {"catalog_type": "network", "public_network_id": demo.public_network(api, config),
                    "floating_network_name": "public",
                    "project_networks_reachable": False, "shared_physical_network": False,
                    "project_network_cidr": "10.100.0.0/16", "project_network_mask_bits": 28,
                    "project_network_v6_cidr": "2001:db8::/48", "project_network_v6_mask_bits": 64,
                    "build_timeout": patience, "build_interval": 1},
        "network-feature-enabled": {"ipv6": True, "ipv6_subnet_attributes": True, "port_admin_state_change": True,
                                    "port_security": "port-security" in extensions, "floating_ips": True,
                                    "api_extensions": extensions, **_bandwidth(config)}}


def _bandwidth(config: Config) -> dict[str, Any]:
    """A physical network whose bandwidth hosts promise, where there is one that projects' VLANs come from."""
    for name in config.network.bandwidths:
        if name in config.network.vlan_ranges:
            return {"qos_placement_physnet": name,
                    "provider_net_base_segmentation_id": config.network.vlan_ranges[name][0]}
    return {}


def _servers(api: Api, paths: Paths, config: Config, patience: int, storing: bool) -> dict[str, dict[str, Any]]:
    """Two images and two flavors are made if they are missing."""
    fake = config.host.hypervisor == "fake"
    images = [demo.upload_image(api, paths, name, None if fake else guest.ensure(Steps())) for name in ("guest", "guest-alt")]
    flavors = [demo.flavor(api, name) for name in ("m1.nano", "m1.micro")]
    return {
        "compute": {"catalog_type": "compute", "image_ref": images[0], "image_ref_alt": images[1], "flavor_ref": flavors[0],
                    "flavor_ref_alt": flavors[1], "build_interval": 1, "build_timeout": patience, "ready_wait": 0,
                    "hypervisor_type": "fake" if fake else "QEMU", "fixed_network_name": "",
                    "volume_device_name": "vdb", "min_microversion": "2.1",
                    "max_microversion": api.get(demo.NOVA + "/")["version"]["version"], "shelved_offload_time": 0,
                    "min_compute_nodes": len(api.get(f"{demo.NOVA}/os-hypervisors")["hypervisors"])},
        "compute-feature-enabled": {
            "disk_config": True, "config_drive": True, "metadata_service": True, "console_output": True, "resize": True,
            "pause": True, "suspend": True, "shelve": True, "snapshot": True, "rescue": True, "stable_rescue": storing,
            "hostname_fqdn_sanitization": True, "interface_attach": True,
            "vnc_console": not fake, "personality": True, "change_password": False,
            "live_migration": True, "cold_migration": True, "scheduler_enabled_filters": "all",
            "attach_encrypted_volume": storing, "volume_multiattach": storing, "swap_volume": storing,
            "dhcp_domain": "." + config.compute.dhcp_domain}}


def _guests(fake: bool) -> dict[str, dict[str, Any]]:
    return {
        "validation": {"run_validation": not fake, "connect_method": "floating", "auth_method": "keypair",
                       "ip_version_for_ssh": 4, "image_ssh_user": demo.USER, "image_ssh_password": "gocubsgo",
                       "image_alt_ssh_user": demo.USER, "image_alt_ssh_password": "gocubsgo", "ssh_key_type": "ecdsa",
                       "security_group": True, "security_group_rules": True, "ping_size": 56, "ping_count": 1,
                       "ping_timeout": 300, "connect_timeout": 120, "ssh_timeout": 900,
                       "allowed_network_downtime": 60.0, "allowed_metadata_downtime": 60.0,
                       # "$$" is one dollar sign in this file
                       "ssh_shell_prologue": "set -eu -o pipefail; PATH=$$PATH:/sbin:/usr/sbin;"},
        "scenario": {"img_file": "" if fake else guest.cached(), "img_disk_format": "qcow2", "img_container_format": "bare",
                     "dhcp_client": "udhcpc", "protocol": "icmp"}}


def _volumes(api: Api, patience: int) -> dict[str, dict[str, Any]]:
    """By what the back ends say of themselves; the type of volumes that several servers may have is made."""
    pools = wait("the first back end of volumes", lambda: [
        pool["capabilities"] for pool in api.get(f"{CINDER}/scheduler-stats/get_pools", detail="true")["pools"]
        if pool["capabilities"]["backend_state"] == "up"], 60)
    names = sorted({pool["volume_backend_name"] for pool in pools})
    if MULTIATTACH not in {kind["name"] for kind in api.get(f"{CINDER}/types")["volume_types"]}:
        api.post(f"{CINDER}/types", {"volume_type": {"name": MULTIATTACH, "extra_specs": {"multiattach": "<is> True"}}})
    return {
        "volume": {"catalog_type": "block-storage", "endpoint_type": "public", "build_timeout": patience, "build_interval": 1,
                   "min_microversion": "3.0", "max_microversion": api.get("/volume/")["versions"][0]["version"],
                   "backend_names": names, "vendor_name": pools[0]["vendor_name"],
                   "storage_protocol": pools[0]["storage_protocol"], "backup_driver": "posix", "disk_format": ["raw", "qcow2"],
                   "volume_size": 1, "volume_size_extend": 1, "volume_type_multiattach": MULTIATTACH,
                   "manage_volume_ref": ["source-name", "volume-%s"], "manage_snapshot_ref": ["source-name", "_snapshot-%s"]},
        "volume-feature-enabled": {
            "multi_backend": len(names) > 1, "backup": True, "snapshot": True, "clone": True, "manage_volume": True,
            "manage_snapshot": True, "replication": False, "extend_volume_with_snapshot": True, "extend_attached_volume": True,
            "extend_attached_encrypted_volume": True, "enable_volume_image_dep_tests": True, "api_extensions": "all",
            # options of Cinder's own plug-in
            "volume_revert": True, "consistency_group": False, "concurrency_tests": True, "volume_image_dep_tests": True}}
