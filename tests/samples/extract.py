"""Turns the API samples in an OpenStack project's sdist into one file of shapes, which the tests here compare with.

    python tests/samples/extract.py nova-34.0.0.tar.gz …

Of an answer only the keys and the types stay; of a request everything, since the tests send it. Names are the samples' paths
below their folder; a folder `v2.3` in it says since when the sample holds. The samples are under the Apache License 2.0.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WHERE = {
    "nova": "doc/api_samples/", "cinder": "api-ref/source/v3/samples/", "glance": "api-ref/source/v2/samples/",
    "keystone": "api-ref/source/v3/samples/", "openstack_placement": "api-ref/source/samples/",
    "neutron_lib": "api-ref/source/v2/samples/",
}
FILES = {"openstack_placement": "placement", "neutron_lib": "neutron"}
# What Neutron's reference has of projects that are not Neutron itself, and Keystone's of what is no answer of its v3.
FOREIGN = {"neutron": r"(bgp|bgpvpn|firewall-v2|firewalls|sfc-[a-z-]+|taas|vpn)/"}
REQUEST = re.compile(
    r"request|^post-reshaper|^(domain|project|system)-?(id|name)?-(password|token|totp)$"
    r"|^attachment-complete$|^group-replication-(enable|disable|failover|list-targets)$")
KINDS = {str: "text", bool: "bool", int: "int", float: "float", type(None): "null"}


def shape(value: Any) -> Any:
    """Objects as objects, lists as a list of the one shape that all their items have, the rest as the names of types."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        merged: Any = None
        for item in value:
            merged = shape(item) if merged is None else union(merged, shape(item))
        return [] if merged is None else [merged]
    return KINDS[type(value)]


def union(left: Any, right: Any) -> Any:
    """One shape for both; a key that only one has ends in "?"."""
    if isinstance(left, dict) and isinstance(right, dict):
        found: dict[str, Any] = {}
        for key in dict.fromkeys(name.rstrip("?") for name in (*left, *right)):
            sides = [side[name] for side in (left, right) for name in (key, key + "?") if name in side]
            both = key in left and key in right
            found[key if both else key + "?"] = union(*sides) if len(sides) == 2 else sides[0]
        return found
    if isinstance(left, list) and isinstance(right, list):
        return [union(left[0], right[0])] if left and right else left or right
    if isinstance(left, str) and isinstance(right, str):
        return "|".join(sorted({*left.split("|"), *right.split("|")}))
    return right if left == "null" else left  # an object or a list, or null


def is_request(service: str, name: str) -> bool:
    last = name.rsplit("/", 1)[-1]
    if "response" in last or "-resp" in last or last == "server-rescue":
        return False
    if service == "nova":  # whose actions are published without a word for it
        return "-req" in last or not re.search(r"get|list|index|details|-res$", last)
    return bool(REQUEST.search(last))


def extract(archive: Path) -> None:
    source = archive.name.removesuffix(".tar.gz")
    project = source.rsplit("-", 1)[0]
    service = FILES.get(project, project)
    answers: dict[str, Any] = {}
    requests: dict[str, Any] = {}
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            _, _, name = member.name.partition("/")
            if not name.startswith(WHERE[project]) or not name.endswith(".json"):
                continue
            name = name.removeprefix(WHERE[project]).removesuffix(".json")
            if re.match(FOREIGN.get(service, r"\Z\A."), name):
                continue
            text = tar.extractfile(member).read()  # type: ignore[union-attr]
            try:
                value = json.loads(text)
            except ValueError as error:
                print(f"{service}: {name} is not JSON: {error}", file=sys.stderr)
                continue
            if is_request(service, name):
                requests[name] = value
            else:
                answers[name] = shape(value)
    target = HERE / f"{service}.json"
    target.write_text("{\n" + f'"source": {json.dumps(source)},\n' + section("answers", answers) + ",\n"
                      + section("requests", requests) + "\n}\n")
    print(f"{target.name}: {len(answers)} answers, {len(requests)} requests, {target.stat().st_size} bytes", file=sys.stderr)


def section(word: str, items: dict[str, Any]) -> str:
    """A line a sample, so that a new release's differences are readable ones."""
    lines = (f"{json.dumps(name)}: {json.dumps(items[name], separators=(',', ':'), ensure_ascii=False)}"
             for name in sorted(items))
    return f'"{word}": {{\n' + ",\n".join(lines) + "\n}"


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        extract(Path(argument))
