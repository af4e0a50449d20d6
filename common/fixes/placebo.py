"""Placebos: a method's own code with its link to the content cut.

What is left is the size of the intervention without its meaning. A placebo isn't a zero: where it moves
scores by as much as most corrections of hubs and words do, it breaks more right answers than it fixes wrong
ones; where it moves them little, as that of templates does, next to nothing changes.

Each draw of a placebo is random, so several are taken (`seeds`).
"""

import numpy as np
import torch

from common.fixes.hubness import Correction
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


def turned(plain: torch.Tensor, templated: torch.Tensor, queries: np.ndarray, seed: int) -> torch.Tensor:
    """Plain captions displaced as far as templates displace them, in random directions.

    plain (n, dim) and templated (n, K, dim): rows of length 1; so are the result's, (n, K, dim) float32, each
    at its template's own angle to the plain caption. A query's directions depend on the seed and its idx.
    """
    n, k, dim = templated.shape
    noise = np.stack([np.random.default_rng([TURNED, seed, int(q)]).normal(size=(k, dim)) for q in queries])
    plain = plain.double()[:, None]  # (n, 1, dim)
    aside = torch.from_numpy(noise)
    aside -= (aside * plain).sum(-1, keepdim=True) * plain
    aside = torch.nn.functional.normalize(aside, dim=-1)
    cosine = (templated.double() * plain).sum(-1, keepdim=True).clamp(-1, 1)
    return (cosine * plain + (1 - cosine**2).sqrt() * aside).float()


def shuffled(
    values: torch.Tensor, places: torch.Tensor, chosen: torch.Tensor, queries: np.ndarray, seed: int
) -> torch.Tensor:
    """Lexical scores exchanged at random among the candidates of each query.

    values, places and chosen (n, c) as in `lexical.rerank`. The exchange depends on the seed, the query's
    idx and its candidates alone, not on the other queries.
    """
    keys = _random_bits(seed, np.asarray(queries)[:, None], places.numpy())
    # Candidates first, in their own order; what is none follows and stays where it is.
    front = torch.argsort(chosen.byte(), dim=1, descending=True, stable=True)
    keys = np.where(chosen.numpy(), keys, np.iinfo(np.uint64).max)
    source = torch.from_numpy(np.argsort(keys, axis=1, kind="stable"))
    return values.scatter(1, front, values.gather(1, source))


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
