"""What can go wrong in the network room. Neutron's bodies carry the class's name, its clients look for the texts."""

from __future__ import annotations

from haneul.kernel import errors


class InvalidInput(errors.BadRequest):
    """Neutron's general refusal of a value."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid input for operation: {reason}.")


class BadAttribute(errors.BadRequest):
    """A value of a body that is not what the attribute takes."""

    def __init__(self, attribute: str, reason: str) -> None:
        super().__init__(f"Invalid input for {attribute}. Reason: {reason}.", type="HTTPBadRequest")


class PolicyNotAuthorized(errors.Forbidden):
    def __init__(self, rule: str) -> None:
        super().__init__(f"rule:{rule} is disallowed by policy")


class NetworkNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Network {id} could not be found.")


class SubnetNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Subnet {id} could not be found.")


class PortNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Port {id} could not be found.")


class RouterNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Router {id} could not be found")


class FloatingIPNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Floating IP {id} could not be found")


class SecurityGroupNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Security group {id} does not exist")


class SecurityGroupRuleNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Security group rule {id} does not exist")


class SubnetPoolNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Subnet pool {id} could not be found.")


class AddressScopeNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Address scope {id} could not be found.")


class RbacPolicyNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"RBAC policy of type None with ID {id} not found")


class AgentNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Agent {id} could not be found.")


class ExtensionNotFound(errors.NotFound):
    def __init__(self, alias: str) -> None:
        super().__init__(f"Extension with alias {alias} does not exist")


class TagNotFound(errors.NotFound):
    def __init__(self, tag: str) -> None:
        super().__init__(f"Tag {tag} could not be found.")


class NetworkInUse(errors.Conflict):
    def __init__(self, id: str, reason: str = "There are one or more ports still in use on the network") -> None:
        super().__init__(f"Unable to complete operation on network {id}. {reason}.")


class SubnetInUse(errors.Conflict):
    def __init__(self, id: str, reason: str = "One or more ports have an IP allocation from this subnet") -> None:
        super().__init__(f"Unable to complete operation on subnet {id}: {reason}.")


class PortInUse(errors.Conflict):
    def __init__(self, port: str, network: str, device: str) -> None:
        super().__init__(
            f"Unable to complete operation on port {port} for network {network}. Port already has an attached "
            f"device {device}."
        )


class DeviceIDNotOwnedByTenant(errors.Conflict):
    def __init__(self, device: str) -> None:
        super().__init__(
            f"The following device_id {device} is not owned by your tenant or matches another tenants router."
        )


class ServicePortInUse(errors.Conflict):
    def __init__(self, port: str, reason: str) -> None:
        super().__init__(f"Port {port} cannot be deleted directly via the port API: {reason}.")


class RouterInUse(errors.Conflict):
    def __init__(self, id: str, reason: str = "it still has ports") -> None:
        super().__init__(f"Router {id} {reason}")


class RouterInterfaceNotFound(errors.NotFound):
    def __init__(self, router: str, port: str) -> None:
        super().__init__(f"Router {router} does not have an interface with id {port}")


class RouterInterfaceNotFoundForSubnet(errors.NotFound):
    def __init__(self, router: str, subnet: str) -> None:
        super().__init__(f"Router {router} has no interface on subnet {subnet}")


class RouterInterfaceInUseByFloatingIP(errors.Conflict):
    def __init__(self, router: str, subnet: str) -> None:
        super().__init__(
            f"Router interface for subnet {subnet} on router {router} cannot be deleted, as it is required by one "
            "or more floating IPs."
        )


class RouterInterfaceInUseByRoute(errors.Conflict):
    def __init__(self, router: str, subnet: str) -> None:
        super().__init__(
            f"Router interface for subnet {subnet} on router {router} cannot be deleted, as it is required by one "
            "or more routes."
        )


class RouterExternalGatewayInUseByFloatingIp(errors.Conflict):
    def __init__(self, router: str, network: str) -> None:
        super().__init__(
            f"Gateway cannot be updated for router {router}, since a gateway to external network {network} is "
            "required by one or more floating IPs."
        )


class InvalidRoutes(errors.BadRequest):
    def __init__(self, routes: object, reason: str) -> None:
        super().__init__(f"Invalid format for routes: {routes}, {reason}")


class ExternalGatewayForFloatingIPNotFound(errors.NotFound):
    def __init__(self, subnet: str, network: str, port: str) -> None:
        super().__init__(
            f"External network {network} is not reachable from subnet {subnet}.  Therefore, cannot associate "
            f"Port {port} with a Floating IP."
        )


class FloatingIPPortAlreadyAssociated(errors.Conflict):
    def __init__(self, floating: str, id: str, port: str, fixed: str, network: str) -> None:
        super().__init__(
            f"Cannot associate floating IP {floating} ({id}) with port {port} using fixed IP {fixed}, as that fixed "
            f"IP already has a floating IP on external network {network}."
        )


class ExternalNetworkInUse(errors.Conflict):
    def __init__(self, id: str) -> None:
        super().__init__(
            f"External network {id} cannot be updated to be made non-external, since it has existing gateway ports."
        )


class IpAddressInUse(errors.Conflict):
    def __init__(self, network: str, ip: str) -> None:
        super().__init__(f"Unable to complete operation for network {network}. The IP address {ip} is in use.")


class IpAddressAlreadyAllocated(errors.Conflict):
    def __init__(self, ip: str, subnet: str) -> None:
        super().__init__(f"IP address {ip} already allocated in subnet {subnet}")


class MacAddressInUse(errors.Conflict):
    def __init__(self, network: str, mac: str) -> None:
        super().__init__(f"Unable to complete operation for network {network}. The mac address {mac} is in use.")


class IpAddressGenerationFailure(errors.Conflict):
    def __init__(self, network: str) -> None:
        super().__init__(f"No more IP addresses available on network {network}.")


class ExternalIpAddressExhausted(errors.BadRequest):
    def __init__(self, network: str) -> None:
        super().__init__(f"Unable to find any IP address on external network {network}.")


class InvalidIpForSubnet(errors.BadRequest):
    def __init__(self, ip: str) -> None:
        super().__init__(f"IP address {ip} is not a valid IP for the specified subnet.")


class InvalidIpForNetwork(errors.BadRequest):
    def __init__(self, ip: str) -> None:
        super().__init__(f"IP address {ip} is not a valid IP for any of the subnets on the specified network.")


class InvalidAllocationPool(errors.BadRequest):
    def __init__(self, pool: str) -> None:
        super().__init__(f"The allocation pool {pool} is not valid.")


class OutOfBoundsAllocationPool(errors.BadRequest):
    def __init__(self, pool: str, cidr: str) -> None:
        super().__init__(f"The allocation pool {pool} spans beyond the subnet cidr {cidr}.")


class OverlappingAllocationPools(errors.Conflict):
    def __init__(self, first: str, second: str, cidr: str) -> None:
        super().__init__(f"Found overlapping allocation pools: {first} {second} for subnet {cidr}.")


class GatewayConflictWithAllocationPools(errors.Conflict):
    def __init__(self, ip: str, pool: str) -> None:
        super().__init__(f"Gateway ip {ip} conflicts with allocation pool {pool}.")


class GatewayIpInUse(errors.Conflict):
    def __init__(self, ip: str, port: str) -> None:
        super().__init__(f"Current gateway ip {ip} already in use by port {port}. Unable to update.")


class OverQuota(errors.Conflict):
    def __init__(self, names: list[str], details: dict[str, object]) -> None:
        super().__init__(f"Quota exceeded for resources: {names}.")


class SecurityGroupInUse(errors.Conflict):
    def __init__(self, id: str) -> None:
        super().__init__(f"Security Group {id} in use.")


class SecurityGroupConflict(errors.Conflict):
    def __init__(self) -> None:
        super().__init__(
            "Error Cannot apply both stateful and stateless security groups on the same port while attempting the "
            "operation."
        )


class NetworkMTUSubnetConflict(errors.Conflict):
    def __init__(self, network: str, least: int, version: int) -> None:
        super().__init__(
            f"MTU of network {network} is below {least}, the least that IPv{version} subnets need."
        )


class SecurityGroupCannotRemoveDefault(errors.Conflict):
    def __init__(self) -> None:
        super().__init__("Insufficient rights for removing default security group.")


class SecurityGroupCannotUpdateDefault(errors.Conflict):
    def __init__(self) -> None:
        super().__init__("Updating default security group not allowed.")


class SecurityGroupDefaultAlreadyExists(errors.Conflict):
    def __init__(self) -> None:
        super().__init__("Default security group already exists.")


class SecurityGroupRuleExists(errors.Conflict):
    def __init__(self, id: str) -> None:
        super().__init__(f"Security group rule already exists. Rule id is {id}.")


class SecurityGroupInvalidPortRange(errors.BadRequest):
    def __init__(self) -> None:
        super().__init__("For TCP/UDP protocols, port_range_min must be <= port_range_max")


class SecurityGroupInvalidPortValue(errors.BadRequest):
    def __init__(self, port: object) -> None:
        super().__init__(f"Invalid value for port {port}")


class SecurityGroupInvalidIcmpValue(errors.BadRequest):
    def __init__(self, field: str, attribute: str, value: object) -> None:
        super().__init__(f"Invalid value for ICMP {field} ({attribute}) {value}. It must be 0 to 255.")


class SecurityGroupMissingIcmpType(errors.BadRequest):
    def __init__(self, value: object) -> None:
        super().__init__(f"ICMP code (port-range-max) {value} is provided but ICMP type (port-range-min) is missing.")


class SecurityGroupRemoteGroupAndRemoteIpPrefix(errors.BadRequest):
    def __init__(self) -> None:
        super().__init__("Only remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.")


class SecurityGroupRuleInvalidProtocol(errors.BadRequest):
    def __init__(self, protocol: object, values: list[str]) -> None:
        super().__init__(
            f"Security group rule protocol {protocol} not supported. Only protocol values {values} and integer "
            "representations [0 to 255] are supported."
        )


class SecurityGroupRuleParameterConflict(errors.BadRequest):
    def __init__(self, ethertype: str, cidr: str) -> None:
        super().__init__(f"Conflicting value ethertype {ethertype} for CIDR {cidr}")


class SecurityGroupEthertypeConflictWithProtocol(errors.BadRequest):
    def __init__(self, ethertype: str, protocol: str) -> None:
        super().__init__(f"Invalid ethertype {ethertype} for protocol {protocol}.")


class SecurityGroupRulesNotSingleTenant(errors.BadRequest):
    def __init__(self) -> None:
        super().__init__("Multiple tenant_ids in bulk security group rule create not allowed")


class PortSecurityAndIPRequiredForSecurityGroups(errors.BadRequest):
    def __init__(self) -> None:
        super().__init__(
            "Port security must be enabled and port must have an IP address in order to use security groups."
        )


class PortSecurityPortHasSecurityGroup(errors.Conflict):
    def __init__(self) -> None:
        super().__init__(
            "Port has security group associated. Cannot disable port security or IP address until security group "
            "is removed."
        )


class AddressPairAndPortSecurityRequired(errors.Conflict):
    def __init__(self) -> None:
        super().__init__("Port Security must be enabled in order to have allowed address pairs on a port.")


class VlanIdInUse(errors.Conflict):
    def __init__(self, vlan: int, physical: str | None) -> None:
        super().__init__(f"Unable to create the network. The VLAN {vlan} on physical network {physical} is in use.")


class TunnelIdInUse(errors.Conflict):
    def __init__(self, number: int) -> None:
        super().__init__(f"Unable to create the network. The tunnel ID {number} is in use.")


class FlatNetworkInUse(errors.Conflict):
    def __init__(self, physical: str) -> None:
        super().__init__(f"Unable to create the flat network. Physical network {physical} is in use.")


class NoNetworkAvailable(errors.Conflict):
    def __init__(self) -> None:
        super().__init__("Unable to create the network. No tenant network is available for allocation.")


class InvalidSharedSetting(errors.Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(f"Unable to reconfigure sharing settings for network {name}. Multiple tenants are using it.")


class RbacPolicyInUse(errors.Conflict):
    def __init__(self, id: str, reason: str) -> None:
        super().__init__(
            f"RBAC policy on object {id} cannot be removed because other objects depend on it.\nDetails: {reason}"
        )


class DuplicateRbacPolicy(errors.Conflict):
    def __init__(self) -> None:
        super().__init__("An RBAC policy already exists with those values.")


class RevisionNumberConstraintFailed(errors.Problem):
    status = 412
    title = "Precondition Failed"

    def __init__(self, expected: int, current: int) -> None:
        super().__init__(f"Constrained to {expected}, but current revision is {current}")
