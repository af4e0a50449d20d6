"""Ranks by counting: against worked examples, a sorted reference with ties, and another project's metric."""

import dataclasses
import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from common.retrieval import coco, evaluation, ranking


def from_scores(scores: list[list[float]]):
    """Embeddings whose products are exactly the given scores (texts x images); lengths don't matter here."""
    return torch.eye(len(scores)), torch.tensor(scores).T.contiguous()


def test_the_docstring_s_example():
    txt, img = from_scores([[0.9, 0.1, 0.3, 0.2], [0.5, 0.7, 0.7, 0.1]])
    found = ranking.rank(txt, img, np.array([0, 2]))
    assert found.rank.tolist() == [1, 2]
    assert found.tied.tolist() == [False, True]
    assert found.best_other.tolist() == [2, 1]
    np.testing.assert_allclose(found.best_other_score, [0.3, 0.7], atol=1e-6)


def test_a_two_by_four_matrix_by_hand_in_both_directions():
    # Four captions over two images; images' own captions are (0, 1) and (2, 3).
    txt, img = from_scores([[0.6, 0.2], [0.1, 0.3], [0.5, 0.4], [0.2, 0.7]])
    found = ranking.rank(txt, img, np.array([0, 0, 1, 1]))
    assert found.rank.tolist() == [1, 2, 2, 1]
    # Image 0: best own 0.6 against 0.5 and 0.2. Image 1: best own 0.7 against 0.2 and 0.3.
    assert found.image_rank.tolist() == [1, 1]
    assert evaluation.recall(found.rank, 1) == 0.5
    assert evaluation.mean_reciprocal_rank(found.rank) == 0.75


def sorted_reference(txt, img, gt):
    """Both directions by sorting a whole matrix, equal scores ahead of the positive."""
    scores = (txt.double() @ img.double().T).float().numpy()
    ranks, others, image_ties = [], [], []
    for row, positive in enumerate(gt):
        is_positive = np.arange(len(img)) == positive
        order = np.lexsort((is_positive, -scores[row]))
        ranks.append(int(np.flatnonzero(order == positive)[0]) + 1)
        others.append(int(next(column for column in order if column != positive)))
    image_ranks = []
    for column in range(len(img)):
        own = gt == column
        if not own.any():
            image_ranks.append(0)
            image_ties.append(False)
            continue
        image_ranks.append(1 + int((scores[~own, column] >= scores[own, column].max()).sum()))
        image_ties.append(bool((scores[~own, column] == scores[own, column].max()).any()))
    return ranks, others, image_ranks, image_ties


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_sorting_with_ties(seed, monkeypatch):
    monkeypatch.setattr(ranking, "BLOCK", 17)  # several blocks in each direction, the last one short
    monkeypatch.setattr(ranking, "GALLERY_BLOCK", 7)
    generator = torch.Generator().manual_seed(seed)
    # A few coarse directions, so that many images and captions are equal and scores tie.
    pool = normalize(torch.randint(-1, 2, (12, 4), generator=generator).float() + 0.01, dim=1)
    img = pool[torch.randint(0, 12, (30,), generator=generator)]
    txt = pool[torch.randint(0, 12, (100,), generator=generator)]
    gt = np.random.default_rng(seed).integers(0, 29, 100)  # image 29 has no caption
    found = ranking.rank(txt, img, gt)
    ranks, others, image_ranks, image_ties = sorted_reference(txt, img, gt)
    assert found.tied.any()
    assert found.rank.tolist() == ranks
    assert found.best_other.tolist() == others
    assert found.image_rank.tolist() == image_ranks
    assert found.image_tied.tolist() == image_ties


