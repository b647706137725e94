"""Advisories against other clouds, as tests on this one: images. Each is named by its id."""

from __future__ import annotations

import http.server
import struct
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from haneul.image import fetch
from haneul.kernel.config import Image

if TYPE_CHECKING:
    from running import RunningCloud

DATA = {"Content-Type": "application/octet-stream"}


def qcow2(*, backing: bytes = b"", data_file: bool = False, size: int = 1 << 30) -> bytes:
    """A version 3 header and as much behind it as an inspector reads."""
    incompatible = 4 if data_file else 0
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 512 if backing else 0, len(backing), 16, size, 0, 1, 65536,
                         131072, 1, 0, 0, incompatible, 0, 0, 4, 104)
    return (header + bytes(512 - len(header)) + backing).ljust(200_000, b"\0")


def vmdk(kind: str, extent: str) -> bytes:
    """A sparse header whose embedded descriptor says `kind` and names `extent`."""
    descriptor = (f'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="{kind}"\n'
                  f"{extent}\nddb.adapterType = \"ide\"\n").encode()
    header = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, 2048, 128, 1, 20, 512, 21, 26, 128)
    return header.ljust(512, b"\0") + descriptor.ljust(20 * 512, b"\0") + bytes(64 << 10)


@pytest.fixture
def member(cloud: RunningCloud) -> Iterator[httpx.Client]:
    with cloud.http("member") as client:
        client.base_url = cloud.url + "/image/v2"  # type: ignore[assignment]
        yield client


def offered(cloud: RunningCloud, client: httpx.Client, format: str, data: bytes) -> httpx.Response:
    """Uploads, and makes sure that a refusal left the image queued without a file."""
    image = client.post("/images", json={"disk_format": format, "container_format": "bare"}).json()["id"]
    answer = client.put(f"/images/{image}/file", content=data, headers=DATA)
    if answer.status_code != 204:
        assert client.get(f"/images/{image}").json()["status"] == "queued"
        assert not (cloud.paths.images / image).exists()
    return answer


def test_cve_2024_32498_external_data_and_backing_files(cloud: RunningCloud, member: httpx.Client) -> None:
    assert offered(cloud, member, "qcow2", qcow2()).status_code == 204
    for bad in (qcow2(data_file=True), qcow2(backing=b"/etc/passwd"), qcow2(backing=b"json:{}")):
        answer = offered(cloud, member, "qcow2", bad)
        assert answer.status_code == 415 and "safety" in answer.json()["message"]


def test_cve_2024_32498_import_is_inspected_too(cloud: RunningCloud, member: httpx.Client) -> None:
    image = member.post("/images", json={"disk_format": "qcow2", "container_format": "bare"}).json()["id"]
    member.put(f"/images/{image}/stage", content=qcow2(data_file=True), headers=DATA)
    assert member.post(f"/images/{image}/import", json={"method": {"name": "glance-direct"}}).status_code == 202
    cloud.settle()
    assert member.get(f"/images/{image}").json()["status"] == "queued"
    assert not (cloud.paths.images / image).exists()


def test_cve_2024_40767_declared_is_inspected(cloud: RunningCloud, member: httpx.Client) -> None:
    """Whatever is called raw but is something else is refused, and the other way round."""
    sparse = vmdk("monolithicSparse", 'RW 2048 SPARSE "disk.vmdk"')
    for declared, data in (("raw", qcow2()), ("raw", sparse), ("qcow2", sparse), ("vmdk", qcow2()), ("qcow2", b"raw" * 1000),
                           ("iso", b"\0" * 100_000), ("vhd", b"\0" * 100_000), ("ami", qcow2())):
        answer = offered(cloud, member, declared, data)
        assert answer.status_code == 415, declared
        assert f"declared as {declared}" in answer.json()["message"]


def test_cve_2022_47951_vmdk_kinds(cloud: RunningCloud, member: httpx.Client) -> None:
    assert offered(cloud, member, "vmdk", vmdk("monolithicSparse", 'RW 2048 SPARSE "disk.vmdk"')).status_code == 204
    for kind, extent in (("monolithicFlat", 'RW 2048 FLAT "/etc/passwd" 0'), ("twoGbMaxExtentFlat", 'RW 2048 FLAT "a.vmdk" 0'),
                         ("monolithicSparse", 'RW 2048 SPARSE "/etc/passwd"'), ("custom", 'RW 2048 SPARSE "a"')):
        assert offered(cloud, member, "vmdk", vmdk(kind, extent)).status_code == 415, kind


