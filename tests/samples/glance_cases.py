"""How each of Glance's API samples comes about here, and which of them cannot."""

from __future__ import annotations

from sample_book import Absent, Case, Rules

RULES = Rules(
    nullable=("name", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "size", "disk_format", "container_format"),
    maps=("properties",),
    extra={"stores": "the sample is of a service with one store",
           "os_glance_importing_to_stores": "a trace of an import", "os_glance_failed_import": "a trace of an import",
           "locations": "shown where the operator wants it"},
    missing={"locations": "shown where the operator wants it"})

NAMESPACES = "/metadefs/namespaces"
ONE = NAMESPACES + "/{namespace}"
DATES = {"updated_at": "the sample is older than the answer, which is Glance's of today",
         "created_at": "the sample is older than the answer", "owner": "the sample is older than the answer"}
TASK = {name: "since 2.12" for name in ("image_id", "request_id", "user_id")}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


def _schema(sample: str, path: str) -> Case:
    return Case(f"GET /schemas/{path}", answer=f"schemas-{sample}-response", maps=("properties", "definitions"),
                missing={"minItems": "the sample is older than the answer, which is Glance's of today"},
                extra={"items": "the sample is older than the answer"} if sample == "tasks-list" else {})


CASES: list[Case] = [
    # ---- images
    Case("POST /images", 201, send="image-create-request", answer="image-create-response", put={"id": "{each_uuid}"}),
    Case("GET /images/{image}", answer="image-show-response"),
    Case("GET /images?name=samples-image", answer="images-list-response", needs=("image",)),
    Case("PATCH /images/{each_active}", send="image-update-request", answer="image-update-response", headers=PATCH),
    Case("GET /images/{deactivated}", answer="image-details-deactivate-response"),
    # ---- members
    Case("POST /images/{image}/members", send="image-member-create-request", answer="image-member-create-response",
         put={"member": "{each_uuid}"}),
    Case("GET /images/{image}/members/{member}", answer="image-member-details-response"),
    Case("PUT /images/{image}/members/{member}", send="image-member-update-request", answer="image-member-update-response"),
    Case("GET /images/{image}/members", answer="image-members-list-response", needs=("member",)),
    # ---- import, stores, tasks
    Case("GET /info/import", answer="image-info-import-response"),
    Case("GET /info/usage", answer="usage-response", needs=("limited",)),
    Case("GET /info/stores", answer="stores-list-response", missing={"description": "none is given"}),
    Case("GET /info/stores/detail", answer="stores-list-detail-response", missing={"description": "none is given"},
         extra={"data_dir": "Glance's own key; the sample has an older one", "read-only": "a store of addresses"}),
    Case("POST /images/{each_staged}/import", 202, send="image-import-g-d-request", put={"stores": ["file"]}),
    Case("POST /images/{each_queued}/import", 202, send="image-import-w-d-request", put={
        "stores": ["file"], "method/uri": "{uri}"}),
    Case("POST /images/{each_queued}/import", 202, send="image-import-gd-request", put={
        "stores": ["file"], "method/glance_image_id": "{image}", "method/glance_region": "RegionOne"}),
    Case("POST /images/{each_active}/import", 202, send="image-import-c-i-request", put={"stores": ["second"]}),
    Case("GET /images/{imported}/tasks", answer="image-tasks-show-response",
         extra={"request_id": "Glance's own name; the sample has another", "user_id": "Glance's own name",
                "stores": "as it was asked"},
         missing={"request-id": "Glance's own name is another", "user": "Glance's own name is another"}),
    Case("POST /images/{each_queued}/locations", 202, send="add-location-request", put={"url": "{uri}"}),
    Case("GET /images/{image}/locations", answer="locations-list-detail-response"),
    Case("POST /tasks", 201, send="task-create-request", answer="task-create-response", extra=TASK, put={
        "input/import_from": "{uri}", "input/image_properties": {"container_format": "bare", "disk_format": "raw"}}),
    Case("GET /tasks/{task}", answer="task-show-success-response", extra=TASK),
    Case("GET /tasks/{failed_task}", answer="task-show-failure-response", extra=TASK),
    Case("GET /tasks", answer="tasks-list-response", needs=("task",), extra={"expires_at": "of those that ended"}),
    Case("GET /cache", answer="cache-list-response", needs=("cached",), empty=("queued_images",)),
    # ---- metadata definitions
    Case(f"POST {NAMESPACES}", 201, send="metadef-namespace-create-request", answer="metadef-namespace-create-response",
         put={"namespace": "{each_name}"}, extra=DATES),
    Case(f"POST {NAMESPACES}", 201, send="metadef-namespace-create-request-simple", put={"namespace": "{each_name}"},
         answer="metadef-namespace-create-response-simple"),
    Case(f"GET {ONE}", answer="metadef-namespace-details-response", extra={
        **DATES, "objects": "it has some", "tags": "it has some", "properties_target": "it has one"}),
    Case(f"GET {ONE}?resource_type=OS::Glance::Image", answer="metadef-namespace-details-with-rt-response",
         extra={**DATES, "objects": "it has some", "tags": "it has some", "properties_target": "it has one"}),
    Case(f"PUT {NAMESPACES}/{{each_namespace}}", send="metadef-namespace-update-request", put={"namespace": "{each_name}"},
         answer="metadef-namespace-update-response"),
    Case(f"GET {NAMESPACES}?limit=1&sort_key=namespace&sort_dir=asc&resource_types=OS::Glance::Image",
         answer="metadef-namespaces-list-response", needs=("namespace",), extra={"next": "there is a next page"}),
    Case(f"POST {NAMESPACES}/{{each_namespace}}/objects", 201, send="metadef-object-create-request",
         answer="metadef-object-create-response"),
    Case(f"GET {ONE}/objects/CPU Limits", answer="metadef-object-details-response"),
    Case(f"PUT {ONE}/objects/CPU Limits", send="metadef-object-update-request", answer="metadef-object-update-response"),
    Case(f"GET {ONE}/objects", answer="metadef-objects-list-response", extra=DATES),
    Case(f"POST {NAMESPACES}/{{each_namespace}}/properties", 201, send="metadef-property-create-request",
         answer="metadef-property-create-response"),
    Case(f"GET {ONE}/properties/hypervisor_type", answer="metadef-property-details-response"),
    Case(f"PUT {ONE}/properties/hypervisor_type", send="metadef-property-update-request",
         answer="metadef-property-update-response"),
    Case(f"GET {ONE}/properties", answer="metadef-properties-list-response"),
    Case("GET /metadefs/resource_types", answer="metadef-resource-types-list-response"),
    Case(f"POST {NAMESPACES}/{{each_namespace}}/resource_types", 201, send="metadef-resource-type-create-request",
         answer="metadef-resource-type-assoc-create-response"),
    Case(f"GET {ONE}/resource_types", answer="metadef-resource-type-assoc-list-response",
         extra={"updated_at": "the sample is older", "properties_target": "it has one"}),
    Case(f"POST {NAMESPACES}/{{each_namespace}}/tags", 201, send="metadef-tags-create-request",
         answer="metadef-tags-create-response"),
    Case(f"GET {ONE}/tags", answer="metadef-tags-list-response"),
    Case(f"POST {ONE}/tags/{{each_name}}", 201, answer="metadef-tag-create-response"),
    Case(f"GET {ONE}/tags/tag", answer="metadef-tag-details-response"),
    Case(f"PUT {NAMESPACES}/{{each_namespace}}/tags/tag", send="metadef-tag-update-request",
         answer="metadef-tag-update-response"),
    # ---- schemas
    *(_schema(sample, path) for sample, path in (
        ("image-show", "image"), ("images-list", "images"), ("image-member-show", "member"), ("image-members-list", "members"),
        ("task-show", "task"), ("tasks-list", "tasks"), ("metadef-namespace-show", "metadefs/namespace"),
        ("metadef-namespaces-list", "metadefs/namespaces"), ("metadef-object-show", "metadefs/object"),
        ("metadef-objects-list", "metadefs/objects"), ("metadef-property-show", "metadefs/property"),
        ("metadef-properties-list", "metadefs/properties"), ("metadef-tag-show", "metadefs/tag"),
        ("metadef-tags-list", "metadefs/tags"), ("metadef-resource-type-association-show", "metadefs/resource_type"),
        ("metadef-resource-type-associations-list", "metadefs/resource_types"))),
]
ABSENT: list[Absent] = [
    Absent("task-show-processing-response", "GET /tasks/0e0e0e0e-0000-4000-8000-00000000000e",
           "a task under way shows as one that ended does; too quick to be seen"),
]
