#!/usr/bin/env python3
"""Start-up time and idle memory of a cloud: `benchmarks/footprint.py [--runs N]`.

Starts a fresh cloud without a demo in a scratch state directory (`haneul up --detach --no-demo`), then stops and starts it
again N times and prints the seconds each took, and the proportional memory (PSS) of all its processes ten seconds after the last.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

HANEUL = Path(__file__).resolve().parent.parent / "haneul"


def processes(state: Path) -> dict[int, tuple[str, int]]:
    """Every process whose command line names the state directory: pid → (command, PSS in KiB)."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(state) not in command or "footprint" in command:
                continue
            lines = (entry / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        pss = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
        found[int(entry.name)] = (command.strip(), pss)
    return found


def haneul(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([HANEUL, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--port", type=int, default=5990)
    parser.add_argument("--hypervisor", default="fake")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="haneul-bench-") as folder:
        Path(folder).chmod(0o755)  # the control plane is not root
        state = Path(folder) / "state"
        up = ("up", "--detach", "--no-demo", "--state", str(state), "--port", str(options.port), "--hypervisor",
              options.hypervisor)
        try:
            print(f"first start   {haneul(*up):6.2f} s")
            times = []
            for _ in range(options.runs):
                haneul("down", "--state", str(state))
                times.append(haneul(*up))
            print(f"start again   {statistics.median(times):6.2f} s  ({min(times):.2f}-{max(times):.2f}, {len(times)} runs)")
            time.sleep(10)
            found = processes(state)
            for command, pss in sorted(found.values(), key=lambda item: -item[1]):
                print(f"{pss / 1024:8.1f} MiB  {command[:100]}")
            print(f"{sum(pss for _, pss in found.values()) / 1024:8.1f} MiB  in {len(found)} processes")
        finally:
            haneul("down", "--purge", "--state", str(state))


if __name__ == "__main__":
    main()
