"""The README's own commands, run on a copy of the tracked files, print what the README shows.

A transcript is a fenced block with lines that start with `$ `: each is a command, and the lines up to the
next one are all that it prints. `...` alone on a line stands for any lines, inside a line for any text. A
block after the comment `<!-- not run: why -->` is for what can't be run here.
"""

import ast
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"(?P<skip><!-- not run:[^\n]*-->\s*)?^```[a-z]*\n(?P<body>.*?)^```$", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)")


class Step(NamedTuple):
    """A command and what the README shows of its output."""

    command: str
    shown: list[str]


def steps(text: str) -> list[Step]:
    """All commands of all transcripts, in order."""
    found = []
    for block in FENCE.finditer(text):
        if block["skip"]:
            continue
        lines = block["body"].replace("\\\n", " ").splitlines()
        for line in lines if any(line.startswith("$ ") for line in lines) else []:
            if line.startswith("$ "):
                found.append(Step(line[2:].strip(), []))
            else:
                assert found, f"{line!r} stands before the first command"
                found[-1].shown.append(line.rstrip())
    return found


def compare(printed: list[str], shown: list[str]) -> str:
    """The first line on which output and README differ, or ""."""
    at, skipping = 0, False
    while shown and not shown[-1]:  # a blank line before the next command is the README's
        shown = shown[:-1]
    for line in shown:
        if line.strip() == "...":
            skipping = True
            continue
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))))
        while skipping and at < len(printed) and not pattern.fullmatch(printed[at]):
            at += 1
        if at == len(printed):
            return f"the README shows {line!r}, and the output is at its end"
        if not pattern.fullmatch(printed[at]):
            return f"the README shows {line!r}, but printed is {printed[at]!r}"
        at, skipping = at + 1, False
    return "" if skipping or at == len(printed) else f"the README leaves out {printed[at]!r}"


def copied(folder: Path) -> Path:
    """The tracked files, as they are in the working tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout, so nothing tells which files are tracked")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
    return folder


def follow(wanted: list[Step], folder: Path) -> None:
    """Run commands one after the other, and compare."""
    for step in wanted:
        command = re.sub(r"^python(?= )", shlex.quote(sys.executable), step.command)
        # As a reader has it: in a terminal of its own, whatever this test's surroundings set.
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))}
        run = subprocess.run(
            command, shell=True, cwd=folder, env=env, capture_output=True, encoding="utf-8", check=False
        )
        assert (run.returncode, run.stderr) == (0, ""), f"$ {step.command}\n{run.stdout}{run.stderr}"
        different = compare([line.rstrip() for line in run.stdout.splitlines()], step.shown)
        assert not different, f"$ {step.command}\n{different}\n\nall that it printed:\n{run.stdout}"


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A reader's copy, in which the first command printed what the README shows."""
    folder = copied(tmp_path_factory.mktemp("reader"))
    follow(steps(README)[:1], folder)
    return folder


def test_the_first_command_prints_what_the_readme_shows(begun):
    assert steps(README)[0].command == "python main.py"


@pytest.mark.slow
def test_the_whole_transcript_prints_what_the_readme_shows(begun):
    further = steps(README)[1:]
    if not further:
        pytest.skip("the README shows one command, which ran already")
    follow(further, begun)


def test_links_lead_to_tracked_files():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout, so nothing tells which files are tracked")
    tracked = set(listed.stdout.decode().split("\0"))
    tracked |= {parent.as_posix() for name in tracked for parent in Path(name).parents}
    links = {link for link in LINK.findall(README) if not link.startswith(("http:", "https:", "mailto:"))}
    assert links
    assert not {link for link in links if link.rstrip("/") not in tracked}


def test_anchors_lead_to_headings():
    slugs = {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", README, re.M)
    }
    assert not {anchor for anchor in re.findall(r"\]\(#([^)]+)\)", README) if anchor not in slugs}


