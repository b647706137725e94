"""qemu-img, as an unprivileged user, within limits, with every format named."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

from haneul.host.accounts import qemu_account
from haneul.host.contract import HostError, NoRoom

QUICK = (1 << 30, 30)  # bytes of address space, seconds of CPU: create, resize
LONG = (2 << 30, 4 * 3600)  # convert
PROGRAMS = ("qemu-img", "genisoimage", "mkisofs", "xorriso", "mformat", "mcopy")
TOO_QUICK = "Unable to get accurate CPU usage"  # making LUKS, it found no tick of the CPU's clock between two looks: by chance
UNLUCKY = 20
NO_ROOM = ("No space left on device", "Disk quota exceeded")


def qemu_img(arguments: list[str], limits: tuple[int, int] = QUICK, fds: tuple[int, ...] = ()) -> None:
    """Raises NoRoom for a full disk, else HostError with what it said. It inherits `fds`: keys come that way."""
    memory, seconds = limits
    setpriv, *words = qemu_account().setpriv
    argv = ["prlimit", f"--as={memory}", f"--cpu={seconds}", "--core=0", "--",
            setpriv, "--pdeathsig=KILL", *words, "qemu-img", *arguments]  # an agent that was killed leaves no copy running
    for left in reversed(range(UNLUCKY)):
        try:
            return run(argv, fds)
        except HostError as error:
            if TOO_QUICK not in str(error) or not left:
                raise


def run(argv: list[str], fds: tuple[int, ...] = ()) -> None:
    try:
        done = subprocess.run(argv, pass_fds=fds, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C",
                                   "MALLOC_ARENA_MAX": "1",  # one for each thread would fill the address space it may have
                                   "MTOOLS_SKIP_CHECK": "1"})
    except FileNotFoundError as error:
        raise HostError(f"the program {error.filename} is not installed") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-500:]
        kind = NoRoom if any(text in said for text in NO_ROOM) else HostError
        program = next((word for word in argv if word in PROGRAMS), argv[0])
        raise kind(f"{program} failed ({done.returncode}): {said}")


def own(path: Path, mode: int) -> None:
    """Gives a file or folder to QEMU's user. In folders of that user it might have become a link meanwhile, to a file that
    must not be given away."""
    account = qemu_account()
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(file)
        if not stat.S_ISDIR(found.st_mode) and (not stat.S_ISREG(found.st_mode) or found.st_nlink != 1):
            raise HostError(f"{path} is not a plain file of its own")
        os.fchown(file, account.uid, account.gid)
        os.fchmod(file, mode)
    finally:
        os.close(file)


def present(*programs: str) -> str | None:
    """The first of the programs that is installed."""
    return next((program for program in programs if shutil.which(program)), None)
