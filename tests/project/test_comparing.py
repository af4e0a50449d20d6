"""The comparison of two versions' results: what counts as the same, and what is found."""

import pytest

from benchmarks import _comparing, same_results
from common import files


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("32.9", "32.93", True),
        ("32.9", "32.96", False),
        ("0.07", "0.070000", True),
        ("1,811", "1811", True),
        ("1.75e-17", "1.750003e-17", True),
        ("1.75e-17", "1.76e-17", False),
        ("-0.3", "0.3", False),
    ],
)
def test_a_number_is_compared_at_its_coarser_digits(first, second, same):
    assert _comparing.same_number(first, second) == same == _comparing.same_number(second, first)


def test_a_changed_value_is_named_by_its_place():
    old = {"n": 3, "sets": [{"R@1": 50.0}], "file": "a.json", "absent": None}
    assert _comparing.values(old, {"n": 3, "sets": [{"R@1": 50.0}], "file": "cells/a.json"}) == []
    assert _comparing.values(old, {"n": 4, "sets": [{"R@1": 50.5}]}) == [
        "n: 3, now 4",
        "sets[0].R@1: 50.0, now 50.5",
    ]


def test_a_table_is_compared_cell_by_cell():
    old = [{"a": "1", "b": "x"}, {"a": "2.50", "b": "y"}]
    assert _comparing.tables(old, [{"a": "1", "b": "x", "c": ""}, {"a": "2.5", "b": "y", "c": ""}]) == []
    assert _comparing.tables(old, old[:1]) == ["2 rows, now 1"]
    assert _comparing.tables(old, [{"a": "1"}, {"a": "3.1"}]) == [
        'a in 1 rows, first "2.50", now "3.1"',
        "column b is gone",
    ]


def test_a_share_has_the_interval_that_step_5_gave(tmp_path):
    def table(name: str, low: str) -> object:
        row = {"over": "all", "category": "Count", "n": 4, "share": "0.2", "low": low, "high": "0.3"}
        files.write_csv(tmp_path / name, list(row), [row])
        return tmp_path / name

    old, step_5 = table("old.csv", "0.10"), table("step_5.csv", "0.12")
    assert _comparing.shares(old, table("new.csv", "0.120000"), step_5) == []
    assert _comparing.shares(old, table("new.csv", "0.10"), step_5)


def test_a_value_of_the_report_is_found_again(tmp_path):
    def page(name: str, text: str) -> object:
        value = f'<td><span data-csv="a.csv" data-row="2" data-column="share">{text}</span></td>'
        (tmp_path / name).write_text(f"<p>words {name}</p>{value}", encoding="utf-8")
        return tmp_path / name

    old = page("old.html", "32.9 %")
    assert _comparing.reports(old, page("new.html", "32.93%")) == []
    assert _comparing.reports(old, page("new.html", "33.93%")) != []
    twice = page("twice.html", "32.93%").read_text(encoding="utf-8")
    (tmp_path / "twice.html").write_text(twice + twice.replace("32.93", "33.93"), encoding="utf-8")
    assert _comparing.reports(old, tmp_path / "twice.html") != []
    (tmp_path / "none.html").write_text("<p>32.9 %</p>", encoding="utf-8")
    assert _comparing.reports(old, tmp_path / "none.html") == ["1 values are gone, first a.csv 2 share"]


def test_labels_made_from_idx_are_the_same_for_both(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        for sheet in ("assign_A.csv", "assign_overlap_B.csv", "assign_backup.csv"):
            columns = ["idx", "caption", "category", "ambiguous_subtype"]
            rows = [{"idx": idx, "caption": "a dog\r\n", "category": ""} for idx in range(40)]
            files.write_csv(tmp_path / name / sheet, columns, rows)
        same_results.fill(tmp_path / name)
    read = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("old", "new")]
    assert read[0] == read[1]
    labels = [
        row["category"].strip().capitalize() for row in _comparing.rows_of(tmp_path / "old" / "assign_A.csv")
    ]
    assert set(labels) == set(same_results.CATEGORIES)
    backup = _comparing.rows_of(tmp_path / "old" / "assign_backup.csv")
    assert {row["category"] for row in backup} == {""}
