"""The wire: one file a resource. The list is here so that its names do not hide the rules' modules of the same names."""

from haneul.compute.api import (
    aggregates,
    consoles,
    flavor_access,
    flavors,
    floating_ips,
    hosts,
    hypervisors,
    images,
    instance_actions,
    interfaces,
    keypairs,
    networks,
    others,
    quotas,
    security_groups,
    server_actions,
    server_changes,
    server_groups,
    server_metadata,
    server_tags,
    servers,
    servers_create,
    servers_list,
    services,
    shares,
    tenant_usage,
    usage_audit,
    volume_attachments,
    volume_proxies,
)

ROUTES = [module.routes for module in (
    flavors, flavor_access, keypairs, servers_list, servers_create, servers, server_actions, server_changes, server_metadata,
    server_tags, interfaces, consoles, instance_actions, server_groups, hypervisors, services, shares, aggregates, quotas,
    tenant_usage, others, images, networks, security_groups, floating_ips, hosts, usage_audit, volume_attachments,
    volume_proxies)]
