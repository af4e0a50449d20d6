"""Rows on comparisons: in which unit and order, what stands next to what, and what is said of few."""

import pytest

from common import records
from common.report import cautions, compared_rows, compared_tables
from tests.support import written_study
from tests.support.written_study import compared_model, difference, index, recovered


def with_models(**changes):
    return records.replace(index([]), **written_study.comparisons() | changes)


def test_pairs_farthest_apart_for_certain_are_on_top():
    pairs = [difference("is", "dn", 1.0), difference("nnn", "dn", 3.0), difference("nnn", "is", 2.0)]
    rows = compared_rows.differences(with_models(differences=pairs))
    assert [(row["first"], row["second"], row["apart"]) for row in rows] == [
        ("nnn", "dn", True),
        ("nnn", "is", True),
        ("is", "dn", False),
    ]
    assert (rows[0]["difference_pp"], rows[0]["low_all_pp"], rows[0]["gained"]) == (3.0, 1.5, 104)


def test_a_model_has_its_net_effect_and_its_overlap_in_one_row():
    (row,) = compared_rows.models(with_models())
    assert (row["net_R@1"], row["p_holm"], row["differs"]) == (1.7, 0.04, True)
    assert (row["first_fails"], row["other_fails"], row["queries"]) == (6000, 5800, 12000)
    assert (row["recovered"], row["recovered_back"]) == pytest.approx((0.1, 0.069))
    assert row["recovered_low"] < row["recovered"] < row["recovered_high"]


def test_a_model_that_fails_nothing_leaves_nothing_to_recover():
    model = compared_model()
    overlap = records.replace(model.overlap, recovered_back=None)
    (row,) = compared_rows.models(with_models(compared=[records.replace(model, overlap=overlap)]))
    assert row["recovered_back"] is None


def test_each_category_stands_next_to_all_failures():
    rows = compared_rows.categories(with_models(), "final")
    assert [row["category"] for row in rows] == ["Ambiguous", "Count"]
    assert {(row["all_n"], row["all_share"], row["labels"]) for row in rows} == {(6000, 0.1, "final")}
    assert [row["marks"] for row in rows] == ["", "anecdotal: n = 10"]


def test_without_labels_only_all_failures_are_left():
    without = recovered({"failures": 6000})
    content = with_models(compared=[compared_model(recovered=without)], failed_by_all=without)
    assert compared_rows.categories(content, None) == []
    (row,) = compared_rows.failed_by_all(content, None)
    assert (row["category"], row["hits"], row["models"]) == ("failures", 600, 2)


def test_regression_to_the_mean_is_said_next_to_categories():
    assert "part of failing is chance" in compared_tables.MEAN
    said = " ".join(cautions.of_improvements(with_models()))
    assert "A category says something of another model only next to all failures" in said
    assert "another model" not in " ".join(cautions.of_improvements(with_models(compared=[])))


def test_an_index_of_an_earlier_version_compares_nothing():
    plain = {
        name: value
        for name, value in records.plain(index([])).items()
        if name not in ("differences", "power", "compared", "failed_by_all", "compared_ranks")
    }
    read = records.parse(plain, type(index([])), "net_effects.json", "")
    assert (read.differences, read.power, read.compared, read.compared_ranks) == ([], [], [], None)
    assert compared_rows.models(read) == compared_rows.overlap(read) == []
