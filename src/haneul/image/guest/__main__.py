"""`python -m haneul.image.guest --output FILE [--cache DIR]`."""

import argparse
import sys
from pathlib import Path

from haneul.image.guest.build import build
from haneul.image.guest.programs import BuildError


def main() -> int:
    parser = argparse.ArgumentParser(prog="haneul.image.guest", description="Build the small guest image.")
    parser.add_argument("--output", type=Path, required=True, help="the qcow2 file to write")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/haneul/guest", help="downloaded packages")
    options = parser.parse_args()
    try:
        build(options.output, options.cache, lambda line: print(line, file=sys.stderr, flush=True))
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
