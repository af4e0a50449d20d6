"""Ranking queries by a method and by its placebo, in blocks of queries.

The parts of a method (recipes.py) are functions of their own (prompts, hubness, lexical); here they meet.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from common import files
from common.fixes import lexical, placebo, prompts
from common.fixes.hubness import OCCURRENCE_K, Correction
from common.fixes.lexical import Lexical
from common.fixes.recipes import Material, Part, Recipe
from common.retrieval import frozen_ranks, ranking
from common.retrieval.cache import Cache

BLOCK = 256  # queries at once: 256 x 5,000 float64 scores are 10 MB, of which a method holds about ten
KEPT = 32_000_000  # numbers of placebos' templates to keep: 128 MB
CANDIDATES = 100  # first images of a query that words may order again


class Plain:
    """Cosines of plain captions with all images."""

    def __init__(self, txt: torch.Tensor, img: torch.Tensor):
        self.txt, self.gallery = txt, img.double().T

    def __call__(self, queries: np.ndarray) -> torch.Tensor:
        """(len(queries), n_images) float64"""
        return self.txt[queries].double() @ self.gallery


class Pooled:
    """Pooled cosines of a query's templates with all images; only for the queries that were encoded."""

    def __init__(self, queries: np.ndarray, rows: torch.Tensor, plain: Plain, pool: Callable):
        """rows (len(queries), K, dim): templates of each query, length 1; `pool`: scores of K to one."""
        self.row_of = {int(query): row for row, query in enumerate(queries)}
        self.templated, self.plain, self.pool = rows, plain, pool

    def rows(self, queries: np.ndarray) -> torch.Tensor:
        """Templates of some queries: (len(queries), K, dim) float32 of length 1."""
        return self.templated[[self.row_of[int(query)] for query in queries]]

    def __call__(self, queries: np.ndarray) -> torch.Tensor:
        """(len(queries), n_images) float64"""
        return self.pool(self.rows(queries).double().transpose(0, 1) @ self.plain.gallery)


