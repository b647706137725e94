"""How each of Nova's API samples comes about here, and which of them cannot."""

from __future__ import annotations

from typing import Any

from sample_book import DROP, Absent, Case, Rules

PROXY = (2, 35)  # the last version with the proxies of other services
SHELVED = "POST /servers/{each_shelved}/action"
SERVER = "GET /servers/{server}"
ACT = "POST /servers/{each_active}/action"

# Images and flavors exist under other ids; certificates of images are not there; the zone here is called nova.
BOOT: dict[str, Any] = {
    "server/imageRef": "{image}", "server/flavorRef": "samples-1", "server/availability_zone": "nova",
    "+server/networks": lambda world: [{"uuid": world["network"]}], "server/trusted_image_certificates": DROP,
    "server/block_device_mapping_v2": lambda world: [{
        "uuid": world["image"], "source_type": "image", "destination_type": "volume", "boot_index": 0, "volume_size": "1"}],
    "server/user_data": "IyEvYmluL2Jhc2gK", "OS-SCH-HNT:scheduler_hints": lambda world: {"group": world["server_group"]},
    "server/host": "{host}", "server/hypervisor_hostname": "{hypervisor_name}"}
WITHOUT_FILES = {**BOOT, "server/personality": DROP}  # samples of 2.90 and 2.94 have what 2.57 took away
REBUILD = {"rebuild/imageRef": "{image}", "rebuild/key_name": "{keypair}", "rebuild/trusted_image_certificates": DROP,
           "rebuild/user_data": "IyEvYmluL2Jhc2gK"}
