"""Templates and pooling: captions stay whole, and the limits of pooling hold."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from common.fixes import prompts
from common.labels.taxonomy import CATEGORIES, CLEAR_NAMES, Label


def rows(*shape, seed=0):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_templates_differ_and_keep_the_caption_whole():
    assert prompts.lacking(CLEAR_NAMES) == ""
    caption = " A man's {hat} is red, isn't it?\nYes. "
    for templates in (prompts.GENERAL, *prompts.OF_CATEGORY.values()):
        assert len(set(templates)) == prompts.MOST
        for text in prompts.filled(templates, caption):
            assert text.count(caption.strip()) == 1 and text != caption.strip()
            before = text[: text.index(caption.strip())]
            assert before == "" or before.rstrip()[-1] in ':.?"', "a full sentence can't stand there"


@pytest.mark.parametrize(("n", "words"), [(0, "no templates"), (3, "3 templates"), (9, "9 templates")])
def test_a_category_without_a_whole_set_is_named(monkeypatch, n, words):
    new = Label("Text", "Text", "8", "A word.", templates=tuple(f"{k}: {{}}" for k in range(n)))
    monkeypatch.setattr(prompts, "CATEGORIES", (*CATEGORIES, new))
    assert prompts.lacking([*CLEAR_NAMES, "Ambiguous"]) == ""
    assert (
        prompts.lacking(["Text"]) == f"Text has {words} in common/labels/taxonomy.py: add {prompts.MOST - n}"
    )


def test_mean_pooling_ranks_as_the_averaged_embedding():
    templates, img = rows(40, 6, 16).double(), rows(30, 16, seed=1).double()
    pooled = prompts.pool(templates.transpose(0, 1) @ img.T, "mean", 0.01)
    averaged = normalize(templates.mean(1), dim=1) @ img.T
    assert torch.equal(pooled.argsort(1), averaged.argsort(1))


def test_the_limits_of_pooling():
    scores = torch.rand(7, 5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    close = dict(rtol=0, atol=1e-6)
    assert torch.allclose(prompts.pool(scores, "logsumexp", 1e-8), prompts.pool(scores, "max", 1), **close)
    assert torch.allclose(prompts.pool(scores, "logsumexp", 1e6), prompts.pool(scores, "mean", 1), **close)
    tau = 0.3
    expected = tau * (torch.logsumexp(scores / tau, 0) - np.log(7))
    assert torch.allclose(prompts.pool(scores, "logsumexp", tau), expected, rtol=0, atol=1e-12)
    for pooling in prompts.POOLINGS:  # one template alone is itself
        assert torch.allclose(prompts.pool(scores[:1], pooling, 0.01), scores[0], rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="median"):
        prompts.pool(scores, "median", 0.01)


def test_at_a_tau_of_1_logsumexp_ranks_as_the_mean():
    """On cosines as close as CLIP's."""
    spread = 0.02 * torch.randn(10, 300, 100, generator=torch.Generator().manual_seed(3)).double() + 0.2
    mean, soft = (prompts.pool(spread, *how).argmax(1) for how in (("mean", 1.0), ("logsumexp", 1.0)))
    assert (mean == soft).double().mean() > 0.95
    small = prompts.pool(spread, "logsumexp", 0.01).argmax(1)
    assert (small == mean).double().mean() < 0.9
