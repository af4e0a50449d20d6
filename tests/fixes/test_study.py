"""What is measured on: the split for tuning, sets drawn by hash, dealt categories."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.fixes import study as studies
from common.labels.taxonomy import CATEGORY_NAMES
from common.results import CLEAR, FAILURES, SUCCESSES
from common.retrieval import cache, meta
from tests.support import hub_study


@pytest.fixture
def frozen(tmp_path):
    return cache.load(meta.find(hub_study.write(tmp_path).cache))


def test_halves_share_no_image_and_the_ranks_are_those_of_all(frozen):
    whole = studies.make_study(frozen, {}, tune=False, seed=3)
    half = studies.make_study(frozen, {}, tune=True, seed=3)
    assert not len(whole.tuning) and half.before.rank.tolist() == whole.before.rank.tolist()
    assert sorted([*half.tuning, *half.queries]) == whole.queries.tolist()
    assert not set(frozen.gt[half.tuning]) & set(frozen.gt[half.queries])
    assert sorted([*half.failures, *half.successes]) == half.queries.tolist()
    other = studies.make_study(frozen, {}, tune=True, seed=4)
    assert other.tuning.tolist() != half.tuning.tolist()


def with_captions(frozen: cache.Cache, txt: torch.Tensor, folder: Path) -> cache.Cache:
    """A cache of the same images with other rows of captions."""
    return cache.load(cache.write(folder, frozen.img, txt, frozen.meta))


def test_without_failures_or_successes_nothing_is_measured(frozen, tmp_path):
    perfect = with_captions(frozen, frozen.img[torch.from_numpy(frozen.gt)], tmp_path / "perfect")
    with pytest.raises(UserError, match="every caption succeeds here"):
        studies.make_study(perfect, {}, tune=False, seed=0)


def test_sets_are_parts_of_what_they_are_drawn_from(frozen):
    study = studies.make_study(frozen, {}, tune=False, seed=3)
    labels = {idx: CATEGORY_NAMES[n % 7] for n, idx in enumerate(study.failures.tolist()[:30])}
    study = study._replace(labels=labels)
    sets = studies.choose_subsets(study, ["Object"], size=2, control=9, seed=3)
    # Ambiguous is always among them.
    assert set(sets) == {"Ambiguous", "Object", CLEAR, FAILURES, SUCCESSES}
    assert {name: len(idx) for name, idx in sets.items()} == {
        **{"Ambiguous": 2, "Object": 2, FAILURES: 9, SUCCESSES: 9},
        CLEAR: sum(name != "Ambiguous" for name in labels.values()),
    }
    assert all((np.diff(idx) > 0).all() for idx in sets.values())
    assert set(sets[FAILURES]) <= set(study.failures) and set(sets[SUCCESSES]) <= set(study.successes)
    assert {labels[idx] for idx in sets["Object"].tolist()} == {"Object"}


def test_categories_are_dealt_in_the_labels_proportion(frozen):
    study = studies.make_study(frozen, {}, tune=False, seed=3)
    names = ["Object"] * 3 + ["Count"] + ["Ambiguous"] * 5
    study = study._replace(labels=dict(enumerate(names)))
    dealt = studies.deal_categories(study, seed=0)
    counts = Counter(dealt.values())
    assert set(dealt) == set(range(len(frozen.gt))) and set(counts) == {"Object", "Count"}
    assert 0.65 < counts["Object"] / len(frozen.gt) < 0.85
    assert studies.deal_categories(study, seed=0) == dealt != studies.deal_categories(study, seed=1)


@pytest.mark.parametrize("tune", [False, True])
def test_where_every_caption_fails_the_message_says_so(frozen, tmp_path, tune):
    wrong = np.roll(frozen.img.numpy(), 1, axis=0)[frozen.gt]
    failing = with_captions(frozen, torch.from_numpy(wrong), tmp_path / "failing")
    where = "on the half of the images" if tune else "here"
    with pytest.raises(UserError, match=f"every caption fails {where}"):
        studies.make_study(failing, {}, tune=tune, seed=0)
