"""Each query is ranked once, and every set of queries is a view of that."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from common.fixes import cells, recipes, rerank
from common.fixes.cells import Cell, Ranker
from common.fixes.recipes import Material
from common.fixes.study import choose_subsets, make_study
from common.labels.taxonomy import CATEGORY_NAMES, CLEAR_NAMES
from common.results import ALL, CLEAR, DEALT, DRAWS, EXTRA, FAILURES, LABEL, NO_POOLING, SUCCESSES
from common.retrieval import cache, meta
from common.retrieval.text_cache import NoModel
from tests.support import hub_study


class Texts:
    """A text cache whose model turns each text into a direction of its own."""

    def __init__(self):
        self.added = {}

    def find(self):
        return None

    def add(self, texts, label):
        self.added[label] = texts

    def rows(self, texts):
        known = set().union(*self.added.values())
        assert known.issuperset(texts), "encoded before they are asked for"
        seeds = [sum(map(ord, text)) * len(text) for text in texts]
        found = [torch.randn(24, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return normalize(torch.stack(found), dim=1)


@pytest.fixture
def study(tmp_path):
    files = hub_study.write(tmp_path)
    labels = {idx: category for idx, _, category in files.label_some()}
    return make_study(cache.load(meta.find(files.cache)), labels, tune=False, seed=3)


@pytest.fixture
def subsets(study):
    return choose_subsets(study, list(CATEGORY_NAMES), size=4, control=12, seed=3)


@pytest.fixture
def ranker(study):
    frozen = study.frozen
    bank = normalize(torch.randn(50, 24, generator=torch.Generator().manual_seed(5)), dim=1)
    texts = [f"a {word} thing" for word in frozen.meta.captions[:50]]
    material = Material(frozen.txt, frozen.img, frozen.meta.captions, frozen.gt, bank, texts)
    return Ranker(study, rerank.Maker(material, 3), Texts(), 2, 0.01, recipes.published())


def test_the_cells_of_a_method(study, subsets):
    (plain,) = cells.cells_of(recipes.parse("nnn"), subsets, study, ["mean", "max"])
    assert plain.pooling == NO_POOLING and plain.label == "nnn"
    assert set(plain.sets) == {*CATEGORY_NAMES, CLEAR, FAILURES, SUCCESSES, ALL}
    assert plain.sets[ALL] is study.queries
    mean, top = cells.cells_of(recipes.parse("category+nnn"), subsets, study, ["mean", "max"])
    assert (mean.label, top.label) == ("category+nnn (mean)", "category+nnn (max)")
    # No template distinguishes two images that both fit.
    assert "Ambiguous" not in mean.sets and set(CLEAR_NAMES) < set(mean.sets)
    assert mean.sets[ALL].tolist() == sorted([*subsets[FAILURES], *subsets[SUCCESSES]])


def test_a_query_is_needed_once_for_each_source_of_categories(study, subsets):
    (cell,) = cells.cells_of(recipes.parse("category"), subsets, study, ["mean"])
    assert {name: cell.source(name) for name in cell.sets} == {
        **dict.fromkeys([*CLEAR_NAMES, CLEAR], LABEL),
        **dict.fromkeys([ALL, FAILURES, SUCCESSES], DEALT),
    }
    needed = cell.queries_of
    assert needed[DEALT].tolist() == cell.sets[ALL].tolist()
    assert needed[LABEL].tolist() == subsets[CLEAR].tolist()
    assert set(needed[LABEL]) & set(needed[DEALT]), "some are needed with both"
    (general,) = cells.cells_of(recipes.parse("prompts"), subsets, study, ["mean"])
    (source,) = general.queries_of
    assert source is None and set(general.queries_of[None]) == set().union(*general.sets.values())


@pytest.mark.parametrize("name", ["nnn", "overlap", "nnn+words", "prompts", "category+nnn"])
def test_each_set_is_a_view_of_what_was_ranked_once(study, subsets, ranker, name, monkeypatch):
    (cell,) = cells.cells_of(recipes.parse(name), subsets, study, ["max"])
    ranker.encode([cell])
    asked, rank_all = [], rerank.rank_all
    monkeypatch.setattr(
        rerank, "rank_all", lambda jobs, gt: asked.extend(job.queries for job in jobs) or rank_all(jobs, gt)
    )
    (passes,) = ranker.rank([cell])
    passes = {each.source: each for each in passes}
    assert [len(np.unique(queries)) for queries in asked] == [len(queries) for queries in asked]
    assert len(asked) == len(passes) == (2 if cell.recipe.uses_category else 1)
    for name, queries in cell.sets.items():
        # The set alone, as if there were no other.
        ((alone,),) = ranker.rank([Cell(cell.recipe, cell.pooling, {name: queries})])
        view = passes[cell.source(name)].on(queries)
        assert view.queries is queries and view.source == alone.source
        assert view.after.rank.tolist() == alone.after.rank.tolist()
        assert view.after.tied.tolist() == alone.after.tied.tolist()
        assert [each.tolist() for each in view.placebos] == [each.tolist() for each in alone.placebos]
        assert len(view.placebos) == DRAWS


def test_first_images_are_kept_where_all_queries_are_ranked(study, subsets, ranker):
    for name, kept in (("nnn", True), ("prompts", False)):
        (cell,) = cells.cells_of(recipes.parse(name), subsets, study, ["max"])
        ranker.encode([cell])
        (passes,) = ranker.rank([cell])
        assert all((each.after.first is not None) == kept for each in passes)


def test_cells_rank_together_as_each_alone(study, subsets, ranker):
    names = ("prompts", "nnn", "category", "prompts+nnn", "overlap")
    todo = [
        cell
        for name in names
        for cell in cells.cells_of(recipes.parse(name), subsets, study, ["mean", "max"])
    ]
    ranker.encode(todo)
    for cell, passes in zip(todo, ranker.rank(todo), strict=True):
        (alone,) = ranker.rank([cell])
        assert [each.source for each in passes] == [each.source for each in alone]
        for one, other in zip(passes, alone, strict=True):
            assert one.queries.tolist() == other.queries.tolist()
            assert one.after.rank.tolist() == other.after.rank.tolist()
            assert one.placebos.tolist() == other.placebos.tolist()


def test_texts_are_encoded_once_for_all_methods_that_share_them(study, subsets, ranker):
    names = ("prompts", "prompts+nnn", "category", "nnn")
    todo = [
        cell
        for name in names
        for cell in cells.cells_of(recipes.parse(name), subsets, study, ["mean", "max"])
    ]
    ranker.encode(todo)
    assert list(ranker.texts.added) == ["prompts templates", "category templates"]
    prompted = ranker.texts.added["prompts templates"]
    # The same set whichever of the methods wait: the file that holds them is named after it.
    ranker.encode(todo[3:4])
    assert ranker.texts.added["prompts templates"] == prompted
    asked = set().union(*(cell.sets[name] for cell in todo[:1] for name in cell.sets))
    captions = {study.frozen.meta.captions[idx] for idx in asked}
    assert len(prompted) == 2 * len(captions)


def test_why_methods_are_left_out(study):
    class NoTexts:
        def find(self):
            raise NoModel("the model was not found")

    wanted = [recipes.parse(name) for name in ("prompts", "category", "nnn", "words", "tfidf", "prompts+nnn")]
    assert cells.left_out(wanted, study, None, "", Texts()) == {}
    assert cells.left_out(wanted, study, None, "no bank", NoTexts()) == {
        **dict.fromkeys(["nnn", "words", "prompts+nnn"], "no bank"),
        **dict.fromkeys(["prompts", "category"], "the model was not found"),
    }
    found = cells.left_out(wanted, study._replace(labels={}), None, "", Texts())
    assert list(found) == ["category"] and "no labels of clear failures" in found["category"]
    only = dict.fromkeys(study.labels, "Ambiguous")
    assert list(cells.left_out(wanted, study._replace(labels=only), None, "", Texts())) == ["category"]


@pytest.mark.parametrize("tune", [False, True])
def test_marks_say_what_was_used_in_a_cell(study, tune):
    """By set: where category templates are dealt, nothing is used that nobody knows."""
    study = make_study(study.frozen, study.labels, tune, 3)
    subsets = choose_subsets(study, list(CATEGORY_NAMES), size=100, control=12, seed=3)
    bank = SimpleNamespace(transductive=True)
    said = {}
    for name in ("category+nnn", "tfidf", "prompts", "nnn"):
        cell, *_ = cells.cells_of(recipes.parse(name), subsets, study, ["mean"], bank)
        said[name] = {one: cell.marks(one, len(idx), study).words for one, idx in cell.sets.items()}
    tuned = ["tuned"] * tune
    few, n = ["anecdotal: n = 24"], len(study.queries)
    sample = [f"estimated from 24 of {n}"]
    assert said["category+nnn"][ALL] == ["transductive", "dealt", *sample, *few, *tuned]
    assert said["category+nnn"][CLEAR][:2] == ["transductive", EXTRA]
    assert said["tfidf"][ALL] == [EXTRA, *tuned] and said["nnn"][ALL] == ["transductive", *tuned]
    assert said["prompts"][ALL] == [*sample, *few], "it has no parameter to tune, and learns from no bank"
    assert said["nnn"][FAILURES][1].startswith("estimated from 12 of ")
