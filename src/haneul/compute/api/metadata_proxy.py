"""What guests ask at 169.254.169.254, as their host's agent passes it on: signed, with the port the guest is plugged into."""

from __future__ import annotations

import hmac
from hashlib import sha256

from haneul.compute import metadata
from haneul.compute.metadata import Guest
from haneul.compute.tasks.machine import remember
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Conflict, Forbidden, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.errors import nova
from haneul.kernel.wire.routes import Routes, Service

routes = Routes()
SKEW_SECONDS = 300.0
PASSWORD_BYTES = 255 * 4


def _port(call: Call) -> str:
    """The port that asks. The signature covers port and time; anybody else than an agent of this cloud is refused."""
    port, stamp = call.headers.get("x-haneul-port-id", ""), call.headers.get("x-haneul-timestamp", "")
    given = call.headers.get("x-haneul-signature", "")
    try:
        secret = call.cloud.paths.agent_secret.read_text().strip().encode()
    except OSError:
        secret = b""
    wanted = hmac.new(secret, f"{port}\n{stamp}".encode(), sha256).hexdigest()
    if not secret or not hmac.compare_digest(wanted.encode(), given.encode()):
        raise Forbidden("The request is not signed by an agent of this cloud.")
    try:
        late = abs(clock.seconds() - float(stamp))
    except ValueError:
        late = SKEW_SECONDS + 1
    if not late <= SKEW_SECONDS:
        raise Forbidden("The signature is too old.")
    return port


def _guest(tx: Transaction, port: str) -> Guest:
    found = metadata.of_port(tx, port)
    if found is None:
        raise NotFound()
    return found


def _text(value: str | bytes, kind: str = "text/plain; charset=utf-8") -> Reply:
    return Reply(raw=value if isinstance(value, bytes) else value.encode(), content_type=kind)


@routes.get("", rule=None, anonymous=True)
def root(call: Call) -> Reply:
    _guest(call.tx, _port(call))
    return _text("\n".join([*metadata.EC2_VERSIONS, "latest", "openstack"]))


@routes.get("/{rest:path}", rule=None, anonymous=True)
def get(call: Call) -> Reply:
    guest = _guest(call.tx, _port(call))
    parts = [part for part in call.values["rest"].split("/") if part]
    if not parts:
        return _text("\n".join([*metadata.EC2_VERSIONS, "latest", "openstack"]))
    return _openstack(call, guest, parts[1:]) if parts[0] == "openstack" else _ec2(call, guest, parts)


def _openstack(call: Call, guest: Guest, parts: list[str]) -> Reply:
    if not parts:
        return _text("\n".join([*metadata.OPENSTACK_VERSIONS, *(["content"] if guest.files else []), "latest"]))
    if parts[0] == "content" and guest.files:
        found = metadata.content(guest)
        if len(parts) == 1:
            return _text("\n".join(found))
        if len(parts) > 2 or parts[1] not in found:
            raise NotFound()
        return _text(found[parts[1]], "application/octet-stream")
    if parts[0] not in (*metadata.OPENSTACK_VERSIONS, "latest"):
        raise NotFound()
    files = metadata.files(call.tx, guest)
    if len(parts) == 1:
        return _text("\n".join(sorted([*files, "password"])))
    if len(parts) > 2:
        raise NotFound()
    if parts[1] == "password":
        return _text(guest.row.system.get("password", ""))
    if parts[1] not in files:
        raise NotFound()
    return _text(files[parts[1]], "application/octet-stream" if parts[1] == "user_data" else "application/json")


def _ec2(call: Call, guest: Guest, parts: list[str]) -> Reply:
    if parts[0] not in (*metadata.EC2_VERSIONS, "latest"):
        raise NotFound()
    given = metadata.user_data(guest.row)
    if len(parts) == 1:
        return _text("meta-data/" + ("\nuser-data" if given is not None else ""))
    if parts[1] == "user-data" and len(parts) == 2 and given is not None:
        return _text(given, "application/octet-stream")
    if parts[1] != "meta-data":
        raise NotFound()
    found = metadata.ec2_text(metadata.ec2(call.tx, guest), parts[2:])
    if found is None:
        raise NotFound()
    return _text(found)


@routes.post("/{rest:path}", rule=None, anonymous=True, bare=True)
def post(call: Call) -> Reply:
    """A guest leaves its password, encrypted for its owner's key; once. Nobody unsigned takes the writer's place."""
    port = _port(call)
    parts = [part for part in call.values["rest"].split("/") if part]
    if len(parts) != 3 or parts[0] != "openstack" or parts[2] != "password":
        raise NotFound()
    if len(call.content) > PASSWORD_BYTES:
        return Reply(status=400)
    call.cloud.database.transact(lambda tx: _keep_password(tx, port, call.content))
    return Reply(status=200)


def _keep_password(tx: Transaction, port: str, content: bytes) -> None:
    guest = _guest(tx, port)
    if guest.row.system.get("password"):
        raise Conflict()
    remember(guest.row, password=content.decode("utf-8", "replace").replace("\0", ""))


service = Service(type="metadata", name="metadata", prefix="/metadata-proxy", error_body=nova, routes=[routes], catalog=False)
