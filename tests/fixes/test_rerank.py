"""Methods put together and ranked: each part where it belongs, ties, blocks, placebos."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from common.fixes import placebo, recipes, rerank
from common.fixes.recipes import Material
from common.fixes.rerank import Block, Job
from common.results import DRAWS
from common.retrieval import ranking


def rows(*shape, seed=0):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture
def material() -> Material:
    texts = [f"a {color} {thing}" for color in "red blue old".split() for thing in "dog cat car boat".split()]
    return Material(
        txt=rows(12, 16),
        img=rows(6, 16, seed=1),
        captions=texts,
        gt=np.repeat(np.arange(6), 2),
        bank=rows(40, 16, seed=2),
        bank_captions=[f"{texts[n % 12]} here" for n in range(40)],
    )


EVERYTHING = np.arange(12)


def ranked(material: Material, name: str, bases=None, **how) -> list[rerank.Ranked]:
    """By a method and by each draw of its placebo."""
    maker = rerank.Maker(material, seed=0)
    method = maker.make(recipes.parse(name), recipes.published(), bases)
    return rerank.rank([method, *maker.placebos(method)], EVERYTHING, material.gt, **how)


def test_pooled_scores_are_those_of_the_queries_asked_for():
    img, templated = rows(9, 16, seed=5), rows(4, 3, 16, seed=6)
    plain = rerank.Plain(rows(12, 16), img)
    base = rerank.Templated(np.array([2, 5, 7, 11]), templated, plain).pooled("max", 0.01)
    expected = (templated[[3, 1]].double() @ img.double().T).amax(1)
    assert torch.allclose(base(Block(np.array([11, 5]))), expected)


def test_plain_captions_rank_as_in_step_1(material):
    (found,) = rerank.rank([rerank.Method(rerank.Plain(material.txt, material.img))], EVERYTHING, material.gt)
    expected = ranking.rank(material.txt, material.img, material.gt)
    assert found.rank.tolist() == expected.rank.tolist() and found.tied.tolist() == expected.tied.tolist()
    assert found.first is None


def test_words_order_what_a_correction_leaves(material):
    """nnn+words is words over the scores that nnn has corrected, not over the plain ones."""
    maker = rerank.Maker(material, seed=0)
    both = maker.make(recipes.parse("words+nnn"), recipes.published())
    hubs = maker.make(recipes.parse("nnn"), recipes.published())
    words = maker.make(recipes.parse("words"), recipes.published())
    assert both.correction is hubs.correction and both.words is words.words, "what is shared is made once"
    corrected = maker.plain(Block(EVERYTHING)) - hubs.correction.off
    expected = replace(words, base=lambda block: corrected).scores(Block(EVERYTHING))
    assert torch.equal(both.scores(Block(EVERYTHING)), expected)
    assert not torch.equal(expected, words.scores(Block(EVERYTHING)))


def test_the_weight_of_words_is_not_what_they_are_made_from(material):
    maker = rerank.Maker(material, seed=0)
    light = maker.make(recipes.parse("tfidf"), {"tfidf": {"weight": 0.1}})
    heavy = maker.make(recipes.parse("tfidf"), {"tfidf": {"weight": 9.0}})
    assert light.words is heavy.words and (light.weight, heavy.weight) == (0.1, 9.0)


@pytest.mark.parametrize("name", ["nnn", "dis", "overlap", "words", "nnn+words"])
def test_a_query_ranks_the_same_alone_and_in_any_block(material, name, monkeypatch):
    whole = ranked(material, name, first=1)
    monkeypatch.setattr(rerank, "LEAST", 1)
    monkeypatch.setattr(rerank, "NUMBERS", 1)
    alone = ranked(material, name, first=1)
    assert whole[0].first.tolist() == alone[0].first.tolist() and whole[1].first is None
    for one, other in zip(whole, alone, strict=True):
        assert one.rank.tolist() == other.rank.tolist()


@pytest.mark.parametrize("name", ["nnn", "dis", "overlap", "words", "nnn+words"])
def test_methods_rank_together_as_each_alone(material, name):
    """What they share on a block is no other's."""
    maker = rerank.Maker(material, seed=0)
    method = maker.make(recipes.parse(name), recipes.published())
    methods = [method, *maker.placebos(method)]
    together = rerank.rank(methods, EVERYTHING, material.gt)
    for each, found in zip(methods, together, strict=True):
        (alone,) = rerank.rank([each], EVERYTHING, material.gt)
        assert alone.rank.tolist() == found.rank.tolist()


