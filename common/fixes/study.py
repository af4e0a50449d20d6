"""What step 6 measures on: the queries, what the model did with them, and the sets that are looked at."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from common import sampling, say
from common.errors import UserError
from common.fixes import placebo, rerank
from common.labels.taxonomy import AMBIGUOUS, CATEGORY_NAMES, CLEAR_NAMES
from common.results import ALL, CLEAR, FAILURES, SUCCESSES
from common.retrieval.cache import Cache

Sets = dict[str, np.ndarray]  # name of a set of queries -> (n,) idx, ascending


class Study(NamedTuple):
    """All of a cache's queries or, with TUNE, those of one half of the images."""

    frozen: Cache
    before: rerank.Ranked  # of all captions, in the order of idx
    queries: np.ndarray  # (n,) idx that are reported on
    tuning: np.ndarray  # (n,) idx that parameters are chosen on; empty without TUNE
    labels: dict[int, str]  # idx of a failure -> its category

    @property
    def failures(self) -> np.ndarray:
        return self.queries[self.before.rank[self.queries] > 1]

    @property
    def successes(self) -> np.ndarray:
        return self.queries[self.before.rank[self.queries] == 1]

    @property
    def labeled(self) -> list[int]:
        """idx of the failures that have a label."""
        return [idx for idx in self.failures.tolist() if idx in self.labels]

    def size(self, name: str) -> int:
        """How many queries a set has in all, of which a sample may be ranked: of a category its labels."""
        if name in (ALL, FAILURES, SUCCESSES):
            return len({ALL: self.queries, FAILURES: self.failures, SUCCESSES: self.successes}[name])
        names = CLEAR_NAMES if name == CLEAR else (name,)
        return sum(self.labels[idx] in names for idx in self.labeled)

    @property
    def has_clear_labels(self) -> bool:
        return any(name in CLEAR_NAMES for name in self.labels.values())


def make_study(frozen: Cache, labels: dict[int, str], tune: bool, seed: int) -> Study:
    """Take all captions as step 1 ranked them and, to tune, split them in halves by image.

    Raises UserError where there are no failures, or no successes.
    """
    everything = np.arange(len(frozen.gt))
    before = rerank.as_frozen(frozen)
    tuning = np.zeros(0, dtype=np.int64)
    if tune:
        # By image: captions of one image in both halves would tell the one half of the other.
        order = sampling.hashed_order(range(len(frozen.img)), frozen.meta.sampled_img_ids, seed)
        half = np.isin(frozen.gt, order[: len(order) // 2])
        tuning, everything = everything[half], everything[~half]
    study = Study(frozen, before, everything, tuning, labels)
    for kind, found in (("fails", study.failures), ("succeeds", study.successes)):
        if not len(found):
            other = "succeeds" if kind == "fails" else "fails"
            where = "on the half of the images that TUNE leaves to report on" if tune else "here"
            raise UserError(
                f"No fix can be measured: every caption {other} {where} "
                f"({len(everything):,} over {say.items(len(np.unique(frozen.gt[everything])), 'image')}), "
                "and what a fix gains and what it breaks are measured on failures and on successes"
            )
    return study


def choose_subsets(study: Study, categories: list[str], size: int, control: int, seed: int) -> Sets:
    """Every set of queries but that of all of them. Draws are by hash of the caption id, as in step 2.

    `size` failures of each category (all, where there are fewer), every clear one that has a label, and
    `control` of all failures and of all successes.
    """
    ids = study.frozen.meta.caption_ids
    failures = sampling.hashed_order(study.failures, ids, seed)
    subsets = {}
    for name in CATEGORY_NAMES:
        of_category = [idx for idx in failures.tolist() if study.labels.get(idx) == name]
        if of_category and (name in categories or name == AMBIGUOUS):
            subsets[name] = of_category[:size]
    clear = [idx for idx in failures.tolist() if study.labels.get(idx) in CLEAR_NAMES]
    if clear:
        subsets[CLEAR] = clear
    subsets[FAILURES] = failures[:control]
    subsets[SUCCESSES] = sampling.hashed_order(study.successes, ids, seed)[:control]
    return {name: np.sort(np.array(idx, dtype=np.int64)) for name, idx in subsets.items()}


def deal_categories(study: Study, seed: int) -> dict[int, str]:
    """idx -> a clear category, dealt to every query in the proportion of the labels.

    Which category a query would fail in is not known when it is asked: this is what category templates can do
    in use.
    """
    counts = Counter(name for name in study.labels.values() if name in CLEAR_NAMES)
    names = sorted(counts)
    shares = np.cumsum([counts[name] for name in names]) / counts.total()
    draws = np.random.default_rng([placebo.CATEGORY, seed]).random(len(study.frozen.gt))
    return {idx: names[np.searchsorted(shares, draw, side="right")] for idx, draw in enumerate(draws)}
