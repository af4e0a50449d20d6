"""The rules of the import graph, read off the import statements."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(path.stem for path in PROJECT.glob("*.py"))
MODULES = sorted(path.stem for path in (PROJECT / "common").glob("*.py") if path.stem != "__init__")
WITHOUT_TORCH = [name for name in ("merge_assignments", "summarize_result") if name in SCRIPTS]


def imported(path: Path) -> set[str]:
    """Full names of everything a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def of_common(path: Path) -> set[str]:
    """Which modules of common/ a file imports."""
    parts = [name.split(".") for name in imported(path)]
    return {part[1] for part in parts if part[0] == "common" and len(part) > 1}


def reached(path: Path) -> set[Path]:
    """A file and all of common/ that it imports, however far down."""
    found, waiting = set(), [path]
    while waiting:
        found.add(current := waiting.pop())
        files = {PROJECT / "common" / f"{name}.py" for name in of_common(current)}
        waiting += [file for file in files if file.is_file() and file not in found]
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_never_import_scripts(script):
    assert not imported(PROJECT / f"{script}.py") & set(SCRIPTS)


@pytest.mark.parametrize("module", MODULES)
def test_common_never_imports_a_script_and_has_no_circle(module):
    path = PROJECT / "common" / f"{module}.py"
    assert not {name.split(".")[0] for name in imported(path)} & set(SCRIPTS)
    for name in of_common(path):
        lower = PROJECT / "common" / f"{name}.py"
        assert not lower.is_file() or path not in reached(lower), f"{module} and {name} import each other"


@pytest.mark.parametrize(
    "path", sorted(PROJECT.glob("*.py")) + sorted((PROJECT / "common").glob("*.py")), ids=str
)
def test_only_the_encoder_imports_transformers(path):
    roots = {name.split(".")[0] for name in imported(path)}
    # main.py records the library's version in the cache, and uses nothing else of it.
    allowed = path.name in ("encoder.py",)
    assert allowed or "transformers" not in roots


@pytest.mark.parametrize("script", WITHOUT_TORCH)
def test_labels_and_tables_need_no_torch(script):
    for path in reached(PROJECT / f"{script}.py"):
        assert not {"torch", "transformers"} & {name.split(".")[0] for name in imported(path)}, path


@pytest.mark.parametrize("module", MODULES)
def test_common_prints_nothing(module):
    tree = ast.parse((PROJECT / "common" / f"{module}.py").read_text(encoding="utf-8"))
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    # settings prints a script's --help, and errors its one line: both speak for the script, then exit.
    assert module in ("settings", "errors") or not [call for call in calls if call.func.id == "print"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_reads_from_top_to_bottom(script):
    source = (PROJECT / f"{script}.py").read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(source))
    assert doc.startswith("Step ") and " of 6: " in doc.splitlines()[0]
    assert all(f"\n{part}" in doc for part in ("Run:", "Reads:", "Writes:", "Takes:"))
    block = source.split("# ---- settings ", 1)[1].split("\n# ----", 1)[0]
    constants = [line for line in block.splitlines() if line[:1].isupper()]
    folders = [line for line in constants if line.split(" ")[0].rstrip(":").endswith(("_DIR", "_FILE"))]
    assert len(constants) - len(folders) <= 12
    assert all("  # " in line for line in constants), "each constant has one trailing comment"
    assert source.rstrip().endswith('if __name__ == "__main__":\n    main()')
