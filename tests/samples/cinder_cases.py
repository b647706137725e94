"""How each of Cinder's API samples comes about here, and which of them cannot."""

from __future__ import annotations

from typing import Any

from sample_book import DROP, Absent, Case, Rules

RULES = Rules(
    nullable=("description", "snapshot_id", "source_volid", "consistencygroup_id", "group_id", "updated_at", "migration_status",
              "replication_status", "volume_type", "name", "os-vol-mig-status-attr:migstat", "os-vol-mig-status-attr:name_id",
              "provider_id", "group_type_id", "shared_targets", "cluster_name", "volume_type_id", "encryption_key_id",
                  "container",
              "data_timestamp", "fail_reason", "object_count", "parent_id", "user_id", "disabled_reason", "group_snapshot_id",
              "source_group_id", "instance", "attach_mode", "attached_at", "detached_at", "qos_specs_id", "safe_to_manage"),
    maps=("metadata", "extra_specs", "group_specs", "specs", "volume_image_metadata", "meta", "connection_info",
          "quota_set", "quota_class_set"),
)

ACT = "POST /volumes/{each_volume}/action"
DONE = 202
VOLUME: dict[str, Any] = {"volume/size": 1, "OS-SCH-HNT:scheduler_hints": DROP}
NEW_NAME = "samples-{each_number}"
OLDER = "the sample is older than the answer, which is Cinder's of today"
PUBLIC = {"os-volume-type-access:is_public": OLDER}
REPLICATED = {"replication_status": "since 3.38"}
SIZES = {name: "a fraction; so has Cinder" for name in ("total_capacity_gb", "free_capacity_gb")}
SERVICE = {"host": "{host}"}
UUID = "462dcc2d-130d-4654-8db1-da0df2da6a0d"


WITH_SNAPSHOTS = {"transfer.*": "what 3.55 and 3.57 brought, Cinder shows at both addresses"}


def _transfers(path: str, folder: str, word: str, since: tuple[int, int] | None = None) -> list[Case]:
    return [
        Case(f"POST {path}", DONE, send=f"{folder}/{word}-create-request", answer=f"{folder}/{word}-create-response", since=since,
             put={"transfer/volume_id": "{each_volume}"}, extra=WITH_SNAPSHOTS),
        Case(f"POST {path}/{{each_transfer}}/accept", DONE, send=f"{folder}/{word}-accept-request", since=since,
             answer=f"{folder}/{word}-accept-response", put={"accept/auth_key": "{each_key}"}, extra=WITH_SNAPSHOTS),
        Case(f"GET {path}/{{transfer}}", answer=f"{folder}/{word}-show-response", since=since, extra=WITH_SNAPSHOTS)]


