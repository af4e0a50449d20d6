"""Placebos: a method's own code with its link to the content cut.

What is left is the size of the intervention without its meaning. A placebo isn't a zero: where it moves
scores by as much as most corrections of hubs and words do, it breaks more right answers than it fixes wrong
ones; where it moves them little, as that of templates does, next to nothing changes.

Each draw of a placebo is random, so several are taken (`seeds`).
"""

from __future__ import annotations

import numpy as np

from common.fixes.hubness import Correction
from common.heavy import torch
from common.results import DRAWS

DEALT, TURNED, SHUFFLED, CATEGORY = range(4)  # streams of one seed, so that no two draws are alike


def seeds(seed: int) -> list[int]:
    """A seed for each draw: the run's own first, then others that depend on it."""
    further = np.random.SeedSequence([seed, DRAWS]).generate_state(DRAWS - 1, np.uint64)
    return [seed, *(int(each >> np.uint64(1)) for each in further)]


def dealt(correction: Correction, seed: int) -> Correction:
    """A hubness correction with its images exchanged at random: same numbers, other owners."""
    order = torch.from_numpy(np.random.default_rng([DEALT, seed]).permutation(len(correction.off)))
    return correction.exchanged(order)


def asides(plain: torch.Tensor, queries: np.ndarray, k: int, draws: int, seed: int) -> torch.Tensor:
    """Random directions at right angles to each caption, k a draw: (draws, k, n, dim) float64 of length 1.

    plain (n, dim): rows of length 1. Directions are independent and uniform: normal numbers (Muller 1959),
    less their part along the caption. One generator of (seed, idx) gives all of a query's, draw by draw, so
    that they depend neither on the other queries nor on how many draws follow.
    """
    n, dim = plain.shape
    noise = np.empty((n, draws, k, dim), np.float32)
    for row, query in zip(noise, queries.tolist(), strict=True):
        np.random.default_rng([TURNED, seed, query]).standard_normal(dtype=np.float32, out=row)
    aside = torch.from_numpy(noise).permute(1, 2, 0, 3).double().contiguous()
    plain = plain.double()
    aside -= (aside * plain).sum(-1, keepdim=True) * plain
    return aside.div_(aside.norm(dim=-1, keepdim=True))


def turned(plain: torch.Tensor, aside: torch.Tensor, cosine: torch.Tensor) -> torch.Tensor:
    """Plain captions displaced as far as templates displace them, in random directions: (k, n, m) float64.

    cosine (k, n): of each template with its plain caption. plain (n, m) and aside (k, n, m), float64: the
    captions and one draw of `asides`. Both may be rows or, since it is linear in them, their scores with all
    images, which templates at other angles in the same directions then share.
    """
    cosine = cosine[..., None]
    return (aside * (1 - cosine**2).sqrt()).addcmul_(cosine, plain)


def exchange(places: torch.Tensor, chosen: torch.Tensor, queries: np.ndarray, seed: int) -> torch.Tensor:
    """A random order of each query's candidates, in which their lexical scores are exchanged: (n, c) int64.

    places and chosen (n, c) as `lexical.candidates` gives them; what is no candidate stays where it is. The
    order depends on the seed, the query's idx and its candidates alone, not on the other queries.
    """
    keys = _random_bits(seed, np.asarray(queries)[:, None], places.numpy())
    if chosen.all():
        return torch.from_numpy(np.argsort(keys, axis=1, kind="stable"))
    # Candidates first, in their own order; what is none follows and stays where it is.
    front = torch.argsort(chosen.byte(), dim=1, descending=True, stable=True)
    keys = np.where(chosen.numpy(), keys, np.iinfo(np.uint64).max)
    source = torch.from_numpy(np.argsort(keys, axis=1, kind="stable"))
    return source.scatter(1, front, source)


def _random_bits(seed: int, queries: np.ndarray, images: np.ndarray) -> np.ndarray:
    """64 random bits for each query and image: uint64 of their common shape.

    The finalizer of splitmix64 (Steele, Lea and Flood 2014, fig. 17), chained over the three numbers.
    """
    bits = np.uint64(SHUFFLED)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        for number in (seed, queries, images):
            bits = bits + np.asarray(number).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
            bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            bits = bits ^ (bits >> np.uint64(31))
    return bits
