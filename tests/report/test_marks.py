"""A number's status goes wherever the number goes: a study in which every mark occurs, in each output."""

import re

import pytest

from common import results
from tests.support import summary_study as study_of
from tests.support import written_study
from tests.support.folders import Folders
from tests.support.summary_study import change_json, copy_of, page, table

WHOLE = {"transductive", "extra knowledge", "dealt", "estimated from 1,800 of 12,000", "tuned"}
EVERY = WHOLE | {"anecdotal: n = 200"}


@pytest.fixture(scope="module")
def marked(tmp_path_factory) -> Folders:
    study = written_study.labeled(tmp_path_factory.mktemp("marked"), 300)
    written_study.write_improvements(study)
    study.said["step 5"] = study_of.summarize(study)
    return study


def test_the_study_has_every_mark():
    """Each that is declared, on the whole set but for the one that a small set has."""
    methods, rows = written_study.improvements()
    assert {mark for row in rows for mark in row.marks.words} == WHOLE
    every = {mark for each in methods for one in each.sets for mark in one.marks.words}
    assert every == EVERY
    declared = {next(key for key in results.LEGEND if mark.startswith(key)) for mark in every}
    assert declared == set(results.LEGEND)


def words(text: str) -> set[str]:
    return {mark for mark in EVERY if mark in text}


CSVS = {
    "summary_net_effects": WHOLE,
    "summary_subset_results": EVERY,
    "summary_matrix": EVERY - {"estimated from 1,800 of 12,000"},  # by category all failures were ranked
    "figures/net_effect": WHOLE,
    "figures/gained_lost": WHOLE,
    "figures/hubness": {"transductive", "extra knowledge", "tuned"},  # of methods that ranked everything
}


@pytest.mark.parametrize("name", CSVS)
def test_every_csv_has_the_marks_of_its_rows(marked, name):
    rows = table(marked.results / f"{name}.csv")
    columns = [column for column in rows[0] if column.endswith("marks")]
    assert words("; ".join(row[column] for row in rows for column in columns)) == CSVS[name]


TABLES = {
    "net_effects": WHOLE,
    "net_effects_further": WHOLE,
    "matrix": EVERY - {"estimated from 1,800 of 12,000"},
    "subset_Action": {"anecdotal: n = 200", "transductive", "extra knowledge", "dealt", "tuned"},
    "hubness": {"transductive", "extra knowledge", "tuned"},
}


@pytest.mark.parametrize("folder", ["tables", "tables/tabular"])
@pytest.mark.parametrize("name", TABLES)
def test_every_latex_table_has_the_marks_of_its_rows(marked, name, folder):
    """Row for row: a method that has a mark never stands without it."""
    text = (marked.results / folder / f"{name}.tex").read_text(encoding="utf-8").replace("~", " ")
    assert words(text) == TABLES[name]
    for line in text.splitlines():
        for method, mark in (("dis &", "transductive"), ("words &", "extra knowledge"), ("dn &", "tuned")):
            assert not line.startswith(method) or mark in line


def test_the_report_has_every_mark(marked):
    """Next to the numbers of each CSV that it shows a table of, and each mark is explained."""
    shown = [one for one in page(marked).numbers if one.column.endswith("marks")]
    by_csv = {name: words(" ".join(one.text for one in shown if one.csv == f"{name}.csv")) for name in CSVS}
    # Tables of sets leave out the set of all, which alone is estimated; two CSVs are figures alone.
    drawn = {"figures/net_effect": set(), "figures/gained_lost": set()}
    assert by_csv == CSVS | {"summary_subset_results": CSVS["summary_matrix"]} | drawn
    terms = re.findall(r"<dt>\((.*?)\)</dt>", page(marked).raw)
    assert set(terms) == set(results.LEGEND)


def test_names_and_marks_are_explained_before_they_are_used(marked):
    """But for the card of the best fix, which explains the one name that it shows."""
    main = page(marked).raw.split("<main>")[1]
    card, rest = main.split("What the names mean")
    assert card.count('data-column="name"') == 1 and "<dl>" in card
    assert rest.index('class="methods"') < rest.index("Read with care") < rest.index('data-column="name"')


def test_what_is_no_fix_is_never_the_best_fix(marked):
    """Transductive +9 and extra knowledge +8 stand behind the fix with +3, which carries its mark."""
    rows = table(marked.results / "summary_net_effects.csv")
    assert [row["fix"] for row in rows] == ["True"] * 8 + ["False"] * 2
    assert [row["name"] for row in rows[-2:]] == ["dis", "words"]
    best = "Best fix: prompts (mean) (estimated from 1,800 of 12,000), +3.00 points [+2.50, +5.00] on R@1"
    assert f"{best}, p = 0.0120 (Holm)" in marked.said["step 5"]
    helping = {"prompts (mean)", "prompts (logsumexp)"}
    assert {row["name"] for row in rows if row["helps"] == "True"} == helping
    named = re.findall(r"<strong><span[^>]*?summary_net_effects[^>]*>(.*?)</span>", page(marked).raw)
    assert set(named) == helping


@pytest.mark.parametrize("p", [0.05, 0.3, 1.0])
def test_no_fix_helps_where_holm_leaves_none(marked, tmp_path, p):
    study = copy_of(marked, tmp_path)
    change_json(
        study.results / results.INDEX,
        lambda index: [row.update(p_holm=p) for row in index["net_effects"]],
    )
    assert "No fix helps. The best one is prompts (mean) (estimated" in study_of.summarize(study)
    shown = " ".join(page(study).plain)
    assert "No fix helps" in shown and "no fix raises R@1" in shown and "Best fix" not in shown
