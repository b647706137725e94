"""The wire of identity."""

from haneul.identity.api import auth
from haneul.kernel.wire.errors import keystone
from haneul.kernel.wire.routes import Service

service = Service(
    type="identity", name="keystone", prefix="/identity/v3", aliases=("/v3",), error_body=keystone,
    unauthenticated_header='Keystone uri="/identity"', denied="You are not authorized to perform the requested action: {rule}.",
    routes=[auth.routes])
