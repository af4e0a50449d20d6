"""What a study will show: step 4's own formulas, before there are labels."""

import math
import re

import numpy as np
import pytest

from benchmarks import plan as bench
from common import records
from common.labels import plan, shares
from common.labels.manifest import Design
from tests.support import PROJECT

DESIGN = Design(
    SAMPLE_SIZE=200,
    OVERLAP_SIZE=50,
    PER_ANNOTATOR=50,
    BACKUP_SIZE=40,
    ANNOTATORS=["A", "B", "C"],
    SEED=42,
    LANGUAGE="en",
)


def test_intervals_are_those_of_the_shares():
    """Of 1,811 failures 200 are more than a tenth, of 17,390 they are not."""
    for population in (1811, 17390):
        found = plan.of(DESIGN, population, plan.Pace())
        assert list(found.intervals) == list(plan.SHARES)
        assert found.intervals[0.1] == shares.interval(20, 200, population)


def test_labels_needed_are_the_fewest_that_do():
    """+-5 points at 50 % take 381 labels of endless failures (385 by the normal interval), fewer of 1,811."""
    assert plan.needed(0.05, 10**9) == 381
    for half, population in ((0.05, 1811), (0.03, 1811), (0.05, 17390)):
        n = plan.needed(half, population)
        widths = [np.diff(shares.interval(size / 2, size, population))[0] for size in (n - 1, n)]
        assert widths[0] > 2 * half >= widths[1]
    assert plan.needed(0.05, 7) == 7  # of a handful all have to be labeled


@pytest.mark.parametrize("n", bench.SIZES)
def test_widths_are_within_a_tenth_of_simulated_ones(n):
    for population in bench.POPULATIONS:
        for share in plan.SHARES:
            assert abs(bench.width_of_share(n, share, population, 500).off) < 0.1
        assert abs(bench.largest(n, population, 4000).off) < 0.1
    for raters in (2, 3):
        assert abs(bench.width_of_alpha(n, raters, 60).off) < 0.1


def test_all_failures_labeled_leave_no_doubt():
    assert plan.chance_of_largest(np.array([0.3, 0.2]), 100, 100) == 1
    assert plan.chance_of_largest(np.array([0.3, 0.3]), 10**6, 10**9) == pytest.approx(0.5, abs=0.01)


def test_lines_are_few_and_say_what_is_assumed():
    lines = plan.sentences(plan.of(DESIGN, 1811, plan.Pace()))
    assert len(lines) == 6
    assert "half are Ambiguous" in lines[4] and "100 items, about 60 minutes (the guide's rate)" in lines[5]
    one = records.replace(DESIGN, OVERLAP_SIZE=0, PER_ANNOTATOR=200, ANNOTATORS=["A"])
    alone = plan.of(one, 1811, plan.Pace(18.0, 90))
    assert alone.alpha is None and alone.minutes == 60
    assert "none to measure" in plan.sentences(alone)[3]
    assert "as pages timed 90 items" in plan.sentences(alone)[5]


def test_the_guide_says_the_same_rate():
    words = re.sub(r"\s+", " ", (PROJECT / "annotation_guide.md").read_text(encoding="utf-8"))
    assert "A hundred captions take about an hour" in words
    assert math.isclose(100 * plan.GUIDES_SECONDS, 3600)