CASES: list[Case] = [
    # ---- volumes
    Case("POST /volumes", DONE, send="volumes/volume-create-request", answer="volumes/volume-create-response", put=VOLUME),
    Case("GET /volumes/{volume}", answer="volumes/volume-show-response", empty=("attachments",)),
    Case("PUT /volumes/{volume}", send="volumes/volume-update-request", answer="volumes/volume-update-response"),
    Case("GET /volumes/detail", answer="volumes/volumes-list-detailed-response", needs=("volume",), empty=("attachments",)),
    Case("GET /volumes", answer="volumes/volumes-list-response", needs=("volume",)),
    Case("GET /volumes/summary", answer="volumes/volumes-list-summary-response", since=(3, 36), needs=("volume",)),
    Case("POST /volumes/{volume}/metadata", send="volumes/volume-metadata-create-request",
         answer="volumes/volume-metadata-create-response"),
    Case("GET /volumes/{volume}/metadata", answer="volumes/volume-metadata-show-response"),
    Case("PUT /volumes/{volume}/metadata", send="volumes/volume-metadata-update-request",
         answer="volumes/volume-metadata-update-response"),
    Case("PUT /volumes/{volume}/metadata/name", send="volumes/volume-metadata-update-key-request",
         answer="volumes/volume-metadata-update-key-response"),
    Case("GET /volumes/{volume}/metadata/name", answer="volumes/volume-metadata-show-key-response"),
    # ---- their actions
    Case(ACT, DONE, send="host-attach-request", put={"+os-attach/mountpoint": "/dev/vdc"}),
    Case(ACT, DONE, send="volume-attach-request"),
    Case("POST /volumes/{each_attached}/action", DONE, send="volume-begin-detaching-request"),
    Case("POST /volumes/{each_detaching}/action", DONE, send="volume-roll-detaching-request"),
    Case("POST /volumes/{each_attached}/action", DONE, send="volume-detach-request", put={
        "os-detach/attachment_id": "{each_attachment_of_fresh}"}),
    Case("POST /volumes/{each_attached}/action", DONE, send="volume-force-detach-request", put={
        "os-force_detach/attachment_id": "{each_attachment_of_fresh}"}),
    Case(ACT, DONE, send="volume-reserve-request"),
    Case("POST /volumes/{each_reserved}/action", DONE, send="volume-unreserve-request"),
    Case(ACT, 200, send="volume-initialize-connection-request"),
    Case(ACT, DONE, send="volume-terminate-connection-request"),
    Case(ACT, 200, send="volume-bootable-status-update-request"),
    Case(ACT, DONE, send="volume-readonly-update-request"),
    Case(ACT, DONE, send="volume-extend-request"),
    Case(ACT, DONE, send="volume-force-delete-request"),
    Case(ACT, DONE, send="volume-status-reset-request"),
    Case(ACT, DONE, send="volume-unmanage-request"),
    Case(ACT, DONE, send="volume-os-migrate_volume-request", put={"os-migrate_volume/host": "{each_other_pool}"}),
    Case(ACT, DONE, send="volume-os-retype-request", put={"os-retype/new_type": "{each_type}"}),
    Case(ACT, DONE, send="volume-os-reimage-request", since=(3, 68), put={"os-reimage/image_id": "{image}"}),
    Case("POST /volumes/{each_with_snapshot}/action", DONE, send="volume-revert-to-snapshot-request", since=(3, 40), put={
        "revert/snapshot_id": "{each_fresh_snapshot}"}),
    Case(ACT, DONE, send="volume_actions/volume-upload-to-image-request", since=(3, 1),
         answer="volume_actions/volume-upload-to-image-response"),
    Case(ACT, 200, send="volume-image-metadata-set-request", answer="volume-image-metadata-update-response"),
    Case("POST /volumes/{each_pictured}/action", 200, send="volume-image-metadata-unset-request"),
    Case("POST /volumes/{each_pictured}/action", 200, send="image-metadata-show-request", answer="image-metadata-show-response"),
    # ---- types
    Case("POST /types", 200, send="volume_type/volume-type-create-request", answer="volume_type/volume-type-create-response",
         put={"volume_type/name": NEW_NAME}),
    Case("GET /types", answer="volume_type/volume-types-list-response", needs=("type_id",)),
    Case("GET /types/{type_id}", answer="volume_type/volume-type-show-response"),
    Case("GET /types/default", answer="volume_type/volume-type-default-response", extra=PUBLIC),
    Case("PUT /types/{each_type}", send="volume_type/volume-type-update-request",
         answer="volume_type/volume-type-update-response", put={"volume_type/name": NEW_NAME}),
    Case("POST /types/{each_type}/extra_specs", send="volume_type/volume-type-extra-specs-create-update-request",
         answer="volume_type/volume-type-extra-specs-create-update-response"),
    Case("GET /types/{specified_type}/extra_specs", answer="volume_type/volume-type-all-extra-specs-show-response"),
    Case("GET /types/{specified_type}/extra_specs/capabilities",
         answer="volume_type/volume-type-specific-extra-specs-show-response"),
    Case("PUT /types/{each_type}/extra_specs/key1", send="volume_type/volume-type-specific-extra-specs-update-request",
         answer="volume_type/volume-type-specific-extra-specs-update-response"),
    Case("GET /types/{each_private_type}/os-volume-type-access", answer="volume_type/volume-type-access-list-response"),
    Case("POST /types/{each_closed_type}/action", DONE, send="volume_type/volume-type-access-add-request",
         put={"addProjectAccess/project": "{work_id}"}),
    Case("POST /types/{each_private_type}/action", DONE, send="volume-type-access-delete-request",
         put={"removeProjectAccess/project": "{work_id}"}),
    Case("POST /types/{each_type}/encryption", 200, send="volume_type/encryption-type-create-request",
         answer="volume_type/encryption-type-create-response"),
    Case("GET /types/{each_encrypted_type}/encryption", answer="volume_type/encryption-type-show-response"),
    Case("GET /types/{each_encrypted_type}/encryption/cipher", answer="volume_type/encryption-type-specific-specs-show-response"),
    Case("PUT /types/{each_encrypted_type}/encryption/{each_encryption}", send="volume_type/encryption-type-update-request",
         answer="volume_type/encryption-type-update-response"),
    Case("PUT /default-types/{project_id}", send="set-default-type-request", answer="set-default-type-response", since=(3, 62),
         put={"default_type/volume_type": "{type_name}"}),
    Case("GET /default-types/{project_id}", answer="get-default-type-response", since=(3, 62)),
    Case("GET /default-types", answer="get-default-types-response", since=(3, 62)),
    # ---- snapshots
    Case("POST /snapshots", DONE, send="snapshots/snapshot-create-request", answer="snapshots/snapshot-create-response",
         put={"snapshot/volume_id": "{volume}"}),
    Case("GET /snapshots/{snapshot}", answer="snapshots/snapshot-show-response"),
    Case("PUT /snapshots/{snapshot}", send="snapshots/snapshot-update-request", answer="snapshots/snapshot-update-response"),
    Case("GET /snapshots/detail", answer="snapshots/snapshots-list-detailed-response", needs=("snapshot",)),
    Case("GET /snapshots", answer="snapshots/snapshots-list-response", needs=("snapshot",)),
    Case("POST /snapshots/{snapshot}/metadata", send="snapshots/snapshot-metadata-create-request",
         answer="snapshots/snapshot-metadata-create-response"),
    Case("GET /snapshots/{snapshot}/metadata", answer="snapshots/snapshot-metadata-show-response"),
    Case("PUT /snapshots/{snapshot}/metadata/key", send="snapshots/snapshot-metadata-update-key-request",
         answer="snapshots/snapshot-metadata-update-key-response"),
    Case("GET /snapshots/{snapshot}/metadata/key", answer="snapshots/snapshot-metadata-show-key-response"),
    Case("PUT /snapshots/{each_snapshot}/metadata", send="snapshots/snapshot-metadata-update-request",
         answer="snapshots/snapshot-metadata-update-response"),
    Case("POST /snapshots/{each_snapshot}/action", DONE, send="snapshot-force-delete-request"),
    Case("POST /snapshots/{each_snapshot}/action", DONE, send="snapshot-status-reset-request"),
    Case("POST /snapshots/{each_creating_snapshot}/action", DONE, send="snapshot-status-update-request"),
    # ---- backups
    Case("POST /backups", DONE, send="backups/backup-create-request", answer="backups/backup-create-response",
         put={"backup/volume_id": "{each_volume}"}),
    Case("GET /backups/{backup}", answer="backups/backup-show-response"),
    *(Case(f"GET /backups{path}", answer=f"backups/backups-list{kind}-response", needs=("backup",), since=since, until=until)
      for path, kind, since, until in (("/detail", "-detailed", None, (3, 44)), ("/detail?with_count=1", "-detailed", (3,
          45), None),
                                       ("", "", None, (3, 44)), ("?with_count=1", "", (3, 45), None))),
    Case("GET /backups?with_count=1", answer="backups-list-response", since=(3, 45), needs=("backup",)),
    Case("PUT /backups/{backup}", send="backups/backup-update-request", answer="backups/backup-update-response"),
    Case("POST /backups/{each_kept}/restore", DONE, send="backup-restore-request", answer="backup-restore-response",
         put={"restore/volume_id": "{each_volume}"}),
    Case("GET /backups/{each_kept}/export_record", answer="backup-record-export-response"),
    Case("POST /backups/{each_backup}/action", DONE, send="backup-force-delete-request"),
    Case("POST /backups/{each_kept}/action", DONE, send="backup-reset-status-request"),
    # ---- transfers
    *_transfers("/os-volume-transfer", "volume_transfer", "volume-transfer"),
    Case("GET /os-volume-transfer", answer="volume_transfer/volume-transfers-list-response", needs=("transfer",)),
    Case("GET /os-volume-transfer/detail", answer="volume_transfer/volume-transfers-list-detailed-response", needs=("transfer",),
         until=(3, 54)),
    *_transfers("/volume-transfers", "volume_transfers", "volume-transfers", (3, 55)),
    # ---- attachments
    Case("POST /attachments", 200, send="attachment-create-request", answer="attachment-create-response", since=(3, 54),
         put={"attachment/volume_uuid": "{each_volume}", "attachment/instance_uuid": UUID}),
    Case("GET /attachments", answer="attachment-list-response", since=(3, 27), needs=("attachment",)),
    Case("GET /attachments/detail", answer="attachment-list-detailed-response", since=(3, 27), needs=("attachment",)),
    Case("GET /attachments/{attachment}", answer="attachment-show-response", since=(3, 27)),
    Case("PUT /attachments/{each_attachment}", send="attachment-update-request", answer="attachment-update-response",
         since=(3, 54)),
    Case("POST /attachments/{each_connected}/action", 204, send="attachment-complete", since=(3, 44)),
    # ---- groups
    Case("POST /group_types", DONE, send="group-type-create-request", answer="group-type-show-response", since=(3, 11),
         put={"group_type/name": NEW_NAME}),
    Case("GET /group_types", answer="group-types-list-response", since=(3, 11), needs=("group_type",)),
    Case("GET /group_types/{group_type}", answer="group-type-show-response", since=(3, 11)),
    Case("PUT /group_types/{each_group_type}", send="group-type-update-request", since=(3, 11),
         put={"group_type/name": NEW_NAME}),
    Case("POST /group_types/{each_group_type}/group_specs", DONE, send="group-type-specs-create-request",
         answer="group-type-specs-create-response", since=(3, 11)),
    Case("GET /group_types/{group_type}/group_specs", answer="group-type-specs-list-response", since=(3, 11)),
    Case("GET /group_types/{group_type}/group_specs/key1", answer="group-type-specs-show-response", since=(3, 11)),
    Case("PUT /group_types/{group_type}/group_specs/key1", send="group-type-specs-update-request",
         answer="group-type-specs-update-response", since=(3, 11)),
    Case("POST /groups", DONE, send="group-create-request", answer="group-create-response", since=(3, 13), put={
        "group/group_type": "{group_type}", "group/volume_types": lambda world: [world["type_id"]],
        "group/availability_zone": "nova"}),
    Case("POST /groups/action", DONE, send="group-create-from-src-request", answer="group-create-from-src-response",
         since=(3, 14),
         put={"create-from-src/group_snapshot_id": "{group_snapshot}", "create-from-src/source_group_id": DROP}),
    Case("GET /groups/{group}?list_volume=true", answer="group-show-response", since=(3, 58), extra=REPLICATED),
    Case("GET /groups", answer="groups-list-response", since=(3, 13), needs=("group",)),
    Case("GET /groups/detail?list_volume=true", answer="groups-list-detailed-response", since=(3, 58), needs=("group",),
         empty=("volumes",), extra={"groups.*.*": OLDER}),
    Case("PUT /groups/{each_group}", DONE, send="group-update-request", since=(3, 13), put={
        "group/add_volumes": "{each_volume}", "group/remove_volumes": DROP}),
    Case("POST /groups/{each_group}/action", DONE, send="group-delete-request", since=(3, 13)),
    Case("POST /groups/{each_group}/action", DONE, send="group-reset-status-request", since=(3, 20)),
    Case("POST /group_snapshots", DONE, send="group-snapshots-create-request", answer="group-snapshots-create-response",
         since=(3, 14), put={"group_snapshot/group_id": "{group}"}),
    Case("GET /group_snapshots", answer="group-snapshots-list-response", since=(3, 14), needs=("group_snapshot",)),
    Case("GET /group_snapshots/detail", answer="group-snapshots-list-detailed-response", since=(3, 58),
         needs=("group_snapshot",)),
    Case("GET /group_snapshots/{group_snapshot}", answer="group-snapshots-show-response", since=(3, 58)),
    Case("POST /group_snapshots/{each_group_snapshot}/action", DONE, send="group-snapshot-reset-status-request", since=(3, 19)),
    # ---- manageable things
    Case("GET /manageable_volumes?host={each_managed_host}", answer="volume-manage-list-response", since=(3, 8)),
    Case("GET /manageable_volumes/detail?host={each_managed_host}", answer="volume-manage-list-detail-response", since=(3, 8)),
    Case("POST /manageable_volumes", DONE, send="volume_manage_extensions/volume-manage-request", since=(3, 8),
         answer="volume_manage_extensions/volume-manage-response", extra={"volume.*": OLDER},
         other={"volume.encrypted": "a truth, in volumes' own samples too"}, put={
             "volume/host": "{each_managed_host}", "volume/availability_zone": "nova",
             "volume/ref": lambda world: {"source-name": world["each_managed_name"]}}),
    Case("GET /manageable_snapshots?host={each_managed_host}", answer="snapshot-manage-list-response", since=(3, 8),
         needs=("manageable_snapshot",)),
    Case("GET /manageable_snapshots/detail?host={each_managed_host}", answer="snapshot-manage-list-detail-response", since=(3, 8),
         needs=("manageable_snapshot",)),
    Case("POST /manageable_snapshots", DONE, send="snapshot_manage_extensions/snapshot-manage-request", since=(3, 8),
         answer="snapshot_manage_extensions/snapshot-manage-response", put={
             "snapshot/volume_id": "{volume}", "snapshot/ref": lambda world: {"source-name": world.manageable_snapshot()}}),
    # ---- the operator's
    Case("GET /", 300, answer="versions/versions-response"),
    Case("GET /v3/", answer="versions/version-show-response"),
    Case("GET /limits", answer="limits/limits-show-response", empty=("rate",)),
    Case("GET /extensions", answer="extensions/extensions-list-response", empty=("links",)),
    Case("GET /os-availability-zone", answer="availability-zone-list-response"),
    Case("GET /scheduler-stats/get_pools?detail=true", answer="pools-list-detailed-response", extra={"capabilities.*": OLDER},
         other=SIZES),
    Case("GET /capabilities/{host}", answer="backend-capabilities-response", maps=("properties",),
         other={name: "null where a back end says nothing" for name in ("pool_name", "display_name", "visibility")}),
    Case("GET /resource_filters", answer="resource-filters-list-response", empty=("filters",), since=(3, 33)),
    Case("GET /messages", answer="messages-list-response", since=(3, 3), needs=("message",)),
    Case("GET /messages/{message}", answer="messages-show-response", since=(3, 3)),
    Case("GET /os-hosts", answer="hosts-list-response"),
    Case("GET /os-hosts/{host}", answer="hosts-get-response"),
    Case("GET /os-services", answer="services-list-response", until=(3, 6)),
    Case("GET /os-services", answer="os-services/services-list-response"),
    *(Case(f"PUT /os-services/{what}", send=f"{folder}-{what}-request".replace("disable-log-reason-r", f"{log}-r"),
           answer=f"{folder}-{what}-response".replace("disable-log-reason-r", f"{log}-r"), put=SERVICE,
           extra={"disabled_reason": "Tempest wants it, as Cinder answered until lately"})
      for folder, log in (("services", "disable-log"), ("os-services/service", "disable-log-reason"))
      for what in ("disable", "disable-log-reason", "enable")),
    *(Case(f"PUT /os-services/{what}", 200, send=f"{folder}-{what}-request", put=SERVICE)
      for folder in ("services", "os-services/service") for what in ("freeze", "thaw")),
    *(Case("PUT /os-services/get-log", send=f"{name}-request", answer=f"{name}-response", since=(3, 32), maps=("levels",),
           put={"server": DROP, "prefix": DROP}) for name in ("services-get-log", "os-services/service-get-log")),
    Case("POST /workers/cleanup", 202, send="worker-cleanup-request", answer="worker-cleanup-response", since=(3, 24),
         empty=("cleaning",)),
    Case("POST /qos-specs", send="qos/qos-create-request", answer="qos/qos-create-response", put={"qos_specs/name": NEW_NAME}),
    Case("GET /qos-specs", answer="qos/qos-list-response", needs=("qos",)),
    Case("GET /qos-specs/{qos}", answer="qos/qos-show-response"),
    Case("PUT /qos-specs/{each_qos}", send="qos/qos-update-request", answer="qos/qos-update-response"),
    Case("PUT /qos-specs/{each_qos}/delete_keys", DONE, send="qos/qos-unset-request"),
    Case("GET /qos-specs/{qos}/associations", answer="qos/qos_show_response"),
    *(Case(f"GET /os-quota-sets/{{work_id}}{path}", answer=f"quota_sets/quotas-show{kind}-response")
      for path, kind in (("", ""), ("/defaults", "-defaults"), ("?usage=true", "-usage"))),
    Case("PUT /os-quota-sets/{work_id}", send="quota_sets/quotas-update-request", answer="quota_sets/quotas-update-response"),
    *(Case("GET /os-quota-class-sets/default", answer=f"{folder}quota-classes-show-response")
      for folder in ("", "quota_classes/")),
    Case("PUT /os-quota-class-sets/samples", send="quota_classes/quota-classes-update-request",
         answer="quota_classes/quota-classes-update-response"),
]

