"""Who may use Placement: its rule names and defaults."""

from __future__ import annotations

from haneul.kernel.policy import Rule

_SERVICE = "role:admin or role:service"
_NAMES = ("resource_providers:list", "resource_providers:create", "resource_providers:show", "resource_providers:update",
          "resource_providers:delete", "resource_classes:list", "resource_classes:create", "resource_classes:show",
          "resource_classes:update", "resource_classes:delete", "resource_providers:inventories:list",
          "resource_providers:inventories:create", "resource_providers:inventories:show",
          "resource_providers:inventories:update", "resource_providers:inventories:delete",
          "resource_providers:aggregates:list", "resource_providers:aggregates:update", "resource_providers:usages",
          "traits:list", "traits:show", "traits:update", "traits:delete", "resource_providers:traits:list",
          "resource_providers:traits:update", "resource_providers:traits:delete", "allocations:list", "allocations:manage",
          "allocations:update", "allocations:delete", "resource_providers:allocations:list", "allocation_candidates:list",
          "reshaper:reshape")

RULES = [Rule(f"placement:{name}", _SERVICE, name.replace(":", " ").replace("_", " ")) for name in _NAMES] + [
    Rule("placement:usages", f"{_SERVICE} or (role:reader and project_id:%(project_id)s)", "usages of a project")]
