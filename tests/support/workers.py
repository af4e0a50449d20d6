"""Several processes that run one session (`pytest -n auto`): their cores, and what is made once for all."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import filelock

from tests.support.folders import Folders


def share_cores() -> None:
    """Let a worker, and whatever it starts, compute with its share of the cores. Before torch is imported."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


def session_folder(temporary: Path) -> Path:
    """The folder of the whole session, given the one that pytest made for this process."""
    return temporary.parent if "PYTEST_XDIST_WORKER" in os.environ else temporary


def once(done: Path, make: Callable[[], Folders]) -> Folders:
    """The study that `make` makes, made by the first worker that asks; `done` is where others find it."""
    with filelock.FileLock(f"{done}.lock"):
        if not done.exists():
            study = make()
            done.write_text(json.dumps([str(study.root), study.said]), encoding="utf-8")
    root, said = json.loads(done.read_text(encoding="utf-8"))
    return Folders(Path(root), said)
