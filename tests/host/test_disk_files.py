"""Root's work in folders that belong to QEMU's user, who may have been taken over."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from haneul.host.contract import HostError
from haneul.host.disks import qcow2
from haneul.host.disks.file import FileDisks
from haneul.host.disks.file.tools import own

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")


def test_only_a_plain_file_of_its_own_is_given_away(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("root's")
    link, second, pipe = tmp_path / "link", tmp_path / "second", tmp_path / "pipe"
    link.symlink_to(precious)
    with pytest.raises(OSError):
        own(link, 0o600)
    second.hardlink_to(precious)
    with pytest.raises(HostError):
        own(second, 0o600)
    second.unlink()
    os.mkfifo(pipe)
    with pytest.raises(HostError):
        own(pipe, 0o600)
    assert precious.stat().st_uid == 0
    own(precious, 0o600)
    assert precious.stat().st_uid != 0


def test_what_stands_in_a_disks_place_is_not_followed_nor_waited_for(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(qcow2.empty(1 << 20))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    assert qcow2.virtual_size(tmp_path / "real") == 1 << 20
    for name in ("link", "pipe"):
        with pytest.raises((OSError, ValueError)):
            qcow2.virtual_size(tmp_path / name)


def test_a_snapshot_asked_for_again_is_not_made_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that ran out of patience asks again while the first copy is still under way."""
    disks, copies = FileDisks(tmp_path, 1 << 30), []

    def copy(server_id: str, name: str, final: Path) -> None:
        copies.append(name)
        time.sleep(0.3)
        final.write_bytes(b"copy")

    monkeypatch.setattr(disks, "_copy", copy)
    threads = [threading.Thread(target=disks.snapshot, args=("server", "root", "image")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert copies == ["root"]
