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
    """And in another direction, draw by draw and template by template."""
    plain, templated = rows(20, 64), normalize(rows(20, 1, 64) + 0.5 * rows(20, 5, 64, seed=4), dim=-1)
    queries = np.arange(100, 120)
    asides = placebo.asides(plain, queries, 5, 3, seed=0)
    assert asides.shape == (3, 5, 20, 64) and (asides * plain).sum(-1).abs().max() < 1e-6
    cosine = (templated * plain[:, None]).sum(-1).double().T
    turned = placebo.turned(plain.double(), asides[1], cosine)
    assert torch.allclose(turned.norm(dim=-1), torch.ones(5, 20).double(), atol=1e-6)
    assert torch.allclose((turned * plain).sum(-1), cosine, atol=1e-6)
    meant = normalize(templated.transpose(0, 1) - cosine[..., None] * plain, dim=-1)
    assert (asides[1] * meant).sum(-1).abs().mean() < 0.2  # two random directions of 64 numbers
    # Every draw, template and query has its own.
    alike = normalize(asides.reshape(-1, 64), dim=1) @ normalize(asides.reshape(-1, 64), dim=1).T
    assert (alike - torch.eye(300)).abs().max() < 0.75


def test_directions_depend_on_the_seed_and_the_query_alone():
    plain, queries = rows(20, 64), np.arange(100, 120)
    asides = placebo.asides(plain, queries, 5, 3, seed=0)
    assert torch.equal(placebo.asides(plain[3:5], queries[3:5], 5, 3, seed=0), asides[:, :, 3:5])
    assert torch.equal(placebo.asides(plain, queries, 5, 1, seed=0), asides[:1])
    assert not torch.allclose(placebo.asides(plain, queries, 5, 3, seed=1), asides, atol=0.01)


def test_directions_are_uniform_around_the_caption():
    """Each coordinate across the caption has mean 0 and variance 1 / (dim - 1)."""
    dim = 8
    plain = torch.zeros(4000, dim)
    plain[:, 0] = 1
    across = placebo.asides(plain, np.arange(4000), 1, 1, seed=5)[0, 0, :, 1:]
    assert across.mean(0).abs().max() < 4 / (4000 * (dim - 1)) ** 0.5
    assert torch.allclose(across.T @ across / 4000, torch.eye(dim - 1).double() / (dim - 1), atol=0.012)


def test_scores_of_turned_captions_are_those_of_their_rows():
    """A draw needs no rows: what is linear in them can be had from products."""
    plain, img, cosine = rows(6, 16).double(), rows(9, 16, seed=3).double(), torch.rand(4, 6).double()
    aside = placebo.asides(plain.float(), np.arange(6), 4, 1, seed=0)[0]
    by_rows = placebo.turned(plain, aside, cosine) @ img.T
    assert torch.allclose(placebo.turned(plain @ img.T, aside @ img.T, cosine), by_rows, atol=1e-12)


def test_words_are_exchanged_among_a_query_s_candidates():
    generator = torch.Generator().manual_seed(1)
    # Ties, so that the numbers of candidates differ.
    scores = torch.randint(0, 12, (60, 40), generator=generator).double()
    places, chosen = lexical.candidates(scores, 8)
    values = torch.rand(places.shape, generator=generator, dtype=torch.float64)
    queries = np.arange(7, 67)
    assert not chosen.all()
    mixed = values.gather(1, placebo.exchange(places, chosen, queries, seed=3))
    for row in range(60):
        assert sorted(mixed[row][chosen[row]].tolist()) == sorted(values[row][chosen[row]].tolist())
        assert torch.equal(mixed[row][~chosen[row]], values[row][~chosen[row]])
    assert (mixed != values)[chosen].double().mean() > 0.7
    # Alone a query is dealt with as it is among others.
    alone = values[5:6].gather(1, placebo.exchange(places[5:6], chosen[5:6], queries[5:6], seed=3))
    assert torch.equal(alone, mixed[5:6])
    # Also where each of them has as many candidates, and none has to stay where it is.
    whole = torch.nonzero(chosen.all(1))[:, 0]
    short = placebo.exchange(places[whole], chosen[whole], queries[whole.numpy()], seed=3)
    assert torch.equal(values[whole].gather(1, short), mixed[whole])
    assert not torch.equal(values.gather(1, placebo.exchange(places, chosen, queries, seed=4)), mixed)


def test_every_candidate_gets_every_place_equally_often():
    places, chosen = torch.arange(5).expand(4000, 5), torch.ones(4000, 5, dtype=torch.bool)
    mixed = placebo.exchange(places, chosen, np.arange(4000), seed=0)
    counts = np.array([[int((mixed[:, place] == value).sum()) for value in range(5)] for place in range(5)])
    assert ((counts - 800) ** 2 / 800).sum() < 45  # chi-squared with 16 degrees of freedom: p < 0.0002