def test_cve_2015_5162_sizes_are_known_before_any_tool_runs(cloud: RunningCloud, member: httpx.Client) -> None:
    """A small file that says it is a huge disk is taken at its word: the virtual size is there to be checked."""
    image = member.post("/images", json={"disk_format": "qcow2", "container_format": "bare"}).json()["id"]
    assert member.put(f"/images/{image}/file", content=qcow2(size=1 << 50), headers=DATA).status_code == 204
    shown = member.get(f"/images/{image}").json()
    assert (shown["virtual_size"], shown["size"]) == (1 << 50, 200_000)


def test_cve_2014_9493_paths_and_schemes(cloud: RunningCloud, member: httpx.Client) -> None:
    """No scheme but http(s), no location set by a user, no id that is a path."""
    image = member.post("/images", json={"disk_format": "raw", "container_format": "bare"}).json()["id"]
    for uri in ("file:///etc/passwd", "filesystem:///etc/passwd", "swift+config://x", "ftp://example.org/x", "//etc/passwd", "",
                "http://user:secret@example.org/", "http://example.org\\@169.254.169.254/"):
        answer = member.post(f"/images/{image}/import", json={"method": {"name": "web-download", "uri": uri}})
        assert answer.status_code == 400, uri
    for value in ([{"url": "file:///etc/passwd", "metadata": {}}],):
        assert member.post("/images", json={"locations": value}).status_code == 403
        for op in ("add", "replace"):
            patch = [{"op": op, "path": "/locations", "value": value}]
            answer = member.request("PATCH", f"/images/{image}", json=patch, headers={
                "Content-Type": "application/openstack-images-v2.1-json-patch"})
            assert answer.status_code == 403
    for path in ("..%2F..%2Fetc%2Fpasswd", "%2e%2e/haneul.db", "....//", "x" * 5000):
        assert member.get(f"/images/{path}/file").status_code in (400, 404), path
    assert member.post("/images", json={"id": "../haneul.db"}).status_code == 400


ODD_SPELLINGS = [
    "http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://017700000001/",
    "http://0177.0.0.1/", "http://0/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[::]/", "http://169.254.169.254/",
    "http://0xa9fea9fe/", "http://[::ffff:169.254.169.254]/", "http://[fe80::1]/", "http://[fd00:ec2::254]/", "http://10.0.0.1/",
    "http://172.16.0.1/", "http://192.168.0.1/", "http://100.100.100.200/", "http://224.0.0.1/", "http://255.255.255.255/"]


@pytest.mark.parametrize("uri", ODD_SPELLINGS)
def test_cve_2026_34881_addresses_in_every_spelling(uri: str) -> None:
    with pytest.raises(fetch.Refused):
        fetch.check(uri, Image())


def test_cve_2026_34881_private_ranges_only_when_allowed() -> None:
    assert fetch.resolve(fetch.parse("http://8.8.8.8/x"), Image()).pinned == "http://8.8.8.8:80/x"
    fetch.check("http://10.0.0.1/", Image(web_download_private=True))
    fetch.check("http://10.0.0.1/", Image(web_download_allow=["10.0.0.0/24"]))
    for uri in ("http://127.0.0.1/", "http://169.254.169.254/", "http://[::1]/"):
        with pytest.raises(fetch.Refused):
            fetch.check(uri, Image(web_download_private=True))


def test_cve_2026_34881_every_address_of_a_name_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a good and a bad address is refused; a good one is asked for once and its address is what is connected to."""
    answers = {"mixed.example": ["93.184.216.34", "127.0.0.1"], "good.example": ["93.184.216.34"]}
    asked: list[str] = []

    def resolver(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in answers[host]]

    monkeypatch.setattr(fetch.socket, "getaddrinfo", resolver)
    with pytest.raises(fetch.Refused):
        fetch.resolve(fetch.parse("https://mixed.example/"), Image())
    target = fetch.resolve(fetch.parse("https://good.example:8443/a?b"), Image())
    assert (target.pinned, target.host_header) == ("https://93.184.216.34:8443/a?b", "good.example:8443")
    assert asked == ["mixed.example", "good.example"]


def test_cve_2026_34881_redirects_are_checked_again() -> None:
    """The first hop is allowed, the second leads to loopback under another spelling."""
    reached: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reached.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.2:{self.server.server_address[1]}/secret")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        config = Image(web_download_allow=["127.0.0.1/32"])
        with pytest.raises(fetch.Refused), \
                fetch.opened(f"http://127.0.0.1:{server.server_address[1]}/start", config, deadline=1e12) as chunks:
            list(chunks)
        assert reached == ["/start"]
        with pytest.raises(fetch.Fault, match="too many redirects"), \
                fetch.opened(f"http://127.0.0.1:{server.server_address[1]}/start", Image(web_download_allow=["127.0.0.0/8"]),
                             deadline=1e12) as chunks:
            list(chunks)
    finally:
        server.shutdown()
        server.server_close()
