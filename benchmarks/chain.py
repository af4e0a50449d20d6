"""How long the whole chain takes on the bundled sample, from pictures to the report.

Run:    python -m benchmarks.chain
Prints: seconds of each step, each a process of its own, and of all together; nothing outside of a temporary
        folder is written. Annotators are simulated, so what people take is not in it
"""

import subprocess
import sys
import tempfile
import time

from benchmarks import PROJECT

LIMIT = 180  # seconds on 2 cores
STEPS = [
    ("main.py", "cache result"),
    ("failure.py", "cache failure"),
    ("data/sample/simulate_annotators.py", "cache failure"),
    ("merge_assignments.py", "cache failure"),
    ("summarize_result.py", "cache failure result"),
    ("improve_subset.py", "cache failure result"),
    ("summarize_result.py", "cache failure result"),
]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        total = 0.0
        for script, names in STEPS:
            options = [text for name in names.split() for text in (f"--{name}-dir", f"{folder}/{name}")]
            start = time.perf_counter()
            subprocess.run([sys.executable, script, *options], cwd=PROJECT, check=True, capture_output=True)
            seconds = time.perf_counter() - start
            total += seconds
            print(f"{script:<36} {seconds:6.1f} s", flush=True)
    print(f"{'together':<36} {total:6.1f} s (limit: {LIMIT})")


if __name__ == "__main__":
    main()
