"""What can go wrong with address groups, port forwarding, flavors, agents and their neighbours."""

from __future__ import annotations

from haneul.kernel import errors


class AddressGroupNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Address group {id} could not be found.")


class AddressGroupInUse(errors.Conflict):
    def __init__(self, id: str) -> None:
        super().__init__(f"Address group {id} is in use on one or more security group rules.")


class AddressesNotFound(errors.NotFound):
    def __init__(self, addresses: list[str], id: str) -> None:
        super().__init__(f"Addresses {addresses} not found in the address group {id}.")


class AddressesAlreadyExist(errors.BadRequest):
    def __init__(self, addresses: list[str], id: str) -> None:
        super().__init__(f"Addresses {addresses} already exist in the address group {id}.")


class PortForwardingNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Port Forwarding {id} could not be found.")


class PortForwardingNotSupportFilterField(errors.BadRequest):
    def __init__(self, name: str) -> None:
        super().__init__(f"Port Forwarding filter {name} is not supported.")


class FipInUseByPortForwarding(errors.Conflict):
    def __init__(self, id: str) -> None:
        super().__init__(f"Floating IP {id} in use by Port Forwarding resources.")


class PortHasBindingFloatingIP(errors.Conflict):
    def __init__(self, floating: str, id: str, port: str, fixed: str) -> None:
        super().__init__(
            f"Cannot create port forwarding to floating IP {floating} ({id}) with port {port} using fixed IP {fixed}, "
            "as that port already has a binding floating IP."
        )


class BadForwarding(errors.BadRequest):
    def __init__(self, reason: str) -> None:
        super().__init__(f"Bad port_forwarding request: {reason}.", type="BadRequest")


class FlavorNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Flavor {id} could not be found.")


class FlavorInUse(errors.Conflict):
    def __init__(self, id: str) -> None:
        super().__init__(f"Flavor {id} is used by some service instance.")


class FlavorDisabled(errors.Problem):
    status = 503
    title = "Service Unavailable"

    def __init__(self) -> None:
        super().__init__("Flavor is not enabled.")


class ServiceProfileNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Service Profile {id} could not be found.")


class ServiceProfileInUse(errors.Conflict):
    def __init__(self, id: str) -> None:
        super().__init__(f"Service Profile {id} is used by some service instance.")


class ServiceProfileDisabled(errors.Problem):
    status = 503
    title = "Service Unavailable"

    def __init__(self) -> None:
        super().__init__("Service Profile is not enabled.")


class ServiceProfileEmpty(errors.BadRequest):
    def __init__(self) -> None:
        super().__init__("Service Profile needs either a driver or metainfo.")


class ServiceProfileDriverNotFound(errors.NotFound):
    def __init__(self, driver: str) -> None:
        super().__init__(f"Service Profile driver {driver} could not be found.")


class FlavorServiceProfileBindingExists(errors.Conflict):
    def __init__(self, profile: str, flavor: str) -> None:
        super().__init__(f"Service Profile {profile} is already associated with flavor {flavor}.")


class FlavorServiceProfileBindingNotFound(errors.NotFound):
    def __init__(self, profile: str, flavor: str) -> None:
        super().__init__(f"Service Profile {profile} is not associated with flavor {flavor}.")


class AutoAllocationFailure(errors.Conflict):
    def __init__(self, reason: str) -> None:
        super().__init__(f"Deployment error: {reason}.")


class DefaultExternalNetworkExists(errors.Conflict):
    def __init__(self, network: str) -> None:
        super().__init__(f"A default external network already exists: {network}.")


class InvalidL3Agent(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Agent {id} is not a L3 Agent or has been disabled")


class RouterHostedByL3Agent(errors.Conflict):
    def __init__(self, router: str, agent: str) -> None:
        super().__init__(f"The router {router} has been already hosted by the L3 Agent {agent}.")


class RouterNotHostedByL3Agent(errors.Conflict):
    def __init__(self, router: str, agent: str) -> None:
        super().__init__(f"The router {router} is not hosted by L3 agent {agent}.")


class InvalidDHCPAgent(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Agent {id} is not a valid DHCP Agent or has been disabled.")


class NetworkHostedByDHCPAgent(errors.Conflict):
    def __init__(self, network: str, agent: str) -> None:
        super().__init__(f"The network {network} has been already hosted by the DHCP Agent {agent}.")


class NetworkNotHostedByDhcpAgent(errors.Conflict):
    def __init__(self, network: str, agent: str) -> None:
        super().__init__(f"The network {network} is not hosted by the DHCP Agent {agent}.")


class SegmentNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Segment {id} could not be found.")
