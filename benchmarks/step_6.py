"""Step 6 on the bundled sample next to an earlier commit, in CPU seconds, in turn.

Run:    python -m benchmarks.step_6 [--commit ea989c4] [--rounds 3]
Prints: a table: CPU seconds of `improve_subset.py` from nothing (all texts are encoded) and with texts frozen
        (median over rounds), and its peak memory
Takes:  ten minutes on 2 cores. Nothing outside of a temporary folder is written
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._measuring import print_table
from benchmarks.same_results import copy_of

COMMIT = "ea989c4"  # the last that ranked methods one after the other
BEFORE = ["main.py", "failure.py", "data/sample/simulate_annotators.py", "merge_assignments.py"]
CELLS = "final_results/sample"
# A process of its own, so that the peak is of one run: CPU seconds and the largest resident set.
MEASURE = """
import resource, subprocess, sys
subprocess.run([sys.executable, "improve_subset.py"], check=True, capture_output=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def measure(root: Path) -> tuple[float, float]:
    """CPU seconds and GB of one run in a version's copy, with no results of an earlier one."""
    shutil.rmtree(root / CELLS / "cells", ignore_errors=True)
    said = subprocess.check_output([sys.executable, "-c", MEASURE], cwd=root, text=True)
    seconds, peak = map(float, said.split())
    # Kilobytes on Linux, bytes on macOS.
    return seconds, peak / (1e9 if sys.platform == "darwin" else 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commit", default=COMMIT, help="what to compare this version with")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each version with texts frozen")
    given = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as name:
        copies = {
            "before": copy_of(given.commit, Path(name) / "before"),
            "now": copy_of(None, Path(name) / "now"),
        }
        for root in copies.values():
            for script in BEFORE:
                subprocess.run([sys.executable, script], cwd=root, check=True, capture_output=True)
        whole = {way: measure(root)[0] for way, root in copies.items()}
        frozen = [{way: measure(root) for way, root in copies.items()} for _ in range(given.rounds)]
    rows = []
    for way in copies:
        seconds, peaks = zip(*(each[way] for each in frozen), strict=True)
        middle = statistics.median(seconds)
        rows.append([way, f"{whole[way]:.1f}", f"{middle:.1f}", f"{max(peaks):.2f}"])
    print_table(["version", "from nothing, CPU s", "texts frozen, CPU s", "peak, GB"], rows)


if __name__ == "__main__":
    main()
