"""What the fake host of the tests was last told of an object."""

from __future__ import annotations

import json
from typing import Any

from running import RunningCloud, wait_until


def last(cloud: RunningCloud, kind: str, id: str) -> Any:
    found = None
    for path in cloud.folder.rglob("host-1-fabric.jsonl"):  # there once the host was told anything
        for line in path.read_text().splitlines():
            what, key, value = json.loads(line)
            if (what, key) == (kind, id):
                found = value
    return found


def until(cloud: RunningCloud, kind: str, id: str, condition: Any, what: str) -> Any:
    wait_until(lambda: condition(last(cloud, kind, id)), what=f"{what} of {kind} {id}")
    return last(cloud, kind, id)
