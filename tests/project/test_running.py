"""The runner of scripts: what a script of a user's would find and leave behind."""

import sys

import pytest

from tests.support import running


def test_a_script_says_what_it_says():
    status, out, err = running.run("merge_assignments.py", "--help")
    assert (status, err) == (0, "") and out.startswith("Step 4 of 6: ")
    status, out, err = running.run("merge_assignments.py", "--strickt", "True")
    assert status and out == "" and err.startswith("error: unknown option --strickt")


def test_a_script_leaves_the_process_as_it_was():
    before = list(sys.path), list(sys.argv), set(sys.modules)
    running.run("data/sample/simulate_annotators.py", "--help")
    assert (sys.path, sys.argv) == before[:2]
    # Its neighbors `world` and others are no modules of the project: another folder may have such names.
    assert not {"world", "render"} & (set(sys.modules) - before[2])


@pytest.mark.parametrize("package", ["numpy", "msgspec"])
def test_a_package_can_be_missing_in_a_process_apart(package):
    status, out, err = running.apart("merge_assignments.py", "--help", without=(package,))
    assert status == 1 and out == "" and f"import of {package} halted" in err


def test_a_process_apart_says_the_same():
    options = ("merge_assignments.py", "--help")
    assert running.apart(*options) == running.apart(*options, without=("torch",)) == running.run(*options)
