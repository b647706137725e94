"""A fabric that is only remembered. `FakeFabric(path)`."""

from haneul.kernel.config import Config, Paths

from .driver import FakeFabric

__all__ = ["FakeFabric", "driver"]


def driver(config: Config, paths: Paths, name: str) -> FakeFabric:
    """As the agent loads it: a file a host."""
    folder = paths.host / "fake"
    folder.mkdir(parents=True, exist_ok=True)
    return FakeFabric(folder / f"{name}-fabric.jsonl")