KEY = {"keypair/name": "samples {each_number}", "keypair/user_id": "{user}", "keypair/public_key": (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9cLSfRTEN0m+9nmdqGdYhmZ2Eb9p4TfCfEhXz8b6dX samples")}
MADE = (((2, 1), 200), ((2, 2), 201))
DOWN = {"without": ((2, 69),)}  # those show a server of a cell that does not answer
SOME = ("tags", "server_groups", "os-extended-volumes:volumes_attached")  # not every server of a list has them
NO_IMAGE = {"servers.*.image": "an empty text where a server's root is a volume"}
LIVE = {"migrations.*.links": "live migrations have them"}
NEXT = {"links": "there is a next page"}
NO_RULES = {"rules.max_server_per_host": "the group is of another policy"}
NO_NUMA = {"pagesize_kb": "guests have no NUMA nodes of their own"}
UNCOUNTED = {name: "a fake guest has no process and no card that could be measured" for name in (
    *(f"vnet1_{way}{what}" for way in ("rx", "tx") for what in ("", "_drop", "_errors", "_packets")), *(
        f"nic_details.*.{way}_{what}" for way in ("rx", "tx") for what in ("octets", "errors", "drop", "packets", "rate")),
    "uptime", "cpu_details.*.utilisation", "memory_details.used")}
SECOND_DISK = {f"vdb_{what}": "a second disk" for what in ("errors", "read", "read_req", "write", "write_req")}
FREE = {name: "a free volume's attachments are one empty object, as in Nova" for name in (
    "attachments.*.device", "attachments.*.id", "attachments.*.serverId", "attachments.*.volumeId")}
PLAIN = (2, 90)  # since then the samples of servers are a member's
FLAVOR = {"flavor/id": "{each_no_flavor}"}
ZONE = {"aggregate/name": "samples-{each_number}", "aggregate/availability_zone": "zone-{each_number}"}
HOST = {"add_host/host": "{host}", "remove_host/host": "{host}"}
OLD_SERVICE = {"host": "{host}"}

RULES = Rules(
    nullable=("updated_at", "OS-EXT-STS:task_state", "OS-SRV-USG:terminated_at", "key_name", "progress", "fault", "locked_reason",
              "description", "availability_zone", "userdata", "OS-EXT-SRV-ATTR:user_data", "disabled_reason", "tag", "deleted_at",
              "trusted_image_certificates", "pinned_availability_zone", "cidr", "displayDescription", "displayName",
                  "images.*.name",
              "OS-EXT-IMG-SIZE:size", "dest_host"),
    maps=("metadata", "extra_specs", "addresses", "meta", "hosts", "properties", "scheduler_hints",
          "instance_usage_audit_logs.log", "instance_usage_audit_log.log"),
)

CASES: list[Case] = [
    # ---- versions, extensions, limits
    Case("GET /", answer="versions/versions-get-resp"),
    Case("GET /v2.1", answer="versions/v21-version-get-resp"),
    Case("GET /v2", answer="versions/v2-version-get-resp"),
    Case("GET /extensions", answer="extension-info/extensions-list-resp"),
    Case("GET /extensions", answer="extension-info/extensions-list-resp-v21-compatible"),
    Case("GET /extensions/os-keypairs", answer="extension-info/extensions-get-resp"),
    Case("GET /limits", answer="limits/limit-get-resp"),
    Case("GET /os-availability-zone", answer="os-availability-zone/availability-zone-list-resp"),
    Case("GET /os-availability-zone/detail", answer="os-availability-zone/availability-zone-detail-resp",
         extra={"nova-scheduler": "on the conductor's host"}),
    # ---- flavors
    Case("GET /flavors", answer="flavors/flavors-list-resp"),
    Case("GET /flavors/detail", answer="flavors/flavors-detail-resp"),
    Case("GET /flavors/samples-1", answer="flavors/flavor-get-resp"),
    Case("POST /flavors", send="flavor-manage/flavor-create-post-req", answer="flavor-manage/flavor-create-post-resp",
         put=FLAVOR),
    Case("POST /flavors", send="flavor-access/flavor-create-req", put=FLAVOR),
    Case("PUT /flavors/{each_flavor}", send="flavor-manage/flavor-update-req", answer="flavor-manage/flavor-update-resp"),
    Case("POST /flavors/{each_flavor}/action", send="flavor-access/flavor-access-add-tenant-req",
         answer="flavor-access/flavor-access-add-tenant-resp", put={"addTenantAccess/tenant": "{work}"}),
    Case("POST /flavors/{each_private_flavor}/action", send="flavor-access/flavor-access-remove-tenant-req",
         answer="flavor-access/flavor-access-remove-tenant-resp", put={"removeTenantAccess/tenant": "{work}"},
         empty=("flavor_access",)),
    Case("GET /flavors/{each_private_flavor}/os-flavor-access", answer="flavor-access/flavor-access-list-resp"),
    Case("POST /flavors/{each_flavor}/os-extra_specs", send="flavor-extra-specs/flavor-extra-specs-create-req",
         answer="flavor-extra-specs/flavor-extra-specs-create-resp"),
    Case("PUT /flavors/{each_specified_flavor}/os-extra_specs/hw:numa_nodes",
         send="flavor-extra-specs/flavor-extra-specs-update-req", answer="flavor-extra-specs/flavor-extra-specs-update-resp"),
    Case("GET /flavors/{each_specified_flavor}/os-extra_specs", answer="flavor-extra-specs/flavor-extra-specs-list-resp"),
    Case("GET /flavors/{each_specified_flavor}/os-extra_specs/hw:numa_nodes",
         answer="flavor-extra-specs/flavor-extra-specs-get-resp"),
    # ---- key pairs
    Case("POST /os-keypairs", MADE, send="os-keypairs/keypairs-post-req", answer="os-keypairs/keypairs-post-resp",
         put=KEY, until=(2, 91)),
    Case("POST /os-keypairs", 400, send="os-keypairs/keypairs-post-req", put=KEY, since=(2, 92)),  # a key must be sent
    Case("POST /os-keypairs", MADE, send="os-keypairs/keypairs-import-post-req",
         answer="os-keypairs/keypairs-import-post-resp", put=KEY),
    Case("GET /os-keypairs/{keypair}", answer="os-keypairs/keypairs-get-resp"),
    Case("GET /os-keypairs?limit=1", answer="os-keypairs/keypairs-list-resp"),
    Case("GET /os-keypairs?user_id={user}", answer="os-keypairs/keypairs-list-user1-resp"),
    Case("GET /os-keypairs?user_id={user}", answer="os-keypairs/keypairs-list-user2-resp"),
    # ---- servers
    *(Case("POST /servers", 202, send=f"servers/server-create-req{kind}", answer="servers/server-create-resp", put=put,
           since=since, until=until) for kind, since, until, put in (
        ("", None, (2, 56), BOOT), ("", (2, 57), None, WITHOUT_FILES), ("-v237", (2, 37), (2, 56), BOOT),
        ("-v257", (2, 57), None, BOOT))),
    *(Case("POST /servers", 202, send=f"servers/server-create-req-with-{kind}", answer="servers/server-create-resp", put=BOOT)
      for kind in ("host-and-node", "only-host", "only-node")),
    *(Case("POST /servers", 202, send=f"os-multiple-create/multiple-create{kind}-post-req",
           answer=f"os-multiple-create/multiple-create{kind}-post-resp", put=BOOT, until=(2, 36)) for kind in ("", "-no-resv")),
    Case(SERVER, answer="servers/server-get-resp", plain=PLAIN, **DOWN),
    Case("GET /servers/detail", answer="servers/servers-details-resp", needs=("server",), other=NO_IMAGE, plain=PLAIN,
         empty=SOME, **DOWN),
    Case("GET /servers/detail?limit=1&changes-before={before}", answer="servers/servers-details-with-changes-before",
         until=(2, 66), other=NO_IMAGE, empty=SOME),
    Case("GET /servers?limit=1", answer="servers/servers-list-resp", **DOWN),
    Case("GET /servers?limit=1&changes-before={before}", answer="servers/servers-list-with-changes-before"),
    Case("GET /servers?status=error", answer="servers/servers-list-status-resp", empty=("servers",)),
    Case("GET /servers?sort_key=created_at&sort_dir=asc", answer="servers-sort/server-sort-keys-list-resp"),
    Case("PUT /servers/{each_active}", send="servers/server-update-req", answer="servers/server-update-resp", plain=PLAIN),
    Case("PUT /servers/{each_active}", send="servers/server-put-req", answer="servers/server-put-resp", until=(2, 19)),
    Case(ACT, 202, send="servers/server-action-rebuild", answer="servers/server-action-rebuild-resp", put=REBUILD,
         plain=PLAIN),
    Case(ACT, 202, send="os-preserve-ephemeral-rebuild/server-action-rebuild-preserve-ephemeral",
         answer="os-preserve-ephemeral-rebuild/server-action-rebuild-preserve-ephemeral-resp", put=REBUILD, until=(2, 1)),
    Case(ACT, 202, send="servers/server-action-reboot"),
    Case(ACT, 202, send="servers/server-action-trigger-crash-dump", since=(2, 17)),
    Case("POST /servers/{each_stopped}/action", 202, send="servers/server-action-start"),
    Case(ACT, 202, send="servers/server-action-stop"),
    Case(ACT, 202, send="servers/server-action-resize", put={"resize/flavorRef": "{each_other_flavor}"}),
    Case("POST /servers/{each_resized}/action", 204, send="servers/server-action-confirm-resize"),
    Case("POST /servers/{each_resized}/action", 202, send="servers/server-action-revert-resize"),
    Case(ACT, 202, send="servers/server-action-create-image", until=(2, 44)),
    Case(ACT, 202, send="servers/server-action-create-image", answer="servers/server-action-create-image-resp"),
    Case(ACT, 202, send="servers/server-action-addfloatingip-req", until=(2, 43), put={
        "addFloatingIp/address": "{each_floating_address}", "addFloatingIp/fixed_address": "{each_address}"}),
    Case("POST /servers/{subject}/action", 202, send="servers/server-action-removefloatingip-req", until=(2, 43), put={
        "removeFloatingIp/address": "{each_bound_address}"}),
    Case(ACT, 202, send="servers/lock-server-with-reason"),
    Case("POST /os-server-groups", send="servers/server-groups-post-req", answer="servers/server-groups-post-resp"),
    # ---- actions
    Case(ACT, 202, send="os-admin-actions/admin-actions-inject-network-info"),
    Case(ACT, 202, send="os-admin-actions/admin-actions-reset-server-state"),
    Case(ACT, send="os-console-output/console-output-post-req", answer="os-console-output/console-output-post-resp"),
    Case(ACT, 202, send="os-create-backup/create-backup-req", until=(2, 44)),
    Case(ACT, 202, send="os-create-backup/create-backup-req", answer="os-create-backup/create-backup-resp"),
    Case("POST /servers/{each_server}/action", 202, send="os-deferred-delete/force-delete-post-req"),
    Case(ACT, 202, send="os-lock-server/lock-server"),
    Case(ACT, 202, send="os-lock-server/lock-server-with-reason"),
    Case(ACT, 202, send="os-lock-server/unlock-server"),
    Case(ACT, 202, send="os-pause-server/pause-server"),
    Case("POST /servers/{each_paused}/action", 202, send="os-pause-server/unpause-server"),
    Case(ACT, 202, send="os-suspend-server/server-suspend"),
    Case("POST /servers/{each_suspended}/action", 202, send="os-suspend-server/server-resume"),
    Case(ACT, send="os-rescue/server-rescue-req", answer="os-rescue/server-rescue"),
    Case(ACT, send="os-rescue/server-rescue-req-with-image-ref", answer="os-rescue/server-rescue",
         put={"rescue/rescue_image_ref": "{image}"}),
    Case("POST /servers/{each_rescued}/action", 202, send="os-rescue/server-unrescue-req"),
    Case("GET /servers/{each_rescued}", answer="os-rescue/server-get-resp-rescue", plain=(2, 1), until=(2, 87)),
    Case("GET /servers/{each_active}", answer="os-rescue/server-get-resp-unrescue", plain=(2, 1), until=(2, 87)),
    Case(ACT, 202, send="os-shelve/os-shelve"),
    Case(SHELVED, 202, send="os-shelve/os-unshelve"),
    Case(SHELVED, 202, send="os-shelve/os-unshelve-az", put={"unshelve/availability_zone": "nova"}),
    Case(SHELVED, 202, send="os-shelve/os-unshelve-az-host", put={"unshelve/host": "{host}"}),
    Case(SHELVED, 202, send="os-shelve/os-unshelve-host", put={"unshelve/host": "{host}"}),
    Case(SHELVED, 202, send="os-shelve/os-unshelve-host-and-unpin-az", put={"unshelve/host": "{host}"}),
    Case(SHELVED, 202, send="os-shelve/os-unshelve-unpin-az"),
    Case(ACT, send="os-remote-consoles/get-vnc-console-post-req", answer="os-remote-consoles/get-vnc-console-post-resp",
         until=(2, 5)),
    Case("POST /servers/{each_active}/remote-consoles", send="os-remote-consoles/create-vnc-console-req",
         answer="os-remote-consoles/create-vnc-console-resp"),
    Case(ACT, 202, send="os-multinic/multinic-add-fixed-ip-req", until=(2, 43), put={"addFixedIp/networkId": "{network}"}),
    Case(ACT, 202, send="os-multinic/multinic-remove-fixed-ip-req", until=(2, 43), put={
        "removeFixedIp/address": "{each_added_address}"}),
    # ---- what hangs on a server
    Case("GET /servers/{server}/diagnostics", until=(2, 47),
         answer="os-server-diagnostics/server-diagnostics-get-resp", missing=UNCOUNTED, extra=SECOND_DISK),
    Case("GET /servers/{server}/diagnostics", answer="os-server-diagnostics/server-diagnostics-get-resp", since=(2, 48),
         other=UNCOUNTED),
    Case("GET /servers/{server}/topology", answer="os-server-topology/servers-topology-resp", empty=("nodes",), other=NO_NUMA),
    Case("GET /servers/{server}/topology", answer="os-server-topology/servers-topology-resp-user", plain=(2, 78),
         empty=("nodes",), other=NO_NUMA),
    Case("GET /servers/{server}/os-server-password", answer="os-server-password/get-password-resp"),
    Case("GET /servers/{server}/ips", answer="server-ips/server-ips-resp"),
    Case("GET /servers/{server}/ips/samples", answer="server-ips/server-ips-network-resp", maps=("",)),
    Case("GET /servers/{server}/metadata", answer="server-metadata/server-metadata-all-resp"),
    Case("PUT /servers/{each_active}/metadata", send="server-metadata/server-metadata-all-req",
         answer="server-metadata/server-metadata-all-resp"),
    Case("PUT /servers/{each_active}/metadata/foo", send="server-metadata/server-metadata-req",
         answer="server-metadata/server-metadata-resp"),
    Case("GET /servers/{server}/tags", answer="os-server-tags/server-tags-index-resp"),
    Case("PUT /servers/{each_active}/tags", send="os-server-tags/server-tags-put-all-req",
         answer="os-server-tags/server-tags-put-all-resp"),
    Case(SERVER, answer="os-server-tags/server-tags-show-details-resp", plain=(2, 1), until=(2, 46)),
    Case("GET /servers/detail", answer="os-server-tags/servers-tags-details-resp", needs=("server",), other=NO_IMAGE,
         plain=(2, 1), empty=SOME, until=(2, 46)),
    Case("GET /servers/{server}/os-instance-actions", answer="os-instance-actions/instance-actions-list-resp"),
    Case("GET /servers/{server}/os-instance-actions/{server_request}", answer="os-instance-actions/instance-action-get-resp"),
    Case("GET /servers/{server}/os-instance-actions?limit=1", answer="os-instance-actions/instance-actions-list-with-limit-resp"),
    Case("GET /servers/{server}/os-instance-actions?changes-since=2020-01-01T00:00:00Z",
         answer="os-instance-actions/instance-actions-list-with-changes-since"),
    Case("GET /servers/{server}/os-instance-actions?changes-before={before}",
         answer="os-instance-actions/instance-actions-list-with-changes-before"),
    Case("GET /servers/{server}/os-instance-actions?limit=1&marker={oldest_request}",
         answer="os-instance-actions/instance-actions-list-with-marker-resp", extra=NEXT),
    Case("GET /servers/{server}/os-instance-actions/{server_request}", plain=(2, 51),
         answer="os-instance-actions/instance-action-get-non-admin-resp"),
    Case("GET /servers/{server}/os-security-groups", answer="os-security-groups/server-security-groups-list-resp"),
    Case(ACT, 202, send="os-security-groups/security-group-add-post-req", put={"addSecurityGroup/name": "{each_group_name}"}),
    Case("POST /servers/{each_active}/action", 202, send="os-security-groups/security-group-remove-post-req",
         put={"removeSecurityGroup/name": "{each_given_group}"}),
    Case("GET /servers/{server}/os-interface", answer="os-attach-interfaces/attach-interfaces-list-resp"),
    Case("GET /servers/{server}/os-interface/{server_port}", answer="os-attach-interfaces/attach-interfaces-show-resp"),
    Case("POST /servers/{each_active}/os-interface", send="os-attach-interfaces/attach-interfaces-create-req",
         answer="os-attach-interfaces/attach-interfaces-create-resp", put={"interfaceAttachment/port_id": "{each_port}"}),
    Case("POST /servers/{each_active}/os-interface", send="os-attach-interfaces/attach-interfaces-create-net_id-req",
         answer="os-attach-interfaces/attach-interfaces-create-resp", put={
             "interfaceAttachment/net_id": "{network}", "interfaceAttachment/fixed_ips/0/ip_address": "{each_fixed_ip}"}),
    Case("GET /servers/{server}/os-volume_attachments", answer="os-volume_attachments/list-volume-attachments-resp"),
    Case("GET /servers/{server}/os-volume_attachments/{server_volume}",
         answer="os-volume_attachments/volume-attachment-detail-resp"),
    Case("POST /servers/{each_active}/os-volume_attachments", 200, until=(2, 100),
         send="os-volume_attachments/attach-volume-to-server-req", answer="os-volume_attachments/attach-volume-to-server-resp",
         put={"volumeAttachment/volumeId": "{each_volume}"}),
    Case("POST /servers/{each_active}/os-volume_attachments", 202, since=(2, 101),
         send="os-volume_attachments/attach-volume-to-server-req", put={"volumeAttachment/volumeId": "{each_volume}"}),
    Case("PUT /servers/{each_with_volume}/os-volume_attachments/{fresh_volume}", 202,
         send="os-volume_attachments/update-volume-req", put={"volumeAttachment/volumeId": "{each_volume}"}),
    Case("PUT /servers/{each_with_volume}/os-volume_attachments/{fresh_volume}", 202,
         send="os-volume_attachments/update-volume-attachment-delete-flag-req", put={
             "volumeAttachment/volumeId": "{fresh_volume}", "volumeAttachment/id": "{fresh_volume}",
             "volumeAttachment/serverId": "{subject}", "volumeAttachment/device": DROP, "volumeAttachment/tag": DROP}),
    # ---- groups, quotas, usage
    Case("POST /os-server-groups", send="os-server-groups/server-groups-post-req",
         answer="os-server-groups/server-groups-post-resp"),
    Case("GET /os-server-groups/{server_group}", answer="os-server-groups/server-groups-get-resp", missing=NO_RULES),
    Case("GET /os-server-groups", answer="os-server-groups/server-groups-list-resp", missing=NO_RULES),
    Case("GET /os-quota-class-sets/default", answer="os-quota-class-sets/quota-classes-show-get-resp"),
    Case("PUT /os-quota-class-sets/samples", send="os-quota-class-sets/quota-classes-update-post-req",
         answer="os-quota-class-sets/quota-classes-update-post-resp"),
    *(Case(f"GET /os-quota-sets/{{work}}{path}", answer=f"{folder}/quotas-show-{kind}get-resp", until=until)
      for folder, until in (("os-quota-sets", None), ("os-quota-sets-noop", (2, 1)))
      for path, kind in (("", ""), ("/defaults", "defaults-"), ("/detail", "detail-"))),
    *(Case("PUT /os-quota-sets/{work}", send=f"{folder}/quotas-update-{kind}post-req",
           answer=f"{folder}/quotas-update-{kind}post-resp", until=until)
      for folder, until in (("os-quota-sets", None), ("os-quota-sets-noop", (2, 1))) for kind in ("", "force-")),
    *(Case("GET /os-quota-sets/{project_id}?user_id={user}", answer=f"{folder}/user-quotas-show-get-resp", until=until)
      for folder, until in (("os-quota-sets", None), ("os-quota-sets-noop", (2, 1)))),
    *(Case("PUT /os-quota-sets/{work}?user_id={user}", send=f"{folder}/user-quotas-update-post-req",
           answer=f"{folder}/user-quotas-update-post-resp", until=until)
      for folder, until in (("os-quota-sets", None), ("os-quota-sets-noop", (2, 1)))),
    *(Case(f"GET /os-simple-tenant-usage{path}", answer=f"os-simple-tenant-usage/simple-tenant-usage-get{kind}")
      for path, kind in (("?detailed=0", ""), ("?detailed=1", "-detail"), ("/{project_id}", "-specific"),
                         ("?detailed=1&limit=1", "-all"))),
    Case("GET /os-instance_usage_audit_log", answer="os-instance-usage-audit-log/inst-usage-audit-log-index-get-resp",
         empty=("hosts_not_run",)),
    Case("GET /os-instance_usage_audit_log/2029-07-05 10:00:00", empty=("hosts_not_run",),
         answer="os-instance-usage-audit-log/inst-usage-audit-log-show-get-resp"),
    # ---- the operator's
    Case("POST /os-aggregates", send="os-aggregates/aggregate-post-req", answer="os-aggregates/aggregate-post-resp", put=ZONE),
    Case("PUT /os-aggregates/{each_aggregate}", send="os-aggregates/aggregate-update-post-req",
         answer="os-aggregates/aggregate-update-post-resp", put=ZONE),
    Case("GET /os-aggregates/{aggregate}", answer="os-aggregates/aggregates-get-resp"),
    Case("GET /os-aggregates", answer="os-aggregates/aggregates-list-get-resp", needs=("aggregate",),
         empty=("aggregates.*.hosts",)),
    Case("POST /os-aggregates/{each_aggregate}/action", send="os-aggregates/aggregate-metadata-post-req",
         answer="os-aggregates/aggregates-metadata-post-resp"),
    Case("POST /os-aggregates/{aggregate}/images", 202, send="os-aggregates/aggregate-images-post-req",
         put={"cache/0/id": "{image}"}),
    Case("POST /os-aggregates/{each_plain_aggregate}/action", send="os-aggregates/aggregate-add-host-post-req",
         answer="os-aggregates/aggregates-add-host-post-resp", put=HOST),
    Case("POST /os-aggregates/{each_aggregate_of_host}/action", send="os-aggregates/aggregate-remove-host-post-req",
         answer="os-aggregates/aggregates-remove-host-post-resp", put=HOST),
    Case("GET /os-hypervisors", answer="os-hypervisors/hypervisors-list-resp"),
    Case("GET /os-hypervisors/detail", answer="os-hypervisors/hypervisors-detail-resp"),
    Case("GET /os-hypervisors/detail?with_servers=1", answer="os-hypervisors/hypervisors-detail-with-servers-resp"),
    Case("GET /os-hypervisors?with_servers=1", answer="os-hypervisors/hypervisors-with-servers-resp", since=(2, 53)),
    Case("GET /os-hypervisors/{hypervisor_name}/servers", answer="os-hypervisors/hypervisors-with-servers-resp", until=(2, 52)),
    Case("GET /os-hypervisors/{hypervisor_name}/search", answer="os-hypervisors/hypervisors-search-resp", until=(2, 52)),
    Case("GET /os-hypervisors?hypervisor_hostname_pattern={hypervisor_name}", answer="os-hypervisors/hypervisors-search-resp",
         since=(2, 53)),
    Case("GET /os-hypervisors/{old_hypervisor}", answer="os-hypervisors/hypervisors-show-resp", until=(2, 52)),
    Case("GET /os-hypervisors/{hypervisor}", answer="os-hypervisors/hypervisors-show-resp", since=(2, 53)),
    Case("GET /os-hypervisors/{hypervisor}?with_servers=1", answer="os-hypervisors/hypervisors-show-with-servers-resp"),
    Case("GET /os-hypervisors/statistics", answer="os-hypervisors/hypervisors-statistics-resp", until=(2, 87)),
    Case("GET /os-hypervisors/{old_hypervisor}/uptime", answer="os-hypervisors/hypervisors-uptime-resp", until=(2, 52)),
    Case("GET /os-hypervisors/{hypervisor}/uptime", answer="os-hypervisors/hypervisors-uptime-resp", since=(2, 53),
         until=(2, 87)),
    Case("GET /os-services", answer="os-services/services-list-get-resp", **DOWN),
    *(Case(f"PUT /os-services/{what}", send=f"os-services/service-{what}-put-req", answer=f"os-services/service-{what}-put-resp",
           put=OLD_SERVICE, until=(2, 52)) for what in ("enable", "disable", "force-down")),
    Case("PUT /os-services/disable-log-reason", send="os-services/service-disable-log-put-req", put=OLD_SERVICE,
         answer="os-services/service-disable-log-put-resp", until=(2, 52)),
    *(Case("PUT /os-services/{service}", send=f"os-services/service-{what}-put-req",
           answer=f"os-services/service-{what}-put-resp", since=(2, 53))
      for what in ("enable", "disable", "disable-log", "force-down")),
    Case("GET /os-hosts", answer="os-hosts/hosts-list-resp", until=(2, 42)),
    Case("GET /os-hosts/{host}", answer="os-hosts/host-get-resp", until=(2, 42)),
    Case("POST /os-server-external-events", 200, send="os-server-external-events/event-create-req",
         answer="os-server-external-events/event-create-resp", put={
             "events/0/server_uuid": "{server}", "events/0/name": "network-changed"}),
    # ---- proxies
    Case("GET /images", answer="images/images-list-get-resp", until=PROXY),
    Case("GET /images/detail", answer="images/images-details-get-resp", until=PROXY,
         extra={"server": "of images that were made of a server"}),
    Case("GET /images/{image}", answer="images/image-get-resp", until=PROXY),
    Case("GET /images/{image}/metadata", answer="images/image-metadata-get-resp", until=(2, 38)),
    Case("POST /images/{image}/metadata", send="images/image-metadata-post-req", answer="images/image-metadata-post-resp",
         until=(2, 38)),
    Case("PUT /images/{image}/metadata", send="images/image-metadata-put-req", answer="images/image-metadata-put-resp",
         until=(2, 38)),
    Case("PUT /images/{image}/metadata/auto_disk_config", send="images/image-meta-key-put-req",
         answer="images/image-meta-key-put-resp", until=(2, 38)),
    Case("GET /images/{image}/metadata/auto_disk_config", answer="images/image-meta-key-get", until=(2, 38)),
    Case("GET /os-floating-ip-pools", answer="os-floating-ip-pools/floatingippools-list-resp", until=PROXY),
    Case("GET /os-floating-ips", answer="os-floating-ips/floating-ips-list-empty-resp", until=PROXY),
    Case("POST /os-floating-ips", send="os-floating-ips/floating-ips-create-req",
         answer="os-floating-ips/floating-ips-create-resp", put={"pool": "{outside_name}"}, until=PROXY),
    Case("GET /os-floating-ips/{floating_ip}", answer="os-floating-ips/floating-ips-get-resp", until=PROXY),
    Case("GET /os-floating-ips", answer="os-floating-ips/floating-ips-list-resp", until=PROXY),
    Case("GET /os-networks", answer="os-networks/networks-list-resp", until=PROXY),
    Case("GET /os-networks/{network}", answer="os-networks/network-show-resp", until=PROXY),
    Case("GET /os-tenant-networks", answer="os-tenant-networks/networks-list-res", until=PROXY),
    Case("GET /os-security-groups", answer="os-security-groups/security-groups-list-get-resp", until=PROXY),
    Case("GET /os-security-groups/{security_group}", answer="os-security-groups/security-groups-get-resp", until=PROXY),
    Case("POST /os-security-groups", send="os-security-groups/security-group-post-req",
         answer="os-security-groups/security-groups-create-resp", until=PROXY),
    Case("POST /os-security-group-rules", send="os-security-groups/security-group-rules-post-req",
         answer="os-security-groups/security-group-rules-post-resp", until=PROXY, put={
             "security_group_rule/parent_group_id": "{security_group}", "security_group_rule/cidr": "10.{each_number}.0.0/24"}),
    Case("GET /os-volumes", answer="os-volumes/os-volumes-index-resp", missing=FREE, until=PROXY),
    Case("GET /os-volumes/detail", answer="os-volumes/os-volumes-detail-resp", missing=FREE, until=PROXY),
    Case("GET /os-volumes/{server_volume}", answer="os-volumes/os-volumes-get-resp", until=PROXY),
    Case("POST /os-volumes", send="os-volumes/os-volumes-post-req",
         answer="os-volumes/os-volumes-post-resp", missing=FREE, until=PROXY,
         put={"volume/availability_zone": "nova", "volume/size": 1}),
    Case("GET /os-snapshots/{snapshot}", answer="os-snapshots/snapshots-show-resp", until=PROXY),
    Case("GET /os-snapshots", answer="os-snapshots/snapshots-list-resp", until=PROXY),
    Case("GET /os-snapshots/detail", answer="os-snapshots/snapshots-detail-resp", until=PROXY),
    Case("POST /os-snapshots", send="os-snapshots/snapshot-create-req", answer="os-snapshots/snapshot-create-resp", until=PROXY,
         put={"snapshot/volume_id": "{each_volume}"}),
    # ---- migrations
    Case("GET /os-migrations?limit=1&marker={migration}", answer="os-migrations/migrations-get-with-marker", missing=LIVE),
    *(Case(f"GET /os-migrations?{query}", needs=("migration",), missing=LIVE, answer=f"os-migrations/migrations-get{kind}")
      for query, kind in (("", ""), ("limit=1", "-with-limit"), ("changes-since=2020-01-01T00:00:00Z", "-with-changes-since"),
        ("changes-before={before}", "-with-changes-before"), ("project_id={project_id}", "-with-user-or-project-id"))),
]

ZERO = "00000000-0000-4000-8000-000000000000"
NOVA_TOO = "Nova has dropped it too"
ONE_PLACE = "a server stays on its host"
ABSENT: list[Absent] = [
    Absent("consoles/*", "GET /servers/{server}/consoles", NOVA_TOO),
    Absent("os-agents/*", "GET /os-agents", NOVA_TOO),
    Absent("os-baremetal-nodes/*", "GET /os-baremetal-nodes", "no bare metal"),
    Absent("os-cells/*", "GET /os-cells", NOVA_TOO),
    Absent("os-certificates/*", "GET /os-certificates/root", NOVA_TOO),
    Absent("os-cloudpipe/*", "GET /os-cloudpipe", NOVA_TOO),
    Absent("os-fixed-ips/*", "GET /os-fixed-ips/192.168.1.1", NOVA_TOO),
    Absent("os-floating-ip-dns/*", "GET /os-floating-ip-dns", NOVA_TOO),
    Absent("os-floating-ips-bulk/*", "GET /os-floating-ips-bulk", NOVA_TOO),
    Absent("os-fping/*", "GET /os-fping", NOVA_TOO),
    Absent("os-networks-associate/*", f"POST /os-networks/{ZERO}/action", NOVA_TOO, body={"disassociate": None}),
    Absent("os-networks/network-add-req", "POST /os-networks/add", NOVA_TOO, 405, body={"id": "1"}),
    Absent("os-networks/network-create-*", "POST /os-networks", NOVA_TOO, 405, body={"network": {"label": "x"}}),
    Absent("os-tenant-networks/networks-post-*", "POST /os-tenant-networks", NOVA_TOO, 405, body={"network": {"label": "x"}}),
    Absent("os-security-group-default-rules/*", "GET /os-security-group-default-rules", NOVA_TOO),
    Absent("os-virtual-interfaces/*", "GET /servers/{server}/os-virtual-interfaces", NOVA_TOO),
    Absent("os-hosts/host-get-*", "GET /os-hosts/{host}/reboot", "as with libvirt, a host is not switched", 501),
    Absent("os-hosts/host-put-*", "PUT /os-hosts/{host}", "as with libvirt, there is no maintenance mode", 501,
           {"maintenance_mode": "enable"}),
    Absent("os-hypervisors/hypervisors-without-servers-resp", "GET /os-hypervisors/nothing/servers",
           "the one host of these tests has servers"),
    Absent("os-admin-actions/admin-actions-reset-network", ACT, NOVA_TOO, 400, {"resetNetwork": None}),
    Absent("os-admin-password/*", ACT, "no guest agent", 501, {"changePassword": {"adminPass": "foo"}}),
    Absent("os-assisted-volume-snapshots/*", "POST /os-assisted-volume-snapshots", "no back end needs a server's help"),
    Absent("os-console-auth-tokens/*", "GET /os-console-auth-tokens/x", "the console's address is used once", version="2.31"),
    Absent("os-deferred-delete/restore-post-req", ACT, "a deletion is final", 409, {"restore": None}),
    Absent("os-evacuate/*", ACT, "Nova's answer where the host is up", 400, {"evacuate": {}}, version="2.95"),
    Absent("os-migrate-server/live-migrate-server", ACT, ONE_PLACE, 400, {"os-migrateLive": {
        "host": None, "block_migration": "auto"}}, version="2.68"),
    Absent("os-migrate-server/migrate-server*", ACT, ONE_PLACE, 400, {"migrate": None}),
    Absent("server-migrations/*", f"GET /servers/{{server}}/migrations/{ZERO}", ONE_PLACE, version="2.80"),
    Absent("os-remote-consoles/*rdp*", ACT, NOVA_TOO, 400, {"os-getRDPConsole": {"type": "rdp-html5"}}),
    Absent("os-remote-consoles/*serial*", ACT, "VNC only", 400, {"os-getSerialConsole": {"type": "serial"}}),
    Absent("os-remote-consoles/*spice*", ACT, "VNC only", 400, {"os-getSPICEConsole": {"type": "spice-html5"}}),
    Absent("os-remote-consoles/*mks*", "POST /servers/{each_active}/remote-consoles", "VNC only", 400, {
        "remote_console": {"protocol": "mks", "type": "webmks"}}, version="2.8"),
    Absent("os-server-shares/*", "POST /servers/{each_stopped}/shares", "no shared file systems", 404, {
        "share": {"share_id": ZERO}}, version="2.97"),
    Absent("os-shelve/os-shelve-offload", ACT, "shelving leaves the host at once", 409, {"shelveOffload": None}),
    Absent("servers/*/server-get-down-cell-resp", f"GET /servers/{ZERO}", "there are no cells"),
    *(Absent(f"{name}", f"GET /servers/{ZERO}", "shows a server of a cell that is down") for name in (
        "servers/v2.69/*", "os-services/v2.69/*")),
]
