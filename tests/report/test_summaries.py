"""CSVs: how numbers are written, that what is read back is what was written, and what a rerun removes."""

from common import records
from common.report import figures, label_rows, study_tables, summaries
from common.retrieval.additional import Additional
from tests.support import written_study


def written(folder, name: str, row: dict) -> dict[str, str]:
    return summaries.write(folder, {name: [row]})[name].rows[0]


def test_each_column_has_its_decimals(tmp_path):
    row = {"name": "=1+1", "net_R@1": -0.0004, "p_R@1": 1.234567e-8, "gained_R@1": 12, "oracle": True}
    assert written(tmp_path, "summary_net_effects", row | {"p_holm": None}) == {
        "name": "=1+1",
        "net_R@1": "0.00",
        "p_R@1": "1.23457e-08",
        "gained_R@1": "12",
        "oracle": "True",
        "p_holm": "",
    }
    text = (tmp_path / "summary_net_effects.csv").read_text(encoding="utf-8-sig")
    assert "'=1+1,0.00" in text, "what a spreadsheet would run is guarded in the file"
    row = {"share": 1 / 3, "gain_if_fixed_pp": 2 / 3, "median_gt_rank": 4.0}
    assert list(written(tmp_path, "summary_failures", row).values()) == ["0.333333", "0.6667", "4.0"]


def test_tau_and_shares_keep_their_digits_among_percents(tmp_path):
    row = {"tau": 0.005, "share_of_labelled_failures": 0.1234567, "contribution_pp": 0.129}
    assert list(written(tmp_path, "summary_subset_results", row).values()) == ["0.005", "0.123457", "0.13"]


def test_verified_positives_have_a_row_that_says_lower_bound():
    pairs = {"file": "a.qrels", "sha256": "", "pairs": 3, "other_pairs": 0, "gained": 2}
    wider = Additional(**pairs, value=0.41, low=0.39, high=0.43)
    found = written_study.baseline()
    rows = label_rows.baseline(records.replace(found, additional_positives=wider))
    (row,) = [row for row in rows if row["measure"] == label_rows.VERIFIED]
    assert (row["direction"], row["value"], row["low"], row["high"]) == ("text to image", 0.41, 0.39, 0.43)
    assert "lower bound" in row["measure"] and row["published"] is None
    assert [one for one in rows if one is not row] == label_rows.baseline(found)


def test_every_figure_has_a_declared_csv():
    assert {f"figures/{name}" for name in figures.FIGURES} <= set(summaries.SHEETS)


def test_only_what_this_step_writes_is_removed(tmp_path):
    names = ["summary_old.csv", "summary_baseline.csv", "figures/gt_rank.png", "figures/mine.png"]
    names += ["tables/failures.tex", "tables/mine.tex", "report.html", "cells/nnn.csv"]
    names += ["tables/tabular/failures.tex"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    stale = summaries.remove_stale(tmp_path, {"summary_baseline.csv"})
    assert stale == [
        "figures/gt_rank.png",
        "tables/failures.tex",
        "tables/tabular/failures.tex",
        "summary_old.csv",
    ]
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(names) - set(stale)


def test_a_set_has_a_table_for_papers():
    assert {f"subset_{name}" for name in study_tables.SETS} <= study_tables.LATEX
    sets = {each.categories for each in written_study.method("nnn").sets}
    assert set(study_tables.SETS) == sets - {"all"}
