"""/domains/{id}/config: a domain's configuration, whole, by group and by option; /domains/config/default."""

from __future__ import annotations

from typing import Any

from haneul.identity import domain_config as rules
from haneul.identity.api import targets
from haneul.identity.model import Project
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()
PATH = "/domains/{domain_id}/config"
SECURITY = PATH + "/security_compliance"


def _config(call: Call) -> Any:
    body = call.decode(dict[str, Any])
    if "config" not in body:
        raise BadRequest("Expecting to find config in request body. The server could not comply with the request since it is "
                         "either malformed or otherwise incorrect. The client is assumed to be in error.")
    return body["config"]


def _where(call: Call) -> tuple[str | None, str | None]:
    return call.values.get("config_group"), call.values.get("option")


@routes.put(PATH, "identity:create_domain_config", target=targets.domain)
def create(call: Call, domain: Project) -> Reply:
    shown, new = rules.replace(call.tx, domain.id, _config(call))
    return Reply({"config": shown}, status=201 if new else 200)


def _show(call: Call, domain: Project) -> dict[str, Any]:
    return {"config": rules.show(call.tx, domain.id, *_where(call))}


def _change(call: Call, domain: Project) -> dict[str, Any]:
    return {"config": rules.change(call.tx, domain.id, _config(call), *_where(call))}


def _remove(call: Call, domain: Project) -> None:
    rules.remove(call.tx, domain.id, *_where(call))


for _path in (PATH, PATH + "/{config_group}", PATH + "/{config_group}/{option}"):
    routes.get(_path, "identity:get_domain_config", target=targets.domain)(_show)
    routes.patch(_path, "identity:update_domain_config", target=targets.domain)(_change)
    routes.delete(_path, "identity:delete_domain_config", target=targets.domain)(_remove)


def _security(call: Call) -> dict[str, Any]:
    """For everybody who has a password to choose."""
    return {"config": rules.security(call.cloud.config.identity, call.values["domain_id"], call.values.get("option"))}


for _path in (SECURITY, SECURITY + "/{option}"):
    routes.get(_path, "identity:get_security_compliance_domain_config")(_security)


def _defaults(call: Call) -> dict[str, Any]:
    return {"config": rules.defaults(*_where(call))}


for _path in ("/domains/config/default", "/domains/config/{config_group}/default",
              "/domains/config/{config_group}/{option}/default"):
    routes.get(_path, "identity:get_domain_config_default")(_defaults)
