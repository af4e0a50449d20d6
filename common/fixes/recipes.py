"""Methods, and the one table of the parts that they are put together from.

    prompts+nnn+words       a base that scores (pooled templates; without one, the plain caption),
                            a correction of hubs, and words that order the first candidates again

A method has at most one part of each kind. To add a part, add an entry to PARTS and the function that makes
it. What a part's `make` takes and gives is set by its kind:

    base    make(category) -> templates with {} for the caption; category is the query's, None if not needed
    hubs    make(material, **parameters) -> hubness.Correction
    words   make(material, **parameters) -> lexical.Lexical; their parameter `weight` is not passed on

Everything else (METHODS, TUNE, marks, descriptions in the report) follows from the entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from common.fixes import hubness, lexical, prompts
from common.heavy import torch
from common.results import LABEL, NO_POOLING, PartNote

BASE, HUBS, WORDS = KINDS = ("base", "hubs", "words")  # in the order in which they work
BANK, LABELS, TEXTS = "bank", "labels", "texts"  # what a part may need: see Part.needs


@dataclass(frozen=True)
class Material:
    """What corrections and words are made from."""

    txt: torch.Tensor  # (n_captions, dim) float32, rows of length 1, in the order of idx
    img: torch.Tensor  # (n_images, dim) float32, rows of length 1
    captions: list[str]  # idx -> text
    gt: np.ndarray  # (n_captions,) int64: image row of each caption
    bank: torch.Tensor | None = None  # (n_bank, dim) float32, rows of length 1
    bank_captions: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Part:
    """One part of methods: what users call it, what it needs, and the function that makes it."""

    name: str  # in METHODS, files and tables
    kind: str  # one of KINDS
    description: str  # one sentence, for the report
    make: Callable  # see the head of this file
    needs: tuple[str, ...] = ()  # BANK of captions; LABELS of clear failures; TEXTS encoded by the model
    is_oracle: bool = False  # uses what nobody knows when a query is asked (with LABELS: its own category)
    published: dict = field(default_factory=dict)  # parameters: those used without TUNE
    source: str = ""  # of these parameters
    grid: tuple[dict, ...] = ()  # what TUNE tries, the published ones among them

    @property
    def learns_from(self) -> int:
        """How many captions of a bank its published parameters ask for; 0 where any number will do."""
        return (self.published.get("k") or 0) if BANK in self.needs else 0

    @property
    def note(self) -> PartNote:
        """What the results say of it."""
        return PartNote(
            name=self.name,
            kind=self.kind,
            oracle=self.is_oracle,
            description=self.description,
            source=self.source,
        )


def _of_bank(correction: Callable) -> Callable:
    """`make` of a correction that is learned from the scores of a bank."""
    return lambda it, **parameters: correction(it.img, it.bank, **parameters)


def _of_other_captions(words: Callable) -> Callable:
    """`make` of words that other people wrote of each image."""
    return lambda it: words(it.captions, it.gt, len(it.img))


def _of_bank_captions(it: Material, k: int) -> lexical.Lexical:
    """`make` of the words of an image's nearest k captions of the bank."""
    return lexical.clip_words(it.captions, it.img, it.bank, it.bank_captions, k)


BETAS = (5.0, 10.0, 20.0, 40.0, 80.0)
WEIGHTS = tuple({"weight": weight} for weight in (0.125, 0.25, 0.5, 1.0, 2.0))
# Cosines lead: at half their weight words follow.
OWN_CHOICE = "none published: half the weight of the cosines"

