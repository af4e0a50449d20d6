"""The difference estimator: by hand, at its limits, and next to PPI++, written here from the paper."""

import numpy as np
import pytest

from benchmarks import assisted_shares as bench
from common import statistics
from common.labels import assisted, gaps, shares
from common.labels.assisted import PEOPLE, estimate
from common.labels.decisions import Item
from common.labels.model_labels import RATER, ModelLabels, Note
from common.labels.ratings import Choice


def bits(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text])


def test_by_hand():
    """n = 4 of m = N = 8: people 1100, the model 1000 there and 3 of 8 everywhere."""
    people, there, everywhere = bits("1100"), bits("1000"), bits("10000110")
    # cov = 1/4 - 1/2 * 1/4 = 0.125; var = 8/7 * 3/8 * 5/8 = 15/56; w = 7/15.
    # share = 7/15 * 3/8 + 1/2 - 7/15 * 1/4 = 0.558333; apart = (8/15, 1, 0, 0), whose variance is
    # (64/225 + 1 - (23/15)^2 / 4) / 3 = 0.232222; that of the share (1/4 - 1/8) * 0.232222 = 0.029028.
    plain = assisted.difference(people, there, everywhere, 8)
    assert plain[:4] == pytest.approx((0.5583333, 7 / 15, 1 / 3, 0.0290278), rel=1e-5)
    # One more failure that differs by w: 0.029028 + (1/4 - 1/8) * 49/225 / 4 = 0.035833, and people alone
    # have 1/3 * (1/4 - 1/8) = 0.041667; worth = 1 / (0.035833 * 3 + 1/8).
    found = estimate(people, there, everywhere, 8, finite=True)
    assert (found.share, found.weight) == (plain.share, plain.weight)
    assert found.worth == pytest.approx(1 / (0.0358333 * 3 + 0.125), rel=1e-5)
    ends = statistics.wilson_of_finite(found.share * found.worth, found.worth, 8)
    assert (found.low, found.high) == pytest.approx(ends)
    large = estimate(people, there, everywhere, 8, finite=False)
    ends = statistics.wilson(found.share * 4 * 0.0416667 / 0.0358333, 4 * 0.0416667 / 0.0358333)
    assert (large.low, large.high) == pytest.approx(ends, rel=1e-5)


@pytest.mark.parametrize("population", [None, 60])
@pytest.mark.parametrize("there", ["0" * 20, "01" * 10, "0011" * 5])
def test_a_model_that_tells_nothing_leaves_peoples_share(population, there):
    """Unrelated or opposite labels: the weight is 0, and people's own interval stands to rounding."""
    people = bits("1100" * 5)
    found = estimate(people, bits(there), np.tile(bits(there), 3), population, bool(population))
    own = statistics.wilson_of_finite(10, 20, 60) if population else statistics.wilson(10, 20)
    assert found == pytest.approx((0.5, *own, 0.0, 20.0), rel=1e-12)


def test_a_model_that_is_right_leaves_what_nobody_knows():
    """All failures labeled, by a model that is never wrong where people looked: the share is the model's."""
    truth = bits("1000100110" * 20)
    found = estimate(truth[:50], truth[:50], truth, 200, finite=True)
    assert found.weight == pytest.approx(1, abs=0.03)
    assert found.share == pytest.approx(truth.mean(), abs=1e-3)
    assert found.worth > 150
    second = estimate(truth[:50], truth[:50], truth[:100], None, finite=False)  # as if people labeled these
    assert second.worth == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize(("people", "share"), [("0" * 30, 0.0), ("1" * 30, 1.0)])
def test_a_label_that_nobody_gave(people, share):
    """No spread to explain: people's own interval, though the model says otherwise."""
    found = estimate(bits(people), bits("10" * 15), np.tile(bits("10"), 300), 600, finite=False)
    assert found == pytest.approx((share, *statistics.wilson(30 * share, 30), 0.0, 30.0), rel=1e-12)


