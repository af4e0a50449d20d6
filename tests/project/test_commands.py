"""The line to type next: it acts on the study that this run was given, from the folder where it was typed."""

import os
import shlex
import subprocess
import sys

import pytest

from common import commands, settings
from common.errors import UserError, reported
from tests.support import PROJECT


@pytest.fixture
def given():
    """Notes options as `override` does; forgets them afterwards."""
    commands.forget()
    yield commands.note
    commands.forget()


def test_a_command_repeats_the_folders_that_the_other_script_has(given):
    given("STUDY_DIR", "my study")
    given("RESULT_DIR", "out")
    given("NUM_IMAGES", "5")
    assert commands.command("summarize_result.py") == (
        "python summarize_result.py --study-dir 'my study' --result-dir out"
    )
    assert commands.command("failure.py") == "python failure.py --study-dir 'my study'"


def test_without_options_a_command_is_the_script_alone(given):
    assert commands.command("failure.py") == "python failure.py"


def test_from_another_folder_the_script_has_its_path(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = commands.command("main.py").removeprefix("python ")
    assert os.path.samefile(script, PROJECT / "main.py")


@pytest.mark.parametrize("name", ["my project", "it's $HOME", 'a "b" `c`', "研究 ñ"])
def test_a_copied_line_means_what_it_says_to_a_shell(given, tmp_path, monkeypatch, name):
    """Wherever the project is, and whatever the study is called."""
    root = tmp_path / name
    root.mkdir()
    (root / "main.py").write_text("STUDY_DIR: str | None = None")
    monkeypatch.setattr(commands, "ROOT", root)
    monkeypatch.chdir(tmp_path)
    given("STUDY_DIR", f"{name}/2")
    line = commands.command("main.py")
    typed = subprocess.run(
        ["sh", "-c", f'set -- {line}; printf "%s\\n" "$@"'], capture_output=True, text=True
    )
    assert typed.stdout.splitlines() == ["python", f"{name}/main.py", "--study-dir", f"{name}/2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run `python main.py` again", "run `python main.py --cache-dir c` again"),
        ("`python main.py --download True` puts", "`python main.py --cache-dir c --download True` puts"),
        (
            "run `python merge_assignments.py`, then this",
            "run `python merge_assignments.py --cache-dir c`, then this",
        ),
        ("python elsewhere.py", "python elsewhere.py"),
    ],
)
def test_every_command_of_a_message_is_completed(given, text, expected):
    given("CACHE_DIR", "c")
    assert commands.completed(text) == expected


def test_an_error_names_the_study_and_its_status(given, capsys):
    given("STUDY_DIR", "mine")

    @reported
    def main():
        raise UserError("no labels: run `python merge_assignments.py` first")

    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        "error: no labels: run `python merge_assignments.py --study-dir mine` first\n"
    )


SCRIPT = '''"""Step 0 of 6: a script for the tests."""

# ---- settings ----
MODEL_NAME: str = "clip"  # a name or a folder
STUDY_DIR: str | None = None  # folder of one study
CACHE_DIR: str = "cache"  # in it
IMAGE_DIR: str = "data/val2017"  # images
# ------------------
'''


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The settings of a script as override gives them, from another folder than the project's."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    module = {"__file__": str(path)}
    exec(compile(SCRIPT, str(path), "exec"), module)
    monkeypatch.chdir(tmp_path)
    yield lambda *options, **constants: settings.override({**module, **constants}, list(options))
    commands.forget()


def test_what_is_typed_starts_here_and_a_constant_at_the_project(run, tmp_path):
    found = run("--image-dir", "photos")
    assert (found.IMAGE_DIR, found.CACHE_DIR) == (tmp_path / "photos", settings.PROJECT_DIR / "cache")


def test_a_study_is_one_folder(run, tmp_path):
    assert run("--study-dir", "mine").CACHE_DIR == tmp_path / "mine" / "cache"
    assert run(STUDY_DIR="mine").CACHE_DIR == settings.PROJECT_DIR / "mine" / "cache"
    found = run("--study-dir", "mine", "--cache-dir", "other")
    assert (found.CACHE_DIR, found.IMAGE_DIR) == (
        tmp_path / "other",
        settings.PROJECT_DIR / "data" / "val2017",
    )


def test_a_model_folder_that_is_typed_starts_here(run, tmp_path):
    (tmp_path / "model").mkdir()
    assert run("--model-name", "model").MODEL_NAME == str(tmp_path / "model")
    assert run("--model-name", "openai/clip").MODEL_NAME == "openai/clip"


@pytest.mark.slow
def test_each_printed_command_can_be_typed_as_it_stands(tmp_path):
    """From a folder of the user's own: steps 1 to 5 on a study there, each line as it was printed."""
    scripts = os.path.relpath(PROJECT, tmp_path)
    line = f"python {scripts}/main.py --study-dir mine --num-images 60 --device cpu"
    seen = []
    while line:
        command = [sys.executable, *shlex.split(line)[1:]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), line
        seen.append(os.path.basename(command[1]))
        if seen[-1] == "failure.py":
            fill = [sys.executable, str(PROJECT / "data/sample/simulate_annotators.py")]
            options = ["--cache-dir", "mine/cache", "--failure-dir", "mine/failure_analysis"]
            subprocess.run([*fill, *options], cwd=tmp_path, check=True, capture_output=True)
        last = [each for each in done.stdout.splitlines() if "python " in each and "main.py" not in each]
        line = "python " + last[-1].split("python ", 1)[1].split(", then")[0] if last else ""
        if seen[-1] == "main.py":
            line += " --sample-size 20 --overlap-size 5 --per-annotator 5 --backup-size 0"
        if seen[-1] == "summarize_result.py":
            break
    assert seen == ["main.py", "failure.py", "merge_assignments.py", "summarize_result.py"]
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        *("cache", "failure_analysis", "final_results"),
    ]
