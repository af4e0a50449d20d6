"""The command to type next, with the folders that this run was given: a copied line acts on the same study.

`settings.override` notes here which of STUDY the terminal named. A script prints `command("failure.py")`, and
`errors.reported` completes every `python <script>` of a message.
"""

import os
import re
import shlex
from pathlib import Path

STUDY = ("STUDY_DIR", "CACHE_DIR", "FAILURE_DIR", "RESULT_DIR")  # settings that say which study is meant
ROOT = Path(__file__).resolve().parent.parent
SCRIPT = re.compile(r"\bpython ((?:[\w.-]+/)*\w+\.py)\b")

_given: dict[str, str] = {}  # setting -> its text as it was typed, in this run


def note(name: str, text: str) -> None:
    """Remember an option of the terminal, if it says which study is meant."""
    if name in STUDY:
        _given[name] = text


def forget() -> None:
    """Start a run: nothing was given yet."""
    _given.clear()


def command(script: str) -> str:
    """`python failure.py --study-dir mine`: a script with those of this run's folders that it has too.

    The script's path is seen from the current folder, as is every folder that was typed.
    """
    source = (ROOT / script).read_text(encoding="utf-8") if (ROOT / script).is_file() else ""
    options = [
        f" --{name.lower().replace('_', '-')} {shlex.quote(text)}"
        for name, text in _given.items()
        if re.search(rf"^{name}\b", source, re.MULTILINE)
    ]
    path = script if Path.cwd() == ROOT else min(os.path.relpath(ROOT / script), str(ROOT / script), key=len)
    return f"python {shlex.quote(path)}{''.join(options)}"


def completed(text: str) -> str:
    """A message in which each `python <script>` of the project names the folders that this run was given."""
    return SCRIPT.sub(lambda found: command(found[1]) if (ROOT / found[1]).is_file() else found[0], text)
