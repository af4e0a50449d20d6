"""The one door for the project's own CSVs."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import files
from common.errors import UserError

RUN = ("=", "+", "-", "@", "\t")


@given(st.text())
def test_a_guard_is_taken_off_exactly(text):
    assert files.unguarded(files.guarded(text)) == text


@given(st.text(alphabet="=+-@\t'1.eE x"))
def test_no_cell_runs_but_a_number_stays_one(text):
    cell = files.guarded(text)
    assert files.NUMBER.fullmatch(cell) or not cell.startswith(RUN)


@pytest.mark.parametrize("number", ["-3.56", "+0.01", "-1", "1e-06", "-.5", "+12."])
def test_a_signed_number_is_never_guarded(number):
    assert files.guarded(number) == number


@pytest.mark.parametrize("text", ["-inf", "+1 on a jersey", "=1", "-1-1", "@home", "'=1"])
def test_what_only_looks_like_a_number_is(text):
    assert files.guarded(text) == "'" + text


def test_every_text_column_is_guarded_and_read_back(tmp_path):
    rows = [{"idx": 1, "caption": "=SUM(A1)", "file": "@x.jpg", "share": -0.5, "low": "-0.25"}]
    path = tmp_path / "table.csv"
    files.write_csv(path, list(rows[0]), rows)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with open(path, encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file))[1] == ["1", "'=SUM(A1)", "'@x.jpg", "-0.5", "-0.25"]
    (row,) = files.read_csv(path, ["idx", "caption"], "make it again")
    assert row == {"idx": "1", "caption": "=SUM(A1)", "file": "@x.jpg", "share": "-0.5", "low": "-0.25"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"idx\n1\n", "lacks the columns caption"),
        (b"idx,caption\n1,a,b\n", "row 2"),
        (b"idx,caption\n1,\xff\n", "not a CSV"),
        (b"", "lacks the columns idx, caption"),
    ],
)
def test_what_is_no_table_of_ours_is_refused(tmp_path, data, said):
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    with pytest.raises(UserError, match=said):
        files.read_csv(path, ["idx", "caption"], "make it again")


def test_versions_are_those_installed():
    import numpy

    assert files.versions("numpy") == {**files.versions(), "numpy": numpy.__version__}
