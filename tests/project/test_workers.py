"""What processes of one session share: a study is made once, whoever asks first; cores are dealt out."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import forking, workers
from tests.support.folders import Folders


def test_a_study_is_made_once_for_all_who_ask(tmp_path):
    made = []

    def make() -> Folders:
        made.append(tmp_path)
        return Folders(tmp_path / "study", {"main.py": "Read 5 images\n"})

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: workers.once(tmp_path / "done", make), range(8)))
    assert len(made) == 1 and found == [Folders(tmp_path / "study", {"main.py": "Read 5 images\n"})] * 8


def test_a_study_that_failed_is_made_again(tmp_path):
    def fail() -> Folders:
        raise ValueError

    with pytest.raises(ValueError):
        workers.once(tmp_path / "done", fail)
    assert workers.once(tmp_path / "done", lambda: Folders(tmp_path)) == Folders(tmp_path)


@pytest.mark.parametrize(("count", "cores", "share"), [(2, 2, "1"), (2, 9, "4"), (4, 2, "1"), (1, 8, None)])
def test_workers_share_the_cores(monkeypatch, count, cores, share):
    monkeypatch.setattr(workers.os, "environ", {"PYTEST_XDIST_WORKER_COUNT": str(count)})
    monkeypatch.setattr(workers.os, "cpu_count", lambda: cores)
    workers.share_cores()
    assert workers.os.environ.get("OMP_NUM_THREADS") == share


def test_a_forked_script_says_and_ends_as_its_own_process_does(tmp_path):
    (tmp_path / "script.py").write_text(
        "import sys\nprint(sys.argv, 'torch' in sys.modules, 'common' in sys.modules)\n"
        "print('oh', file=sys.stderr)\nsys.exit(3)\n",
        encoding="utf-8",
    )
    run = forking.Forked("script.py", "--seed", 7, folder=tmp_path)
    assert run.end() == (3, "['script.py', '--seed', '7'] True False\n", "oh\n")
