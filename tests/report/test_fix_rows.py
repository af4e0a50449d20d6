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


@pytest.mark.parametrize("mark", ["transductive", "oracle"])
def test_fixes_come_first_and_the_best_on_top(mark):
    """Whatever nobody could use as it was measured comes after all fixes, and is never the best one."""
    status = {"other": {mark: True}, "dn": {}, "nnn": {"dealt": True, "tuned": True}}
    values = {"dn": -2.0, "other": 9.0, "nnn": 3.0}
    methods = [method(name, status=status[name]) for name in ("dn", "other", "nnn")]
    rows = [index_row(one, net_effect=net_effect(values[one.method])) for one in methods]
    found = index(methods, net_effects=rows)
    assert [row.method for row in fix_rows.best_first(found)] == ["nnn", "dn", "other"]
    assert fix_rows.best_fix(found).method == "nnn"
    assert fix_rows.best_fix(index([methods[1]])) is None


def test_all_queries_have_the_effect_on_the_whole_set():
    """In samples the mean over those that were ranked says nothing, so there is no MRR."""
    whole = set_result(results.ALL, exact=False)
    methods = [method("prompts", "max", sets=[whole])]
    (row,) = fix_rows.subset_results(results.Measured(index(methods), methods), None)
    assert tuple(row) == fix_rows.SUBSET_RESULTS
    assert row["improved_R@1"] == LEVEL["R@1"] - 1.5 and row["delta_pp_R@1_high"] == 0.5
    assert row["baseline_MRR"] is None and row["file"] == "cells/prompts_max.json"
    assert row["recovered"] == 12 == row["placebo_gained_R@1"]
    assert row["marks"] == "estimated from 1,800 of 12,000"


def test_a_mark_of_one_cell_stays_with_that_cell():
    """What all numbers of a method share is said once, next to its name."""
    sets = [set_result("Count", status={"tuned": True, "oracle": True, "anecdotal": True})]
    sets += [set_result("Spatial", status={"tuned": True}), set_result("all", status={"tuned": True})]
    methods = [method("nnn", sets=sets)]
    (row,) = fix_rows.matrix(results.Measured(index(methods), methods), "final")
    assert (row["marks"], row["Count_marks"]) == ("tuned", "extra knowledge; anecdotal: n = 200")
    assert (row["Spatial_marks"], row["Object_marks"], row["Object_n"]) == ("", None, None)
    assert (row["Count_n"], row["Count_recovered"], row["Count_beyond_low"]) == (200, 50.0, -0.4)


def test_hubs_are_of_methods_that_ranked_all_queries():
    """At each k, the one that R@1 is about first."""
    methods = [method("nnn"), method("prompts", "max"), method("dn")]
    rows = fix_rows.hubness(results.Measured(index(methods), methods))
    assert [(row["name"], row["k"]) for row in rows] == [("nnn", 1), ("dn", 1), ("nnn", 10), ("dn", 10)]
    assert (rows[0]["before"], rows[0]["top_after_queries"]) == (3.2, 99)
