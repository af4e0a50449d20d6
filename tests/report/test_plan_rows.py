"""What a study could show: step 2's plan and step 6's power, as rows and as tables."""

from common.labels import manifest, plan
from common.report import label_inputs, label_rows, plan_rows, study_tables, summaries, tables
from common.report.label_inputs import Rater
from tests.report.test_assisted_rows import BASE
from tests.report.test_compared_rows import with_models
from tests.support import merge_folder, written_study


def written(folder, **rows) -> dict[str, tables.Csv]:
    return summaries.write(folder, BASE | rows)


def test_the_plan_is_that_of_the_draw(tmp_path):
    merge_folder.write_manifest(tmp_path, "0" * 16, 1811)
    draw = manifest.read_or_none(tmp_path)
    rows = plan_rows.planned(draw, plan.Pace())
    expected = plan.of(draw.settings, 1811, plan.Pace())
    assert [(row["what"], row["value"]) for row in rows] == plan.told(expected)
    assert rows[0]["value"] in str(study_tables.of(written(tmp_path, summary_plan=rows))["plan"].csv.rows)
    assert plan_rows.planned(None, plan.Pace()) == []


def test_power_says_which_effects_and_what_they_take(tmp_path):
    index = with_models(power=written_study.comparisons()["power"])
    csvs = written(tmp_path, summary_power=plan_rows.power(index))
    needed = [row["control_size_for_1_point"] for row in csvs["summary_power"].rows]
    assert needed == ["3200", "every caption is ranked", "none would do"]
    tabular = tables.render(study_tables.of(csvs)["power"]).tabular
    assert all(words in tabular for words in ("1.40 to 1.90", "3200", "1.10 to 1.20", "none would do"))
    assert plan_rows.power(with_models(power=[])) == []


def test_second_answers_and_seconds_are_shown(tmp_path):
    again = {"over": "pair", "statistic": "Cohen's kappa", "raters": "A, A again", "n_items": "10"}
    again |= {"value": "0.870000", "low": "0.600000", "high": "0.970000", "caution": "only 10 items"}
    raters = [Rater("A", 100, 0, 90, 21.46), Rater("B", 100, 0)]
    labels = written_study.labels_of({"Count": 3})._replace(retest=[again], raters=raters)
    rows = {
        "summary_retest": label_rows.second_answers(labels),
        "summary_raters": label_rows.raters(labels),
    }
    csvs = written(tmp_path, **rows)
    found = study_tables.of(csvs)
    assert [row["seconds_an_item"] for row in csvs["summary_raters"].rows] == ["21.5", ""]
    assert "0.87 [0.60, 0.97]" in tables.render(found["retest"]).tabular
    assert "(90)" in tables.render(found["raters"]).tabular


def test_raters_of_an_earlier_version_have_no_time(tmp_path):
    path = tmp_path / "raters.csv"
    path.write_text("rater,sheets,labelled,missing\nA,assign_A.csv,100,2\n", encoding="utf-8")
    assert label_inputs._raters(path) == [Rater("A", 100, 2)]
    path.write_text("rater,labelled,missing,timed,seconds\nA,100,2,50,600\nB,90,0,,\n", encoding="utf-8")
    assert label_inputs._raters(path) == [Rater("A", 100, 2, 50, 12.0), Rater("B", 90, 0)]
