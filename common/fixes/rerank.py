"""Ranking queries by methods and by their placebos, in blocks of queries.

The parts of a method (recipes.py) are functions of their own (prompts, hubness, lexical); here they meet.
What several methods need of a block, products above all, is made once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from common.fixes import lexical, placebo
from common.fixes.bases import Block, Plain, Pooled, Templated
from common.fixes.hubness import OCCURRENCE_K, Correction
from common.fixes.lexical import First, Lexical
from common.fixes.recipes import Material, Part, Recipe
from common.heavy import torch
from common.results import DRAWS
from common.retrieval import frozen_ranks, ranking
from common.retrieval.cache import Cache

NUMBERS = 2**18  # scores of a block: 2 MB in float64, which stay near the core that works on them
LEAST = 32  # texts of a block, whatever the number of images: products of fewer are slow
CANDIDATES = 100  # first images of a query that words may order again


@dataclass(frozen=True)
class Method:
    """A method ready to score: its base, then what it has of a correction and of words.

    `shuffle_seed` makes a placebo of the words' part.
    """

    base: Callable[[Block], torch.Tensor]
    correction: Correction | None = None
    words: Lexical | None = None
    weight: float = 0.0
    shuffle_seed: int | None = None

    def scores(self, block: Block) -> torch.Tensor:
        """Scores of a block of queries with all images: float32 (n, n_images).

        Rounded once, at the end, from float64: see ranking.py.
        """
        scores = self._corrected(block)
        if self.words is None:
            return scores.float()
        first = self._first(block)
        values = self._values(block, first)
        return lexical.rerank(scores, values, first.places, first.chosen, self.weight).float()

    def ranks(self, block: Block, own: torch.Tensor) -> np.ndarray:
        """Ranks of positives by these scores, (n,) int64; own (n,): their image rows.

        What words do to ranks is counted among the candidates, without scores of the other images.
        """
        before = block.once(("ranks", *self._key), lambda: self._corrected_ranks(block, own))
        if self.words is None:
            return before
        first = self._first(block)
        return first.ranks(first.mixed(self._values(block, first), self.weight), own, before)

    @property
    def _key(self) -> tuple[int, int]:
        """Of what precedes words."""
        return id(self.base), id(self.correction)

    def _corrected(self, block: Block) -> torch.Tensor:
        base = block.once(("base", id(self.base)), lambda: self.base(block))
        return self.correction.apply(base) if self.correction else base

    def _corrected_ranks(self, block: Block, own: torch.Tensor) -> np.ndarray:
        scores = self._corrected(block).float().numpy()
        return np.count_nonzero(scores >= np.take_along_axis(scores, own[:, None].numpy(), 1), axis=1)

    def _first(self, block: Block) -> First:
        """The first images by the scores that base and correction gave."""

        def find() -> First:
            scores = self._corrected(block)
            return First.of(scores, *lexical.candidates(scores, CANDIDATES))

        return block.once(("first", *self._key), find)

    def _values(self, block: Block, first: First) -> torch.Tensor:
        """Lexical scores of the candidates: (n, c) float64."""
        key, words, seed = self._key, self.words, self.shuffle_seed
        values = block.once(("words", id(words)), lambda: torch.from_numpy(words.block(block.queries)))
        values = block.once(("values", id(words), *key), lambda: values.gather(1, first.places))
        if seed is None:
            return values
        return values.gather(
            1,
            block.once(
                ("order", seed, *key),
                lambda: placebo.exchange(first.places, first.chosen, block.queries, seed),
            ),
        )


@dataclass(frozen=True)
class Ranked:
    """What a method did with some queries, in their order."""

    rank: np.ndarray  # (n,) int64
    tied: np.ndarray  # (n,) bool: another image has exactly the positive's score
    first: np.ndarray | None = None  # (n, OCCURRENCE_K) int64: image rows, best first

    def of(self, rows: np.ndarray) -> Ranked:
        """The same of some of the queries, by their place."""
        first = None if self.first is None else self.first[rows]
        return Ranked(self.rank[rows], self.tied[rows], first)


class Job(NamedTuple):
    """A method to rank queries by, and draws of its placebo, of which nothing but ranks is asked."""

    method: Method
    placebos: list[Method]
    queries: np.ndarray  # (n,) idx, ascending
    first: bool  # whether to keep the first images too


class Done(NamedTuple):
    """What came of a job."""

    after: Ranked  # by the method
    placebos: np.ndarray  # (draws, n) int64: ranks


class Maker:
    """Makes methods and their placebos; what several of them share is made once."""

    def __init__(self, material: Material, seed: int):
        self.material, self.seed = material, seed
        self.plain = Plain(material.txt, material.img)
        self._made = {}

    def make(self, recipe: Recipe, parameters: dict, base: Pooled | None = None) -> Method:
        """A method. `base`: that of pooled templates, if it has some.

        parameters: part -> its parameters, where they are not the published ones.
        """
        correction = words = None
        weight = 0.0
        if recipe.hubs:
            correction = self._once(recipe.hubs, parameters.get(recipe.hubs.name, recipe.hubs.published))
        if recipe.words:
            further = dict(parameters.get(recipe.words.name, recipe.words.published))
            weight = further.pop("weight")
            words = self._once(recipe.words, further)
        return Method(base or self.plain, correction, words, weight)

    def placebos(self, method: Method, draws: int = DRAWS) -> list[Method]:
        """The draws of a method's placebo, each from a seed of its own."""
        return [
            replace(
                method,
                base=method.base.placebo(self.seed, draw, draws)
                if isinstance(method.base, Pooled)
                else method.base,
                correction=self._dealt(method.correction, seed),
                shuffle_seed=seed,
            )
            for draw, seed in enumerate(placebo.seeds(self.seed)[:draws])
        ]

    def templated(self, queries: np.ndarray, rows: torch.Tensor) -> Templated:
        """Templates of queries, (n,) idx, ascending; rows (n, K, dim) of length 1."""
        return Templated(queries, rows, self.plain)

    def _dealt(self, correction: Correction | None, seed: int) -> Correction | None:
        if correction is None:
            return None
        key = "dealt", id(correction), seed
        if key not in self._made:
            # With the correction itself, so that no other one gets its id.
            self._made[key] = placebo.dealt(correction, seed), correction
        return self._made[key][0]

    def _once(self, part: Part, parameters: dict) -> Correction | Lexical:
        key = (part.name, *sorted(parameters.items()))
        if key not in self._made:
            self._made[key] = part.make(self.material, **parameters)
        return self._made[key]


