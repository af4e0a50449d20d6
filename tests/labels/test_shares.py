"""Shares of labels: one interval each, for a finite population where it matters, the same when read back."""

import random

import pytest

from benchmarks import label_intervals as bench
from common import files, statistics
from common.errors import UserError
from common.labels import gaps, shares
from common.labels.decisions import Item
from common.labels.ratings import Choice

ITEMS = [
    Item(idx, Choice(category, subtype), "one rater", 1)
    for idx, (category, subtype) in enumerate(
        [("Ambiguous", "underspecified")] * 3
        + [("Ambiguous", "nearduplicate"), ("Ambiguous", "")]
        + [("Count", "")] * 4
        + [("Object", "")]
    )
]


def of(population: int | None, waiting: int = 0, items: list[Item] = ITEMS) -> shares.Basis:
    return shares.Basis(items, gaps.NONE._replace(waiting=waiting), population)


def write(folder, basis: shares.Basis) -> None:
    """Both files, as step 4 writes them."""
    for name, rows in ((shares.DISTRIBUTION, shares.of_categories(basis)), (shares.VERSUS_CLEAR, None)):
        table = shares.table(rows or shares.of_ambiguous(basis))
        files.write_csv(folder / name, table.columns, table.rows)


def test_counts_over_all_and_over_clear():
    found = {(row.over, row.category): row.share for row in shares.of_categories(of(None))}
    assert list(found) == shares.OF_CATEGORIES
    assert (found["all", "Count"].n, found["all", "Count"].total, found["all", "Count"].share) == (4, 10, 0.4)
    assert (found["clear", "Count"].n, found["clear", "Count"].total) == (4, 5)
    assert found["all", "Spatial"].share == 0


def test_counts_of_ambiguous_and_its_subtypes():
    rows = shares.of_ambiguous(of(None))
    assert [row.label for row in rows] == shares.OF_AMBIGUOUS
    assert [row.share.n for row in rows] == [5, 5, 3, 1, 1]
    assert {row.share.total for row in rows} == {10}


@pytest.mark.parametrize(
    ("population", "finite"),
    [(None, False), (1000, False), (100, False), (99, True), (20, True), (10, True), (5, True)],
)
def test_a_large_part_of_all_failures_is_allowed_for(population, finite):
    """10 items are more than a tenth of 99 failures, and no more than a tenth of 100."""
    share = next(row.share for row in shares.of_categories(of(population)) if row.category == "Count")
    expected = statistics.wilson_of_finite(4, 10, population) if finite else statistics.wilson(4, 10)
    assert (share.low, share.high) == tuple(round(end, 6) for end in expected)
    assert (share.population, share.finite_population) == (population, finite)


def test_all_failures_labeled_is_a_known_share():
    share = shares.of_ambiguous(of(10))[0].share
    assert (share.share, share.low, share.high) == (0.5, 0.5, 0.5)


def test_how_many_failures_are_clear_nobody_knows():
    """Shares of the clear ones keep Wilson's interval, whatever the population."""
    for row in shares.of_categories(of(20)):
        if row.over == shares.CLEAR:
            assert (row.share.population, row.share.finite_population) == (None, False)
            low, high = statistics.wilson(row.share.n, row.share.total)
            assert (row.share.low, row.share.high) == (round(low, 6), round(high, 6))


@pytest.mark.parametrize("basis", [of(None), of(20), of(1811, waiting=2), of(30, 1, [])])
def test_what_is_read_back_is_what_was_written(tmp_path, basis):
    write(tmp_path, basis)
    assert shares.read_categories(tmp_path) == shares.of_categories(basis)
    assert shares.read_ambiguous(tmp_path) == shares.of_ambiguous(basis)


def test_columns_stay_and_further_ones_follow(tmp_path):
    write(tmp_path, of(1811, waiting=2))
    first, second, *_ = (tmp_path / shares.DISTRIBUTION).read_text(encoding="utf-8-sig").splitlines()
    old, new = "n,total,share,low,high,status,population,finite_population", "low_all,high_all,least,most"
    assert first == f"over,category,{old},{new}"
    status = "provisional: 2 wait in adjudicate.csv"
    assert second.startswith(f"all,Ambiguous,5,10,0.5,0.236593,0.763407,{status},1811,False,")
    assert second.endswith(f",{round(5 / 12, 6)},{round(7 / 12, 6)}")


