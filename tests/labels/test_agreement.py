"""Coefficients of agreement: equal to the libraries', to published examples worked by hand, and never nan."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from benchmarks import agreement_intervals as bench
from common import statistics
from common.labels import agreement, coefficients
from common.labels.agreement import MISSING


def table(*patterns: tuple[int, list[int]], raters: int = 2) -> np.ndarray:
    """A matrix of ratings from (how many items, the raters' codes)."""
    rows = [codes for n, codes in patterns for _ in range(n)]
    return np.array(rows).reshape(-1, raters)


def assess(
    matrix: np.ndarray, raters: list[str], labels: list[str], rounds: int, seed: int
) -> list[agreement.Estimate]:
    return agreement.assess(matrix, raters, labels, agreement.Redraws(rounds, [seed]))


def value(matrix: np.ndarray, statistic: str, q: int, raters: list[str] | None = None) -> float | None:
    """One coefficient over all raters (Cohen's kappa: of the first pair)."""
    raters = raters or [f"R{number}" for number in range(matrix.shape[1])]
    found = [
        one
        for one in assess(matrix, raters, [f"label {code}" for code in range(q)], 0, 1)
        if one.statistic == statistic
    ]
    return found[0].value


# ---- against libraries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_equal_to_the_libraries_on_random_tables(seed):
    import krippendorff
    from sklearn.metrics import cohen_kappa_score
    from statsmodels.stats.inter_rater import fleiss_kappa

    random = np.random.default_rng(seed)
    q, n_raters, n_items = random.integers(2, 8), random.integers(2, 6), random.integers(5, 120)
    truth = random.choice(q, n_items, p=random.dirichlet(np.ones(q)))
    noise = random.random((n_items, n_raters)) < random.uniform(0.05, 0.6)
    full = np.where(noise, random.integers(0, q, (n_items, n_raters)), truth[:, None])
    full[0], full[1] = 0, 1  # so that no table has one label only
    holes = np.where(random.random(full.shape) < 0.3, MISSING, full)
    holes[0], holes[1] = 0, 1

    for matrix in (full, holes):
        as_floats = np.where(matrix == MISSING, np.nan, matrix).T
        expected = krippendorff.alpha(as_floats, level_of_measurement="nominal", value_domain=list(range(q)))
        assert value(matrix, "Krippendorff's alpha", q) == pytest.approx(expected, abs=1e-12)
        for first, second in itertools.combinations(range(n_raters), 2):
            pair = matrix[:, [first, second]]
            pair = pair[(pair != MISSING).all(1)]
            kappa = cohen_kappa_score(*pair.T, labels=range(q))
            assert coefficients.cohen_kappa(agreement.pair_table(pair, q)).value == pytest.approx(
                kappa, abs=1e-12
            )
    assert value(full, "Fleiss' kappa", q) == pytest.approx(
        fleiss_kappa(agreement.label_counts(full, q)), abs=1e-12
    )
    complete = holes[(holes != MISSING).all(1)]
    assert value(holes, "Fleiss' kappa", q) == pytest.approx(
        fleiss_kappa(agreement.label_counts(complete, q)), abs=1e-12
    )
    assert value(full[:, :2], "percent agreement", q) == pytest.approx((full[:, 0] == full[:, 1]).mean())


# ---- against published examples -------------------------------------------------------------------------


def test_ac1_on_gwets_skewed_example():
    """The 125 subjects with which Gwet (2008) shows the paradox of kappa, worked by hand.

    118 times both say +, 5 times the first alone, 2 times the second alone, never both -. p_a = 118/125 =
    0.944. Kappa: p_e = (123 * 120 + 2 * 5) / 125^2 = 0.9453, so kappa = -0.0234. AC1: the share of + is
    (123/125 + 120/125) / 2 = 0.972, p_e = 2 * 0.972 * 0.028 = 0.0544, so AC1 = 0.8896 / 0.9456 = 0.9408.
    """
    matrix = table((118, [0, 0]), (5, [0, 1]), (2, [1, 0]))
    assert value(matrix, "percent agreement", 2) == pytest.approx(0.944)
    assert value(matrix, "Cohen's kappa", 2) == pytest.approx(-0.0234, abs=5e-5)
    assert value(matrix, "Gwet's AC1", 2) == pytest.approx(0.9408, abs=5e-5)


def test_ac1_and_alpha_on_four_observers_with_gaps():
    """Krippendorff's 12 units and 4 observers (2004, ch. 11), which Gwet's Handbook (2014, ch. 2) works too.

    Alpha is published as 0.743, AC1 as 0.775. By hand: of the 11 units with two or more ratings eight agree
    wholly, units 2 and 8 have 1/2 of their pairs equal and unit 6 none, so p_a = 9/11 = 0.8182. Label 1 has
    the mean share (1 + 1/4 + 3/4 + 1) / 12 = 3/12, label 2 (3/4 + 1 + 1/4 + 1/4 + 1) / 12 = 3.25/12, label 3
    (1/4 + 1 + 1 + 1/4 + 1) / 12 = 3.5/12, label 4 (1/4 + 1) / 12 = 1.25/12, label 5 1/12. So p_e =
    (1 - (3^2 + 3.25^2 + 3.5^2 + 1.25^2 + 1^2) / 144) / 4 = 0.1903 and AC1 = 0.6279 / 0.8097 = 0.7754.
    """
    units = "11-1 2232 3333 3333 2222 1234 4444 1121 2222 -555 --11 --3-".split()
    codes = [[MISSING if label == "-" else int(label) - 1 for label in unit] for unit in units]
    matrix = np.array(codes)
    assert value(matrix, "Krippendorff's alpha", 5) == pytest.approx(0.743, abs=5e-4)
    assert value(matrix, "percent agreement", 5) == pytest.approx(9 / 11)
    assert value(matrix, "Gwet's AC1", 5) == pytest.approx(0.7754, abs=5e-5)


def test_fleiss_on_a_worked_example():
    """10 items, 14 raters, 5 labels, worked in many textbooks after Fleiss (1971): kappa = 0.210."""
    rows = (
        "0 0 0 0 14/0 2 6 4 2/0 0 3 5 6/0 3 9 2 0/2 2 8 1 1/7 7 0 0 0/3 2 6 3 0/2 5 3 2 2/6 5 2 1 0/0 2 2 3 7"
    )
    counts = np.array([row.split() for row in rows.split("/")], dtype=int)
    assert coefficients.fleiss_kappa(counts, np.ones(10)).value == pytest.approx(0.210, abs=5e-4)


def test_the_prevalence_paradox():
    """90 % agreement and skewed labels: kappa -0.05, AC1 0.89."""
    matrix = table((90, [0, 0]), (5, [0, 1]), (5, [1, 0]))
    assert value(matrix, "Cohen's kappa", 2) == pytest.approx(-0.0526, abs=5e-5)
    assert value(matrix, "Gwet's AC1", 2) == pytest.approx(0.8895, abs=5e-5)
    estimates = assess(matrix, ["A", "B"], ["clear", "ambiguous"], 200, 1)
    kappa = next(one for one in estimates if one.statistic == "Cohen's kappa")
    assert "95% of the ratings are clear" in kappa.caution
    assert "read AC1" in kappa.caution


# ---- intervals ------------------------------------------------------------------------------------------


def test_intervals_are_those_of_redrawing_items_one_by_one():
    """The weights over patterns against the plain bootstrap, which draws rows of the matrix."""
    random = np.random.default_rng(5)
    truth = random.integers(0, 3, 80)
    matrix = np.where(random.random((80, 3)) < 0.25, random.integers(0, 3, (80, 3)), truth[:, None])
    matrix[random.random((80, 3)) < 0.3] = MISSING
    shared = matrix[(matrix != MISSING).sum(1) >= 2]
    single = matrix[(matrix != MISSING).sum(1) == 1]
    assert len(single) > 0
    redrawn = [
        np.vstack([part[random.integers(0, len(part), len(part))] for part in (shared, single)])
        for _ in range(3000)
    ]
    found = {one.statistic: one for one in assess(matrix, ["A", "B", "C"], list("abc"), 6000, 1)[:3]}
    formulas = (coefficients.percent_agreement, coefficients.krippendorff_alpha, coefficients.gwet_ac1)
    for statistic, formula in zip(found, formulas, strict=True):
        values = [formula(agreement.label_counts(rows, 3), np.ones(len(rows))).value for rows in redrawn]
        n = len(shared)
        tail = t.sf(t.ppf(0.975, n - 1) * (n / (n - 1)) ** 0.5, np.inf)  # the expanded percentiles
        plain = np.quantile(values, [tail, 1 - tail])
        assert [found[statistic].low, found[statistic].high] == pytest.approx(plain, abs=0.015)


def test_intervals_stay_with_items_reordered_or_a_further_rater():
    random = np.random.default_rng(1)
    matrix = random.integers(0, 3, (40, 2))
    first = assess(matrix, ["A", "B"], list("abc"), 300, 7)
    assert assess(matrix[::-1], ["A", "B"], list("abc"), 300, 7) == first
    alone = np.full((1, 3), MISSING)
    alone[0, 2] = 0
    more = np.vstack([np.column_stack([matrix, np.full(40, MISSING)]), alone])
    further = assess(more, ["A", "B", "C"], list("abc"), 300, 7)
    pairs = [one for one in further if one.over == "pair" and one.raters == "A, B"]
    assert pairs == [one for one in first if one.over == "pair"]


def test_drawing_in_pieces_changes_nothing(monkeypatch):
    matrix = np.random.default_rng(1).integers(0, 3, (40, 3))
    whole = assess(matrix, ["A", "B", "C"], list("abc"), 300, 7)
    monkeypatch.setattr(agreement, "CELLS_AT_ONCE", 100)
    assert assess(matrix, ["A", "B", "C"], list("abc"), 300, 7) == whole


# ---- tables that tell nothing ---------------------------------------------------------------------------

DEGENERATE = {
    "no rating": (np.zeros((0, 0), int), [], "no rating"),
    "one rater": (table((5, [0]), raters=1), ["A"], "only one rater: agreement takes two"),
    "no item in common": (table((3, [0, MISSING]), (3, [MISSING, 1])), ["A", "B"], "no item has labels of"),
    "all blank": (table((3, [MISSING, MISSING])), ["A", "B"], "no item has labels of"),
    "nobody rated all": (
        table((3, [0, 0, MISSING]), (3, [MISSING, 1, 0]), raters=3),
        ["A", "B", "C"],
        "no item has labels of all raters at this level",
    ),
    "one label only": (table((30, [1, 1])), ["A", "B"], "undefined: every rating is b"),
    "one item": (table((1, [0, 1])), ["A", "B"], "only 1 item"),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_tables_give_a_sentence(name):
    matrix, raters, words = DEGENERATE[name]
    estimates = assess(matrix, raters, list("ab"), 100, 1)
    assert any(words in one.caution for one in estimates)
    for one in estimates:
        numbers = (one.value, one.low, one.high)
        assert not any(number is not None and np.isnan(number) for number in numbers)
        assert one.caution or None not in numbers


def test_one_label_only_leaves_percent_and_ac1():
    estimates = {one.statistic: one for one in assess(*DEGENERATE["one label only"][:2], ["a", "b"], 50, 1)}
    assert estimates["percent agreement"].value == estimates["Gwet's AC1"].value == 1
    assert estimates["percent agreement"].low == pytest.approx(statistics.wilson(30, 30)[0])
    for undefined in ("Krippendorff's alpha", "Fleiss' kappa", "Cohen's kappa"):
        one = estimates[undefined]
        assert (one.value, one.low, one.high) == (None, None, None)


def test_no_interval_where_many_redraws_hold_one_label():
    matrix = table((40, [0, 0]), (1, [0, 1]))
    kappa = assess(matrix, ["A", "B"], ["a", "b"], 500, 1)[-1]
    assert kappa.value == 0
    assert (kappa.low, kappa.high) == (None, None)
    assert "of the redraws held one label only" in kappa.caution


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_table_crashes_or_gives_nan(data):
    n_raters, n_items = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 8))
    codes = st.integers(MISSING, 2)
    rows = data.draw(
        st.lists(st.lists(codes, min_size=n_raters, max_size=n_raters), min_size=n_items, max_size=n_items)
    )
    matrix = np.array(rows, dtype=int).reshape(n_items, n_raters)
    for one in assess(matrix, [f"R{n}" for n in range(n_raters)], list("abc"), 20, 1):
        for number in (one.value, one.low, one.high):
            assert number is None or -1.0000001 <= number <= 1.0000001
        assert one.value is not None or one.caution


