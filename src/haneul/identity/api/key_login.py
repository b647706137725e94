"""/ec2tokens and /s3tokens: services ask whose keys signed a request that they received, and get a token for it."""

from __future__ import annotations

from typing import Any

import msgspec

from haneul.identity import key_login
from haneul.identity.signatures import Signed, check_ec2, check_s3
from haneul.identity.tokens import Tokens
from haneul.kernel.errors import BadRequest, Unauthorized
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()


def _signed(call: Call) -> Signed:
    """Under any of the three names that clients use."""
    body = call.decode(dict[str, Any])
    given = body.get("credentials") or body.get("credential") or body.get("ec2Credentials")
    if not isinstance(given, dict):
        raise BadRequest("Expecting to find credentials in request body.")
    if "access" not in given:
        raise Unauthorized("EC2 Signature not supplied")
    try:
        return msgspec.convert(given, Signed)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid input: {error}") from error


def _shown(call: Call, check: Any, *, with_token: bool) -> Reply:
    token, entry = key_login.log_in(call.cloud, _signed(call), check)
    raw = call.cloud.get(Tokens).shown(entry)
    return Reply(raw=raw, headers={"X-Subject-Token": token} if with_token else {})


@routes.post("/ec2tokens", "identity:ec2tokens_validate", writes=False)
def ec2(call: Call) -> Reply:
    return _shown(call, check_ec2, with_token=True)


@routes.post("/s3tokens", "identity:s3tokens_validate", writes=False)
def s3(call: Call) -> Reply:
    """Without the token's id: an S3 service has to know who asks, and no more."""
    return _shown(call, check_s3, with_token=False)
