"""A Ceph cluster of one machine for tests: one monitor, one manager and one OSD on a sparse file, all in one folder, as root, on
127.0.0.1 with ports that are free. Nothing of it outlives `stop`, and nothing outside its folder is touched.
"""

from __future__ import annotations

import base64
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

PROGRAMS = ("ceph-mon", "monmaptool", "ceph-mgr", "ceph-osd", "ceph", "rbd")
RBD_OF_QEMU = Path("/usr/lib/x86_64-linux-gnu/qemu/block-rbd.so")
POOL = "volumes"
USER = "haneul"
BLOCK_BYTES = 10 << 30  # of the sparse file
SECONDS = 90.0
DAEMONS = ("mon.a", "mgr.a", "osd.0")

CONF = """
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{port}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
ms_bind_msgr1 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
osd_client_watch_timeout = 5
run_dir = {folder}
admin_socket =
log_file = {folder}/$name.log
log_to_stderr = false
err_to_stderr = true
crash_dir = {folder}
ms_type = async+posix
ms_async_op_threads = 2

[mon]
mon_data = {folder}/mon
keyring = {folder}/mon.keyring
mon_allow_pool_delete = true
mon_allow_pool_size_one = true
mon_cluster_log_file = {folder}/cluster.log
mon_data_avail_warn = 1
mon_data_avail_crit = 1
mon_osd_full_ratio = 0.97
mon_osd_nearfull_ratio = 0.96
mon_osd_backfillfull_ratio = 0.965
mon_memory_target = 268435456
mon_osd_cache_size_min = 16777216
mon_pg_warn_min_per_osd = 0
paxos_propose_interval = 0.1
mon_osd_report_timeout = 900
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
auth_allow_insecure_global_id_reclaim = false

[mgr]
mgr_data = {folder}/mgr
keyring = {folder}/mgr.keyring
mgr_module_path = {folder}/modules
mgr_initial_modules =
mgr_stats_period = 1
mgr_tick_period = 1

[osd]
# A lone OSD has nobody to renew its lease with: frozen for longer than 16 s, a placement group may stay laggy for good
osd_pool_default_read_lease_ratio = 15
osd_data = {folder}/osd
keyring = {folder}/osd/keyring
osd_objectstore = bluestore
bluestore_block_create = true
bluestore_block_size = {block}
bluestore_block_db_create = false
bluestore_block_wal_create = false
bluestore_cache_autotune = false
bluestore_cache_size = 67108864
bluestore_throttle_bytes = 16777216
osd_memory_target = 939524096
osd_op_num_shards = 1
osd_op_num_threads_per_shard = 2
osd_max_pg_log_entries = 200
osd_mclock_skip_benchmark = true
osd_class_dir = /usr/lib/x86_64-linux-gnu/rados-classes
osd_heartbeat_interval = 5
osd_mgr_report_interval = 1
osd_pg_stat_report_interval_max = 1
osd_fast_shutdown = true
osd_scrub_begin_week_day = 0
osd_crush_update_on_start = true

[client]
keyring = {folder}/$name.keyring
log_file =
"""