NOWHERE = "00000000-0000-4000-8000-000000000000"
OLD = "groups replaced them"
REPLICATION = "no back end replicates"
ABSENT: list[Absent] = [
    Absent("cgsnapshots-*", "GET /cgsnapshots", OLD),
    Absent("consistency-group*", "GET /consistencygroups", OLD),
    Absent("clusters/*", "GET /clusters/nothing", "no clusters", version="3.7"),
    Absent("group-replication-*", "POST /groups/{group}/action", REPLICATION, 400, {"enable_replication": {}}, version="3.38"),
    Absent("*failover-host-request", "PUT /os-services/failover_host", REPLICATION, 400, {"host": "{host}"}),
    Absent("*service*-set-log-request", "PUT /os-services/set-log", "levels are the configuration's", 501, {
        "binary": "cinder-volume", "level": "ERROR"}, version="3.32"),
    Absent("volume-manage-request-cluster", "POST /manageable_volumes", "no clusters", 400, {
        "volume": {"host": None, "cluster": "cluster@backend", "ref": {"source-name": "x"}}}, version="3.16"),
    Absent("volume-os-migrate_volume_completion-request", ACT, "a volume is copied under its own id", 404, {
        "os-migrate_volume_completion": {"new_volume": NOWHERE, "error": False}}),
    Absent("volume-os-extend_volume_completion-request", ACT, "only a back end that asks Nova to grow a file needs it", 400, {
        "os-extend_volume_completion": {"error": False}}, version="3.71"),
    Absent("group-type-default-response", "GET /group_types/default", "no default group type is configured", version="3.11"),
    Absent("backup-record-import-*", "POST /backups/import_record",
        "the sample's record is no record; tests/volume has a real one",
           400, {"backup-record": {"backup_service": "cinder.backup.drivers.swift", "backup_url": "eyJzdGF0"}}),
    Absent("user-quotas-*", "GET /os-quota-sets/{work_id}/nothing", "the sample is Nova's"),
    Absent("quota-classes-update-*", "PUT /os-quota-class-sets/samples", "the sample's volume type does not exist", 400, {
        "quota_class_set": {"volumes_lmv": 10}}),
]
