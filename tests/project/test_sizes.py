"""How large things are: what a reader can hold in mind at once."""

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import PROJECT

COMMON, SCRIPTS = PROJECT / "common", sorted(PROJECT.glob("*.py"))
SOURCES = sorted(path for kind in ("py", "js", "css", "j2") for path in COMMON.rglob(f"*.{kind}"))
PYTHON = [*SCRIPTS, *(path for path in SOURCES if path.suffix == ".py")]
TESTS = sorted((PROJECT / "tests").rglob("*.py"))
MOST = {"script": 230, "file": 350, "function": 40, "arguments": 5, "name": 60}  # lines, and letters


class Function(NamedTuple):
    """A function or method, as it is written."""

    place: str
    name: str
    lines: int
    arguments: int  # `self` and `cls` aside


def named(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> list[Function]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            arguments = [name for name in names if name not in ("self", "cls")]
            n = len(arguments) + bool(given.vararg) + bool(given.kwarg)
            lines = node.end_lineno - node.lineno + 1  # decorators aside
            found.append(Function(f"{named(path)}:{node.lineno}", node.name, lines, n))
    return found


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_a_script_is_a_story_of_one_sitting(path):
    assert lines_of(path) <= MOST["script"]


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_file_is_one_room(path):
    assert lines_of(path) <= MOST["file"]


@pytest.mark.parametrize("path", PYTHON, ids=named)
def test_a_function_is_seen_at_once(path):
    long = [each for each in functions(path) if each.lines > MOST["function"]]
    assert not long, [f"{each.place} {each.name}: {each.lines} lines" for each in long]


@pytest.mark.parametrize("path", PYTHON, ids=named)
def test_a_function_takes_few_arguments(path):
    many = [each for each in functions(path) if each.arguments > MOST["arguments"]]
    assert not many, [f"{each.place} {each.name}: {each.arguments} arguments" for each in many]


def test_a_test_has_a_short_name():
    """The sentence goes into its docstring."""
    tests = [each for path in TESTS for each in functions(path) if each.name.startswith("test_")]
    long = [each for each in tests if len(each.name) > MOST["name"]]
    assert tests and not long, "\n".join(f"{each.place} {each.name}" for each in long)


@pytest.mark.parametrize("path", [*PYTHON, *TESTS], ids=named)
def test_no_name_is_looked_up_as_a_string(path):
    """Settings are passed as values: whoever searches for a setting's name finds its use."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        of = node.value if isinstance(node, ast.Subscript | ast.Attribute) else None
        called = isinstance(of, ast.Call) and isinstance(of.func, ast.Name) and of.func.id == "globals"
        assert not called, f"{named(path)}:{node.lineno} looks up a name in globals()"
