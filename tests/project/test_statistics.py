"""Intervals: against statsmodels, against independent formulas, and by their coverage."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

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
