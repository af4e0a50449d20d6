"""What a user or the system can cause ends in one line or quietly; a bug keeps its traceback."""

import errno
import os
import signal
import subprocess
import sys
import time

import filelock
import pytest

from common import files
from common.errors import SettingError, UserError, reported
from tests.support import PROJECT


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UserError("no labels"), 1, "error: no labels\n"),
        (SettingError("SEED = x"), 2, "error: SEED = x\n"),
        (KeyboardInterrupt(), 130, "stopped. Run the same command again to continue.\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "error: No space left on device\n"),
        (OSError(errno.ENOLCK, "No locks available"), 1, "error: No locks available\n"),
        (PermissionError(errno.EACCES, "Permission denied", "a.csv"), 1, "error: a.csv: Permission denied\n"),
        (
            FileExistsError(errno.EEXIST, "File exists", "a"),
            1,
            "error: a: no folder, and one is needed\n",
        ),
    ],
)
def test_what_is_no_bug_is_one_line(error, status, said, capsys):
    @reported
    def main():
        raise error

    with pytest.raises(SystemExit) as caught:
        main()
    assert (caught.value.code, capsys.readouterr().err) == (status, said)


@pytest.mark.parametrize("error", [KeyError("x"), OSError(errno.ECONNREFUSED, "Connection refused")])
def test_a_bug_keeps_its_traceback(error):
    @reported
    def main():
        raise error

    with pytest.raises(type(error)):
        main()


CODE = "from common.errors import reported\n@reported\ndef main():\n    {}\nmain()"


@pytest.mark.parametrize("body", ["[print('x' * 100) for _ in range(10**5)]", "print('a')"])
def test_a_closed_pipe_ends_quietly(body):
    run = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "$CODE" | head -c 1'],
        env={**os.environ, "CODE": CODE.format(body)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""


@pytest.mark.skipif(sys.platform != "linux", reason="the shell and the full device are Linux's")
@pytest.mark.parametrize(
    ("where", "status", "said"),
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        (">&- 2>&-", 0, ""),
        (">/dev/full", 1, "error: No space left on device\n"),
    ],
)
def test_a_screen_that_is_closed_or_full_costs_no_work(where, status, said):
    """Services start programs so, and a disk can fill up while a log is written to it."""
    run = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "$CODE" {where}'],
        env={**os.environ, "CODE": CODE.format("print('a')")},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (status, said)


def test_an_interrupt_while_modules_are_imported_is_one_line():
    code = "import common.errors, time\nprint('ready', flush=True)\ntime.sleep(30)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert err == "stopped. Run the same command again to continue.\n" and process.returncode != 0


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EACCES])
def test_a_disk_without_locks_is_said_before_anything_is_done(tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(UserError, match="gives no file locks"), files.locked(tmp_path / "lock", lambda: None):
        pytest.fail("went on without a lock")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
@pytest.mark.parametrize("option", ["--image-dir", "--cache-dir", "--study-dir"])
def test_a_name_that_is_no_utf_8_is_refused_first(tmp_path, option):
    folder = os.fsencode(tmp_path) + b"/photos\xff"
    os.mkdir(folder)
    run = subprocess.run(
        [sys.executable, "main.py", option, folder], cwd=PROJECT, capture_output=True, check=False
    )
    assert run.returncode == 2 and run.stdout == b""
    assert run.stderr.count(b"\n") == 1 and b"not valid UTF-8" in run.stderr


def test_a_locale_without_utf_8_is_the_reason_and_not_the_name():
    """Python then reads every letter but ASCII's as bytes that it doesn't know."""
    code = "import pathlib, sys; from common import settings\n"
    code += "settings._writable('STUDY_DIR', pathlib.Path(sys.argv[1]))"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run(
        [sys.executable, "-c", code, "研究"], cwd=PROJECT, env=os.environ | plain, capture_output=True
    )
    assert "STUDY_DIR = 研究: Python takes names for ascii here; set PYTHONUTF8=1" in run.stderr.decode(
        "utf-8"
    )
