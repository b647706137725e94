"""Structs are ready before threads meet them."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, threading
import msgspec
from haneul.kernel import structs

sys.setswitchinterval(1e-6)
kinds = []
for number in range(150):
    inner = msgspec.defstruct(f"Inner{number}", [(f"f{i}", list[dict[str, int | None]] | None, None) for i in range(20)])
    kinds.append(msgspec.defstruct(f"Outer{number}", [(f"f{i}", list[inner] | None | str, None) for i in range(30)],
                                   module="haneul.here"))
if "prepare" in sys.argv:
    structs.prepare()
for kind in kinds:
    start = threading.Barrier(4)
    def decode():
        start.wait()
        msgspec.convert({f"f{i}": "x" for i in range(30)}, kind)
    threads = [threading.Thread(target=decode) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def test_threads_that_decode_for_the_first_time_at_once_live() -> None:
    """Without `prepare` this program ends by signal 11 with msgspec 0.22."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, "prepare"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
