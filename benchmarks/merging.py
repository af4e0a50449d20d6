"""How long step 4 takes: from a study's usual 400 ratings to 100,000, as CSV, with the usual 2,000 redraws.

Run:   python -m benchmarks.merging
Takes: about a minute on 2 CPU cores. Each merge is the script itself in a process of its own, with imports.
"""

import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import PROJECT
from common.labels import sheets
from common.labels.taxonomy import CATEGORY_NAMES, SUBTYPE_NAMES
from tests.support import merge_folder

ROUNDS = 3  # runs of each case; the median is shown
ERROR_RATE = 0.2
# (what, items of each rater, raters): ratings are the product
CASES = [
    ("a study: 3 raters, 50 items in common", None, 3),
    ("3 raters, all items in common", 33_334, 3),
    ("4 raters, all items in common", 25_000, 4),
    ("10 raters, all items in common", 10_000, 10),
]


def write_study(root: Path, per_rater: int | None, n_raters: int) -> int:
    """A cache's meta file and a filled sheet for each rater; returns the number of ratings."""
    draw = random.Random(0)
    n = per_rater or 200
    captions = [
        f"A {draw.choice('red blue green'.split())} thing number {idx}, seen from afar" for idx in range(n)
    ]
    merge_folder.write_cache(root / "cache", captions + captions[: n % 2])
    (root / "failures").mkdir()
    truth = [draw.choice(CATEGORY_NAMES) for _ in range(n)]
    ratings = 0
    for rater in range(n_raters):
        mine = range(n) if per_rater else [*range(50), *range(50 + 50 * rater, 100 + 50 * rater)]
        rows = [row_of(idx, captions[idx], truth[idx], draw) for idx in mine]
        sheets.write_csv(root / "failures" / f"assign_{'ABCDEFGHIJ'[rater]}.csv", rows)
        ratings += len(rows)
    return ratings


def row_of(idx: int, caption: str, truth: str, draw: random.Random) -> dict:
    category = draw.choice(CATEGORY_NAMES) if draw.random() < ERROR_RATE else truth
    subtype = draw.choice(SUBTYPE_NAMES) if category == "Ambiguous" else ""
    images = {"gt_img_idx": idx // 2, "pred_img_idx": 0}
    return {"idx": idx, "caption": caption, **images, "category": category, "ambiguous_subtype": subtype}


def timed(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds, peak MiB of one run, which must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, str(PROJECT / "merge_assignments.py"), *command],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, after.ru_maxrss / 1024  # the largest child so far: cases go from small to large


def main() -> None:
    print(f"{'case':<40} {'ratings':>8} {'wall s':>7} {'CPU s':>6} {'peak MiB':>9}")
    runs = [timed(["--help"]) for _ in range(ROUNDS)]
    show("--help", 0, runs)
    for name, per_rater, n_raters in CASES:
        with tempfile.TemporaryDirectory() as folder:
            ratings = write_study(Path(folder), per_rater, n_raters)
            folders = ["--cache-dir", f"{folder}/cache", "--failure-dir", f"{folder}/failures"]
            show(name, ratings, [timed(folders) for _ in range(ROUNDS)])


def show(name: str, ratings: int, runs: list[tuple[float, float, float]]) -> None:
    wall, cpu, peak = (statistics.median(values) for values in zip(*runs, strict=True))
    print(f"{name:<40} {ratings:>8,} {wall:>7.2f} {cpu:>6.2f} {peak:>9.0f}", flush=True)


if __name__ == "__main__":
    main()
