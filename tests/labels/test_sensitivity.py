"""What if annotators err: a model that finds the truth where its assumption holds, and misses elsewhere."""

import numpy as np
import pytest

from common.labels import sensitivity
from common.labels.agreement import MISSING, Redraws
from common.labels.ratings import Choice
from common.labels.taxonomy import CATEGORY_NAMES

TRUTH, Q = np.array((0.45, 0.12, 0.08, 0.09, 0.06, 0.08, 0.12)), 7
ALIKE, THERE = sensitivity.assumptions().values()


def study(draw: np.random.Generator, errors, falls: np.ndarray, shared: int = 50, n: int = 200) -> np.ndarray:
    """(n, 3) codes: the first items labeled by all three, each of the others by one."""
    truth = draw.choice(Q, n, p=TRUTH)
    wrong = np.array([[draw.choice(Q, p=falls[code]) for _ in range(3)] for code in truth])
    matrix = np.where(draw.random((n, 3)) < errors, wrong, truth[:, None])
    alone = np.arange(n)[:, None] % 3 != np.arange(3)
    return np.where(alone & (np.arange(n) >= shared)[:, None], MISSING, matrix)


def mean_of_ambiguous(errors, falls: np.ndarray, assumed: np.ndarray, studies: int = 40) -> float:
    """Mean over studies of the share of Ambiguous that a model finds, less the truth, in points."""
    draw = np.random.default_rng(1)
    matrices = [study(draw, errors, falls) for _ in range(studies)]
    fits = [sensitivity.fit(*np.unique(matrix, axis=0, return_counts=True), assumed) for matrix in matrices]
    return 100 * (np.mean([one.shares[0] for one in fits]) - TRUTH[0])


def labels(matrix: np.ndarray) -> dict:
    """What step 4 has of such codes."""
    return {
        idx: {
            rater: Choice(CATEGORY_NAMES[code], "")
            for rater, code in zip("ABC", row, strict=True)
            if code != MISSING
        }
        for idx, row in enumerate(matrix.tolist())
    }


def test_where_wrong_labels_fall_sums_to_one():
    for falls in (ALIKE, THERE):
        assert falls.sum(1) == pytest.approx(np.ones(Q))
        assert (np.diag(falls) == 0).all()
    assert THERE[1:, 0] == pytest.approx(np.full(6, 0.8))


@pytest.mark.parametrize("errors", [(0.05, 0.10, 0.15), (0.15,) * 3, (0.30,) * 3])
def test_the_bias_goes_where_errors_fall_as_assumed(errors):
    """Counts are 2.5 to 8 points off there. 40 studies leave about +-1.5 points for chance."""
    assert abs(mean_of_ambiguous(errors, ALIKE, ALIKE)) < 1.5


def test_a_wrong_assumption_is_off_by_points():
    """Errors that go to Ambiguous, taken for errors alike: some six points too many, and the other way."""
    assert 4 < mean_of_ambiguous((0.15,) * 3, THERE, ALIKE) < 9
    assert -9 < mean_of_ambiguous((0.15,) * 3, ALIKE, THERE) < -3
    assert abs(mean_of_ambiguous((0.15,) * 3, THERE, THERE)) < 2


def test_error_rates_are_found():
    matrix = study(np.random.default_rng(3), (0.05, 0.10, 0.30), ALIKE, shared=4000, n=4000)
    found = sensitivity.fit(*np.unique(matrix, axis=0, return_counts=True), ALIKE)
    assert found.errors == pytest.approx([0.05, 0.10, 0.30], abs=0.02)
    assert found.shares == pytest.approx(TRUTH, abs=0.02)


def test_rows_name_their_assumption_and_what_was_counted():
    counted = dict.fromkeys(CATEGORY_NAMES, 0.1)
    matrix = study(np.random.default_rng(2), (0.15,) * 3, ALIKE)
    rows = sensitivity.of(labels(matrix), counted, Redraws(40, [1]))
    assert [row.about for row in rows] == ([*["category"] * 7, *["rater"] * 3]) * 2
    assert {row.assumption for row in rows} == set(sensitivity.assumptions())
    for row in rows:
        assert row.low < row.high and row.low <= row.value <= row.high, row
        assert row.counted == (0.1 if row.about == "category" else None)
    assert sensitivity.of(labels(matrix), counted, Redraws(40, [1])) == rows
    assert len(sensitivity.sentences(rows)) == 2


def test_raters_who_never_differ_leave_the_counts():
    """And an interval with a width all the same, that of a share."""
    matrix = study(np.random.default_rng(2), (0.0,) * 3, ALIKE)
    counts = np.bincount(matrix.max(1), minlength=Q) / len(matrix)
    rows = sensitivity.of(labels(matrix), dict(zip(CATEGORY_NAMES, counts, strict=True)), Redraws(40, [1]))
    for row in rows:
        assert row.value == pytest.approx(row.counted or 0, abs=1e-6) and row.low < row.high


@pytest.mark.parametrize("shared", [0, 10, 29])
def test_too_small_an_overlap_says_nothing(shared):
    matrix = study(np.random.default_rng(2), (0.15,) * 3, ALIKE, shared=shared)
    assert sensitivity.of(labels(matrix), dict.fromkeys(CATEGORY_NAMES), Redraws(40, [1])) == []


@pytest.mark.parametrize("columns", [[0], []])
def test_one_rater_or_none_says_nothing(columns):
    matrix = np.full((40, 3), MISSING)
    matrix[:, columns] = 1
    assert sensitivity.of(labels(matrix), dict.fromkeys(CATEGORY_NAMES), Redraws(40, [1])) == []
