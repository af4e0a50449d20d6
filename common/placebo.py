"""Placebos: a method's own code with its link to the content cut.

What is left is the size of the intervention without its meaning. A placebo isn't a zero: moving scores about
at random breaks more right answers than it mends wrong ones, so it lies below the baseline.
"""

import numpy as np
import torch

from common.hubness import Correction

DEALT, TURNED, SHUFFLED, CATEGORY = range(4)  # streams of one seed, so that no two draws are alike


def dealt(correction: Correction, seed: int) -> Correction:
    """A hubness correction with its images exchanged at random: same numbers, other owners."""
    order = torch.from_numpy(np.random.default_rng([DEALT, seed]).permutation(len(correction.off)))
    active = None if correction.active is None else correction.active[order]
    return Correction(correction.off[order], active)


def turned(plain: torch.Tensor, templated: torch.Tensor, queries: np.ndarray, seed: int) -> torch.Tensor:
    """Plain captions displaced as far as templates displace them, in random directions.

    plain (n, dim) and templated (n, K, dim): rows of length 1; so are the result's, (n, K, dim) float32, each
    at its template's own angle to the plain caption. A query's directions hang on the seed and its idx alone.
    """
    n, k, dim = templated.shape
    noise = np.stack([np.random.default_rng([TURNED, seed, int(q)]).normal(size=(k, dim)) for q in queries])
    plain = plain.double()[:, None]  # (n, 1, dim)
    aside = torch.from_numpy(noise)
    aside -= (aside * plain).sum(-1, keepdim=True) * plain
    aside = torch.nn.functional.normalize(aside, dim=-1)
    cosine = (templated.double() * plain).sum(-1, keepdim=True).clamp(-1, 1)
    return (cosine * plain + (1 - cosine**2).sqrt() * aside).float()


def shuffled(values: torch.Tensor, chosen: torch.Tensor, queries: np.ndarray, seed: int) -> torch.Tensor:
    """Lexical scores (n, n_images) exchanged at random among the chosen candidates of each query."""
    values = values.clone()
    for row, query in enumerate(queries):
        places = torch.nonzero(chosen[row])[:, 0]
        order = np.random.default_rng([SHUFFLED, seed, int(query)]).permutation(len(places))
        values[row, places] = values[row, places[torch.from_numpy(order)]]
    return values
