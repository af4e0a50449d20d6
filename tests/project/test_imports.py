"""The rules of the import graph, read off the import statements."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from common.settings import FOLDER
from tests.support import PROJECT

COMMON = PROJECT / "common"
SCRIPTS = sorted(path.stem for path in PROJECT.glob("*.py"))
MODULES = sorted(path for path in COMMON.rglob("*.py") if path.name != "__init__.py")
WITHOUT_TORCH = [name for name in ("merge_assignments", "summarize_result") if name in SCRIPTS]
GROUND = ""
# Wing -> the wings that its files may import from, besides their own.
BEFORE = {
    GROUND: set(),
    "retrieval": {GROUND},
    "labels": {GROUND, "retrieval"},
    "annotation": {GROUND, "retrieval", "labels"},
    "fixes": {GROUND, "retrieval", "labels"},
    "report": {GROUND, "retrieval", "labels", "annotation"},
}
# settings prints a script's --help, and errors its one line: both speak for the script, then exit.
PRINTING = ("settings.py", "errors.py")
# The towers, and the file next to them that finds a model's files.
KNOWS_TRANSFORMERS = ("encoder.py", "models.py")


def named(path: Path) -> str:
    return str(path.relative_to(COMMON))


def imported(path: Path) -> set[str]:
    """Full names of everything a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
            if node.module == "common.heavy":  # what brings a package later brings it all the same
                names |= {alias.name for alias in node.names}
    return names


def of_common(path: Path) -> set[Path]:
    """Which files of common/ a file imports."""
    files = {PROJECT.joinpath(*name.split(".")).with_suffix(".py") for name in imported(path)}
    return {file for file in files if file.is_relative_to(COMMON) and file.is_file()}


def wing(path: Path) -> str:
    return path.parent.name if path.parent != COMMON else GROUND


def reached(path: Path) -> set[Path]:
    """A file and all of common/ that it imports, however far down."""
    found, waiting = set(), [path]
    while waiting:
        found.add(current := waiting.pop())
        waiting += [file for file in of_common(current) if file not in found]
    return found


def test_every_file_is_in_a_wing_that_the_design_names():
    assert {wing(path) for path in MODULES} == set(BEFORE)
    for folder in set(BEFORE) - {GROUND}:
        tree = ast.parse((COMMON / folder / "__init__.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(tree) and len(tree.body) == 1, f"{folder}: a docstring, and nothing else"


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_never_import_scripts(script):
    assert not imported(PROJECT / f"{script}.py") & set(SCRIPTS)


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_nothing_reaches_into_a_script(folder):
    for path in (PROJECT / folder).rglob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & set(SCRIPTS), path


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_file_imports_from_its_own_wing_and_those_before(path):
    allowed = BEFORE[wing(path)] | {wing(path)}
    later = {named(file) for file in of_common(path) if wing(file) not in allowed}
    assert not later, f"{named(path)} imports {', '.join(sorted(later))}"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_common_imports_no_script_and_has_no_circle(path):
    assert not {name.split(".")[0] for name in imported(path)} & {*SCRIPTS, "tests", "benchmarks"}
    for lower in of_common(path):
        assert path not in reached(lower), f"{named(path)} and {named(lower)} import each other"


@pytest.mark.parametrize("path", [*PROJECT.glob("*.py"), *MODULES], ids=str)
def test_transformers_is_imported_in_one_place(path):
    roots = {name.split(".")[0] for name in imported(path)}
    allowed = wing(path) == "retrieval" and path.name in KNOWS_TRANSFORMERS
    assert allowed or "transformers" not in roots


@pytest.mark.parametrize("script", WITHOUT_TORCH)
def test_labels_and_tables_need_no_torch(script):
    for path in reached(PROJECT / f"{script}.py"):
        assert not {"torch", "transformers"} & {name.split(".")[0] for name in imported(path)}, path


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_common_prints_nothing(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert named(path) in PRINTING or not [call for call in calls if call.func.id == "print"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_reads_from_top_to_bottom(script):
    source = (PROJECT / f"{script}.py").read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(source))
    assert doc.startswith("Step ") and " of 6: " in doc.splitlines()[0]
    assert all(f"\n{part}" in doc for part in ("Run:", "Reads:", "Writes:", "Takes:"))
    block = source.split("# ---- settings ", 1)[1].split("\n# ----", 1)[0]
    constants = [line for line in block.splitlines() if line[:1].isupper()]
    folders = [line for line in constants if line.split(" ")[0].rstrip(":").endswith(FOLDER)]
    assert len(constants) - len(folders) <= 12
    assert all("  # " in line for line in constants), "each constant has one trailing comment"
    assert source.rstrip().endswith('if __name__ == "__main__":\n    main()')


def test_step_6_loads_no_model_library_to_begin_with():
    """Where all texts are frozen already nothing encodes, and transformers takes seconds to import."""
    code = "import sys, improve_subset; print({'transformers', 'huggingface_hub'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=PROJECT, text=True) == "set()\n"
