"""A method with one pooling, on all of its sets of queries.

Each query is ranked once, by the method and by its placebo; sets of queries are views of that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from common.fixes import prompts, recipes, rerank
from common.fixes.bank import Bank
from common.fixes.recipes import Material, Recipe
from common.fixes.rerank import Ranked
from common.fixes.study import Sets, Study, deal_categories
from common.labels.taxonomy import AMBIGUOUS, CATEGORY_NAMES
from common.results import ALL, CLEAR, DEALT, FAILURES, LABEL, NO_POOLING, SUCCESSES, Marks
from common.retrieval.text_cache import NoModel, TextCache
from common.statistics import ANECDOTAL


class Cell(NamedTuple):
    """A method, with one pooling, on its sets of queries: one pair of files in `cells/`."""

    recipe: Recipe
    pooling: str  # of prompts.POOLINGS, or NO_POOLING
    sets: Sets
    transductive: bool = False  # it learns from a bank that holds queries

    @property
    def label(self) -> str:
        return self.recipe.label(self.pooling)

    def source(self, name: str) -> str | None:
        """Where category templates take the categories of a set's queries from: LABEL, or DEALT.

        None for other methods. What has been labeled is what has failed, so where successes take part all
        categories are dealt.
        """
        if not self.recipe.uses_category:
            return None
        return LABEL if name in (*CATEGORY_NAMES, CLEAR) else DEALT

    def marks(self, name: str, ranked: int, study: Study) -> Marks:
        """What has to be said of a result on one of its sets, of which `ranked` queries were ranked."""
        source, size = self.source(name), study.size(name)
        return Marks(
            exact=ranked == size,
            ranked=ranked,
            of=size,
            transductive=self.transductive,
            oracle=self.recipe.is_oracle(source),
            dealt=source == DEALT,
            anecdotal=ranked < ANECDOTAL,
            tuned=bool(len(study.tuning)) and self.recipe.is_tunable,
        )

    @property
    def queries_of(self) -> dict[str | None, np.ndarray]:
        """Source -> the queries of all sets that it is for, each once: (n,) idx, ascending."""
        found = {}
        for name, queries in self.sets.items():
            source = self.source(name)
            found[source] = np.union1d(found[source], queries) if source in found else queries
        return found


class Pass(NamedTuple):
    """Queries ranked by a method and by each draw of its placebo, each once."""

    source: str | None  # of the queries' categories, as Cell.source gives it
    queries: np.ndarray  # (n,) idx, ascending
    after: Ranked
    placebos: np.ndarray  # (draws, n) ranks

    def on(self, queries: np.ndarray) -> "Pass":
        """The same of some of the queries alone, (m,) idx."""
        rows = np.searchsorted(self.queries, queries)
        return Pass(self.source, queries, self.after.of(rows), self.placebos[:, rows])


def cells_of(
    recipe: Recipe, subsets: Sets, study: Study, poolings: Sequence[str], bank: Bank | None = None
) -> list[Cell]:
    """A method with each pooling, if it has templates.

    On all queries where no text has to be encoded; else the samples of failures and successes stand for all.
    """
    sets = dict(subsets)
    if recipe.uses_category:
        sets.pop(AMBIGUOUS, None)  # no template distinguishes two images that both fit
    sets[ALL] = np.union1d(subsets[FAILURES], subsets[SUCCESSES]) if recipe.encodes else study.queries
    transductive = bool(bank and bank.transductive and recipe.needs_bank)
    return [
        Cell(recipe, pooling, sets, transductive)
        for pooling in (poolings if recipe.encodes else [NO_POOLING])
    ]


def material_of(study: Study, bank: Bank | None) -> Material:
    """What methods are made from; the bank, if there is one, with its rows."""
    frozen, rows, captions = study.frozen, None, []
    if bank and bank.embeddings is not None:
        rows, captions = bank.embeddings, bank.captions
    return Material(frozen.txt, frozen.img, frozen.meta.captions, frozen.gt, rows, captions)


def left_out(
    wanted: list[Recipe], study: Study, bank: Bank | None, no_bank: str, texts: TextCache
) -> dict[str, str]:
    """Method -> why it can't be run here. `no_bank`: why no bank's rows are at hand, or ""."""
    reasons, no_model = {}, ""
    if any(recipe.encodes for recipe in wanted):
        try:
            texts.find()
        except NoModel as error:
            no_model = str(error)
    for recipe in wanted:
        if no_bank and recipe.needs_bank:
            reasons[recipe.name] = no_bank
        elif bank and bank.transductive and recipe.reads_bank:
            reasons[recipe.name] = "the bank holds queries, whose own words would lead to their images"
        elif no_model and recipe.encodes:
            reasons[recipe.name] = no_model
        elif recipe.uses_category and not study.has_clear_labels:
            reasons[recipe.name] = (
                "there are no labels of clear failures yet: run `python merge_assignments.py`"
            )
        elif recipe.uses_category and (lacking := prompts.lacking(study.labels.values())):
            reasons[recipe.name] = lacking
    return reasons


@dataclass(frozen=True)
class Ranker:
    """Ranks the queries of cells."""

    study: Study
    maker: rerank.Maker
    texts: TextCache
    k: int  # templates of each query
    tau: float  # of logsumexp
    parameters: dict[str, dict]  # part -> its parameters
    _filled: dict[tuple, list[str]] = field(default_factory=dict)  # templates with captions, made once

    def encode(self, cells: list[Cell]) -> None:
        """Have ready what templates make of the queries, once for all methods that share them."""
        for part in recipes.PARTS:
            own = [cell for cell in cells if cell.recipe.base is part]
            needed = {text for cell in own for text in self._texts(cell)}
            if needed:
                self.texts.add(sorted(needed), f"{part.name} templates")

    def rank(self, cells: list[Cell]) -> list[list[Pass]]:
        """The queries of cells by their methods and their placebos' draws: for each cell one pass for each
        source of categories. What cells share is made once.
        """
        bases, passes = {}, [[] for _ in cells]
        # By themselves where texts are encoded: blocks of templates hold fewer queries.
        for encodes in (False, True):
            of = [number for number, cell in enumerate(cells) if cell.recipe.encodes == encodes]
            sources = [(number, *each) for number in of for each in cells[number].queries_of.items()]
            jobs = [self._job(cells[number], source, queries, bases) for number, source, queries in sources]
            found = rerank.rank_all(jobs, self.study.frozen.gt)
            for (number, source, queries), done in zip(sources, found, strict=True):
                passes[number].append(Pass(source, queries, done.after, done.placebos))
        return passes

    def _job(self, cell: Cell, source: str | None, queries: np.ndarray, bases: dict) -> rerank.Job:
        """A pass of a cell. `bases`: the templates that an earlier one was made with, for others to share."""
        base = None
        if cell.recipe.encodes:
            key = cell.recipe.base, source, queries.tobytes()
            if key not in bases:
                rows = self.texts.rows(self._templated(cell.recipe, source, queries))
                bases[key] = self.maker.templated(queries, rows.reshape(len(queries), self.k, -1))
            base = bases[key].pooled(cell.pooling, self.tau)
        method = self.maker.make(cell.recipe, self.parameters, base)
        # First images are counted where all queries are ranked (hubness), and nowhere else.
        whole = len(queries) == len(self.study.queries)
        return rerank.Job(method, self.maker.placebos(method), queries, whole)

    @cached_property
    def _dealt(self) -> dict[int, str]:
        return deal_categories(self.study, self.maker.seed)

    def cut_off(self, cell: Cell) -> dict[str, int]:
        """Label -> how many of the texts that a cell was made from are longer than the model reads."""
        base, labels = cell.recipe.base, ["bank"] if cell.recipe.needs_bank else []
        labels += [f"{base.name} templates"] if base else []
        return {label: self.texts.cut_off[label] for label in labels if self.texts.cut_off.get(label)}

    def _texts(self, cell: Cell) -> list[str]:
        """All texts of a cell's queries."""
        sources = cell.queries_of.items()
        return [text for source, queries in sources for text in self._templated(cell.recipe, source, queries)]

    def _templated(self, recipe: Recipe, source: str | None, queries: np.ndarray) -> list[str]:
        """Each query in its k templates, one query after the other."""
        key = recipe.base, source, queries.tobytes()
        if key not in self._filled:
            category_of, captions = {}, self.study.frozen.meta.captions
            if source:
                category_of = self.study.labels if source == LABEL else self._dealt
            self._filled[key] = [
                text
                for idx in queries.tolist()
                for text in prompts.filled(recipe.base.make(category_of.get(idx))[: self.k], captions[idx])
            ]
        return self._filled[key]
