"""Corrections of hubs: against the authors' package, float64 references, and the identities they are."""

import numpy as np
import pytest
import scipy.stats
import torch
from torch.nn.functional import normalize

from common.fixes import hubness, recipes, rerank
from common.retrieval import cache
from tests.support import coco_600


def unit(n: int, dim: int, seed: int, shift: float = 1.0) -> torch.Tensor:
    """Rows of length 1 that share a direction, so that some images are hubs."""
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n, dim, generator=generator) + shift * torch.ones(dim) / dim**0.5, dim=1)


def matrices(seed: int):
    return unit(70, 24, seed), unit(50, 24, seed + 1), unit(300, 24, seed + 2)  # txt, img, bank


def nnn_package():
    return pytest.importorskip("nnn", reason="nnn-retrieval isn't installed (requirements-dev.txt has it)")


def scores_of_package(txt, img, bank, alpha: float, k: int) -> np.ndarray:
    """All scores of the authors' own NNN, its search put back into the order of images."""
    nnn = nnn_package()
    ranker = nnn.NNNRanker(
        nnn.NNNRetriever(img.shape[1]),
        img.numpy(),
        bank.numpy(),
        alternate_ks=k,
        alternate_weight=alpha,
        batch_size=64,
    )
    values, images = ranker.search(txt.numpy(), top_k=len(img))
    scores = np.empty_like(values)
    np.put_along_axis(scores, images, values, axis=1)
    return scores


@pytest.mark.parametrize(("alpha", "k"), [(0.75, 128), (0.25, 1), (1.0, 300)])
def test_nnn_equals_its_authors_package(alpha, k, capsys):
    txt, img, bank = matrices(0)
    ours = hubness.nnn(img, bank, alpha, k).apply(txt.double() @ img.double().T)
    np.testing.assert_allclose(ours, scores_of_package(txt, img, bank, alpha, k), atol=1e-6)


def test_nnn_equals_its_authors_package_on_the_sample(sample_cache, capsys):
    txt, img = sample_cache.txt[:500], sample_cache.img
    bank = sample_cache.txt[1000:]  # which captions they are makes no difference to a formula
    ours = hubness.nnn(img, bank, 0.75, 128).apply(txt.double() @ img.double().T)
    np.testing.assert_allclose(ours, scores_of_package(txt, img, bank, 0.75, 128), atol=1e-6)


def test_more_neighbours_than_the_bank_has_are_all_of_it():
    _, img, bank = matrices(1)
    assert torch.equal(hubness.nnn(img, bank, 0.5, 1000).off, hubness.nnn(img, bank, 0.5, None).off)


