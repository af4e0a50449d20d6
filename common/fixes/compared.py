"""A second model as a method: what another cache of the same captions does to the same queries.

It has no placebo: nothing of it can be cut from its meaning. In its place stands what it does to *all*
failures. The labeled ones were drawn among what the first model fails, and part of that is chance: any other
model has some of them right, one that is no better too (regression to the mean). So a category says something
only next to all failures, and the net effect on the whole set is what counts.
"""

import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import files, say, statistics
from common.comparisons import Overlap, Recovered
from common.errors import UserError
from common.fixes import measures
from common.fixes.net_effect import Ranks
from common.fixes.study import Study
from common.labels.taxonomy import CATEGORY_NAMES, CLEAR_NAMES
from common.results import CLEAR, COMPARED_COLUMNS, FAILURES, ComparedModel, NetEffect
from common.retrieval import frozen_ranks, meta
from common.retrieval.meta import Meta
from common.settings import shown

AGAIN = "run `python main.py` for it with the same IMAGE_DIR, ANNOTATION_FILE, SEED and sizes"


class Other(NamedTuple):
    """Another cache of the same captions in the same order."""

    name: str  # for people, see `_named`
    meta_file: Path
    meta: Meta
    rank: np.ndarray  # (n_captions,) int64: rank of each caption's own image


def read(meta_files: list[Path], first: Meta) -> list[Other]:
    """The caches to compare with the one of `first`, with the ranks that step 1 froze.

    Raises UserError where a file is no cache's meta file, where a cache is not whole, holds other rows than
    the first one, or is named twice.
    """
    contents = {}
    for path in meta_files:
        if not path.is_file():
            what = "is a folder: name the meta_....json in it" if path.is_dir() else "was not found"
            raise UserError(f"COMPARE: {shown(path)} {what}")
        content = meta.read(path)
        _check_rows(path, content, first)
        twice = [other for other, one in contents.items() if one.fingerprint == content.fingerprint]
        if twice:
            raise UserError(
                f"COMPARE: {shown(path)} holds the very rows and embeddings of {shown(twice[0])}: "
                "name one of them"
            )
        contents[path] = content
    names = _named(list(contents.values()), first)
    # Only once all of them were looked at: ranks that are not frozen yet are counted and written.
    return [
        Other(name, path, content, frozen_ranks.of(path, content).rank)
        for name, (path, content) in zip(names, contents.items(), strict=True)
    ]


def _check_rows(path: Path, content: Meta, first: Meta) -> None:
    """Raise UserError, naming the first difference, where a cache holds other rows than the first one."""

    def refuse(difference: str) -> None:
        raise UserError(f"COMPARE: {shown(path)} {difference}; {AGAIN}")

    pairs = {
        "another sample": ("image", first.sampled_img_ids, content.sampled_img_ids),
        "other captions": ("caption", first.caption_ids, content.caption_ids),
    }
    for of, (noun, here, there) in pairs.items():
        foreign = sorted(set(here) ^ set(there))
        if foreign:
            n = say.items(len(foreign), f"{noun} id")
            refuse(f"is of {of}: {n} in one of the two caches alone, {foreign[0]} for example")
        at = _first_difference(here, there)
        if at is not None:
            refuse(
                f"has another order: the {noun} of row {at:,} has id {there[at]} there and {here[at]} here"
            )
    at = _first_difference(first.captions, content.captions)
    if at is not None:
        there, here = content.captions[at][:60], first.captions[at][:60]
        refuse(f"is of other captions: idx {at:,} is {there!r} there and {here!r} here")
    at = _first_difference(first.gt_img_index, content.gt_img_index)
    if at is not None:
        refuse(f"gives captions to other images, first that of idx {at:,}")


def _first_difference(own: list, others: list) -> int | None:
    return next((at for at, pair in enumerate(zip(own, others, strict=True)) if pair[0] != pair[1]), None)


def _named(others: list[Meta], first: Meta) -> list[str]:
    """A name for each: its model. Where models are the same one, what they computed in; else the cache."""
    names = [other.model for other in others]
    for further in ("dtype", "fingerprint"):
        count = Counter([first.model, *names])
        for at, other in enumerate(others):
            word = str(getattr(other, further))[:8]
            if count[names[at]] > 1 and word != getattr(first, further):
                names[at] += f" ({word})"
    return names


def net_effects(other: Other, study: Study, seed: int) -> dict[str, NetEffect]:
    """By measure, as of a method that ranked every query."""
    rows = study.queries
    ranks_of = Ranks(study.before.rank[rows], other.rank[rows], study.frozen.gt[rows])
    return measures.net_effects(ranks_of, study, seed)


