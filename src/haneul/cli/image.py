"""`haneul image build-guest`: the small guest image, for use elsewhere too."""

from __future__ import annotations

import sys
from pathlib import Path


def build_guest(output: Path | None) -> None:
    from haneul.cli import guest
    if output is None:
        from haneul.cli.up import Steps
        print(guest.ensure(Steps()))
        return
    from haneul.image.guest.build import build
    print(build(output, guest.CACHE / "packages", lambda text: print(f"  {text}", file=sys.stderr, flush=True)))