def tree() -> dict[str, str]:
    """Path -> what the README's tree says of it."""
    block = README.split("## What is where\n\n```\n", 1)[1].split("```", 1)[0]
    found, parents = {}, []
    for line in block.splitlines():
        indent, name, words = re.fullmatch(r"( *)(\S+)\s+(.+)", line).groups()
        parents[len(indent) // 2 :] = [name]
        found["".join(parents)] = words
    return found


def test_the_tree_names_every_file_in_about_five_words():
    kinds = ("py", "js", "css", "j2", "json")
    files = [path for kind in kinds for path in (PROJECT / "common").rglob(f"*.{kind}")]
    files += [*PROJECT.glob("*.py"), PROJECT / "annotation_guide.md"]
    there = {path.relative_to(PROJECT).as_posix() for path in files if path.name != "__init__.py"}
    said = tree()
    assert there == {name for name in said if not name.endswith("/")}
    assert all((PROJECT / name).exists() for name in said)
    assert max(len(words.split()) for words in said.values()) <= 7


@pytest.mark.parametrize(
    ("wanted", "room"),
    [
        ("the tie rule", "common/retrieval/ranking.py"),
        ("fonts", "common/annotation/fonts.py"),
        ("spellings", "common/labels/taxonomy.py"),
        ("general templates", "common/fixes/prompts.py"),
        ("forest plot", "common/report/fix_figures.py"),
    ],
)
def test_a_newcomer_finds_the_room_by_the_tree(wanted, room):
    """One file alone has it, by its words in the tree; the folders' words lead there."""
    assert [name for name, words in tree().items() if wanted in words and "skeleton" not in words][-1:] == [
        room
    ]


def test_messages_that_the_readme_explains_can_be_shown():
    shown = set()
    for path in [*PROJECT.glob("*.py"), *(PROJECT / "common").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                shown.add("...".join(getattr(each, "value", "") for each in node.values if literal(each)))
            elif literal(node):
                shown.add(node.value)
    section = README.split("## Troubleshooting", 1)[1].split("\n## ", 1)[0]
    quoted = re.findall(r'\*"(.+?)"\*', section)
    assert len(quoted) > 10
    for message in quoted:
        pattern = re.compile(".*".join(map(re.escape, message.split("..."))), re.S)
        assert any(map(pattern.search, shown)), message


def literal(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_settings_have_the_defaults_that_the_readme_names():
    """Rows of a table whose third cell is a script: `NAME` (or several), default (or several), script."""
    checked = 0
    for row in re.findall(r"^\|(.+)\|$", README, re.M):
        cells = [cell.strip() for cell in row.split("|")]
        if len(cells) < 3 or not re.fullmatch(r"`\w+\.py`", cells[2]):
            continue
        names = re.findall(r"`([A-Z_]+)`", cells[0])
        if not names or cells[1] == "all":  # a list of everything, which its block shows
            continue
        defaults = [code or plain for code, plain in re.findall(r"`([^`]+)`|([^\s,`]+)", cells[1])]
        values = settings_of(cells[2].strip("`"))
        for name, default in zip(names, defaults, strict=True):
            assert name in values, f"{cells[2]} has no setting {name}"
            assert default in spellings_of(values[name]), f"{name} is {values[name]!r}"
            checked += 1
    assert checked >= 5


def spellings_of(value) -> list[str]:
    """A setting as a README may write it."""
    items = [", ".join(map(str, value)), ",".join(map(str, value))] if isinstance(value, list) else []
    return [str(value), repr(value), Path(str(value)).name, *items]


def settings_of(script: str) -> dict:
    """The constants of a script's block, without running it."""
    if script in ("main.py", "failure.py", "improve_subset.py"):
        pytest.importorskip("torch", reason="the script imports torch")
    spec = importlib.util.spec_from_file_location(f"readme_{Path(script).stem}", PROJECT / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if name.isupper()}


# ---- the comparison itself --------------------------------------------------------------------------------

PRINTED = ["Read 5 rows", "  one", "  two", "Wrote a/b.csv and c", "", "Next: python x.py"]


@pytest.mark.parametrize(
    ("shown", "same"),
    [
        (PRINTED, True),
        ([*PRINTED, ""], True),
        (["Read 5 rows", "...", "Next: python x.py"], True),
        (["Read 5 rows", "..."], True),
        (["...", "Next: python x.py"], True),
        (["Read ... rows", "  one", "  two", "Wrote ... and c", "", "Next: python x.py"], True),
        (PRINTED[:-1], False),
        (["Read 6 rows", *PRINTED[1:]], False),
        (["Read 5 rows", "...", "  three", "..."], False),
        (["...", "  one"], False),
        ([*PRINTED, "more"], False),
        ([], False),
    ],
)
def test_a_difference_is_found(shown, same):
    assert (compare(PRINTED, shown) == "") == same


def test_a_transcript_is_read():
    text = (
        "x\n```\npip install y\n```\n"
        "```console\n$ python a.py --b \\\n    3\nout\n...\n\n$ python c.py\nend\n```\n"
        "<!-- not run: needs COCO -->\n```\n$ python main.py\nR@1\n```\n"
    )
    assert steps(text) == [
        Step("python a.py --b      3", ["out", "...", ""]),
        Step("python c.py", ["end"]),
    ]
