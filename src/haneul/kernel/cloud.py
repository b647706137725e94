"""One running control process: what every handler, step and reconciler is given instead of globals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from haneul.kernel.config import Config, Paths

if TYPE_CHECKING:
    from haneul.kernel.database import Database
    from haneul.kernel.policy import Policy
    from haneul.kernel.reconcilers import Reconcilers
    from haneul.kernel.tasks import Runner
    from haneul.kernel.wire.routes import Service

T = TypeVar("T")


class Cloud:
    """Configuration, database and the kernel's engines; rooms keep their long-lived things by type (`put`, `get`)."""

    database: Database
    policy: Policy
    runner: Runner
    reconcilers: Reconcilers
    services: list[Service]  # all that this process serves

    def __init__(self, config: Config, paths: Paths) -> None:
        self.config = config
        self.paths = paths
        self._things: dict[type, Any] = {}

    def put(self, thing: object) -> None:
        self._things[type(thing)] = thing

    def get(self, kind: type[T]) -> T:
        thing: T = self._things[kind]
        return thing

    @property
    def url(self) -> str:
        """As clients reach it, without a slash at the end."""
        api = self.config.api
        return (api.public_url or f"http://{api.bind}:{api.port}").rstrip("/")
