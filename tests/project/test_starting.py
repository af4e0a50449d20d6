"""A script answers before it imports what takes seconds: `--help`, a wrong option, a wrong setting."""

import subprocess
import sys

import pytest

from tests.support import PROJECT

SCRIPTS = [
    "main.py",
    "failure.py",
    "merge_assignments.py",
    "summarize_result.py",
    "improve_subset.py",
    "data/sample/make_sample.py",
    "data/sample/simulate_annotators.py",
]
WRONG = {
    "main.py": ["--device", "gpu"],
    "failure.py": ["--sample-size", "7"],
    "merge_assignments.py": ["--bootstrap-rounds", "-1"],
    "summarize_result.py": ["--figure-dpi", "3"],
    "improve_subset.py": ["--methods", "magic"],
}
HEAVY = {"torch", "transformers", "tokenizers", "huggingface_hub", "scipy", "sklearn", "statsmodels"}
HEAVY |= {"pandas", "matplotlib", "openpyxl", "jinja2"}


def answered(script: str, *arguments: str) -> tuple[int, set[str]]:
    """A script's exit status, and every package that it imported."""
    command = [sys.executable, "-X", "importtime", script, *arguments]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    lines = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    return run.returncode, {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_imports_nothing_heavy(script):
    status, packages = answered(script, "--help")
    assert status == 0 and "common" in packages
    assert not packages & HEAVY


@pytest.mark.parametrize("script", WRONG)
def test_a_wrong_setting_is_told_before_heavy_imports(script):
    status, packages = answered(script, *WRONG[script])
    assert status == 2
    assert not packages & HEAVY
