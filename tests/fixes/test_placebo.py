"""Placebos keep the size of an intervention and lose its meaning, each query for itself."""

import numpy as np
import torch
from torch.nn.functional import normalize

from common.fixes import lexical, placebo
from common.fixes.hubness import Correction


def rows(*shape, seed=0):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_a_dealt_correction_keeps_its_numbers_and_their_marks():
    off, active = torch.rand(200, dtype=torch.float64), torch.rand(200) < 0.3
    dealt = placebo.dealt(Correction(off, active), seed=1)
    assert torch.equal(dealt.off.sort().values, off.sort().values) and not torch.equal(dealt.off, off)
    # An image's number and its mark move together.
    assert {*zip(dealt.off.tolist(), dealt.active.tolist(), strict=True)} == {
        *zip(off.tolist(), active.tolist(), strict=True)
    }
    assert torch.equal(placebo.dealt(Correction(off), seed=1).off, dealt.off)
    assert not torch.equal(placebo.dealt(Correction(off), seed=2).off, dealt.off)
    assert placebo.dealt(Correction(off), seed=1).active is None
    scaled = placebo.dealt(Correction(off, scale=10 * off), seed=1)
    assert torch.equal(scaled.scale, 10 * scaled.off) and torch.equal(scaled.off, dealt.off)


def test_a_turned_caption_is_as_far_away_as_its_template():
    """And in another direction."""
    plain, templated = rows(20, 64), normalize(rows(20, 1, 64) + 0.5 * rows(20, 5, 64, seed=4), dim=-1)
    queries = np.arange(100, 120)
    turned = placebo.turned(plain, templated, queries, seed=0)
    assert torch.allclose(turned.norm(dim=-1), torch.ones(20, 5), atol=1e-6)
    angle = (turned * plain[:, None]).sum(-1)
    assert torch.allclose(angle, (templated * plain[:, None]).sum(-1), atol=1e-6)
    aside = normalize(turned - angle[..., None] * plain[:, None], dim=-1)
    meant = normalize(templated - angle[..., None] * plain[:, None], dim=-1)
    assert (aside * meant).sum(-1).abs().mean() < 0.2  # two random directions of 64 numbers
    # A query's directions depend on the seed, not on which others are asked.
    assert torch.equal(placebo.turned(plain[3:5], templated[3:5], queries[3:5], seed=0), turned[3:5])
    assert not torch.allclose(placebo.turned(plain, templated, queries, seed=1), turned, atol=0.01)


def test_words_are_exchanged_among_a_query_s_candidates():
    generator = torch.Generator().manual_seed(1)
    # Ties, so that the numbers of candidates differ.
    scores = torch.randint(0, 12, (60, 40), generator=generator).double()
    places, chosen = lexical.candidates(scores, 8)
    values = torch.rand(places.shape, generator=generator, dtype=torch.float64)
    queries = np.arange(7, 67)
    mixed = placebo.shuffled(values, places, chosen, queries, seed=3)
    for row in range(60):
        assert sorted(mixed[row][chosen[row]].tolist()) == sorted(values[row][chosen[row]].tolist())
        assert torch.equal(mixed[row][~chosen[row]], values[row][~chosen[row]])
    assert (mixed != values)[chosen].double().mean() > 0.7
    # Alone a query is dealt with as it is among others.
    alone = placebo.shuffled(values[5:6], places[5:6], chosen[5:6], queries[5:6], seed=3)
    assert torch.equal(alone, mixed[5:6])
    assert not torch.equal(placebo.shuffled(values, places, chosen, queries, seed=4), mixed)


def test_every_candidate_gets_every_place_equally_often():
    places, chosen = torch.arange(5).expand(4000, 5), torch.ones(4000, 5, dtype=torch.bool)
    mixed = placebo.shuffled(places.double(), places, chosen, np.arange(4000), seed=0)
    counts = np.array([[int((mixed[:, place] == value).sum()) for value in range(5)] for place in range(5)])
    assert ((counts - 800) ** 2 / 800).sum() < 45  # chi-squared with 16 degrees of freedom: p < 0.0002
