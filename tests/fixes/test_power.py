"""What could be found: by a formula that is held to the test itself, and by what was measured."""

import math
from types import SimpleNamespace

import pytest

from benchmarks import plan as bench
from common.fixes import power
from common.fixes.power import Spread
from common.results import ALL, FAILURES, SUCCESSES
from common.statistics import Z, z_of


def result(method: str, changed: tuple[int, int], half: float, exact: bool = True) -> SimpleNamespace:
    """What `power` reads of a method's result: 2,000 failures and 1,000 successes, 500 of each ranked."""
    sampling = 0.0 if exact else 0.4
    effect = SimpleNamespace(
        gained=changed[0],
        lost=changed[1],
        low=1 - half,
        high=1 + half,
        sampling_low=1 - sampling,
        sampling_high=1 + sampling,
    )
    whole = SimpleNamespace(net_effect={"R@1": effect}, marks=SimpleNamespace(exact=exact))
    sample = SimpleNamespace(marks=SimpleNamespace(ranked=500))
    return SimpleNamespace(
        method=method,
        queries=SimpleNamespace(all=3000, failures=2000),
        on={ALL: whole, FAILURES: sample, SUCCESSES: sample}.get,
    )


def test_seen_is_the_two_quantiles_of_a_standard_error():
    assert power.seen(0.01**2) == pytest.approx(0.01 * (Z + power.POWER))
    assert power.seen(0.01**2, 10) == pytest.approx(0.01 * (z_of(10) + power.POWER))
    # What the test takes for chance is more than what an estimate varies by.
    assert power.seen(0.01**2, 1, 0.02**2) == pytest.approx(0.02 * Z + 0.01 * power.POWER)


def test_where_all_were_ranked_the_interval_says_it():
    spread = Spread.of(result("nnn", (150, 100), 1.0))
    assert spread.seen(5) == pytest.approx(power.seen((0.01 / Z) ** 2, 5))
    assert spread.ranked == spread.sizes == (2000, 1000)


def test_a_control_size_is_the_smallest_that_does():
    spread = Spread(0.0015**2, (0.02, 0.04), (100, 100), (10_000, 5_000))
    n = power.control_size(spread, 3)
    at = [spread._replace(ranked=(size, size)).seen(3) for size in (n - 1, n)]
    assert at[0] > power.WANTED >= at[1] and 100 < n < 10_000
    assert power.control_size(spread._replace(images=0.01**2), 3) is None  # what images vary by stays


def test_kinds_are_of_the_family_and_its_size_counts():
    found = {
        "prompts": result("prompts", (20, 30), 1.2, exact=False),
        "nnn": result("nnn", (150, 100), 1.0),
        "dn": result("dn", (150, 100), 1.5),
        "words": result("words", (0, 0), 0.1),  # changed nothing: nobody knows what it varies by
        "tfidf": result("tfidf", (300, 100), 1.0),
    }
    base, hubs = power.of_kinds(found, ["prompts", "nnn", "dn", "words"], 5)
    assert (hubs.kind, hubs.methods, hubs.exact, hubs.control_size) == ("hubs", 2, True, None)
    assert hubs.least == pytest.approx(100 * power.seen((0.01 / Z) ** 2, 5), abs=1e-3)
    assert hubs.most == pytest.approx(1.5 * hubs.least, abs=1e-3)
    assert (base.kind, base.exact) == ("base", False)
    assert base.least == base.most and not math.isnan(base.least)


@pytest.mark.parametrize("n", [50, 200])
@pytest.mark.parametrize("sampled", [False, True])
def test_power_is_within_a_tenth_of_the_simulated_one(n, sampled):
    """300 runs leave +-4.5 points for chance; the benchmark has 1,000 queries too."""
    assert abs(bench.of_power(n, sampled, 10, 300).simulated - 0.8) < 0.08 + 0.045
