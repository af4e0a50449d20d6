"""Second answers and seconds of pages: told of each person, and counted as nothing else."""

import pytest

from common import files
from common.annotation import material, page
from common.labels import drawn, handed_in, levels, plan, ratings, retest
from common.labels.agreement import Redraws
from tests.support import merge_folder as study
from tests.support.merge_folder import Folder

AGAIN = {"revision": 9, "repeat": 1}


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


def page_of(folder: Folder, rater: str, first: dict, again: dict, **cells) -> None:
    """A page's export: labels of items, and second answers."""
    rows = study.filled(first, revision=9, **cells) + study.filled(again, **AGAIN)
    study.write_sheet(folder.path / f"assign_page_{rater}.csv", rows)


def read(folder: Folder) -> handed_in.HandIn:
    return handed_in.read(drawn.read(folder.root / "cache", folder.path))


def test_a_second_answer_is_no_rating(folder):
    """It clashes with nothing, though it says otherwise, and fills no gap: of item 8 there is no other."""
    page_of(folder, "A", {6: "Count", 7: "Object"}, {6: "Action", 7: "Object", 8: "Count"})
    given = read(folder)
    assert given.problems == [] and given.n_rows["assign_page_A.csv"] == 5
    labels = ratings.one_each(given.ratings)
    assert {idx: by["A"].category for idx, by in labels.items()} == {6: "Count", 7: "Object"}
    assert len(given.repeats) == 3 and all(rating.choice is None for rating in retest.struck(given.repeats))
    percent, kappa = retest.compare(given.repeats, labels, Redraws(20, [1]))
    assert (percent.raters, percent.n_items, percent.value, kappa.statistic) == (
        "A, A again",
        2,
        0.5,
        "Cohen's kappa",
    )
    (line,) = retest.sentences([percent, kappa])
    assert line.startswith("A the second time, on 2 items: percent 0.50 [")
    assert levels.measure(labels, 20, 1)[levels.CATEGORY][0].value is None  # nobody else labeled these


def test_a_bad_second_answer_is_named_like_any_other(folder):
    page_of(folder, "A", {6: "Count"}, {6: "Zebra", 30: "Count"})
    found = [(each.row, each.column) for each in read(folder).problems]
    assert found == [("3", "category"), ("4", "idx")]


def test_only_the_latest_export_of_a_page_counts(folder):
    page_of(folder, "A", {6: "Count", 7: "Count"}, {6: "Count"}, seconds=10)
    rows = study.filled({6: "Count", 7: "Count"}, revision=12, seconds=30)
    rows += study.filled({6: "Object"}, revision=12, repeat=1, seconds=5)
    study.write_sheet(folder.path / "assign_page_A (1).csv", rows)
    given = read(folder)
    assert [str(rating.choice) for rating in given.repeats] == ["Object"]
    (rater,) = (one for one in handed_in.raters(given, ratings.one_each(given.ratings)) if one.name == "A")
    assert (rater.timed, rater.seconds) == (2, 60)
    assert any("; 30 s an item" in line for line in handed_in.sentences(given, [rater]))


def test_a_plan_takes_the_time_that_pages_recorded(folder):
    assert plan.read_pace(folder.path) == plan.Pace()
    page_of(folder, "A", {6: "Count", 7: "Count", 8: "Count"}, {}, seconds=12)
    folder.fill("assign_B", {9: "Count"})  # a sheet knows no time
    given = read(folder)
    table = handed_in.table(handed_in.raters(given, ratings.one_each(given.ratings)))
    files.write_csv(folder.path / handed_in.RATERS, table.columns, table.rows)
    assert plan.read_pace(folder.path) == plan.Pace(12.0, 3)
    old = [name for name in table.columns if name not in handed_in.TIMES]
    files.write_csv(
        folder.path / handed_in.RATERS, old, [{name: row.get(name) for name in old} for row in table.rows]
    )
    assert plan.read_pace(folder.path) == plan.Pace()


def test_step_4_writes_and_removes_what_second_answers_say(folder):
    page_of(folder, "A", {6: "Count", 7: "Object"}, {6: "Action", 7: "Object"}, seconds=20)
    said = folder.merged()
    assert "A the second time, on 2 items: percent 0.50" in said and "20 s an item" in said
    assert [row["statistic"] for row in folder.table(retest.NAME)] == ["percent agreement", "Cohen's kappa"]
    raw = [row["status"] for row in folder.table("annotations_raw.csv")]
    assert raw == ["counted"] * 2 + [retest.STATUS] * 2
    assert folder.clean() == {6: "Count", 7: "Object"}
    page_of(folder, "A", {6: "Count", 7: "Object"}, {})
    assert "second time" not in folder.merged() and not (folder.path / retest.NAME).exists()


@pytest.mark.parametrize(
    ("own", "shared", "n"), [(50, 50, 10), (50, 50, 25), (4, 0, 2), (2, 0, 1), (2, 40, 1)]
)
def test_items_come_again_late_and_never_at_once(own, shared, n):
    """Whatever the order: all of one's own first, last, or mixed with the shared ones."""
    mine = [page.Item(idx, "a", 0, 1, page.OWN) for idx in range(own)]
    others = [page.Item(1000 + idx, "a", 0, 1, "overlap") for idx in range(shared)]
    mixed = sorted(mine + others, key=lambda item: (item.idx * 7919) % 101)
    for items in (mine + others, others + mine, mixed):
        found = material.with_repeats(items, n)
        assert [item for item in found if not item.repeat] == items
        again = [item.idx for item in found if item.repeat]
        assert len(set(again)) == n and max(again) < 1000
        for idx in again:
            first, second = (place for place, item in enumerate(found) if item.idx == idx)
            assert second - first > 1 and second >= len(items) * 2 // 3
    assert material.with_repeats(mine, 0) == mine