@pytest.mark.parametrize("beta", [1.0, 20.0, 200.0])
def test_inverted_softmax_ranks_as_its_definition(beta):
    txt, img, bank = (each.numpy().astype(np.float64) for each in matrices(2))
    probability = np.exp(beta * txt @ img.T) / np.exp(beta * bank @ img.T).sum(0)
    ours = hubness.inverted_softmax(*map(torch.from_numpy, (img, bank)), beta)
    scores = ours.apply(torch.from_numpy(txt @ img.T))
    np.testing.assert_allclose(scores, np.log(probability) / beta, atol=1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_dynamic_inverted_softmax_equals_a_float64_reference(k):
    txt, img, bank = (each.numpy().astype(np.float64) for each in matrices(3))
    bank = bank[:30]  # so few that some images are nobody's first
    plain, beta = txt @ img.T, 20.0
    activated = set(np.argsort(-(bank @ img.T), axis=1)[:, :k].ravel())
    expected = np.log(np.exp(beta * plain) / np.exp(beta * bank @ img.T).sum(0)) / beta
    for query, first in enumerate(plain.argmax(1)):
        if first not in activated:
            expected[query] = plain[query]
    ours = hubness.dynamic_inverted_softmax(*map(torch.from_numpy, (img, bank)), beta, k)
    assert 0 < ours.active.sum() < len(img)
    np.testing.assert_allclose(ours.apply(torch.from_numpy(plain)), expected, atol=1e-12)


def test_distribution_normalization_is_nnn_over_the_bank():
    # Zhou et al. 2023, eq. 5, with means over the bank's texts and over other images than the gallery's.
    txt, img, bank = (each.double() for each in matrices(4))
    images = unit(90, 24, 9).double()
    published = (txt - bank.mean(0) / 2) @ (img - images.mean(0) / 2).T
    ours = hubness.nnn(img, bank, **recipes.published()["dn"]).apply(txt @ img.T)
    difference = ours - published
    # One number a query is between them, which ranks no image differently.
    assert torch.allclose(difference, difference[:, :1].expand_as(difference), atol=1e-12)
    assert torch.equal(ours.argsort(1), published.argsort(1))


def test_csls_ranks_as_its_definition():
    """2 s less the caption's and the image's mean score over ten neighbours in the other modality."""
    txt, img, bank = (each.numpy().astype(np.float64) for each in matrices(6))
    plain = txt @ img.T
    of_texts = np.sort(plain, axis=1)[:, -10:].mean(1)
    of_images = np.sort(bank @ img.T, axis=0)[-10:].mean(0)
    published = 2 * plain - of_texts[:, None] - of_images
    part = recipes.parse("csls").hubs
    material = recipes.Material(*map(torch.from_numpy, (txt, img)), [], None, torch.from_numpy(bank))
    ours = part.make(material, **part.published).apply(torch.from_numpy(plain))
    # 2 x ours and one number a query are the published score.
    difference = 2 * ours.numpy() - published
    np.testing.assert_allclose(difference, difference[:, :1].repeat(len(img), 1), atol=1e-12)


@pytest.mark.parametrize("k", [1, 5, 49, 500])
def test_nnn_gallery_leaves_each_image_itself_out(k):
    _, img, _ = matrices(7)
    rows = img.numpy().astype(np.float64)
    expected = []
    for own in range(len(rows)):
        others = np.sort(np.delete(rows @ rows[own], own))[::-1]
        expected.append(0.25 * others[:k].mean())
    np.testing.assert_allclose(hubness.nnn_gallery(img, 0.25, k).off, expected, atol=1e-14)


def test_nnn_gallery_of_one_image_takes_nothing_off():
    assert hubness.nnn_gallery(unit(1, 24, 0), 0.25, 5).off.tolist() == [0.0]


def test_centre_ranks_as_rows_that_were_centered():
    txt, img, bank = (each.numpy().astype(np.float64) for each in matrices(8))
    moved_t, moved_v = txt - bank.mean(0), img - img.mean(0)
    moved_t /= np.linalg.norm(moved_t, axis=1, keepdims=True)
    moved_v /= np.linalg.norm(moved_v, axis=1, keepdims=True)
    ours = hubness.centre(*map(torch.from_numpy, (img, bank))).apply(torch.from_numpy(txt @ img.T)).numpy()
    # The query's own length ranks nothing, and is left out.
    ratio = ours / (moved_t @ moved_v.T)
    np.testing.assert_allclose(ratio, ratio[:, :1].repeat(len(img), 1), rtol=1e-7)
    assert (ratio > 0).all()


def test_centre_takes_nothing_from_a_query_but_itself():
    """Nothing leaks from one query to another: each ranks alone as among others."""
    txt, img, bank = matrices(9)
    scores, correction = txt.double() @ img.double().T, hubness.centre(img, bank)
    assert torch.equal(correction.apply(scores)[3:4], correction.apply(scores[3:4]))


@pytest.mark.parametrize(("name", "recall"), [("csls", 29.13), ("nnn_gallery", 27.63), ("centre", 25.30)])
def test_the_real_embeddings_give_the_known_recall(coco_dir, tmp_path, name, recall):
    frozen = cache.load(coco_600.write_cache(coco_dir, tmp_path))
    bank, texts, _ = coco_600.read_bank(coco_dir)
    material = recipes.Material(frozen.txt, frozen.img, frozen.meta.captions, frozen.gt, bank, texts)
    method = rerank.Maker(material, 0).make(recipes.parse(name), {})
    (found,) = rerank.rank([method], np.arange(len(frozen.gt)), frozen.gt)
    assert 100 * np.mean(found.rank == 1) == pytest.approx(recall, abs=0.05)


def test_corrections_depend_on_no_block(monkeypatch):
    _, img, bank = matrices(5)
    whole = hubness.nnn(img, bank, 0.75, 16).off, hubness.dynamic_inverted_softmax(img, bank, 20.0, 1)
    gallery = hubness.nnn_gallery(img, 0.25, 5).off
    monkeypatch.setattr(hubness, "BLOCK", 7)
    assert torch.allclose(hubness.nnn_gallery(img, 0.25, 5).off, gallery, atol=1e-14)
    assert torch.allclose(hubness.nnn(img, bank, 0.75, 16).off, whole[0], atol=1e-14)
    assert torch.equal(hubness.dynamic_inverted_softmax(img, bank, 20.0, 1).active, whole[1].active)


def test_occurrence_and_its_skewness():
    first = np.array([[0, 1], [0, 2], [0, 1]])
    counts = hubness.occurrence(first, 5)
    assert counts.tolist() == [3, 2, 1, 0, 0]
    assert hubness.skewness(counts) == pytest.approx(scipy.stats.skew(counts))
    assert hubness.skewness(np.full(5, 3)) == 0