# ---- near full agreement ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [14, 20, 50])
def test_intervals_cover_where_raters_hardly_err(n):
    """2 % of labels wrong: plain redraws cover 42 to 92 %. 100 studies leave +-4 points for chance."""
    for statistic, covered in bench.coverage(n, (0.02,) * 3, 100).items():
        assert covered.plain < covered.now >= 0.91, statistic
        assert covered.without < 0.1 and covered.points == 0, statistic


@pytest.mark.parametrize("n", [7, 14, 49])
def test_full_agreement_has_an_interval_with_a_width(n):
    matrix = np.repeat(np.arange(n)[:, None] % 7, 3, axis=1)
    for one in assess(matrix, ["A", "B", "C"], list("abcdefg"), 300, 1):
        assert one.value == one.high == 1, one
        assert one.low < 1
        if one.statistic == "percent agreement":
            assert one.low == pytest.approx(statistics.wilson(n, n)[0])


@pytest.mark.parametrize("odd", [1, 3, 9])
def test_the_value_lies_in_its_interval_near_full_agreement(odd):
    """Raters of 60 items, some with two ratings and some with three, who differ on few of them."""
    matrix = np.repeat(np.arange(60)[:, None] % 7, 3, axis=1)
    matrix[:odd, 0] = (matrix[:odd, 0] + 1) % 7
    matrix[40:, 2] = MISSING
    for one in assess(matrix, ["A", "B", "C"], list("abcdefg"), 500, 1):
        assert one.low <= one.value <= one.high and one.low < one.high, one