def ppi(people: np.ndarray, there: np.ndarray, elsewhere: np.ndarray) -> tuple[float, float, float]:
    """Weight, mean and its standard error by PPI++ (Angelopoulos, Duchi, Zrnic 2023), n and N disjoint."""
    n, more = len(people), len(elsewhere)
    cov = np.mean((people - people.mean()) * (there - there.mean()))
    weight = cov / ((1 + n / more) * np.var(np.concatenate([there, elsewhere]), ddof=1))
    mean = weight * elsewhere.mean() + np.mean(people - weight * there)
    return weight, mean, np.sqrt(np.var(weight * elsewhere) / more + np.var(people - weight * there) / n)


@pytest.mark.parametrize("more", [400, 2_000_000])
def test_the_same_as_ppi_plus_plus(more):
    """Endless failures, a second sample: its mean to rounding always, its error once the sample is large."""
    rng = np.random.default_rng(3)
    truth = rng.random(300 + more) < 0.3
    model = np.where(rng.random(len(truth)) < 0.8, truth, rng.random(len(truth)) < 0.5)
    people, there, elsewhere = truth[:300] * 1.0, model[:300] * 1.0, model[300:] * 1.0
    weight, mean, error = ppi(people, there, elsewhere)
    found = assisted.difference(truth[:300], model[:300], model, None)
    assert found.weight * more / (more + 300) == pytest.approx(weight, rel=1e-12)
    assert found.share == pytest.approx(mean, rel=1e-12)
    # Theirs divides a variance of n by n, and takes the spread of the truth from the model's.
    near = 0.06 if more == 400 else 2e-5
    assert np.sqrt(found.variance * 299 / 300) == pytest.approx(error, rel=near)


def compared(n: int, choices: dict[int, Choice], population: int) -> assisted.Compared:
    items = [Item(idx, Choice("Count" if idx % 2 else "Object", ""), "one rater", 1) for idx in range(n)]
    own = shares.of_categories(shares.Basis(items, gaps.NONE, population))
    model = ModelLabels(Note(model="m 1", prompt="p", date="d"), choices, population, "", "p")
    return assisted.compare(items, own, model, 20, 1)


def test_rows_have_peoples_share_the_models_and_both():
    found = compared(20, {idx: Choice("Count" if idx % 4 else "Object", "") for idx in range(80)}, 100)
    count = next(row for row in found.rows if row.category == "Count")
    assert (count.n, count.people, count.model_n, count.model, count.bias) == (20, 0.5, 80, 0.75, 0.25)
    assert count.bias_low < 0.25 < count.bias_high
    assert count.assisted_low < count.assisted < count.assisted_high
    assert count.worth > 20 and 0 < count.weight <= 1
    assert (count.kappa, count.status, count.model_name) == (0.5, "final", "m 1")
    absent = next(row for row in found.rows if row.category == "Spatial")
    assert (absent.weight, absent.assisted, absent.kappa) == (0, 0, None)
    assert (absent.assisted_low, absent.assisted_high) == (absent.people_low, absent.people_high)
    assert found.both[0] == {RATER: Choice("Object", ""), PEOPLE: Choice("Object", "")}
    assert list(assisted.tables(found)) == list(assisted.FILES)


@pytest.mark.parametrize("kappa", [0.3, 0.5, 0.7])
def test_intervals_cover_the_truth(kappa):
    """A tenth of the benchmark's draws: every category's coverage within what chance does at 300 of them."""
    measured = bench.simulate(bench.SAMPLE, bench.Setting(200, kappa, 300))
    assert min(one.covers for one in measured) > 0.91
    assert max(one.width for one in measured) < 1.02
    assert measured[0].worth > 1.2  # Ambiguous, on which such a model is biased most


def test_a_random_model_gets_no_weight():
    few, many = (bench.simulate(bench.SAMPLE, bench.Setting(n, 0.0, 100)) for n in (50, 800))
    assert max(one.weight for one in many) < 0.06
    assert sum(one.weight for one in many) < sum(one.weight for one in few)
    assert max(one.width for one in [*few, *many]) < 1.02
