"""The config drive: what the metadata service says, as files."""

from __future__ import annotations

import base64

import msgspec

from haneul.compute import metadata, servers
from haneul.host.contract import ConfigDrive
from haneul.kernel.cloud import Cloud
from haneul.kernel.tasks import Fault


def build(cloud: Cloud, server_id: str) -> ConfigDrive:
    with cloud.database.read() as tx:
        row = servers.by_id(tx, server_id)
        if row is None:
            raise Fault("The server was deleted.", code=404)
        guest = metadata.load(tx, row)
        found = metadata.files(tx, guest)
        tree = metadata.ec2(tx, guest)
    files: dict[str, str] = {}
    binary: dict[str, str] = {}
    contents = {f"openstack/{version}/{name}": raw for version in (metadata.OPENSTACK_VERSIONS[-1], "latest")
                for name, raw in found.items()}
    contents |= {f"openstack/content/{name}": raw for name, raw in metadata.content(guest).items()}
    contents["ec2/latest/meta-data.json"] = msgspec.json.encode({
        name: value for name, value in tree.items() if not isinstance(value, dict)} | {
        "placement": tree["placement"], "block-device-mapping": tree["block-device-mapping"],
        **({"public-keys": {f"0={tree['public-keys']['0']['_name']}": {
            "openssh-key": tree["public-keys"]["0"]["openssh-key"]}}} if "public-keys" in tree else {})})
    if "user_data" in found:
        contents["ec2/latest/user-data"] = found["user_data"]
    for path, raw in contents.items():
        try:
            files[path] = raw.decode()
        except UnicodeDecodeError:
            binary[path] = base64.b64encode(raw).decode()
    return ConfigDrive(files=files, base64_files=binary)
