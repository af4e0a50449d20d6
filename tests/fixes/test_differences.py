"""Differences between corrections of hubs: by hand from ranks, and only between what is comparable."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from common import files, statistics
from common.fixes import differences
from common.fixes.table import of_differences


def written(folder: Path, name: str, ranks: np.ndarray, image: np.ndarray, **marks) -> dict:
    """A method's result as far as it is looked at, and its file of ranks."""
    rows = [{"rank_after": int(r), "gt_img_idx": int(i)} for r, i in zip(ranks, image, strict=True)]
    files.write_csv(folder / f"{name}.csv", ["rank_after", "gt_img_idx"], rows)
    net = {"R@1": SimpleNamespace(value=float(100 * np.mean(ranks == 1)))}
    marks = SimpleNamespace(**{"is_fix": True, "exact": True} | marks)
    whole = SimpleNamespace(marks=marks, net_effect=net)
    result = SimpleNamespace(name=name, method=name, ranks_file=f"{name}.csv", on=lambda _: whole)
    return {folder / f"{name}.json": result}


def drawn(seed: int, right: float, image: np.ndarray) -> np.ndarray:
    """Ranks; captions of an image fare alike."""
    random = np.random.default_rng(seed)
    lucky = random.beta(2, 2, image.max() + 1)[image] * 2 * right
    return np.where(random.random(len(image)) < lucky, 1, 7)


@pytest.fixture
def image() -> np.ndarray:
    return np.repeat(np.arange(150), 5)


def test_a_pair_is_measured_as_a_mean_clustered_by_image(tmp_path, image):
    one, other = drawn(0, 0.3, image), drawn(1, 0.4, image)
    found = written(tmp_path, "nnn", one, image) | written(tmp_path, "dis", other, image)
    (pair,) = differences.between_hubs(found, seed=0)
    change = (other == 1).astype(int) - (one == 1)
    assert (pair.first, pair.second) == ("dis", "nnn"), "the higher R@1 first"
    assert (pair.gained, pair.lost) == (int((change > 0).sum()), int((change < 0).sum()))
    low, high = statistics.clustered_mean(change, image)
    assert (pair.value, pair.low, pair.high) == pytest.approx(
        (100 * change.mean(), 100 * low, 100 * high), abs=1e-3
    )
    assert (pair.low_all, pair.high_all) == (pair.low, pair.high), "one pair is all of them"


def test_all_pairs_at_once_have_wider_intervals(tmp_path, image):
    names = ("nnn", "dn", "is", "csls")
    found = {}
    for seed, name in enumerate(names):
        found |= written(tmp_path, name, drawn(seed, 0.3, image), image)
    pairs = differences.between_hubs(found, seed=0)
    assert len(pairs) == 6 and all(pair.value >= 0 for pair in pairs)
    for pair in pairs:
        factor = statistics.z_of(6) / statistics.Z
        assert pair.high_all - pair.value == pytest.approx(factor * (pair.high - pair.value), abs=1e-3)


def test_pairs_that_are_alike_hold_their_intervals_at_once(image):
    """Where no method differs from another one, one study in twenty at most says that some do."""
    wrong, rounds = 0, 100
    for seed in range(rounds):
        random = np.random.default_rng(seed)
        lucky = random.beta(2, 2, 150)[image]
        right = [random.random(len(image)) < lucky for _ in range(4)]
        ranks = [np.where(each, 1, 7) for each in right]
        pairs = [
            differences._difference(("a", "b"), differences.Ranks(a, b, image), 0, statistics.z_of(6))
            for at, a in enumerate(ranks)
            for b in ranks[at + 1 :]
        ]
        wrong += any(pair.low_all > 0 or pair.high_all < 0 for pair in pairs)
    assert wrong / rounds < 0.05 + 2 * (0.05 * 0.95 / rounds) ** 0.5


def test_a_method_differs_from_its_copy_by_nothing(tmp_path, image):
    ranks = drawn(0, 0.3, image)
    found = written(tmp_path, "nnn", ranks, image) | written(tmp_path, "csls", ranks, image)
    (pair,) = differences.between_hubs(found, seed=0)
    assert (pair.value, pair.gained, pair.lost) == (0, 0, 0)
    assert pair.low < 0 < pair.high, "that nothing changed here is no proof"


def test_only_whole_fixes_of_hubs_alone_are_compared(tmp_path, image):
    found = {}
    for name, marks in [
        *(("nnn", {}), ("nnn+words", {}), ("words", {}), ("prompts+nnn", {})),
        *(("is", {"is_fix": False}), ("dn", {"exact": False})),
    ]:
        found |= written(tmp_path, name, drawn(0, 0.3, image), image, **marks)
    assert differences.between_hubs(found, seed=0) == []


def test_the_console_says_whether_they_differ(tmp_path, image):
    assert of_differences([]) == []
    same, better = drawn(0, 0.2, image), drawn(3, 0.5, image)
    found = written(tmp_path, "nnn", same, image) | written(tmp_path, "csls", same, image)
    (line,) = of_differences(differences.between_hubs(found, seed=0))
    assert line.startswith("Corrections of hubs, 1 pair: none differs for certain, and none by more than 2.")
    found |= written(tmp_path, "is", better, image)
    first, second = of_differences(differences.between_hubs(found, seed=0))
    assert first == "Corrections of hubs differ: 2 of 3 pairs (95%, all pairs at once)"
    assert second.startswith("  the widest apart: is is +")
