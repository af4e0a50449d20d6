"""What the project needs: pinned once, the same for pip and for uv, and nothing that nobody imports."""

import ast
import re
import sys
import tomllib

from tests.support import PROJECT

# Packages that another one brings, and whose version it decides.
BROUGHT = {"huggingface_hub": "transformers", "tokenizers": "transformers"}
BROUGHT |= {"safetensors": "transformers", "markupsafe": "jinja2"}
NAMES = {"PIL": "pillow", "sklearn": "scikit-learn"}  # imported by another name than its own


def pins(name: str) -> list[str]:
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith(("#", "-r "))]


def imported() -> set[str]:
    """Every package that the scripts and common/ import, by the name that pip knows."""
    found = set()
    for path in [*PROJECT.glob("*.py"), *(PROJECT / "common").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.split(".")[0])
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_Later":  # common/heavy.py
                found.add(node.args[0].value.split(".")[0])
    found -= {"common", *sys.stdlib_module_names}
    return {NAMES.get(name) or BROUGHT.get(name) or name for name in found}


def test_pip_and_uv_install_the_same():
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert declared["project"]["dependencies"] == pins("requirements.txt")
    assert declared["tool"]["uv"]["package"] is False


def test_every_version_is_exact():
    for line in pins("requirements.txt") + pins("requirements-dev.txt"):
        assert re.fullmatch(r"[a-z0-9-]+==\d+(\.\d+)+", line), line


def test_the_development_set_begins_with_the_users_own():
    text = (PROJECT / "requirements-dev.txt").read_text(encoding="utf-8")
    assert text.startswith("-r requirements.txt\n")
    assert not {line.split("==")[0] for line in pins("requirements.txt")} & {
        line.split("==")[0] for line in pins("requirements-dev.txt")
    }


# transformers asks for them where a model brings a sentencepiece file: every SigLIP of the hub.
OF_TRANSFORMERS = {"sentencepiece", "protobuf"}


def test_what_is_imported_is_what_is_pinned():
    assert {line.split("==")[0] for line in pins("requirements.txt")} == imported() | OF_TRANSFORMERS
