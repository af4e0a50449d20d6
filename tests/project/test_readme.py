"""README and docs/: commands, run on a copy of the tracked files, print what is shown; links lead somewhere.

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

PAGES = {
    path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*PROJECT.glob("*.md"), *PROJECT.glob("*/*.md")])
    if path.parent.name not in (".venv", "node_modules")
}
README, WALKTHROUGH = PAGES["README.md"], PAGES["docs/walkthrough.md"]
FENCE = re.compile(r"(?P<skip><!-- not run:[^\n]*-->\s*)?^```[a-z]*\n(?P<body>.*?)^```$", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]*)\)")


class Step(NamedTuple):
    """A command and what a page shows of its output."""

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
    """The first line on which output and page differ, or ""."""
    at, skipping = 0, False
    while shown and not shown[-1]:  # a blank line before the next command is the page's
        shown = shown[:-1]
    for line in shown:
        if line.strip() == "...":
            skipping = True
            continue
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))))
        while skipping and at < len(printed) and not pattern.fullmatch(printed[at]):
            at += 1
        if at == len(printed):
            return f"shown is {line!r}, and the output is at its end"
        if not pattern.fullmatch(printed[at]):
            return f"shown is {line!r}, but printed is {printed[at]!r}"
        at, skipping = at + 1, False
    return "" if skipping or at == len(printed) else f"the page leaves out {printed[at]!r}"


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


def printed(step: Step, folder: Path) -> list[str]:
    """What a command prints, as a reader has it: in a terminal of its own, whatever surrounds this test."""
    command = re.sub(r"^python(?= )", shlex.quote(sys.executable), step.command)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))}
    run = subprocess.run(
        command, shell=True, cwd=folder, env=env, capture_output=True, encoding="utf-8", check=False
    )
    assert (run.returncode, run.stderr) == (0, ""), f"$ {step.command}\n{run.stdout}{run.stderr}"
    return [line.rstrip() for line in run.stdout.splitlines()]


def check(step: Step, lines: list[str]) -> None:
    different = compare(lines, step.shown)
    assert not different, f"$ {step.command}\n{different}\n\nall that it printed:\n" + "\n".join(lines)


class Begun(NamedTuple):
    """A reader's copy in which the first command ran."""

    folder: Path
    lines: list[str]  # that it printed


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Begun:
    folder = copied(tmp_path_factory.mktemp("reader"))
    return Begun(folder, printed(Step("python main.py", []), folder))


@pytest.mark.parametrize("page", ["README.md", "docs/walkthrough.md"])
def test_the_first_command_prints_what_a_page_shows(begun, page):
    first = steps(PAGES[page])[0]
    assert first.command == "python main.py"
    check(first, begun.lines)


@pytest.mark.slow
def test_the_whole_walkthrough_prints_what_it_shows(begun):
    assert len(steps(README)) == 1  # everything else is in the walkthrough
    for step in steps(WALKTHROUGH)[1:]:
        check(step, printed(step, begun.folder))


def tracked() -> set[str]:
    """Files and folders that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout, so nothing tells which files are tracked")
    names = set(filter(None, listed.stdout.decode().split("\0")))
    return names | {parent.as_posix() for name in names for parent in Path(name).parents}


def anchors(page: str) -> set[str]:
    """What a page's headings can be linked by."""
    headings = re.findall(r"^#+ (.+)$", PAGES[page], re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_links_of_all_pages_lead_somewhere():
    known, checked = tracked(), 0
    for page, text in PAGES.items():
        for link in LINK.findall(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
            if link.startswith(("http:", "https:", "mailto:")):
                continue
            path, _, anchor = link.partition("#")
            name = os.path.normpath(Path(page).parent / path).rstrip("/") if path else page
            assert name in known, f"{page}: {link}"
            assert not anchor or anchor in anchors(name), f"{page}: {link}"
            checked += 1
    assert checked > 20


def test_commands_of_all_pages_exist():
    """Each `python script.py --option` names a tracked script and settings of it."""
    known, checked = tracked(), 0
    for page, text in PAGES.items():
        for script, options in re.findall(r"python (\w[\w/]*\.py)((?: +--[a-z-]+ [^ `\n]+)*)", text):
            assert script in known, f"{page}: {script}"
            source = (PROJECT / script).read_text(encoding="utf-8")
            for option in re.findall(r"--([a-z-]+)", options):
                name = option.upper().replace("-", "_")
                assert re.search(rf"^{name}\b", source, re.M), f"{page}: {script} --{option}"
            checked += 1
    assert checked > 20


def test_readme_is_read_in_five_minutes():
    lines = README.splitlines()
    assert len(lines) <= 200
    assert max(map(len, lines)) <= 120


def tree() -> dict[str, str]:
    """Path -> what the README's tree says of it. Names that share a line share its words."""
    block = README.split("## What is where\n\n```\n", 1)[1].split("```", 1)[0]
    found, parents = {}, []
    for line in block.splitlines():
        indent, names, words = re.fullmatch(r"( *)([^\s,]+(?:, [^\s,]+)*)\s+(.+)", line).groups()
        for name in names.split(", "):
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


def test_messages_that_are_explained_can_be_shown():
    shown = set()
    for path in [*PROJECT.glob("*.py"), *(PROJECT / "common").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                shown.add("...".join(getattr(each, "value", "") for each in node.values if literal(each)))
            elif literal(node):
                shown.add(node.value)
    quoted = re.findall(r'\*"(.+?)"\*', PAGES["docs/troubleshooting.md"])
    assert len(quoted) > 10
    for message in quoted:
        pattern = re.compile(".*".join(map(re.escape, message.split("..."))), re.S)
        assert any(map(pattern.search, shown)), message


def literal(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_settings_have_the_defaults_that_are_documented():
    """Rows of a table whose third cell is a script: `NAME` (or several), default (or several), script."""
    checked = 0
    for row in re.findall(r"^\|(.+)\|$", PAGES["docs/settings.md"], re.M):
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
    if script in ("main.py", "failure.py", "improve_subset.py", "probe.py"):
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
