"""Templates put around a whole caption, and ways to pool the scores of several of them.

A COCO caption is a full sentence or a long noun phrase, so each template ends where such a caption can stand:
behind a colon, a full stop or a question mark. None changes the caption, and all are short: a text that is
longer than the model reads is cut off at its end, where the caption is.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.heavy import torch
from common.labels.taxonomy import AMBIGUOUS, CATEGORIES

POOLINGS = ("mean", "max", "logsumexp")

GENERAL = (
    "A photo: {}",
    "A picture: {}",
    "A snapshot: {}",
    "An image: {}",
    "In this photo: {}",
    "The photo shows: {}",
    "What can be seen: {}",
    "A camera saw this: {}",
    "A real scene: {}",
    "Caption: {}",
)

MOST = len(GENERAL)  # templates of a whole set
# Which set a query needs is known only once it has failed and somebody has said why: these are an oracle's.
OF_CATEGORY = {label.name: label.templates for label in CATEGORIES if label.templates}


def lacking(categories: Iterable[str]) -> str:
    """Which of these categories has no whole set of templates, and where to add it; "" where all have one."""
    named = set(categories)
    for label in CATEGORIES:
        n = len(label.templates)
        if label.name in named and label.name != AMBIGUOUS and n < MOST:
            return f"{label.name} has {n or 'no'} templates in common/labels/taxonomy.py: add {MOST - n}"
    return ""


def filled(templates: tuple[str, ...], caption: str) -> list[str]:
    """The caption in each template, whole but for white space at its edges, which no sentence has."""
    caption = caption.strip()
    return [template.replace("{}", caption) for template in templates]


def pool(scores: torch.Tensor, pooling: str, tau: float) -> torch.Tensor:
    """Scores of K templates as one: (K, ...) cosines to (...).

    mean ranks as the averaged embedding does; max takes the best template; logsumexp is
    tau x (log-sum-exp(s / tau) - log K), which goes from max (tau to 0) to mean (tau large). Cosines differ
    by hundredths, so a tau of 1 *is* the mean; 0.01, the inverse of CLIP's own scale, is between the two.
    """
    if pooling == "mean":
        return scores.mean(0)
    if pooling == "max":
        return scores.amax(0)
    if pooling == "logsumexp":
        # Off the maximum first: for a small tau the sum would lose what it is about.
        top = scores.amax(0)
        return (scores - top).div_(tau).exp_().mean(0).log_().mul_(tau).add_(top)
    raise ValueError(f"pooling {pooling!r}: should be one of {', '.join(POOLINGS)}")
