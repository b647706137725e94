"""The signatures that holders of EC2 keys make: AWS's versions 2 and 4, and those of S3. Compared in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from haneul.kernel import clock
from haneul.kernel.errors import Unauthorized

FRESH = timedelta(minutes=15)  # Keystone's auth_ttl
_S3_SERVICES = ("s3", "iam", "sts")


class Signed(Struct):
    """A request that someone received and asks about. EC2 sends the parts of it, S3 what was signed (`token`)."""

    access: str
    signature: str | None = None
    token: str | None = None
    host: str = ""
    verb: str = ""
    path: str = ""
    params: dict[str, Any] = {}
    headers: dict[str, str] = {}
    body_hash: str = ""


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


def _key4(secret: str, scope: list[str]) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = _hmac(key, part)
    return key


def _query(params: Mapping[str, Any]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(str(params[name]), safe='-_~')}" for name in sorted(params))


def check_ec2(signed: Signed, secret: str) -> None:
    """Unauthorized unless the secret made the signature. Some clients sign the host without its port."""
    if not signed.signature:
        raise Unauthorized("EC2 signature not supplied.")
    hosts = dict.fromkeys((signed.host, signed.host.rpartition(":")[0] or signed.host))
    if not any(hmac.compare_digest(signed.signature.encode(), _ec2(signed, secret, host).encode()) for host in hosts):
        raise Unauthorized("Invalid EC2 signature.")
    _check_time(signed.params.get("Timestamp") if signed.params.get("SignatureVersion") == "2" else _dated(signed))


def _ec2(signed: Signed, secret: str, host: str) -> str:
    if signed.params.get("SignatureVersion") == "2":
        params = {**signed.params, "SignatureMethod": "HmacSHA256"}
        text = f"{signed.verb}\n{host}\n{signed.path}\n{_query(params)}"
        return base64.b64encode(_hmac(secret.encode(), text)).decode()
    authorization = signed.headers.get("Authorization", "")
    if authorization.startswith("AWS4-HMAC-SHA256") or signed.params.get("X-Amz-Algorithm") == "AWS4-HMAC-SHA256":
        return _version4(signed, secret, authorization, host)
    raise Unauthorized("Invalid EC2 signature: only versions 2 and 4 are known.")


def _dated(signed: Signed) -> str | None:
    return signed.headers.get("X-Amz-Date") or signed.params.get("X-Amz-Date")


def _version4(signed: Signed, secret: str, authorization: str, host: str) -> str:
    def part(name: str) -> str:
        if authorization:
            return authorization.partition(name + "=")[2].split(",")[0].strip()
        return str(signed.params.get("X-Amz-" + name) or "")

    names, credential, date = part("SignedHeaders"), part("Credential").split("/"), _dated(signed) or ""
    if len(credential) != 5 or credential[4] != "aws4_request" or not date.startswith(credential[1]):
        raise Unauthorized("Invalid EC2 signature: its scope does not fit.")
    headers = {name.lower().strip(): value.strip() for name, value in signed.headers.items()}
    if host != signed.host and "host" in headers:
        headers["host"] = host
    canonical = "\n".join((
        signed.verb.upper(), signed.path, "" if signed.verb.upper() == "POST" else _query(signed.params),
        "".join(f"{name}:{headers[name]}\n" for name in names.split(";") if name in headers), names, signed.body_hash))
    text = "\n".join(("AWS4-HMAC-SHA256", date, "/".join(credential[1:]), hashlib.sha256(canonical.encode()).hexdigest()))
    return hmac.new(_key4(secret, credential[1:]), text.encode(), hashlib.sha256).hexdigest()


def check_s3(signed: Signed, secret: str) -> None:
    """The same for what an S3 service received."""
    try:
        text = base64.urlsafe_b64decode(signed.token or "").decode()
    except (binascii.Error, ValueError) as error:
        raise Unauthorized("Credential signature mismatch") from error
    if not text or not signed.signature:
        raise Unauthorized("Credential signature mismatch")
    date = None
    if text.startswith("AWS4"):
        lines = text.split("\n")
        scope = lines[2].split("/") if len(lines) == 4 else []
        if lines[0] != "AWS4-HMAC-SHA256" or len(scope) != 4 or scope[3] != "aws4_request" or scope[2] not in _S3_SERVICES:
            raise Unauthorized("Invalid EC2 signature.")
        made, date = hmac.new(_key4(secret, scope), text.encode(), hashlib.sha256).hexdigest(), lines[1]
    else:
        made = base64.b64encode(hmac.digest(secret.encode(), text.encode(), hashlib.sha1)).decode()
    if not hmac.compare_digest(signed.signature.encode(), made.encode()):
        raise Unauthorized("Credential signature mismatch")
    _check_time(date or _dated(signed))  # what was signed, where it was


def _check_time(text: str | None) -> None:
    """A signature that says when it was made is good for a quarter of an hour."""
    if not text:
        return
    try:
        made = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError as error:
        raise Unauthorized("Credential timestamp is invalid.") from error
    made = made if made.tzinfo is None else made.astimezone(UTC).replace(tzinfo=None)
    if made + FRESH < clock.now():
        raise Unauthorized("Credential is expired")