def test_no_agreement_at_all_has_an_interval_with_a_width():
    matrix = table((7, [0, 1]), (7, [1, 2]))
    percent = assess(matrix, ["A", "B"], list("abc"), 300, 1)[0]
    assert (percent.value, percent.low) == (0, 0)
    assert percent.high == pytest.approx(statistics.wilson(0, 14)[1])


@pytest.mark.parametrize(
    ("alpha", "words"),
    [
        (0.95, "almost perfect by Landis and Koch, enough to rely on"),
        (0.8, "substantial by Landis and Koch, enough to rely on"),
        (0.7, "substantial by Landis and Koch, enough for tentative conclusions only"),
        (0.62, "substantial by Landis and Koch, too low for any conclusion"),
        (0.5, "moderate by"),
        (0.3, "fair by"),
        (0.0, "slight by"),
        (-0.1, "poor by"),
    ],
)
def test_alpha_is_judged_by_both_scales(alpha, words):
    assert agreement.judged(alpha).startswith(words)
    assert agreement.judged(alpha).endswith("Krippendorff's limits of 0.667 and 0.8")


def test_an_alpha_below_krippendorffs_limits_has_a_caution():
    """24 % of 100 labels differ: alpha is near 0.64, which Landis and Koch call substantial."""
    matrix = table((38, [0, 0]), (38, [1, 1]), (6, [0, 1]), (6, [1, 0]), (6, [0, 2]), (6, [2, 2]))
    alpha = assess(matrix, ["A", "B"], list("abc"), 300, 1)[1]
    assert 0.6 < alpha.value < 0.8
    assert "by Krippendorff's limits" in alpha.caution
