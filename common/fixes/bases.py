"""What methods start from: scores of queries with all images, of plain captions, pooled templates, placebos.

They are asked for a block of queries, which remembers what several methods need of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from common.fixes import placebo, prompts
from common.heavy import torch


class Block:
    """Some queries, (n,) idx, and what several methods need of them: each is made once."""

    def __init__(self, queries: np.ndarray, whole: Block | None = None, rows: np.ndarray | None = None):
        """`whole` and `rows`: the block that they are a part of, and their places in it."""
        self.queries, self.whole, self.rows, self._made = queries, whole, rows, {}

    def part(self, inside: np.ndarray) -> Block:
        """Some of its queries, (n,) bool. It doesn't remember its parts, so that both can be let go."""
        return self if inside.all() else Block(self.queries[inside], self, np.flatnonzero(inside))

    def once(self, key: tuple, make: Callable):
        """What `make` gives, from an earlier call of the same key if there was one."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def shared(self, key: tuple, make: Callable[[np.ndarray], torch.Tensor]) -> torch.Tensor:
        """The same, made of all queries of the whole block: `make(queries)` gives (..., len(queries), m)."""
        if self.whole is None:
            return self.once(key, lambda: make(self.queries))
        return self.once(key, lambda: self.whole.shared(key, make)[..., self.rows, :])


class Plain:
    """Cosines of plain captions with all images."""

    texts = 1  # of each query

    def __init__(self, txt: torch.Tensor, img: torch.Tensor):
        self.txt, self.gallery = txt, img.double().T
        self.images = len(img)

    def __call__(self, block: Block) -> torch.Tensor:
        """(n, n_images) float64"""
        return block.shared((id(self),), lambda queries: self.txt[queries].double() @ self.gallery)


class Templated:
    """Templates of the queries that were encoded, and their cosines with all images."""

    def __init__(self, queries: np.ndarray, rows: torch.Tensor, plain: Plain):
        """queries (m,) idx, ascending; rows (m, K, dim) float32 of length 1: templates of each."""
        self.queries, self.templated, self.plain = queries, rows, plain
        self.texts, self.images = rows.shape[1], plain.images
        self._pooled, self._turned = {}, {}

    def pooled(self, pooling: str, tau: float) -> Pooled:
        """The base that pools them, one for all methods."""
        pool = partial(prompts.pool, pooling=pooling, tau=tau)
        return self._pooled.setdefault((pooling, tau), Pooled(self, pool))

    def turned(self, *draw: int) -> Turned:
        """A draw of their placebo, one for all poolings. Arguments as for Turned."""
        return self._turned.setdefault(draw, Turned(self, *draw))

    def rows(self, block: Block) -> torch.Tensor:
        """Templates of a block's queries: (K, n, dim) float64."""
        return self.templated[np.searchsorted(self.queries, block.queries)].double().transpose(0, 1)

    def scores(self, block: Block) -> torch.Tensor:
        """(K, n, n_images) float64"""
        return block.once((id(self),), lambda: self.rows(block) @ self.plain.gallery)


class Turned:
    """One draw of the placebo of templates: plain captions displaced as far, in random directions.

    All templates of a query, general ones and its category's, are turned into the same directions, whose
    product with the images is most of the work and so is made once.
    """

    def __init__(self, templates: Templated, seed: int, draw: int, draws: int):
        """draw: which of the `draws` that are made."""
        self.templates, self.seed, self.draw, self.draws = templates, seed, draw, draws
        self.texts, self.images = templates.texts, templates.images

    def scores(self, block: Block) -> torch.Tensor:
        """(K, n, n_images) float64"""
        return block.once((id(self),), lambda: self._scores(block))

    def _scores(self, block: Block) -> torch.Tensor:
        plain, rows = self.templates.plain, self.templates.rows(block)
        cosine = (rows * plain.txt[block.queries].double()).sum(-1).clamp(-1, 1)  # (K, n)
        how = self.texts, self.draws, self.seed

        def asides(queries: np.ndarray) -> torch.Tensor:
            return placebo.asides(plain.txt[queries], queries, *how) @ plain.gallery

        aside = block.shared((id(plain), *how), asides)
        return placebo.turned(plain(block), aside[self.draw], cosine)


class Pooled:
    """Pooled cosines of a query's templates with all images; only for the queries that were encoded."""

    def __init__(self, templates: Templated | Turned, pool: Callable[[torch.Tensor], torch.Tensor]):
        """pool: scores of K templates (K, ...) to one (...)."""
        self.templates, self.pool, self._placebos = templates, pool, {}
        self.texts, self.images = templates.texts, templates.images

    def placebo(self, *draw: int) -> Pooled:
        """The same of a draw of the templates' placebo, one for all methods. Arguments as for Turned."""
        return self._placebos.setdefault(draw, Pooled(self.templates.turned(*draw), self.pool))

    def __call__(self, block: Block) -> torch.Tensor:
        """(n, n_images) float64"""
        return self.pool(self.templates.scores(block))
