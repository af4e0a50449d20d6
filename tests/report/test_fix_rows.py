"""Rows on fixes: what a sample stands for, and which value a row on all queries has."""

import pytest

from common import results
from common.report import fix_rows
from tests.support.written_study import LEVEL, index, index_row, method, net_effect, set_result


def test_points_of_all_from_a_method_that_ranked_everything():
    gained, lost = fix_rows.in_points_of_all(method("nnn"))
    assert gained == pytest.approx(100 * 12 / 12000) and lost == pytest.approx(100 * 34 / 12000)


def test_points_of_all_from_samples_bring_them_to_size():
    """12 of 1,000 of 6,000 failures are gained, and 34 of 800 of as many successes lost."""
    gained, lost = fix_rows.in_points_of_all(method("prompts", "max"))
    assert gained == pytest.approx(100 * 12 / 1000 * 6000 / 12000)
    assert lost == pytest.approx(100 * 34 / 800 * 6000 / 12000)


def test_fixes_come_first_and_the_best_on_top():
    methods = [method("dn"), method("words"), method("nnn")]
    values = {"dn": -2.0, "words": 9.0, "nnn": 3.0}
    rows = [index_row(one, net_effect=net_effect(values[one.method])) for one in methods]
    found = fix_rows.best_first(index(methods, net_effects=rows))
    assert [row.method for row in found] == ["nnn", "dn", "words"]


def test_all_queries_have_the_effect_on_the_whole_set():
    """In samples the mean over those that were ranked says nothing, so there is no MRR."""
    whole = set_result(results.ALL, exact=False)
    measured = results.Measured(index([]), [method("prompts", "max", sets=[whole])])
    measured.index.cells.append("cells/a.json")
    (row,) = fix_rows.subset_results(measured)
    assert tuple(row) == fix_rows.SUBSET_RESULTS
    assert row["improved_R@1"] == LEVEL["R@1"] - 1.5 and row["delta_pp_R@1_high"] == 0.5
    assert row["baseline_MRR"] is None and row["file"] == "cells/a.json"
    assert row["recovered"] == 12 == row["placebo_gained_R@1"]


def test_hubs_are_of_methods_that_ranked_all_queries():
    methods = [method("nnn"), method("prompts", "max")]
    (row,) = fix_rows.hubness(results.Measured(index(methods), methods))
    assert (row["name"], row["before"], row["top_after_queries"]) == ("nnn", 3.2, 99)
