"""Several processes under torchrun: the cache and ranks of one process, one line for an error, resumption."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.retrieval import cache, meta, ranking
from common.retrieval.distributed import Team
from tests.support import PROJECT
from tests.support.folders import write_dataset
from tests.support.running import without_folders

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]


@pytest.fixture
def options(tmp_path, tiny_clip_folder) -> list[str]:
    """main.py's options for 300 small images: three shards of them and one of captions."""
    folder = write_dataset(tmp_path / "data", n_images=300)
    return [
        *("--image-dir", str(folder / "images"), "--annotation-file", str(folder / "captions.json")),
        *("--model-name", str(tiny_clip_folder), "--result-dir", str(tmp_path / "results")),
        *("--device", "cpu", "--batch-size", "8"),
    ]


def start(*command) -> subprocess.Popen:
    return subprocess.Popen(
        [*map(str, command)], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(*command) -> tuple[int, str, str]:
    process = start(*command)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def reported(err: str) -> list[str]:
    """The lines of standard error that are main.py's own."""
    return [line for line in err.splitlines() if line.startswith(("error: ", "stopped"))]


def load(folder: Path) -> cache.Cache:
    return cache.load(meta.find(folder))


@pytest.mark.parametrize(("n", "size"), [(10, 1), (10, 3), (2, 5), (0, 2), (25000, 64)])
def test_stretches_make_the_whole(n, size):
    stretches = [Team(number, size).share(n) for number in range(size)]
    assert [position for stretch in stretches for position in stretch] == list(range(n))
    assert max(map(len, stretches)) - min(map(len, stretches)) <= 1


def test_alone_there_is_nothing_to_wait_for(tmp_path):
    alone = Team()
    alone.wait()
    alone.check_folder(tmp_path)
    assert alone.leads and alone.gather("x") == ["x"] and not list(tmp_path.iterdir())
    assert alone.device("auto") == "auto"


def test_each_process_takes_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Team(5, 8, local_number=1, local_size=2).device("auto") == "cuda:1"
    assert Team(5, 8, local_number=1, local_size=2).device("cpu") == "cpu"
    with pytest.raises(UserError, match="4 processes on a machine with 2 GPUs: give --nproc-per-node 2"):
        Team(5, 8, local_number=1, local_size=4).device("cuda")


def test_machines_that_differ_are_refused(monkeypatch):
    versions = {"torch": "2.13.0", "dtype": "float32"}
    monkeypatch.setattr(Team, "gather", lambda self, facts: [facts, facts | {"torch": "2.12.0"}])
    with pytest.raises(UserError, match=r"torch is '2\.13\.0' for process 0 and '2\.12\.0' for process 1"):
        Team(0, 2).check_same(versions, "libraries")


@pytest.mark.slow
def test_two_processes_give_what_one_gives(options, tmp_path):
    status, out, err = run(*TORCHRUN, "main.py", *options, "--cache-dir", tmp_path / "two")
    assert status == 0, err
    assert out.count("R@10") == 2 and without_folders(out).count("Next: python failure.py") == 1, (
        "one process speaks"
    )
    assert "2 processes" in out and not reported(err)
    two_results = (tmp_path / "results" / "baseline.json").read_text()
    own = ["--cache-dir", tmp_path / "one", "--result-dir", tmp_path / "alone"]
    status, out, err = run(sys.executable, "main.py", *options, *own)
    assert (status, err) == (0, "")
    one_results = (tmp_path / "alone" / "baseline.json").read_text()

    one, two = load(tmp_path / "one"), load(tmp_path / "two")
    assert one.meta.fingerprints.rows == two.meta.fingerprints.rows
    torch.testing.assert_close(one.img, two.img, atol=1e-5, rtol=0)
    torch.testing.assert_close(one.txt, two.txt, atol=1e-5, rtol=0)
    ranks = [ranking.rank(each.txt, each.img, each.gt) for each in (one, two)]
    np.testing.assert_array_equal(ranks[0].rank, ranks[1].rank)
    np.testing.assert_array_equal(ranks[0].image_rank, ranks[1].image_rank)
    # Counted in two shares, and in one.
    for direction in ("text_to_image", "image_to_text"):
        assert json.loads(one_results)[direction] == json.loads(two_results)[direction]


@pytest.mark.slow
def test_a_broken_image_of_another_process_is_reported_once(options, tmp_path):
    for path in (tmp_path / "data" / "images").glob("*.png"):  # a third: some in each process' share
        whole = path.read_bytes()
        path.write_bytes(whole[:100] + b"\x00" * (len(whole) - 130) + whole[-30:])  # header and end stay
    status, out, err = run(*TORCHRUN, "main.py", *options, "--cache-dir", tmp_path / "cache")
    assert status == 1 and len(reported(err)) == 1, err
    assert "error: 100 of 300 images" in err and "... and 80 more" in err


@pytest.mark.slow
def test_a_wrong_setting_is_reported_once(options, tmp_path):
    status, _, err = run(
        *TORCHRUN, "main.py", *options, "--cache-dir", tmp_path / "cache", "--num-imges", "3"
    )
    assert status == 1 and len(reported(err)) == 1, err
    assert "did you mean --num-images?" in err


@pytest.mark.slow
def test_folders_that_are_not_shared_are_refused(options, tmp_path):
    command = f"exec {sys.executable} main.py --cache-dir {tmp_path}/cache$RANK " + " ".join(options)
    status, _, err = run(*TORCHRUN, "--no-python", "bash", "-c", command)
    assert status == 1 and len(reported(err)) == 1, err
    assert "is not the same folder for all processes: 1 does not see what 0 writes" in err


@pytest.mark.slow
def test_a_killed_process_stops_the_run_and_the_next_resumes(options, tmp_path):
    """With one line of error, whoever is killed."""
    folder = write_dataset(tmp_path / "larger", n_images=1200, size=64)
    options[1], options[3] = str(folder / "images"), str(folder / "captions.json")
    clean = ["--cache-dir", tmp_path / "clean", "--result-dir", tmp_path / "clean results"]
    status, _, err = run(*TORCHRUN, "main.py", *options, *clean)
    assert status == 0, err
    cut, n_kept, kept = tmp_path / "cut", 0, {}
    for victim in (1, 0):
        logs = tmp_path / f"logs{victim}"
        apart = ["--log-dir", logs, "--redirects", "3"]  # what each process says, without torchrun's report
        process = start(*TORCHRUN, *apart, "main.py", *options, "--cache-dir", cut)
        while len(list(cut.glob("partial_*/*.pt"))) < n_kept + 3:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        os.kill(_process_of_rank(process.pid, victim), signal.SIGKILL)
        process.communicate(timeout=300)
        assert process.returncode != 0 and not list(cut.glob("meta_*"))
        (line,) = "".join(log.read_text() for log in sorted(logs.rglob("stderr.log"))).splitlines()
        assert re.fullmatch(
            r"(stopped|error: another process).* [Rr]un the same command again to continue\.?", line
        )
        # What was kept is read, never written again.
        assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
        kept = {path: path.stat().st_mtime_ns for path in cut.glob("partial_*/*.pt")}
        n_kept = len(kept)
    status, _, err = run(*TORCHRUN, "main.py", *options, "--cache-dir", cut)
    assert status == 0, err
    for name in ("img", "txt", "meta"):
        (one,), (two,) = (tmp_path / "clean").glob(f"{name}_*"), cut.glob(f"{name}_*")
        assert one.read_bytes() == two.read_bytes()


def _process_of_rank(launcher: int, rank: int) -> int:
    """The process id of one of torchrun's processes."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    (found,) = (
        pid
        for pid in children
        if f"RANK={rank}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    )
    return int(found)
