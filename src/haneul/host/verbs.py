"""What the agent can be asked, read from the contract itself: a verb that is added there needs no glue here."""

from __future__ import annotations

import inspect
import typing
from typing import Any

import msgspec

from haneul.host.contract import Disks, Fabric, HostError, Hypervisor
from haneul.host.storage import Transfers, Volumes

CONTRACTS: dict[str, type] = {"hypervisor": Hypervisor, "disks": Disks, "fabric": Fabric, "volumes": Volumes,
                              "transfers": Transfers}
BY_BACKEND = "volumes"  # several drivers on a host: the body names the one that is meant


class BadArguments(HostError):
    """The body is not JSON, or not the arguments of this verb."""

    code = "bad_arguments"
    status = 400


class Verb:
    """One abstract method of a contract, with a decoder made from its signature."""

    def __init__(self, driver: str, name: str, method: Any) -> None:
        self.driver = driver
        self.name = name
        hints = typing.get_type_hints(method)
        fields: list[Any] = []
        for parameter in list(inspect.signature(method).parameters.values())[1:]:
            required = parameter.default is inspect.Parameter.empty
            fields.append((parameter.name, hints[parameter.name]) if required
                          else (parameter.name, hints[parameter.name], parameter.default))
        self._names = [entry[0] for entry in fields]
        if driver == BY_BACKEND:
            fields.append(("backend", str))
        shape = msgspec.defstruct(f"{driver}.{name}", fields, forbid_unknown_fields=True, kw_only=True)
        self._decoder = msgspec.json.Decoder(shape)

    def call(self, driver: object, body: bytes) -> Any:
        """Raises BadArguments, or what the driver raises."""
        try:
            arguments = self._decoder.decode(body or b"{}")
        except msgspec.DecodeError as error:  # ValidationError is one too
            raise BadArguments(f"{self.driver}/{self.name}: {error}") from error
        if self.driver == BY_BACKEND:
            driver = driver.named(arguments.backend)  # type: ignore[attr-defined]
        return getattr(driver, self.name)(**{name: getattr(arguments, name) for name in self._names})


def every_verb() -> dict[str, Verb]:
    """By "<driver>/<verb>", as in the path."""
    return {
        f"{driver}/{name}": Verb(driver, name, getattr(contract, name))
        for driver, contract in CONTRACTS.items()
        for name in sorted(contract.__abstractmethods__)  # type: ignore[attr-defined]
    }
