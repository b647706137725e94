"""The wire of identity."""

from haneul.identity.api import (
    application_credentials,
    auth,
    consumers,
    credentials,
    directory,
    domain_config,
    domains,
    ec2_credentials,
    endpoint_groups,
    endpoint_policies,
    grants,
    groups,
    key_login,
    limits,
    oauth,
    projects,
    role_assignments,
    roles,
    trusts,
    users,
)
from haneul.kernel.wire.errors import keystone
from haneul.kernel.wire.routes import Service

service = Service(
    type="identity", name="keystone", prefix="/identity/v3", aliases=("/v3",), error_body=keystone,
    unauthenticated_header='Keystone uri="/identity"', denied="You are not authorized to perform the requested action: {rule}.",
    routes=[auth.routes, domains.routes, projects.routes, users.routes, groups.routes, roles.routes, grants.routes,
            role_assignments.routes, directory.routes, application_credentials.routes, credentials.routes,
            ec2_credentials.routes, trusts.routes, domain_config.routes, limits.routes,
            endpoint_groups.routes, endpoint_policies.routes, consumers.routes, oauth.routes, key_login.routes])
