"""Ranking queries by a method and by its placebo, in blocks of queries.

The parts of a method (recipes.py) are functions of their own (prompts, hubness, lexical); here they meet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from common.fixes import lexical, placebo, prompts
from common.fixes.hubness import OCCURRENCE_K, Correction
from common.fixes.lexical import Lexical
from common.fixes.recipes import Material, Part, Recipe
from common.retrieval import ranking

BLOCK = 256  # queries at once: 256 x 5,000 float64 scores are 10 MB, of which a method holds about ten
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

    def __init__(self, queries: np.ndarray, rows: torch.Tensor, img: torch.Tensor, pool: Callable):
        """rows (len(queries), K, dim): templates of each query, length 1; `pool`: scores of K to one."""
        self.row_of = {int(query): row for row, query in enumerate(queries)}
        self.rows, self.gallery, self.pool = rows, img.double().T, pool

    def __call__(self, queries: np.ndarray) -> torch.Tensor:
        """(len(queries), n_images) float64"""
        rows = self.rows[[self.row_of[int(query)] for query in queries]].double()
        return self.pool(rows.transpose(0, 1) @ self.gallery)


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

    def scores(self, queries: np.ndarray, base: torch.Tensor) -> torch.Tensor:
        """Scores of some queries from their base scores (n, n_images): float32 of the same shape.

        Rounded once, at the end, from float64: see ranking.py.
        """
        scores = self.correction.apply(base) if self.correction else base
        if self.words is None:
            return scores.float()
        places, chosen = lexical.candidates(scores, CANDIDATES)
        values = torch.from_numpy(self.words.block(queries)).gather(1, places)
        if self.shuffle_seed is not None:
            values = placebo.shuffled(values, places, chosen, queries, self.shuffle_seed)
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
        self._made = {}

    def make(self, recipe: Recipe, parameters: dict, bases: tuple | None = None) -> tuple[Method, Method]:
        """A method and its placebo.

        parameters: part -> its parameters, where they are not the published ones. `bases` are those of pooled
        templates and of their placebo.
        """
        base, base_placebo = bases or (self.plain, self.plain)
        correction = dealt = words = None
        weight = 0.0
        if recipe.hubs:
            correction = self._once(recipe.hubs, parameters.get(recipe.hubs.name, recipe.hubs.published))
            dealt = placebo.dealt(correction, self.seed)
        if recipe.words:
            further = dict(parameters.get(recipe.words.name, recipe.words.published))
            weight = further.pop("weight")
            words = self._once(recipe.words, further)
        return (
            Method(base, correction, words, weight),
            Method(base_placebo, dealt, words, weight, shuffle_seed=self.seed),
        )

    def pooled(self, queries: np.ndarray, rows: torch.Tensor, pooling: str, tau: float) -> tuple:
        """Bases of templates, rows (len(queries), K, dim), and of their placebo."""
        turned = placebo.turned(self.material.txt[queries], rows, queries, self.seed)
        pool = partial(prompts.pool, pooling=pooling, tau=tau)
        return tuple(Pooled(queries, each, self.material.img, pool) for each in (rows, turned))

    def _once(self, part: Part, parameters: dict) -> Correction | Lexical:
        key = (part.name, *sorted(parameters.items()))
        if key not in self._made:
            self._made[key] = part.make(self.material, **parameters)
        return self._made[key]


def rank(
    methods: list[Method], queries: np.ndarray, gt_img_index: np.ndarray, first: bool = False
) -> list[Ranked]:
    """Rank the image of each query by each method. Methods that share a base share its scores.

    queries (n,) idx; gt_img_index (n_captions,) image rows. Ties rank as in `ranking.rank`. `first` asks for
    the first images too.
    """
    n = len(queries)
    # Filled in place: small results kept between freed blocks would keep the allocator from reusing those.
    ranks = [np.empty(n, np.int64) for _ in methods]
    tied = [np.empty(n, bool) for _ in methods]
    firsts = [None for _ in methods]
    for start in range(0, n, BLOCK):
        block = queries[start : start + BLOCK]
        rows = slice(start, start + len(block))
        own = torch.from_numpy(gt_img_index[block])
        base_scores = {}
        for number, method in enumerate(methods):
            if id(method.base) not in base_scores:
                base_scores[id(method.base)] = method.base(block)
            scores = method.scores(block, base_scores[id(method.base)])
            ranks[number][rows], tied[number][rows] = ranking.positive_ranks(scores, own)
            if first:
                found = scores.topk(min(OCCURRENCE_K, scores.shape[1]), dim=1).indices.numpy()
                if firsts[number] is None:
                    firsts[number] = np.empty((n, found.shape[1]), np.int64)
                firsts[number][rows] = found
    return [Ranked(*of_method) for of_method in zip(ranks, tied, firsts, strict=True)]
