"""What can go wrong with QoS policies and trunks: Neutron's names and texts."""

from __future__ import annotations

from haneul.kernel import errors


class QosPolicyNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"QoS policy {id} could not be found.")


class QosRuleNotFound(errors.NotFound):
    def __init__(self, id: str, policy: str) -> None:
        super().__init__(f"QoS rule {id} for policy {policy} could not be found.")


class QosPolicyInUse(errors.Conflict):
    def __init__(self, id: str, kind: str, object_id: str) -> None:
        super().__init__(f"QoS Policy {id} is used by {kind} {object_id}.")


class QoSPolicyDefaultAlreadyExists(errors.Conflict):
    def __init__(self, project: str) -> None:
        super().__init__(f"A default QoS policy exists for project {project}.")


class PolicyRemoveAuthorizationError(errors.Forbidden):
    def __init__(self, id: str) -> None:
        super().__init__(f"Failed to remove provided policy {id} because you are not authorized.")


class QosRuleNotSupported(errors.Conflict):
    def __init__(self, type: str, port: str) -> None:
        super().__init__(f"Rule {type} is not supported by port {port}")


class QosRuleNotSupportedByNetwork(errors.Conflict):
    def __init__(self, type: str, network: str) -> None:
        super().__init__(f"Rule {type} is not supported by network {network}")


class QoSRulesConflict(errors.Conflict):
    def __init__(self, type: str, rule: str, policy: str) -> None:
        super().__init__(f"Rule {type} conflicts with rule {rule} which already exists in QoS Policy {policy}.")


class QoSRuleParameterConflict(errors.Conflict):
    def __init__(self, value: object, policy: str, existing: str, existing_value: object) -> None:
        super().__init__(
            f"Unable to add the rule with value {value} to the policy {policy} as the existing rule of type {existing} "
            f"has value {existing_value}."
        )


class QosPlacementAllocationConflict(errors.Conflict):
    def __init__(self, consumer: str, provider: str) -> None:
        super().__init__(
            f"Allocation for consumer {consumer} is not possible on resource provider {provider}, the requested amount of "
            "bandwidth would exceed the capacity available."
        )


class BandwidthHeld(errors.NotImplementedHere):
    """Neutron does not follow such a change either."""

    def __init__(self, port: str) -> None:
        super().__init__(f"Minimum bandwidth cannot change under port {port}, whose host holds some for it.")


class TrunkNotFound(errors.NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Trunk {id} could not be found.")


class SubPortNotFound(errors.NotFound):
    def __init__(self, trunk: str, port: str) -> None:
        super().__init__(f"SubPort on trunk {trunk} with parent port {port} could not be found.")


class TrunkPortInUse(errors.Conflict):
    def __init__(self, port: str) -> None:
        super().__init__(f"Port {port} is in use by another trunk.")


class ParentPortInUse(errors.Conflict):
    def __init__(self, port: str) -> None:
        super().__init__(f"Port {port} is currently in use and is not eligible for use as a parent port.")


class PortInUseAsTrunkParent(errors.Conflict):
    def __init__(self, port: str, trunk: str) -> None:
        super().__init__(f"Port {port} is currently a parent port for trunk {trunk}.")


class PortInUseAsSubPort(errors.Conflict):
    def __init__(self, port: str, trunk: str) -> None:
        super().__init__(f"Port {port} is currently a subport for trunk {trunk}.")


class DuplicateSubPort(errors.Conflict):
    def __init__(self, type: str, number: int, trunk: str) -> None:
        super().__init__(f"segmentation_type {type} and segmentation_id {number} already in use on trunk {trunk}.")


class SubPortMtuGreaterThanTrunkPortMtu(errors.Conflict):
    def __init__(self, port: str, mtu: int, trunk: str, most: int) -> None:
        super().__init__(f"MTU {mtu} of subport {port} cannot be greater than MTU {most} of trunk {trunk}.")


class TrunkDisabled(errors.Conflict):
    def __init__(self, id: str) -> None:
        super().__init__(f"Trunk {id} is currently disabled.")


class TrunkInUse(errors.Conflict):
    def __init__(self, id: str) -> None:
        super().__init__(f"Trunk {id} is currently in use.")