def described(other: Other, study: Study, net_effect: dict[str, NetEffect], p_holm: float) -> ComparedModel:
    """Everything about one of the others, in the units of the result files."""
    return ComparedModel(
        name=other.name,
        model=other.meta.model,
        revision=other.meta.revision,
        dtype=other.meta.dtype,
        cache=other.meta.fingerprint,
        meta_file=shown(other.meta_file),
        p_holm=p_holm,
        net_effect=net_effect,
        overlap=overlap(study, other.rank),
        recovered=by_category(study, other.rank == 1),
    )


def write_ranks(folder: Path, others: list[Other], study: Study, run: str) -> Path:
    """Write a CSV of every query's rank by each model, into a folder; returns its path.

    `run`: the end of its name, which says what else its rows depend on.
    """
    caches = "".join(other.meta.fingerprint for other in others)
    path = folder / f"compared_{files.fingerprint(caches.encode('ascii'))[:8]}_{run}.csv"
    own = {f"rank_{number}": other.rank for number, other in enumerate(others, start=1)}
    content, rows = study.frozen.meta, []
    for idx in study.queries.tolist():
        ranks_of = {"rank_before": int(study.before.rank[idx])}
        ranks_of |= {name: int(rank[idx]) for name, rank in own.items()}
        row = {
            "idx": idx,
            "caption_id": content.caption_ids[idx],
            "caption": content.captions[idx],
            "gt_img_idx": content.gt_img_index[idx],
            "category": study.labels.get(idx, ""),
            "failed_by": sum(rank > 1 for rank in ranks_of.values()),
        }
        rows.append(row | ranks_of)
    files.write_csv(path, [*COMPARED_COLUMNS, *own], rows)
    return path


def failed_by_all(others: list[Other], study: Study) -> list[Recovered]:
    """Of the first model's failures, by category: those that every one of the others fails too."""
    return by_category(study, np.all([other.rank > 1 for other in others], axis=0)) if others else []


def by_category(study: Study, hit: np.ndarray) -> list[Recovered]:
    """A row for all failures, then for each category that a label names, then for all clear ones.

    hit (n_captions,) bool: of which the share is asked.
    """
    labeled = np.array(study.labeled, dtype=np.int64)
    names = np.array([study.labels[idx] for idx in labeled.tolist()], dtype=str)
    sets = {FAILURES: study.failures}
    sets |= {name: labeled[names == name] for name in CATEGORY_NAMES}
    sets[CLEAR] = labeled[np.isin(names, CLEAR_NAMES)]
    found = []
    for name, idx in sets.items():
        if len(idx):
            ends = statistics.clustered_share(hit[idx], study.frozen.gt[idx])
            low, high = (measures.points(end) for end in ends)
            n, hits = len(idx), int(hit[idx].sum())
            found.append(Recovered(name, n, hits, measures.points(hits / n), low, high))
    return found


def overlap(study: Study, rank: np.ndarray) -> Overlap:
    """Which of the study's queries the first model and another one fail. rank (n_captions,) of the other."""
    rows = study.queries
    first, other = study.before.rank[rows] > 1, rank[rows] > 1
    both, only_other = int((first & other).sum()), int((~first & other).sum())
    value, low, high = consistency(first, other, study.frozen.gt[rows])
    return Overlap(
        both_fail=both,
        only_first_fails=int((first & ~other).sum()),
        only_other_fails=only_other,
        both_right=int((~first & ~other).sum()),
        consistency=value,
        consistency_low=low,
        consistency_high=high,
        recovered_back=measures.points(only_other / (both + only_other)) if both + only_other else None,
    )


def consistency(first: np.ndarray, other: np.ndarray, image: np.ndarray) -> tuple[float, float, float]:
    """Error consistency of two models (Geirhos et al. 2020, eq. 1 to 3) with its 95 % interval.

    first and other (n,) bool, failures, not all of `first` alike; image (n,). Cohen's kappa of right and
    wrong; its variance by the delta method, clustered by image.
    """
    a, b = first.mean(), other.mean()
    same = (first == other).astype(float)
    chance = a * b + (1 - a) * (1 - b)
    kappa = (same.mean() - chance) / (1 - chance)
    # What each query adds to the agreement, and to that by chance.
    chances = (first - a) * (2 * b - 1) + (other - b) * (2 * a - 1)
    each = (same - same.mean() - (1 - kappa) * chances) / (1 - chance)
    half = statistics.Z * math.sqrt(statistics.clustered_variance(each, image))
    ends = max(-1.0, kappa - half), min(1.0, kappa + half)
    return tuple(float(say.rounded(end)) for end in (kappa, *ends))
