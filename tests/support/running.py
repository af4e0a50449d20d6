"""Running a script of the project as a user does: the only place of the tests that starts one.

`run` does it in this process, which saves its imports. `apart` and `start` give it a process of its own: for
what only another process shows, such as a kill, a package that is not installed, or another hash seed.
"""

import contextlib
import io
import re
import runpy
import subprocess
import sys
import unittest.mock
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support import PROJECT

# Runs a script in a process in which some packages cannot be imported.
LACKING = """import runpy, sys
sys.modules.update(dict.fromkeys({packages!r}))
del sys.argv[0]
sys.path[0] = {folder!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Run(NamedTuple):
    """What became of a run."""

    status: int  # exit status
    out: str  # standard output
    err: str  # standard error


def run(script: str, *options) -> Run:
    """`python <script> <options>` in this process; `script` is a path from the project's folder."""
    path, status = PROJECT / script, 0
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        # Waiting for the disk at each file is most of the time that a small study takes.
        unittest.mock.patch("os.fsync"),
        unittest.mock.patch("sys.argv", [str(path), *map(str, options)]),
        _neighbors(path.parent),
    ):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stopped:
            status = stopped.code or 0
    return Run(status, out.getvalue(), err.getvalue())


def done(script: str, *options) -> str:
    """Run a script that has to succeed and to have nothing to complain about; returns what it said."""
    status, out, err = run(script, *options)
    assert (status, err) == (0, ""), f"{script}: {err}"
    return out


def start(script: str, *options, python: list[str] | None = None, **how) -> subprocess.Popen:
    """Start a script in a process of its own, output in pipes; `python` runs it, `how` is for Popen."""
    command = [*(python or [sys.executable]), script, *map(str, options)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **{"cwd": PROJECT, **pipes, **how})


def apart(script: str, *options, without: tuple[str, ...] = (), **how) -> Run:
    """Run a script in a process of its own to its end; packages in `without` cannot be imported there."""
    code = LACKING.format(packages=without, folder=str((PROJECT / script).parent))
    python = [sys.executable, "-c", code] if without else None
    process = start(script, *options, python=python, **how)
    out, err = process.communicate(timeout=600)
    return Run(process.returncode, out, err)


@contextlib.contextmanager
def _neighbors(folder: Path) -> Iterator[None]:
    """Let a script import the modules in its own folder, and forget them afterwards."""
    before = set(sys.modules)
    with unittest.mock.patch("sys.path", [str(folder), *sys.path]):
        yield
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if folder != PROJECT and file and Path(file).parent == folder:
            del sys.modules[name]


def without_folders(text: str) -> str:
    """What a script said, its commands without the folders of the study, which tests are free to choose."""
    return re.sub(
        r"(python )(?:\S*/)?(\w+\.py)(?: --(?:study|cache|failure|result)-dir [^\s`,]+)+", r"\1\2", text
    )
