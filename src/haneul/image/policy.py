"""Who may what with images: Glance's rule names and defaults."""

from __future__ import annotations

from haneul.kernel.policy import ADMIN, ANYONE, PROJECT_MEMBER, PROJECT_READER, Rule

_SEEN = ("project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s or "
         "'public':%(visibility)s or 'shared':%(visibility)s")
_READ = f"role:admin or (role:reader and ({_SEEN}))"
_DOWNLOAD = f"role:admin or (role:member and ({_SEEN}))"
_READER = "role:admin or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s))"
_DEFINED = "role:admin or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))"
_MEMBER = "role:admin or (role:member and project_id:%(member_id)s)"

RULES = [
    Rule("add_image", PROJECT_MEMBER, "Create an image"),
    Rule("delete_image", PROJECT_MEMBER, "Delete an image"),
    Rule("get_image", _READ, "Show an image"),
    Rule("get_images", "role:admin or role:reader", "List images"),
    Rule("modify_image", PROJECT_MEMBER, "Change an image and its tags"),
    Rule("publicize_image", ADMIN, "Make an image public"),
    Rule("communitize_image", PROJECT_MEMBER, "Make an image a community image"),
    Rule("download_image", _DOWNLOAD, "Read an image's data"),
    Rule("upload_image", PROJECT_MEMBER, "Give an image its data"),
    Rule("deactivate", PROJECT_MEMBER, "Deactivate an image"),
    Rule("reactivate", PROJECT_MEMBER, "Reactivate an image"),
    Rule("add_member", PROJECT_MEMBER, "Share an image with a project"),
    Rule("get_member", _READER, "Show a member of an image"),
    Rule("get_members", f"role:admin or (role:reader and ({_SEEN}))", "List an image's members"),
    Rule("delete_member", PROJECT_MEMBER, "Share an image no longer"),
    Rule("modify_member", _MEMBER, "Accept or reject a shared image"),
    Rule("get_task", "role:admin or (role:reader and project_id:%(project_id)s)", "Show an import task"),
    Rule("get_tasks", "role:admin or (role:reader and project_id:%(project_id)s)", "List import tasks"),
    Rule("tasks_api_access", ADMIN, "Use the tasks API"),
    Rule("stores_info_detail", "role:admin or role:service", "Show the stores with their properties"),
    Rule("image:schemas", ANYONE, "Read the schemas and what the service offers"),
]
RULES += [
    Rule("cache_list", ADMIN, "List what is in the image cache"),
    Rule("cache_image", ADMIN, "Have an image cached"),
    Rule("cache_delete", ADMIN, "Remove images from the cache"),
    Rule("cache_clean", ADMIN, "Clean the image cache of what is broken"),
    Rule("cache_prune", ADMIN, "Make the image cache fit its size"),
    Rule("list_cached_nodes", ADMIN, "List the nodes that have an image cached"),
    Rule("copy_image", ADMIN, "Copy an image to further stores"),
    Rule("get_image_location", PROJECT_READER, "See where an image's data is"),
    Rule("set_image_location", PROJECT_MEMBER, "Say where an image's data is"),
    Rule("delete_image_location", ADMIN, "Remove an image's data from one of its stores"),
    Rule("add_image_location", f"role:service or {PROJECT_MEMBER}", "Say where a new image's data is"),
    Rule("fetch_image_location", "role:service or role:admin", "See all of an image's locations"),
    Rule("get_metadef_namespaces", PROJECT_READER, "List namespaces of metadata definitions"),
    Rule("list_metadef_resource_types", _DEFINED, "List resource types"),
    Rule("get_metadef_resource_type", _DEFINED, "Show a resource type's association"),
    *(Rule(f"get_metadef_{word}", _DEFINED, f"Read metadata definitions: {word}")
      for word in ("namespace", "object", "objects", "property", "properties", "tag", "tags")),
    *(Rule(f"add_metadef_{word}", ADMIN, f"Define metadata: {word}")
      for word in ("namespace", "object", "property", "resource_type_association", "tag", "tags")),
    *(Rule(f"modify_metadef_{word}", ADMIN, f"Change metadata definitions: {word}")
      for word in ("namespace", "object", "property", "tag")),
    *(Rule(f"delete_metadef_{word}", ADMIN, f"Remove metadata definitions: {word}")
      for word in ("namespace", "object", "tag", "tags")),
    *(Rule(f"remove_metadef_{word}", ADMIN, f"Remove metadata definitions: {word}")
      for word in ("property", "resource_type_association")),
]
