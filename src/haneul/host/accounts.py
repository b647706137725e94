"""The user that QEMU and qemu-img run as."""

from __future__ import annotations

import pwd
from functools import cache

from msgspec import Struct

QEMU_USER = "haneul-qemu"


class Account(Struct, frozen=True):
    name: str
    uid: int
    gid: int

    @property
    def setpriv(self) -> list[str]:
        """The start of a command line: this user, no groups, no capabilities, none to be had."""
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--no-new-privs",
                "--inh-caps=-all", "--bounding-set=-all", "--"]


@cache
def qemu_account() -> Account:
    """`haneul-qemu`; nobody where that user was not made."""
    for name in (QEMU_USER, "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    return Account("nobody", 65534, 65534)
