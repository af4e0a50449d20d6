"""Intervals: against statsmodels, against independent formulas, and by their coverage."""

import numpy as np
import pytest
from statsmodels.discrete.discrete_model import Logit
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.proportion import proportion_confint
from statsmodels.tools import add_constant

from common import statistics


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (61, 200), (3044, 10000)])
def test_wilson_equals_statsmodels(successes, n):
    expected = proportion_confint(successes, n, method="wilson")
    assert statistics.wilson(successes, n) == pytest.approx(expected, abs=1e-12)


def test_wilson_of_nothing_is_refused():
    with pytest.raises(ValueError):
        statistics.wilson(0, 0)


def test_without_clusters_the_variance_is_the_textbook_one():
    values = np.random.default_rng(0).normal(size=200)
    assert statistics.clustered_variance(values, np.arange(200)) == pytest.approx(values.var(ddof=1) / 200)


def test_doubled_observations_carry_no_information():
    hits = np.random.default_rng(0).random(400) < 0.3
    once = statistics.clustered_share(hits, np.arange(400))
    five_times = statistics.clustered_share(np.repeat(hits, 5), np.repeat(np.arange(400), 5))
    assert five_times == pytest.approx(once, abs=0.002)


@pytest.mark.parametrize("value", [True, False])
def test_a_share_without_spread_has_the_clusters_for_its_n(value):
    hits = np.full(50, value)
    interval = statistics.clustered_share(hits, np.repeat(np.arange(10), 5))
    assert interval == pytest.approx(statistics.wilson(10 * value, 10))


def test_a_single_image_gives_an_interval_all_the_same():
    low, high = statistics.clustered_share(np.array([True, False, True]), np.zeros(3))
    assert 0 <= low < 2 / 3 < high <= 1


def test_clustered_intervals_cover_and_plain_ones_do_not():
    random = np.random.default_rng(0)
    m, size, rounds = 300, 5, 1000
    cluster = np.repeat(np.arange(m), size)
    covered, plain = 0, 0
    for _ in range(rounds):
        # Images differ in how easy they are: a beta-binomial with intraclass correlation 1 / (0.9 + 2.1 + 1).
        hits = random.random(m * size) < np.repeat(random.beta(0.9, 2.1, m), size)
        low, high = statistics.clustered_share(hits, cluster)
        covered += low <= 0.3 <= high
        low, high = statistics.wilson(hits.sum(), m * size)
        plain += low <= 0.3 <= high
    assert 0.935 <= covered / rounds <= 0.965
    assert plain / rounds < 0.90


# ---- means of what has limits ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1.0, 0.0, 0.25])
@pytest.mark.parametrize("clusters", [1, 2, 540])
def test_a_mean_without_spread_is_a_share_of_clusters(value, clusters):
    """One image, or values that are all alike: MRR of two images was [1, 1], of one [-inf, inf]."""
    values, cluster = np.full(clusters * 5, value), np.repeat(np.arange(clusters), 5)
    interval = statistics.clustered_mean(values, cluster, (0, 1))
    assert interval == pytest.approx(statistics.wilson(value * clusters, clusters))
    low, high = statistics.clustered_mean(2 * values - 1, cluster, (-1, 1))
    assert (low, high) == pytest.approx([2 * end - 1 for end in interval])


def test_a_mean_ends_at_its_limits():
    values, cluster = np.array([1.0, 1.0, 1.0, 0.5]), np.arange(4)
    low, high = statistics.clustered_mean(values, cluster)
    assert high > 1
    assert statistics.clustered_mean(values, cluster, (0, 1)) == (low, 1)


def test_limits_far_away_change_nothing():
    values, cluster = np.random.default_rng(0).random(200), np.repeat(np.arange(40), 5)
    plain = statistics.clustered_mean(values, cluster)
    assert statistics.clustered_mean(values, cluster, (0, 1)) == plain


@pytest.mark.parametrize(("together", "z"), [(1, 1.959964), (6, 2.638257), (7, 2.690110)])
def test_the_quantile_for_several_at_once(together, z):
    assert statistics.z_of(together) == pytest.approx(z, abs=1e-6)


# ---- where many of all were drawn -------------------------------------------------------------------------


@pytest.mark.parametrize(("successes", "n"), [(0, 50), (7, 50), (25, 50), (50, 50)])
def test_a_small_part_of_many_has_wilsons_interval(successes, n):
    expected = statistics.wilson(successes, n)
    assert statistics.wilson_of_finite(successes, n, 10**9) == pytest.approx(expected, abs=1e-6)


