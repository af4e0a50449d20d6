"""Processes for scripts that begin with torch and transformers loaded: for tests that need many of them.

A kill, a limit or another run does to them what it does to a process that a command started; only the seconds
of loading are saved, which are most of what a run on a tiny dataset takes. What is loaded comes from other
projects alone, so a script may be that of a changed copy.
"""

import multiprocessing
import os
import resource
import runpy
import sys
import tempfile
from pathlib import Path

from tests.support import PROJECT

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "torch",
        "scipy.stats",
        "transformers.models.auto.modeling_auto",
        "transformers.models.auto.processing_auto",
        "transformers.models.clip.image_processing_pil_clip",
        "transformers.models.clip.modeling_clip",
    ]
)


class Forked:
    """A script that runs: what tests use of a `subprocess.Popen`."""

    def __init__(self, script: str, *options, folder: Path = PROJECT, most_bytes: int | None = None):
        """Start `script` of a project's folder; `most_bytes` is the size above which no file can grow."""
        self._said = [tempfile.NamedTemporaryFile() for _ in ("stdout", "stderr")]
        names = [file.name for file in self._said]
        arguments = [script, *map(str, options)]
        self._process = SERVER.Process(target=_run, args=(folder, arguments, names, most_bytes))
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> int:
        self._process.join(600)
        assert self._process.exitcode is not None, "it did not end in ten minutes"
        return self._process.exitcode

    def end(self) -> tuple[int, str, str]:
        """Wait for its end: (exit status, stdout, stderr)."""
        return self.wait(), *(Path(file.name).read_text(encoding="utf-8") for file in self._said)


def _run(folder: Path, arguments: list[str], names: list[str], most_bytes: int | None) -> None:
    os.chdir(folder)
    for number, name in enumerate(names, start=1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), number)
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    sys.argv = arguments
    sys.path[:] = [str(folder), *(each for each in sys.path if each not in ("", str(PROJECT)))]
    runpy.run_path(arguments[0], run_name="__main__")
