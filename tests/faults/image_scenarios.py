"""Images on their way into stores and into the cache."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import secrets
import threading

from faults.scenarios import Scenario, Stage

DATA = b"elsewhere" * 10_000


@functools.cache
def web() -> str:
    """A server on loopback for the rest of the run, with an image."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            self.wfile.write(DATA)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_address[1]}"


def _image(stage: Stage) -> str:
    made = stage.call("POST", "/image/v2/images", {"name": "faulty", "disk_format": "raw", "container_format": "bare"})
    stage.extra["image"] = made["id"]
    return str(made["id"])


def staged(stage: Stage) -> None:
    answer = stage.api.put(f"/image/v2/images/{_image(stage)}/stage", content=secrets.token_bytes(1 << 16),
                           headers={"Content-Type": "application/octet-stream"})
    assert answer.status_code == 204, answer.text


def bring_in(stage: Stage) -> None:
    stage.call("POST", f"/image/v2/images/{stage.extra['image']}/import", {
        "method": {"name": "glance-direct"}, "all_stores": True})


def uploaded(stage: Stage) -> None:
    stage.upload(_image(stage))


def copy(stage: Stage) -> None:
    stage.call("POST", f"/image/v2/images/{stage.extra['image']}/import", {
        "method": {"name": "copy-image"}, "stores": ["second"]})


def queued(stage: Stage) -> None:
    stage.cloud.cloud.config.image.web_download_allow = [web()]
    _image(stage)


def locate(stage: Stage) -> None:
    stage.call("POST", f"/image/v2/images/{stage.extra['image']}/locations", {
        "url": f"http://{web()}/image", "validation_data": {
            "os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(DATA).hexdigest()}})


def cache(stage: Stage) -> None:
    stage.call("PUT", f"/image/v2/cache/{stage.extra['image']}")


def _files(stage: Stage) -> str:
    """What lies where of the image."""
    paths = stage.cloud.paths
    folders = {"file": paths.images, "second": paths.image_stores / "second", "cache": paths.image_cache}
    found = [f"{where}{name.removeprefix(stage.extra['image'])}" for where, folder in folders.items() if folder.exists()
             for name in sorted(os.listdir(folder)) if name.startswith((stage.extra["image"], ".partial"))]
    return " ".join(found)


def look(stage: Stage) -> str | None:
    """The image's state together with its files. A failure that took the staged data leaves an image that waits for data."""
    shown = stage.call("GET", f"/image/v2/images/{stage.extra['image']}")
    return f"{shown['status']} {shown.get('stores', '-')}: {_files(stage)}"


def failed_or_look(stage: Stage) -> str | None:
    found = look(stage)
    return "error" if found == "queued -: " else found


def located(stage: Stage) -> str | None:
    found = look(stage)
    return "error" if found in ("queued web: ", "queued -: ") else found


SCENARIOS: dict[str, Scenario] = {
    "image.import": Scenario(staged, bring_in, "active file,second: file second", failed_or_look),
    "image.locate": Scenario(queued, locate, "active web: cache", located),
    "image.cache": Scenario(uploaded, cache, "active file: file cache", look),
}
COPIED = Scenario(uploaded, copy, "active file,second: file second", look)
