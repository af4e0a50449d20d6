"""Training-free methods, put together from up to three parts and ranked in blocks of queries.

    prompts+nnn+words       a base that scores (plain captions, or pooled templates),
                            a correction of hubs, and words that order the first candidates anew

Each part is a function of its own (prompts, hubness, lexical); here they only meet.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from common.fixes import hubness, lexical, placebo, prompts
from common.fixes.hubness import OCCURRENCE_K, Correction
from common.fixes.lexical import Lexical
from common.retrieval import ranking

BASES = ("prompts", "category")
HUBS = ("nnn", "dn", "is", "dis")
LEXICALS = ("tfidf", "overlap", "words")
PARTS = (*BASES, *HUBS, *LEXICALS)
# They know what nobody knows when a caption is asked: what others wrote of its image, or its category.
ORACLES = ("category", "tfidf", "overlap")
NEED_BANK = (*HUBS, "words")
BLOCK = 256  # queries at once: 256 x 5,000 float64 scores are 10 MB, of which a method holds about ten
CANDIDATES = 100  # first images of a query that words may order anew

# Published values: NNN by Chowdhury et al. 2024, DN by Zhou et al. 2023, softmaxes by Bogolin et al. 2022.
# Nobody has published a weight for words: cosines lead, at half their weight words follow.
DEFAULTS = {
    "nnn": {"alpha": 0.75, "k": 128},
    "dn": {"alpha": 0.5, "k": None},
    "is": {"beta": 20.0},
    "dis": {"beta": 20.0, "k": 1},
    "tfidf": {"weight": 0.5},
    "overlap": {"weight": 0.5},
    "words": {"weight": 0.5, "k": 128},
}
# What TUNE tries, the published values among them.
GRIDS = {
    "nnn": [{"alpha": a, "k": k} for a in (0.25, 0.5, 0.75, 1.0) for k in (16, 64, 128, 512)],
    "dn": [{"alpha": a, "k": None} for a in (0.25, 0.5, 0.75, 1.0)],
    "is": [{"beta": b} for b in (5.0, 10.0, 20.0, 40.0, 80.0)],
    "dis": [{"beta": b, "k": k} for b in (5.0, 10.0, 20.0, 40.0, 80.0) for k in (1, 10)],
    "tfidf": [{"weight": w} for w in (0.125, 0.25, 0.5, 1.0, 2.0)],
    "overlap": [{"weight": w} for w in (0.125, 0.25, 0.5, 1.0, 2.0)],
    "words": [{"weight": w, "k": 128} for w in (0.125, 0.25, 0.5, 1.0, 2.0)],
}


class Plain:
    """Cosines of plain captions with all images."""

    def __init__(self, txt: torch.Tensor, img: torch.Tensor):
        self.txt, self.gallery = txt, img.double().T

    def __call__(self, queries: np.ndarray) -> torch.Tensor:
        """(len(queries), n_images) float64"""
        return self.txt[queries].double() @ self.gallery


class Pooled:
    """Pooled cosines of a query's templates with all images; only for the queries that were encoded."""

    def __init__(self, queries: np.ndarray, rows: torch.Tensor, img: torch.Tensor, pooling: str, tau: float):
        """rows (len(queries), K, dim): templates of each query, length 1."""
        self.row_of = {int(query): row for row, query in enumerate(queries)}
        self.rows, self.gallery, self.pooling, self.tau = rows, img.double().T, pooling, tau

    def __call__(self, queries: np.ndarray) -> torch.Tensor:
        """(len(queries), n_images) float64"""
        rows = self.rows[[self.row_of[int(query)] for query in queries]].double()
        return prompts.pool(rows.transpose(0, 1) @ self.gallery, self.pooling, self.tau)


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

        Rounded once, at the end, from float64: as in ranking.py.
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


class Maker:
    """Makes methods and their placebos for one cache and bank; what several of them share is made once."""

    def __init__(self, txt: torch.Tensor, img: torch.Tensor, captions: list[str], gt: np.ndarray, seed: int):
        """txt (n_captions, dim), img (n_images, dim), captions and gt (image rows) in the order of idx."""
        self.txt, self.img, self.captions, self.gt, self.seed = txt, img, captions, gt, seed
        self.plain = Plain(txt, img)
        self.bank, self.bank_captions = None, []
        self._made = {}

    def add_bank(self, rows: torch.Tensor, captions: list[str]) -> None:
        """rows (n_bank, dim) of length 1, and their texts."""
        self.bank, self.bank_captions = rows, captions

    def make(
        self, parts: tuple[str, ...], parameters: dict, bases: tuple | None = None
    ) -> tuple[Method, Method]:
        """A method and its placebo. `bases` are those of pooled templates and of their placebo."""
        base, base_placebo = bases or (self.plain, self.plain)
        correction = dealt = words = None
        weight = 0.0
        for part in parts:
            if part in HUBS:
                correction = self._once(self._correction, part, **parameters[part])
                dealt = placebo.dealt(correction, self.seed)
            elif part in LEXICALS:
                weight = parameters[part]["weight"]
                words = self._once(self._words, part, k=parameters[part].get("k"))
        return (
            Method(base, correction, words, weight),
            Method(base_placebo, dealt, words, weight, shuffle_seed=self.seed),
        )

    def pooled(self, queries: np.ndarray, rows: torch.Tensor, pooling: str, tau: float) -> tuple:
        """Bases of templates, rows (len(queries), K, dim), and of their placebo."""
        turned = placebo.turned(self.txt[queries], rows, queries, self.seed)
        return tuple(Pooled(queries, each, self.img, pooling, tau) for each in (rows, turned))

    def _correction(self, part: str, **parameters) -> Correction:
        makers = {
            "nnn": hubness.nnn,
            "dn": hubness.nnn,  # the same thing for text to image: see hubness.py
            "is": hubness.inverted_softmax,
            "dis": hubness.dynamic_inverted_softmax,
        }
        return makers[part](self.img, self.bank, **parameters)

    def _words(self, part: str, k: int | None) -> Lexical:
        if part == "words":
            return lexical.clip_words(self.captions, self.img, self.bank, self.bank_captions, k)
        maker = lexical.tfidf if part == "tfidf" else lexical.overlap
        return maker(self.captions, self.gt, len(self.img))

    def _once(self, make: Callable, name, **parameters):
        key = (make.__name__, name, *sorted(parameters.items()))
        if key not in self._made:
            self._made[key] = make(name, **parameters)
        return self._made[key]


def parse(name: str) -> tuple[str, ...]:
    """The parts of a method's name, in the order in which they work. Raises ValueError for what can't be."""
    parts = name.split("+")
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(PARTS)}")
    for kind in (BASES, HUBS, LEXICALS):
        if sum(part in kind for part in parts) > 1:
            raise ValueError(f"{name!r} has more than one of {', '.join(kind)}")
    return tuple(sorted(parts, key=PARTS.index))


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