def test_equal_images_tie_whatever_the_block(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    img = normalize(torch.randn(101, 64, generator=generator), dim=1)
    img[77] = img[3]
    txt = normalize(torch.randn(50, 64, generator=generator), dim=1)
    for block in (1, 7, 512):
        monkeypatch.setattr(ranking, "GALLERY_BLOCK", block)
        monkeypatch.setattr(ranking, "BLOCK", block)
        found = ranking.rank(txt, img, np.full(50, 77))
        assert found.tied.all()
        assert (found.rank >= 2).all()


def near_ties(seed: int):
    """Captions and images of which many differ by so little that sums in float32 can't order their scores."""
    generator = torch.Generator().manual_seed(seed)
    img = normalize(torch.randn(300, 512, generator=generator), dim=1)
    noise = torch.randn(900, 512, generator=generator) / 22
    txt = normalize(0.12 * img.repeat_interleave(3, 0) + noise, dim=1)
    gt = np.arange(900) // 3
    # A third of both are another one but for the last bits of a few numbers; some are equal to it.
    for rows in (img, txt):
        n = len(rows) // 3
        rows[:n] = rows[n : 2 * n]
        places = torch.randint(0, 512, (n, 3), generator=generator)
        changed = rows[:n].gather(1, places) * (1 + 2.0**-22)
        changed[::5] = rows[:n].gather(1, places)[::5]
        rows[:n] = rows[:n].scatter(1, places, changed)
    return txt, img, gt


def of_whole_matrix(scores: np.ndarray, gt: np.ndarray) -> ranking.Ranking:
    """All that `rank` finds, from a whole matrix of scores."""
    n = np.arange(len(gt))
    positive, others = scores[n, gt], scores.copy()
    others[n, gt] = -np.inf
    best_own = np.array([scores[gt == row, row].max(initial=-np.inf) for row in range(scores.shape[1])])
    return ranking.Ranking(
        rank=1 + (others >= positive[:, None]).sum(1),
        tied=(others == positive[:, None]).any(1),
        positive_score=positive,
        best_other=others.argmax(1),
        best_other_score=others.max(1),
        image_rank=np.where(np.isfinite(best_own), 1 + (others >= best_own).sum(0), 0),
        image_tied=(others == best_own).any(0) & np.isfinite(best_own),
    )


@pytest.mark.parametrize("dense", [0, 64, 10**6])  # never a whole block in float64, as it is, or always
@pytest.mark.parametrize("seed", range(3))
def test_near_ties_rank_as_in_float64(seed, dense, monkeypatch):
    """Products in float32 alone get many wrong; what is in doubt is computed in float64."""
    monkeypatch.setattr(ranking, "DENSE", dense)
    txt, img, gt = near_ties(seed)
    in_float64 = of_whole_matrix((txt.double() @ img.double().T).float().numpy(), gt)
    in_float32 = of_whole_matrix((txt @ img.T).numpy(), gt)
    for name in ("rank", "image_rank", "best_other", "tied", "image_tied"):
        assert (getattr(in_float32, name) != getattr(in_float64, name)).sum() > 2, name
    assert_same(ranking.rank(txt, img, gt), in_float64)


def test_only_what_is_in_doubt_is_computed(monkeypatch):
    txt, img, gt = near_ties(0)
    computed, scores = [], ranking._scores

    def counting(*arguments):
        computed.append(len(arguments[2]))
        return scores(*arguments)

    monkeypatch.setattr(ranking, "_scores", counting)
    monkeypatch.setattr(ranking._Computed, "_all", property(lambda scores: pytest.fail("a whole block")))
    ranking.rank(txt, img, gt)
    # Each positive, the best of each caption and what is next to it: no more than 20 of 300 images each.
    assert len(gt) < sum(computed) < 20 * len(gt)


def test_the_bound_holds_for_sums_that_go_wrong():
    """Against exact sums: terms that cancel, of very different size, rounded the same way each time."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(20, 768, generator=generator) * 10 ** (4 * torch.rand(20, 768, generator=generator))
    third = torch.full((20, 768), 1 / 3)
    tiny = torch.full((2, 768), 1e-30)
    for txt, img in ((spread, spread.roll(1, 0)), (third, third), (spread, third), (tiny, tiny)):
        doubt = ranking._doubt(txt, img, torch.zeros(len(txt), dtype=torch.int64))
        products = (txt @ img.T).double().numpy()
        for row, column in itertools.product(range(len(txt)), range(len(img))):
            exact = math.fsum((txt[row].double() * img[column].double()).tolist())
            assert abs(products[row, column] - exact) <= doubt


@pytest.mark.parametrize("way", ["tensors", "rounded"])
def test_where_and_how_products_are_computed_is_no_matter(way, request):
    """On a GPU they stay tensors; and torch may have been told to multiply less exactly."""
    txt, img, gt = near_ties(3)
    expected = ranking.rank(txt, img, gt)
    if way == "rounded":
        request.addfinalizer(partial(torch.set_float32_matmul_precision, "highest"))
        torch.set_float32_matmul_precision("medium")
        assert ranking._doubt(txt, img, torch.from_numpy(gt)) > 2**-7
    assert_same(ranking.rank(txt, img, gt, "cpu:0" if way == "tensors" else "cpu"), expected)


def test_blocks_change_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    img = normalize(torch.randn(200, 32, generator=generator), dim=1)
    txt = normalize(torch.randn(999, 32, generator=generator), dim=1)
    gt = np.arange(999) % 200
    results = []
    for block, gallery_block in ((1, 200), (100, 33), (512, 1), (5000, 8192)):
        monkeypatch.setattr(ranking, "BLOCK", block)
        monkeypatch.setattr(ranking, "GALLERY_BLOCK", gallery_block)
        results.append(ranking.rank(txt, img, gt))
    for other in results[1:]:
        assert_same(results[0], other)


@pytest.mark.parametrize("bounds", [(0, 999), (0, 1, 500, 500, 999), (0, 333, 666, 999)])
def test_shares_add_up_to_the_whole(bounds):
    generator = torch.Generator().manual_seed(0)
    pool = normalize(torch.randint(-1, 2, (40, 6), generator=generator).float() + 0.01, dim=1)
    img = pool[torch.randint(0, 40, (200,), generator=generator)]
    txt = pool[torch.randint(0, 40, (999,), generator=generator)]
    gt = np.arange(999) % 199  # one image without a caption
    shares = [ranking.count(txt, img, gt, range(*pair)) for pair in itertools.pairwise(bounds)]
    assert_same(ranking.rank(txt, img, gt), ranking.total(shares, gt))


def test_ranks_in_whole_rows_follow_the_same_rule():
    """What re-ranked scores are ranked by: an equal score ranks above the positive, and is a tie."""
    scores = torch.tensor([[0.9, 0.1, 0.3], [0.5, 0.7, 0.7], [0.2, 0.2, 0.2], [0.1, 0.8, 0.8]])
    ranks, tied = ranking.positive_ranks(scores, torch.tensor([0, 2, 1, 0]))
    assert ranks.tolist() == [1, 2, 3, 3]
    assert tied.tolist() == [False, True, True, False]
    generator = torch.Generator().manual_seed(0)
    pool = normalize(torch.randint(-1, 2, (12, 4), generator=generator).float() + 0.01, dim=1)
    img, txt = (pool[torch.randint(0, 12, (n,), generator=generator)] for n in (30, 100))
    gt = np.arange(100) % 30
    whole = (txt.double() @ img.double().T).float()
    found, (ranks, tied) = ranking.rank(txt, img, gt), ranking.positive_ranks(whole, torch.from_numpy(gt))
    np.testing.assert_array_equal(found.rank, ranks)
    np.testing.assert_array_equal(found.tied, tied)


def assert_same(one: ranking.Ranking, other: ranking.Ranking) -> None:
    for field in dataclasses.fields(ranking.Ranking):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), field.name)


@pytest.mark.parametrize(
    ("txt", "img", "gt"),
    [
        (torch.ones(2, 3), torch.ones(2, 4), [0, 1]),
        (torch.ones(2, 3), torch.ones(2, 3), [0, 1, 1]),
        (torch.ones(2, 3), torch.ones(2, 3), [0, 2]),
        (torch.full((2, 3), torch.nan), torch.ones(2, 3), [0, 1]),
        (torch.ones(2, 3), torch.full((2, 3), torch.inf), [0, 1]),
        (torch.full((2, 3), 1e20), torch.full((2, 3), 1e20), [0, 1]),
    ],
)
def test_what_cannot_be_ranked_is_refused(txt, img, gt):
    with pytest.raises(ValueError):
        ranking.rank(txt, img, np.array(gt))


@pytest.mark.parametrize("drop_equal_texts", [True, False])
def test_recall_equals_clip_benchmark_on_the_sample(sample_cache, drop_equal_texts):
    """To the query, both ways. Equal captions tie, and it breaks ties anyhow."""
    module = pytest.importorskip(
        "clip_benchmark.metrics.zeroshot_retrieval",
        reason="clip-benchmark isn't installed (pip install --no-deps clip-benchmark)",
    )
    img, txt, gt = sample_cache.img, sample_cache.txt, sample_cache.gt
    if drop_equal_texts:
        keep = ~coco.provably_ambiguous(sample_cache.meta.captions, gt)
        txt, gt = txt[torch.from_numpy(keep)], gt[keep]
    texts_of = [np.flatnonzero(gt == row).tolist() for row in range(len(img))]
    assert all(texts_of)

    class Frozen:
        """A model that looks its embeddings up."""

        def encode_image(self, rows):
            return img[rows]

        def encode_text(self, rows):
            return txt[rows]

    loader = [
        (torch.arange(start, min(start + 100, len(img))), texts_of[start : start + 100])
        for start in range(0, len(img), 100)
    ]
    theirs = module.evaluate(Frozen(), loader, lambda rows: torch.tensor(rows), "cpu", False, [1, 5, 10])
    ours = ranking.rank(txt, img, gt)
    assert not ours.tied.any()
    assert ours.image_tied.any() != drop_equal_texts
    for cutoff in evaluation.CUTOFFS:  # theirs are float32 means; one query more or less would be 4e-4
        found = theirs[f"image_retrieval_recall@{cutoff}"]
        assert evaluation.recall(ours.rank, cutoff) == pytest.approx(found, abs=1e-6)
        found = theirs[f"text_retrieval_recall@{cutoff}"]
        within = ours.image_rank <= cutoff
        if drop_equal_texts:
            assert within.mean() == pytest.approx(found, abs=1e-6)
        else:
            assert within.mean() - 1e-6 <= found <= (within | ours.image_tied).mean() + 1e-6