class Kept:
    """Rows of blocks that several methods share: each is made once, as far as memory allows."""

    def __init__(self, most: int):
        """most: numbers to keep; what does not fit is made again each time."""
        self.room, self._rows = most, {}

    def once(self, key: tuple, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The rows that `make` gives, from an earlier call of the same key if they were kept."""
        if key in self._rows:
            return self._rows[key]
        rows = make()
        if rows.numel() <= self.room:
            self.room -= rows.numel()
            self._rows[key] = rows
        return rows


class Turned(Pooled):
    """The placebo of pooled templates: plain captions displaced as far, in random directions.

    Made block by block: ten draws of all rows would not fit into memory at COCO's size. Methods with the same
    templates share them, however they pool and whatever follows.
    """

    def __init__(self, base: Pooled, seed: int, kept: Kept):
        self.row_of, self.templated, self.plain, self.pool = (
            base.row_of,
            base.templated,
            base.plain,
            base.pool,
        )
        self.seed, self.kept = seed, kept

    def rows(self, queries: np.ndarray) -> torch.Tensor:
        templated, plain = super().rows(queries), self.plain.txt[queries]
        key = self.seed, queries.tobytes(), files.fingerprint(templated.numpy().data.cast("B"))
        return self.kept.once(key, lambda: placebo.turned(plain, templated, queries, self.seed))


class Block:
    """Some queries, and what several methods need of them: each is made once."""

    def __init__(self, queries: np.ndarray):
        self.queries, self._made = queries, {}

    def base(self, base: Callable) -> torch.Tensor:
        """Base scores: (n, n_images) float64."""
        return self._once((id(base),), lambda: base(self.queries))

    def values(self, words: Lexical) -> torch.Tensor:
        """Lexical scores: (n, n_images) float64."""
        return self._once((id(words),), lambda: torch.from_numpy(words.block(self.queries)))

    def candidates(self, method: "Method", scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The first images by `scores`, which the method's base and correction gave."""
        key = id(method.base), id(method.correction)
        return self._once(key, lambda: lexical.candidates(scores, CANDIDATES))

    def _once(self, key: tuple, make: Callable):
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


@dataclass(frozen=True)
class Method:
    """A method ready to score: its base, then what it has of a correction and of words.

    `shuffle_seed` makes a placebo of the words' part.
    """

    base: Callable[[np.ndarray], torch.Tensor]
    correction: Correction | None = None
    words: Lexical | None = None
    weight: float = 0.0
    shuffle_seed: int | None = None

    def scores(self, block: Block) -> torch.Tensor:
        """Scores of a block of queries with all images: float32 (n, n_images).

        Rounded once, at the end, from float64: see ranking.py.
        """
        base = block.base(self.base)
        scores = self.correction.apply(base) if self.correction else base
        if self.words is None:
            return scores.float()
        places, chosen = block.candidates(self, scores)
        values = block.values(self.words).gather(1, places)
        if self.shuffle_seed is not None:
            values = placebo.shuffled(values, places, chosen, block.queries, self.shuffle_seed)
        return lexical.rerank(scores, values, places, chosen, self.weight).float()


@dataclass(frozen=True)
class Ranked:
    """What a method did with some queries, in their order."""

    rank: np.ndarray  # (n,) int64
    tied: np.ndarray  # (n,) bool: another image has exactly the positive's score
    first: np.ndarray | None = None  # (n, OCCURRENCE_K) int64: image rows, best first

    def of(self, rows: np.ndarray) -> "Ranked":
        """The same of some of the queries, by their place."""
        first = None if self.first is None else self.first[rows]
        return Ranked(self.rank[rows], self.tied[rows], first)


class Maker:
    """Makes methods and their placebos; what several of them share is made once."""

    def __init__(self, material: Material, seed: int):
        self.material, self.seed = material, seed
        self.plain = Plain(material.txt, material.img)
        self._made, self._kept = {}, Kept(KEPT)

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

    def placebos(self, method: Method) -> list[Method]:
        """The draws of a method's placebo, each from a seed of its own."""
        return [self._placebo(method, seed) for seed in placebo.seeds(self.seed)]

    def pooled(self, queries: np.ndarray, rows: torch.Tensor, pooling: str, tau: float) -> Pooled:
        """The base of templates, rows (len(queries), K, dim) of length 1."""
        return Pooled(queries, rows, self.plain, partial(prompts.pool, pooling=pooling, tau=tau))

    def _placebo(self, method: Method, seed: int) -> Method:
        base = Turned(method.base, seed, self._kept) if isinstance(method.base, Pooled) else method.base
        dealt = placebo.dealt(method.correction, seed) if method.correction else None
        return replace(method, base=base, correction=dealt, shuffle_seed=seed)

    def _once(self, part: Part, parameters: dict) -> Correction | Lexical:
        key = (part.name, *sorted(parameters.items()))
        if key not in self._made:
            self._made[key] = part.make(self.material, **parameters)
        return self._made[key]


def rank(
    methods: list[Method], queries: np.ndarray, gt_img_index: np.ndarray, first: int = 0
) -> list[Ranked]:
    """Rank the image of each query by each method; what methods share is made once.

    queries (n,) idx; gt_img_index (n_captions,) image rows. Ties rank as in `ranking.rank`. Of the first
    `first` methods the first images are kept too.
    """
    n = len(queries)
    # Filled in place: small results kept between freed blocks would keep the allocator from reusing those.
    ranks = [np.empty(n, np.int64) for _ in methods]
    tied = [np.empty(n, bool) for _ in methods]
    firsts = [None for _ in methods]
    for start in range(0, n, BLOCK):
        block = Block(queries[start : start + BLOCK])
        rows = slice(start, start + len(block.queries))
        own = torch.from_numpy(gt_img_index[block.queries])
        for number, method in enumerate(methods):
            scores = method.scores(block)
            ranks[number][rows], tied[number][rows] = ranking.positive_ranks(scores, own)
            if number < first:
                found = _first(scores)
                if firsts[number] is None:
                    firsts[number] = np.empty((n, found.shape[1]), np.int64)
                firsts[number][rows] = found
    return [Ranked(*of_method) for of_method in zip(ranks, tied, firsts, strict=True)]


def as_frozen(frozen: Cache) -> Ranked:
    """What the plain cosines did with all captions: their frozen ranks, and the first images of each."""
    found = frozen_ranks.of(frozen.meta_file, frozen.meta)
    plain, n = Plain(frozen.txt, frozen.img), len(frozen.gt)
    first = np.empty((n, min(OCCURRENCE_K, len(frozen.img))), np.int64)  # filled in place, as in `rank`
    for start in range(0, n, BLOCK):
        queries = np.arange(start, min(start + BLOCK, n))
        first[queries] = _first(plain(queries).float())
    return Ranked(found.rank, found.tied, first)


def _first(scores: torch.Tensor) -> np.ndarray:
    """The first OCCURRENCE_K images of each query, best first: (n, OCCURRENCE_K) int64."""
    return scores.topk(min(OCCURRENCE_K, scores.shape[1]), dim=1).indices.numpy()