CAPS = {
    "mon.": {"mon": "allow *"},
    "mgr.a": {"mon": "allow profile mgr", "osd": "allow *", "mds": "allow *"},
    "osd.0": {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"},
    "client.admin": {"mon": "allow *", "mgr": "allow *", "osd": "allow *"},
    f"client.{USER}": {"mon": "profile rbd", "mgr": f"profile rbd pool={POOL}", "osd": f"profile rbd pool={POOL}"},
}


def missing() -> str:
    """Why there can be no cluster here; empty when there can."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if not RBD_OF_QEMU.exists():
        absent.append("QEMU's rbd driver")
    return f"not installed (packages/debian-test.txt, debian-ceph.txt): {', '.join(absent)}" if absent else ""


class Cluster:
    """`start` answers when the pool takes images. `pause` ends all daemons as a power cut does, `resume` starts them again."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hn-ceph-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.conf = self.folder / "ceph.conf"
        self.keyring = self.folder / f"client.{USER}.keyring"
        self.fsid = str(uuid.uuid4())
        self.port = _free_port()
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.took = 0.0

    def options(self) -> dict[str, Any]:
        """Of `[volume.backends.NAME]`."""
        return {"driver": "ceph", "pool": POOL, "conf": str(self.conf), "user": USER, "keyring": str(self.keyring)}

    # ------------------------------------------------------------ life

    def start(self) -> Cluster:
        began = time.monotonic()
        try:
            self._write()
            self._run("monmaptool", "--create", "--addv", "a", f"[v2:127.0.0.1:{self.port}]", "--fsid", self.fsid, "monmap")
            self._run("ceph-mon", "--mkfs", "-i", "a", "--keyring", str(self.folder / "mon.keyring"), "--monmap", "monmap")
            self._daemon("mon.a")
            self._monitor_answers()
            self._daemon("mgr.a")
            osd = str(uuid.UUID(bytes=os.urandom(16), version=4))
            self.ceph("osd", "new", osd, "0")
            self._run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd)
            self._daemon("osd.0")
            self.ceph("osd", "set-require-min-compat-client", "nautilus")
            self.ceph("osd", "pool", "create", POOL, "8")
            self._until("the OSD", lambda: self.ceph("osd", "stat")["num_up_osds"] == 1)
            self.rbd("pool", "init", POOL)
            self._until("capacity in `ceph df`", lambda: self._capacity() > 0)
            self.took = time.monotonic() - began
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        for name in reversed(list(self.daemons)):
            self._end(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def pause(self) -> None:
        for name in reversed(DAEMONS):
            self._end(name)

    def resume(self) -> None:
        for name in DAEMONS:
            self._daemon(name)
        self._monitor_answers()
        self._until("the OSD", lambda: self.ceph("osd", "stat")["num_up_osds"] == 1)
        self.rbd("ls", POOL)

    def freeze(self) -> None:
        """What a cut cable does: connections stay and nobody answers."""
        for process in self.daemons.values():
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        for process in self.daemons.values():
            process.send_signal(signal.SIGCONT)

    def empty(self) -> None:
        """No image is left in the pool."""
        left = self.rbd("ls", POOL).split()
        for name in left:
            self._rbd(["snap", "purge", "--no-progress", f"{POOL}/{name}"])
        for _ in range(len(left)):  # clones before what they come from
            for name in self.rbd("ls", POOL).split():
                self._rbd(["rm", "--no-progress", f"{POOL}/{name}"])

    def memory_mib(self) -> dict[str, int]:
        """Resident, by daemon."""
        found = {}
        for name, process in self.daemons.items():
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            found[name] = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) >> 10
        return found

    # ------------------------------------------------------------ commands, as the administrator

    def ceph(self, *words: str) -> Any:
        out = self._run("ceph", *words, "--format", "json", "--connect-timeout", "20")
        return msgspec.json.decode(out) if out.strip() else None

    def rbd(self, *words: str) -> str:
        return self._run("rbd", *words)

    def _rbd(self, words: list[str]) -> None:
        """Whatever comes of it."""
        subprocess.run(["rbd", *words, "--conf", str(self.conf)], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS)

    def _run(self, program: str, *words: str) -> str:
        words = words if program == "monmaptool" else (*words, "--conf", str(self.conf))
        done = subprocess.run([program, *words], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=SECONDS, cwd=self.folder, env=os.environ | {"CEPH_CONF": str(self.conf)})
        assert done.returncode == 0, f"{program} {' '.join(words)}: {done.returncode}: {done.stderr[-2000:]}"
        return done.stdout

    # ------------------------------------------------------------ parts

    def _write(self) -> None:
        for name in ("mon", "mgr", "osd", "modules"):
            (self.folder / name).mkdir()
        for module in ("mgr_module.py", "mgr_util.py"):  # and none besides: they cost seconds and hundreds of MiB
            (self.folder / "modules" / module).symlink_to(f"/usr/share/ceph/mgr/{module}")
        self.conf.write_text(CONF.format(fsid=self.fsid, port=self.port, folder=self.folder, block=BLOCK_BYTES))
        entries = {name: _keyring_entry(name, caps) for name, caps in CAPS.items()}
        files = {"mon.keyring": "".join(entries.values()), "mgr.keyring": entries["mgr.a"], "osd/keyring": entries["osd.0"],
                 "client.admin.keyring": entries["client.admin"], self.keyring.name: entries[f"client.{USER}"]}
        for path, text in files.items():
            (self.folder / path).touch(0o600)
            (self.folder / path).write_text(text)

    def _daemon(self, name: str) -> None:
        kind, _, id = name.partition(".")
        with open(self.folder / f"{name}.err", "ab") as errors:
            self.daemons[name] = subprocess.Popen(
                [f"ceph-{kind}", "-f", "-i", id, "--conf", str(self.conf)], stdin=subprocess.DEVNULL, stdout=errors,
                stderr=errors, cwd=self.folder, start_new_session=True, preexec_fn=_die_with_parent)

    def _end(self, name: str) -> None:
        process = self.daemons.pop(name, None)
        if process is not None:
            process.kill()
            process.wait()

    def _monitor_answers(self) -> None:
        """Asked by its port first: `ceph` waits for seconds after a refused connection."""
        def open() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        self._until("the monitor", open)

    def _capacity(self) -> int:
        return int(self.ceph("df")["stats"]["total_bytes"])

    def _until(self, what: str, ask: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not ask():
            dead = [name for name, process in self.daemons.items() if process.poll() is not None]
            assert not dead, f"{dead[0]} ended: {(self.folder / f'{dead[0]}.err').read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"{what}: not within {SECONDS:.0f} s"
            time.sleep(0.05)


def _die_with_parent() -> None:
    """A test run that is killed leaves no daemon."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _keyring_entry(name: str, caps: dict[str, str]) -> str:
    now = time.time_ns()
    key = base64.b64encode(struct.pack("<HIIH", 1, now // 10**9, now % 10**9, 16) + os.urandom(16)).decode()
    lines = "".join(f'\tcaps {service} = "{text}"\n' for service, text in caps.items())
    return f"[{name}]\n\tkey = {key}\n{lines}"