def test_a_placebo_has_the_same_parts_with_their_meaning_cut(material):
    maker = rerank.Maker(material, seed=4)
    method = maker.make(recipes.parse("dis+words"), recipes.published())
    draws, seeds = maker.placebos(method), placebo.seeds(4)
    assert len(draws) == len(set(seeds)) == DRAWS and seeds[0] == 4
    for other, seed in zip(draws, seeds, strict=True):
        assert torch.equal(other.correction.off, placebo.dealt(method.correction, seed).off)
        assert other.words is method.words and (method.shuffle_seed, other.shuffle_seed) == (None, seed)


def test_a_placebo_of_templates_is_another_base(material):
    maker, queries = rerank.Maker(material, seed=0), np.array([3, 8])
    templated, block = rows(2, 4, 16, seed=7), Block(np.array([3, 8]))
    base = maker.templated(queries, templated).pooled("max", 0.01)
    method = maker.make(recipes.parse("prompts"), {}, base)
    first, second, *others = maker.placebos(method)
    assert method.base is base and len(others) == DRAWS - 2
    plain = material.txt[queries]
    cosine = (templated * plain[:, None]).sum(-1).double().T
    asides = placebo.asides(plain, queries, 4, DRAWS, seed=0)
    for draw, each in enumerate((first, second)):
        turned = placebo.turned(plain.double(), asides[draw], cosine) @ material.img.double().T
        assert torch.allclose(each.base(block), turned.amax(0), atol=1e-6)
    found = rerank.rank([method, first], queries, material.gt)
    assert len(found[0].rank) == 2
    # A method with fewer draws has the first ones.
    (alone,) = maker.placebos(method, 1)
    assert torch.equal(alone.base(Block(queries)), first.base(block))


def test_templates_are_turned_once_for_all_that_share_them(material):
    """However they are pooled, whatever follows, and also for other templates of the same queries."""
    maker, queries = rerank.Maker(material, seed=0), np.array([1, 3, 8])
    general = maker.templated(queries, rows(3, 4, 16, seed=7))
    own = maker.templated(queries[1:], rows(2, 4, 16, seed=8))
    made = []
    for name, base in (("prompts", general), ("prompts+nnn", general), ("category", own)):
        method = maker.make(recipes.parse(name), recipes.published(), base.pooled("mean", 0.01))
        made.append(Job(method, maker.placebos(method), base.queries, False))
    assert made[0].placebos[2].base is made[1].placebos[2].base
    assert general.pooled("max", 0.01).placebo(0, 2, DRAWS).templates is made[0].placebos[2].base.templates
    drawn, draw = [], placebo.asides
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(placebo, "asides", lambda txt, idx, *how: drawn.append(idx) or draw(txt, idx, *how))
        together = rerank.rank_all(made, material.gt)
    assert np.array_equal(np.concatenate(drawn), queries)
    for job, done in zip(made, together, strict=True):
        (alone,) = rerank.rank_all([job], material.gt)
        assert alone.after.rank.tolist() == done.after.rank.tolist()
        assert alone.placebos.tolist() == done.placebos.tolist()


@pytest.mark.parametrize("name", ["nnn", "dis", "overlap", "words", "nnn+words"])
@pytest.mark.parametrize("candidates", [2, 4, 100])
def test_a_placebo_s_ranks_are_those_of_its_scores(material, name, candidates, monkeypatch):
    """What is counted among candidates alone is what all scores say, with ties and without."""
    monkeypatch.setattr(rerank, "CANDIDATES", candidates)
    twins = replace(material, img=material.img[[0, 1, 1, 3, 4, 4]])
    for each in (material, twins):
        maker = rerank.Maker(each, seed=0)
        method = maker.make(recipes.parse(name), recipes.published())
        draws = maker.placebos(method)
        (done,) = rerank.rank_all([Job(method, draws, EVERYTHING, False)], each.gt)
        for ranks, whole in zip(done.placebos, rerank.rank(draws, EVERYTHING, each.gt), strict=True):
            assert ranks.tolist() == whole.rank.tolist()


def test_some_of_the_ranked_queries_are_a_view(material):
    found, *_ = ranked(material, "nnn", first=1)
    some = found.of(np.array([7, 2]))
    assert some.rank.tolist() == [found.rank[7], found.rank[2]]
    assert some.first.tolist() == [found.first[7].tolist(), found.first[2].tolist()]
