"""The commands `rbd` and `ceph`, with time-outs everywhere: a cluster that vanishes is an error, never a thread that hangs."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from haneul.host.accounts import qemu_account
from haneul.host.contract import Conflict, HostError, NoRoom, NotThere

MOUNT_SECONDS = 10  # to find a monitor that answers
OPERATION_SECONDS = 30  # of one operation on an object
COMMAND_SECONDS = 90.0  # of a command that moves no data
LONG_SECONDS = 4 * 3600.0  # of one that does
ENOENT, EBUSY, EEXIST, ENOSPC, ENOTEMPTY = 2, 16, 17, 28, 39
KINDS: dict[int, type[HostError]] = {ENOENT: NotThere, EBUSY: Conflict, EEXIST: Conflict, ENOTEMPTY: Conflict,
                                     ENOSPC: NoRoom, 122: NoRoom}
OUT_OF_REACH = ("couldn't connect", "error opening pool", "error connecting", "failed to open pool", "conf_read_file",
                "unable to find a keyring", "timed out")
NOT_FOR_OTHERS = re.compile(r"\s*(key|keyring|keyfile|log[ _]file|admin[ _]socket|run[ _]dir)\s*=", re.IGNORECASE)
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """`keyring` is read by the agent, as root; empty: where Ceph looks by itself."""

    pool: str = "volumes"
    conf: str = "/etc/ceph/ceph.conf"
    user: str = "haneul"
    keyring: str = ""


class Failed(Struct, frozen=True):
    """How a command ended that was allowed to."""

    code: int
    said: str


class Cluster:
    def __init__(self, options: Options, folder: Path) -> None:
        self.options = options
        self._folder = folder

    # ------------------------------------------------------------ commands

    def rbd(self, *words: str, fine: tuple[int, ...] = (), seconds: float = COMMAND_SECONDS) -> str | Failed:
        """What it printed, or how it ended when that is among `fine`; else NotThere, Conflict, NoRoom or HostError."""
        limits = ["--client-mount-timeout", str(MOUNT_SECONDS), "--rados-mon-op-timeout", str(OPERATION_SECONDS),
                  "--rados-osd-op-timeout", str(OPERATION_SECONDS), "--log-file", "", "--admin-socket", ""]
        code, out, said = _run(["rbd", *words, *self._identity(), *limits], seconds)
        if code == 0:
            return out
        away = any(text in said for text in OUT_OF_REACH)
        if code in fine and not away:
            return Failed(code, said)
        kind = HostError if away else KINDS.get(code, HostError)
        raise kind(f"rbd {' '.join(words[:2])}: {_last(said) or code}")

    def ask(self, *words: str) -> Any:
        """The JSON that `rbd` answers."""
        out = self.rbd(*words, "--format", "json")
        assert isinstance(out, str)
        return msgspec.json.decode(out or "null")  # of no entries, some print nothing

    def capacity(self) -> tuple[int, int]:
        """Bytes in all and free bytes of the pool, as volumes can use them: copies are counted once."""
        code, out, said = _run(["ceph", "df", "--format", "json", "--connect-timeout", str(MOUNT_SECONDS), *self._identity()],
                               MOUNT_SECONDS * 2.0)
        if code:
            raise HostError(f"ceph df: {_last(said) or code}")
        for pool in msgspec.json.decode(out)["pools"]:
            if pool["name"] == self.options.pool:
                stats = pool["stats"]
                return int(stats["stored"]) + int(stats["max_avail"]), int(stats["max_avail"])
        raise HostError(f"the cluster has no pool {self.options.pool}")

    def _identity(self) -> list[str]:
        options = self.options
        words = ["--conf", options.conf, "--id", options.user]
        return [*words, "--keyring", options.keyring] if options.keyring else words

    # ------------------------------------------------------------ what QEMU is given

    def key(self) -> str:
        """The cephx key of the user, as it stands in the keyring: base64."""
        options = self.options
        places = [options.keyring] if options.keyring else [f"/etc/ceph/ceph.client.{options.user}.keyring", "/etc/ceph/keyring"]
        for place in places:
            try:
                text = Path(place).read_text()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise HostError(f"keyring {place}: {error.strerror}") from error
            section = re.search(rf"^\s*\[client\.{re.escape(options.user)}\]([^\[]*)", text, re.MULTILINE)
            if section and (found := re.search(r"^\s*key\s*=\s*(\S+)", section[1], re.MULTILINE)):
                return found[1]
        raise HostError(f"no key of client.{options.user} in {' or '.join(places)}")

    def conf_for_guests(self) -> Path:
        """Waits for a cluster that is away, so that a guest's writes are late and not lost. Opening does not wait for ever."""
        return self._conf("guest.conf", 0)

    def conf_for_copies(self) -> Path:
        return self._conf("copy.conf", OPERATION_SECONDS)

    def _conf(self, name: str, operation_seconds: int) -> Path:
        """The operator's file as QEMU's user may read it: without keys and files, and with time-outs."""
        try:
            lines = Path(self.options.conf).read_text().splitlines()
        except OSError as error:
            raise HostError(f"{self.options.conf}: {error.strerror}") from error
        mine = {"client_mount_timeout": MOUNT_SECONDS, "rados_mon_op_timeout": OPERATION_SECONDS,
                "rados_osd_op_timeout": operation_seconds, "log_file": "", "admin_socket": "", "keyring": "/dev/null"}
        text = "\n".join([*(line for line in lines if not NOT_FOR_OTHERS.match(line)), f"[client.{self.options.user}]",
                          *(f"{key} = {value}" for key, value in mine.items()), ""])
        path = self._folder / name
        if not path.exists() or path.read_text() != text:
            self._folder.mkdir(parents=True, exist_ok=True)
            os.chmod(self._folder, 0o711)
            fresh = path.with_name(f".{name}.{os.urandom(4).hex()}")
            file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o440)
            with os.fdopen(file, "w") as out:
                os.fchown(file, 0, qemu_account().gid)
                out.write(text)
            fresh.replace(path)
        return path


def _run(argv: list[str], seconds: float) -> tuple[int, str, str]:
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, env=ENVIRONMENT, text=True,
                              errors="replace")
    except FileNotFoundError as error:
        raise HostError(f"the program {error.filename} is not installed: ./haneul --make ceph") from error
    except subprocess.TimeoutExpired:
        return 110, "", f"timed out after {seconds:.0f} s"
    return done.returncode, done.stdout, done.stderr


def _last(said: str) -> str:
    """The line of a command's words that says what was wrong; those before it are progress and the log's."""
    lines = [line.strip() for line in said.replace("\r", "\n").splitlines() if line.strip() and "did not load config" not in line]
    telling = [line for line in lines if line.startswith(("rbd:", "[errno", "Error"))] or lines
    return telling[-1][-400:] if telling else ""