def rank(
    methods: list[Method], queries: np.ndarray, gt_img_index: np.ndarray, first: int = 0
) -> list[Ranked]:
    """Rank the image of each query by each method; what methods share is made once.

    queries (n,) idx, ascending; gt_img_index (n_captions,) image rows. Ties rank as in `ranking.rank`. Of the
    first `first` methods the first images are kept too.
    """
    jobs = [Job(method, [], queries, number < first) for number, method in enumerate(methods)]
    return [done.after for done in rank_all(jobs, gt_img_index)]


def rank_all(jobs: list[Job], gt_img_index: np.ndarray) -> list[Done]:
    """Do several jobs in one pass over their queries; arguments and ties as in `rank`.

    Methods and placebos share what they have in common, also where their queries differ.
    """
    # Filled in place: small results kept between freed blocks would keep the allocator from reusing those.
    found = [_empty(job) for job in jobs]
    # A block is let go, with all that it remembers, before the next one is made.
    for queries in tqdm(_blocks(jobs), desc="ranking", unit="block", disable=None, leave=False):
        block, parts = Block(queries), {}
        for job, done in zip(jobs, found, strict=True):
            inside = np.isin(queries, job.queries, assume_unique=True)
            if inside.any():
                part = parts.setdefault(inside.tobytes(), block.part(inside))
                _rank(job, part, gt_img_index, done)
    return found


def _rank(job: Job, block: Block, gt_img_index: np.ndarray, done: Done) -> None:
    """One job on one block."""
    rows = np.searchsorted(job.queries, block.queries)
    own = torch.from_numpy(gt_img_index[block.queries])
    scores = job.method.scores(block)
    done.after.rank[rows], done.after.tied[rows] = ranking.positive_ranks(scores, own)
    if job.first:
        done.after.first[rows] = _first(scores)
    for ranks, method in zip(done.placebos, job.placebos, strict=True):
        ranks[rows] = method.ranks(block, own)


def _empty(job: Job) -> Done:
    n = len(job.queries)
    first = np.empty((n, min(OCCURRENCE_K, job.method.base.images)), np.int64) if job.first else None
    ranked = Ranked(np.empty(n, np.int64), np.empty(n, bool), first)
    return Done(ranked, np.empty((len(job.placebos), n), np.int64))


def _blocks(jobs: list[Job]) -> list[np.ndarray]:
    """All queries of some jobs, each once, in blocks that hold about NUMBERS scores."""
    queries = reduce(np.union1d, (job.queries for job in jobs), np.zeros(0, np.int64))
    sizes = [max(LEAST, NUMBERS // base.images) // base.texts for base in (job.method.base for job in jobs)]
    size = max(1, min(sizes, default=1))
    return [queries[start : start + size] for start in range(0, len(queries), size)]


def as_frozen(frozen: Cache) -> Ranked:
    """What the plain cosines did with all captions: their frozen ranks, and the first images of each."""
    found = frozen_ranks.of(frozen.meta_file, frozen.meta)
    plain, n = Plain(frozen.txt, frozen.img), len(frozen.gt)
    first = np.empty((n, min(OCCURRENCE_K, plain.images)), np.int64)  # filled in place, as in `rank_all`
    size = max(LEAST, NUMBERS // plain.images)
    for start in range(0, n, size):
        queries = np.arange(start, min(start + size, n))
        first[queries] = _first(plain(Block(queries)).float())
    return Ranked(found.rank, found.tied, first)


def _first(scores: torch.Tensor) -> np.ndarray:
    """The first OCCURRENCE_K images of each query, best first: (n, OCCURRENCE_K) int64."""
    return scores.topk(min(OCCURRENCE_K, scores.shape[1]), dim=1).indices.numpy()