PARTS = (
    Part(
        "prompts",
        BASE,
        "the caption in several general templates, their cosines pooled (mean, max or logsumexp)",
        lambda category: prompts.GENERAL,
        needs=(TEXTS,),
    ),
    Part(
        "category",
        BASE,
        "the same with templates of one category: the failure's own, or dealt at random to queries "
        "that nobody has labeled",
        lambda category: prompts.OF_CATEGORY[category],
        needs=(TEXTS, LABELS),
        is_oracle=True,
    ),
    Part(
        "nnn",
        HUBS,
        "Nearest Neighbor Normalization: takes off each image a part of its highest scores over a bank of "
        "captions (Chowdhury et al.)",
        _of_bank(hubness.nnn),
        needs=(BANK,),
        published={"alpha": 0.75, "k": 128},
        source="Chowdhury et al. 2024",
        grid=tuple({"alpha": a, "k": k} for a in (0.25, 0.5, 0.75, 1.0) for k in (16, 64, 128, 512)),
    ),
    Part(
        "dn",
        HUBS,
        "Distribution Normalization: the same over the whole bank (Zhou et al.)",
        _of_bank(hubness.nnn),  # the same thing for text to image: see hubness.py
        needs=(BANK,),
        published={"alpha": 0.5, "k": None},
        source="Zhou et al. 2023",
        grid=tuple({"alpha": a, "k": None} for a in (0.25, 0.5, 0.75, 1.0)),
    ),
    Part(
        "is",
        HUBS,
        "inverted softmax over the bank (Smith et al.)",
        _of_bank(hubness.inverted_softmax),
        needs=(BANK,),
        published={"beta": 20.0},
        source="Bogolin et al. 2022",
        grid=tuple({"beta": beta} for beta in BETAS),
    ),
    Part(
        "dis",
        HUBS,
        "dynamic inverted softmax: only for queries whose first image also comes first for a "
        "caption of the bank (Bogolin et al.)",
        _of_bank(hubness.dynamic_inverted_softmax),
        needs=(BANK,),
        published={"beta": 20.0, "k": 1},
        source="Bogolin et al. 2022",
        grid=tuple({"beta": beta, "k": k} for beta in BETAS for k in (1, 10)),
    ),
    Part(
        "csls",
        HUBS,
        "CSLS (Conneau et al.): ranks as NNN does that takes off half of the mean of the highest scores",
        _of_bank(hubness.nnn),
        needs=(BANK,),
        published={"alpha": 0.5, "k": 10},
        source="Conneau et al. 2018",
        grid=tuple({"alpha": 0.5, "k": k} for k in (1, 5, 10, 20, 50)),
    ),
    Part(
        "nnn_gallery",
        HUBS,
        "NNN without a bank: takes off each image a part of its highest cosines with other images",
        lambda it, **parameters: hubness.nnn_gallery(it.img, **parameters),
        published={"alpha": 0.25, "k": 5},
        source="none published: tried on 600 photographs of COCO",
        grid=tuple({"alpha": a, "k": k} for a in (0.125, 0.25, 0.5) for k in (1, 5, 16)),
    ),
    Part(
        "centre",
        HUBS,
        "centering: takes the mean caption of the bank off the query and the gallery's mean image off each "
        "image, and brings both back to length 1 (Suzuki et al.)",
        lambda it: hubness.centre(it.img, it.bank),
        needs=(BANK,),
    ),
    Part(
        "tfidf",
        WORDS,
        "re-ranks by TF-IDF with other people's captions of each candidate",
        _of_other_captions(lexical.tfidf),
        is_oracle=True,
        published={"weight": 0.5},
        source=OWN_CHOICE,
        grid=WEIGHTS,
    ),
    Part(
        "overlap",
        WORDS,
        "re-ranks by the words shared with other people's captions of each candidate",
        _of_other_captions(lexical.overlap),
        is_oracle=True,
        published={"weight": 0.5},
        source=OWN_CHOICE,
        grid=WEIGHTS,
    ),
    Part(
        "words",
        WORDS,
        "re-ranks by words of the bank that CLIP itself assigns to each image",
        _of_bank_captions,
        needs=(BANK,),
        published={"weight": 0.5, "k": 128},
        source=OWN_CHOICE,
        grid=tuple({**weight, "k": 128} for weight in WEIGHTS),
    ),
)


@dataclass(frozen=True)
class Recipe:
    """A method: what it is put together from, and what it needs. `parse` makes one of a name."""

    base: Part | None  # None: the plain caption
    hubs: Part | None
    words: Part | None

    @property
    def parts(self) -> tuple[Part, ...]:
        """In the order in which they work."""
        return tuple(part for part in (self.base, self.hubs, self.words) if part)

    @property
    def name(self) -> str:
        return "+".join(part.name for part in self.parts)

    @property
    def encodes(self) -> bool:
        """Whether the model has to encode texts for each query."""
        return self._needs(TEXTS)

    @property
    def needs_bank(self) -> bool:
        return self._needs(BANK)

    @property
    def uses_category(self) -> bool:
        """Whether it wants to know the category that a query fails in."""
        return self._needs(LABELS)

    @property
    def reads_bank(self) -> bool:
        """Whether the words of the bank themselves move images, which a query among them would decide."""
        return self.words is not None and BANK in self.words.needs

    @property
    def is_tunable(self) -> bool:
        """Whether TUNE chooses any of its parameters."""
        return any(part.grid for part in self.parts)

    def is_oracle(self, source: str | None) -> bool:
        """Whether it uses extra knowledge where queries' categories are from `source` (results.LABEL, DEALT).

        Category templates do with a failure's own label alone: dealt ones are anybody's.
        """
        return any(part.is_oracle and (LABELS not in part.needs or source == LABEL) for part in self.parts)

    def label(self, pooling: str) -> str:
        """The name for people: `prompts (mean)`, or `nnn` where nothing is pooled."""
        return self.name + ("" if pooling == NO_POOLING else f" ({pooling})")

    def _needs(self, what: str) -> bool:
        return any(what in part.needs for part in self.parts)


def parse(name: str) -> Recipe:
    """The method that a name stands for, its parts in any order. Raises ValueError for what can't be."""
    known = {part.name: part for part in PARTS}
    given = name.split("+")
    unknown = [each for each in given if each not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(known)}")
    found = {}
    for kind in KINDS:
        own = [known[each] for each in given if known[each].kind == kind]
        if len(own) > 1:
            names = ", ".join(part.name for part in PARTS if part.kind == kind)
            raise ValueError(f"{name!r} has more than one of {names}")
        found[kind] = own[0] if own else None
    return Recipe(**found)


def explained(methods: list[Recipe] | None = None) -> list[str]:
    """A line for each part of some methods (None: for all): its name and what it means, as in the table."""
    used = set(PARTS) if methods is None else {part for recipe in methods for part in recipe.parts}
    width = max([8, *(len(part.name) for part in used)])
    return [f"{part.name:<{width}} {part.description}" for part in PARTS if part in used]


def published() -> dict[str, dict]:
    """Part -> its published parameters, of all parts that have some."""
    return {part.name: part.published for part in PARTS if part.published}


def grids() -> dict[str, list[dict]]:
    """Part -> what TUNE tries, of all parts that have a grid."""
    return {part.name: list(part.grid) for part in PARTS if part.grid}