def test_a_table_of_an_earlier_version_is_read(tmp_path):
    """It has none of the columns that came later; all else is as before."""
    write(tmp_path, of(20))
    for name in (shares.DISTRIBUTION, shares.VERSUS_CLEAR):
        rows = (tmp_path / name).read_text(encoding="utf-8-sig").splitlines()
        cut = "\n".join(",".join(row.split(",")[:-4]) for row in rows)
        (tmp_path / name).write_text(cut, encoding="utf-8-sig")
    blank = dict.fromkeys(("low_all", "high_all", "least", "most"))
    now = shares.of_categories(of(20))
    assert shares.read_categories(tmp_path) == [
        row._replace(share=row.share._replace(**blank)) for row in now
    ]
    assert [row.share.n for row in shares.read_ambiguous(tmp_path)] == [5, 5, 3, 1, 1]


# ---- what is missing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lacks", "status"),
    [
        (gaps.Gaps(200, 0, 0, 0, 0), "final"),
        (gaps.Gaps(200, 35, 0, 0, 0), "provisional: 35 of 200 without a label"),
        (gaps.Gaps(200, 35, 4, 3, 0), "provisional: 35 of 200 without a label, 3 wait in adjudicate.csv"),
        (gaps.Gaps(200, 0, 0, 1, 0), "provisional: 1 waits in adjudicate.csv"),
        (gaps.Gaps(1200, 2, 0, 0, 2), "final: 2 of 1,200 without a label, backups labeled in their place"),
        (gaps.Gaps(200, 3, 0, 0, 2), "provisional: 3 of 200 without a label"),
    ],
)
def test_status_says_what_is_missing(lacks, status):
    rows = shares.of_categories(shares.Basis(ITEMS, lacks, None))
    assert {row.share.status for row in rows} == {status}


@pytest.mark.parametrize(("missing", "waiting"), [(35, 0), (0, 11), (20, 3), (0, 0)])
def test_bounds_are_the_worst_cases(missing, waiting):
    """By hand: put every open item under the category, or under another one, and count again."""
    lacks = gaps.Gaps(10 + missing + waiting, missing, 0, waiting, 0)
    for row in shares.of_categories(shares.Basis(ITEMS, lacks, None)):
        added = [Item(100 + n, Choice(row.category, ""), "one rater", 1) for n in range(lacks.open)]
        others = [one._replace(choice=Choice("Action", "")) for one in added]
        most, least = (
            next(
                each.share.share
                for each in shares.of_categories(of(None, items=ITEMS + more))
                if (each.over, each.category) == (row.over, row.category)
            )
            for more in (added, others)
        )
        if row.category != "Action":
            assert (row.share.least, row.share.most) == (least, most), row
        assert lacks.open or row.share.least == row.share.most == row.share.share


def test_seven_at_once_are_wider_than_one():
    for row in shares.of_categories(of(1811)):
        share = row.share
        together = statistics.wilson(share.n, share.total, statistics.z_of(7 if row.over == "all" else 6))
        assert (share.low_all, share.high_all) == tuple(round(end, 6) for end in together)
        assert share.low_all <= share.low and share.high_all >= share.high
    assert {row.share.low_all for row in shares.of_ambiguous(of(None))} == {None}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("all,Ambiguous,5", "all,Ambiguous,five", "is not what step 4 writes"),
        (",0.5,", ",a half,", "is not what step 4 writes"),
        ("all,Ambiguous", "all,Unclear", "has not the rows that step 4 writes"),
        ("status", "state", "no header row with the columns"),
    ],
)
def test_another_table_is_refused(tmp_path, old, new, words):
    write(tmp_path, of(20))
    path = tmp_path / shares.DISTRIBUTION
    path.write_text(path.read_text(encoding="utf-8-sig").replace(old, new, 1), encoding="utf-8-sig")
    with pytest.raises(UserError, match=words) as refused:
        shares.read_categories(tmp_path)
    assert "run `python merge_assignments.py` again" in str(refused.value)


def test_a_table_that_was_not_found_is_said(tmp_path):
    with pytest.raises(UserError, match="ambiguous_vs_clear.csv was not found: run `python merge_assign"):
        shares.read_ambiguous(tmp_path)


@pytest.mark.slow
def test_intervals_cover_the_distribution_as_labeled():
    """The benchmark's own numbers, on fewer redraws: 3 standard errors are then about 3.8 points."""
    expected, draw = bench.as_labeled(0.15), random.Random(3)
    assert sum(expected.values()) == pytest.approx(1)
    studies = [bench.redraw(0.15, draw) for _ in range(300)]
    assert bench.all_covered(studies, expected) >= 0.95 - 0.038
    for place, (name, share) in enumerate(expected.items()):
        assert 0.91 < bench.covered(studies, place, share) < 0.99, name