def test_once_all_are_drawn_the_share_is_known():
    assert statistics.wilson_of_finite(30, 120, 120) == (0.25, 0.25)
    assert statistics.wilson_of_finite(30, 120, 100) == (0.25, 0.25)


def test_the_correction_narrows_by_the_factor_of_the_textbook():
    """At a middling share and large n the half-width is z sqrt(p q / n) sqrt((N - n) / (N - 1))."""
    n, population = 20_000, 50_000
    low, high = statistics.wilson_of_finite(n // 2, n, population)
    factor = np.sqrt((population - n) / (population - 1))
    assert (high - low) / 2 == pytest.approx(statistics.Z * 0.5 / np.sqrt(n) * factor, rel=1e-3)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4])
def test_intervals_of_a_finite_set_cover(share):
    """200 of 500 drawn 4,000 times: near 95 %, where uncorrected ones cover nearly always."""
    random, population, n = np.random.default_rng(0), 500, 200
    right = round(share * population)
    drawn = random.hypergeometric(right, population - right, n, size=4000)
    cover, plain = {}, {}
    for hits in np.unique(drawn):
        low, high = statistics.wilson_of_finite(int(hits), n, population)
        cover[hits] = low <= right / population <= high
        low, high = statistics.wilson(int(hits), n)
        plain[hits] = low <= right / population <= high
    covered = np.mean([cover[hits] for hits in drawn])
    assert 0.92 <= covered <= 0.985
    assert covered <= np.mean([plain[hits] for hits in drawn])


def two_by_two(rng, images: int, of_image: int, effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Failures of items and of captions that have their image's difficulty in common."""
    image = np.repeat(np.arange(images), of_image)
    difficulty = 2 * rng.normal(size=images)[image]
    exposed = rng.random(len(image)) < 1 / (1 + np.exp(1 - 3 * rng.normal(size=images)[image]))
    failed = rng.random(len(image)) < 1 / (1 + np.exp(-difficulty - effect * exposed))
    return exposed, failed, image


def test_an_odds_ratio_without_clusters_equals_statsmodels():
    exposed, failed, _ = two_by_two(np.random.default_rng(0), 100, 3, 0.7)
    counts = [[(exposed & failed).sum(), (exposed & ~failed).sum()]]
    counts += [[(~exposed & failed).sum(), (~exposed & ~failed).sum()]]
    table = Table2x2(np.array(counts))
    expected = (table.oddsratio, *table.oddsratio_confint())
    assert statistics.odds_ratio(exposed, failed) == pytest.approx(expected, rel=1e-9)


def test_a_clustered_odds_ratio_equals_statsmodels_sandwich():
    exposed, failed, image = two_by_two(np.random.default_rng(1), 150, 4, 0.7)
    fitted = Logit(failed.astype(float), add_constant(exposed.astype(float))).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": image, "use_correction": False}
    )
    half = statistics.Z * fitted.bse[1] * np.sqrt(150 / 149)
    expected = np.exp(fitted.params[1] + np.array([0, -half, half]))
    assert statistics.odds_ratio(exposed, failed, image) == pytest.approx(expected, rel=1e-6)


def test_a_clustered_odds_ratio_covers_and_a_plain_one_does_not():
    """The odds ratio of the whole population, by a large sample of it; items fail image by image."""
    rng = np.random.default_rng(2)
    truth = statistics.odds_ratio(*two_by_two(rng, 400_000, 4, 0.7)[:2])[0]
    covered = {"plain": 0, "clustered": 0}
    for _ in range(600):
        exposed, failed, image = two_by_two(rng, 120, 4, 0.7)
        for name, clusters in (("plain", None), ("clustered", image)):
            _, low, high = statistics.odds_ratio(exposed, failed, clusters)
            covered[name] += low <= truth <= high
    assert 0.93 <= covered["clustered"] / 600 <= 0.98
    assert covered["plain"] / 600 < 0.90


@pytest.mark.parametrize("empty", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_no_odds_ratio_is_known_where_a_count_is_zero(empty):
    exposed, failed = (np.array(each, dtype=bool) for each in ([0, 0, 1, 1] * 5, [0, 1, 0, 1] * 5))
    kept = ~((exposed == empty[0]) & (failed == empty[1]))
    assert statistics.odds_ratio(exposed[kept], failed[kept]) is None
    assert statistics.odds_ratio(exposed, failed, np.zeros(20)) is None, "one image shows no spread"
    assert statistics.odds_ratio(exposed, failed)[0] == 1
