"""Exported runs: other evaluators get the numbers of baseline.json, ties included."""

import gzip
from collections import defaultdict
from pathlib import Path

import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import RR, R

from common import records
from common.retrieval import cache, evaluation, frozen_ranks, run_export
from tests.support import coco_600, noise_cache

AT = {1: R @ 1, 5: R @ 5, 10: R @ 10}


@pytest.fixture(scope="module")
def tied(tmp_path_factory) -> cache.Cache:
    """A cache in which many images are alike, so that captions tie, and in which texts are equal."""
    frozen = cache.load(noise_cache.write(tmp_path_factory.mktemp("noise")))
    img, txt = frozen.img.clone(), frozen.txt.clone()
    img[1::2], img[30:34] = img[::2], img[30]
    captions = [f"a dog {idx // 12}" for idx in range(len(txt))]
    for text in set(captions):
        same = [idx for idx, caption in enumerate(captions) if caption == text]
        txt[same] = torch.nn.functional.normalize(txt[same[0]] + 0.5 * txt[same[-1]], dim=0)
    content = records.replace(frozen.meta, captions=captions)
    return cache.load(cache.write(tmp_path_factory.mktemp("tied"), img, txt, content))


def exported(frozen: cache.Cache, folder: Path, k: int) -> tuple[list, list]:
    """An export as other evaluators read it: judgments, run."""
    found = frozen_ranks.of(frozen.meta_file, frozen.meta)
    run, qrels = run_export.write(folder, frozen, found, k)
    with gzip.open(run, "rt", encoding="ascii") as file:
        return list(ir_measures.read_trec_qrels(str(qrels))), list(ir_measures.read_trec_run(file))


def check_same(frozen: cache.Cache, folder: Path) -> None:
    """R@1/5/10 and RR of another evaluator against step 1's."""
    found = evaluation.of_captions(frozen_ranks.of(frozen.meta_file, frozen.meta), frozen.meta)
    theirs = ir_measures.calc_aggregate([*AT.values(), RR], *exported(frozen, folder, len(frozen.img)))
    for k, measure in AT.items():
        assert theirs[measure] == pytest.approx(found.by_name[f"R@{k}"].value, abs=1e-6)
    assert theirs[RR] == pytest.approx(found.mrr.value, abs=1e-6)


def test_another_evaluator_gives_the_same_where_much_ties(tied, tmp_path):
    found = frozen_ranks.of(tied.meta_file, tied.meta)
    assert found.tied.sum() > 40
    check_same(tied, tmp_path)


def test_the_first_images_give_recall_up_to_their_number(tied, tmp_path):
    found = evaluation.of_captions(frozen_ranks.of(tied.meta_file, tied.meta), tied.meta)
    qrels, run = exported(tied, tmp_path, 5)
    assert len(run) == 5 * len(tied.gt)
    theirs = ir_measures.calc_aggregate([AT[1], AT[5]], qrels, run)
    assert [theirs[AT[k]] for k in (1, 5)] == pytest.approx([found.r1.value, found.r5.value], abs=1e-6)


def test_the_same_cache_gives_the_same_bytes(tied, tmp_path):
    for name in ("one", "two"):
        exported(tied, tmp_path / name, 7)
    for name in (run_export.RUN, run_export.QRELS):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_merged_recall_is_that_of_merged_queries(tmp_path):
    """A query that stands for several captions has their list, and all their images as positives."""
    frozen = cache.load(noise_cache.write(tmp_path / "noise"))
    first = {text: idx for idx, text in reversed(list(enumerate(frozen.meta.captions)))}
    query = {str(frozen.meta.caption_ids[idx]): text for idx, text in enumerate(frozen.meta.captions)}
    txt = frozen.txt[[first[text] for text in frozen.meta.captions]]
    same = cache.load(cache.write(tmp_path / "same", frozen.img, txt, frozen.meta))
    qrels, run = exported(same, tmp_path, len(frozen.img))
    positives, lists = defaultdict(dict), defaultdict(dict)
    for each in qrels:
        positives[query[each.query_id]][each.doc_id] = 1
    for each in run:
        lists[query[each.query_id]][each.doc_id] = each.score
    theirs = ir_measures.calc_aggregate(list(AT.values()), dict(positives), dict(lists))
    found = evaluation.merged(frozen_ranks.of(same.meta_file, same.meta).rank, same.meta.captions, same.gt)
    assert (found.queries, found.most_images) == (len(set(frozen.meta.captions)), 2)
    assert [found.r1, found.r5, found.r10] == pytest.approx([theirs[each] for each in AT.values()])


def test_scores_fall_by_as_little_as_can_be():
    scores = np.float32([0.5, 0.5, 0.5, np.nextafter(np.float32(0.5), np.float32(0)), 0.25])
    fallen = run_export.falling(scores)
    assert (np.diff(fallen) < 0).all() and fallen[0] == scores[0] and fallen[-1] == scores[-1]
    assert np.abs(fallen - scores).max() < 4 * np.spacing(np.float32(0.5))
    assert scores[1] == 0.5  # left as it was


@pytest.mark.slow
def test_another_evaluator_gives_the_same_on_the_sample(sample_cache, tmp_path):
    check_same(sample_cache, tmp_path)


@pytest.mark.slow
def test_another_evaluator_gives_the_same_on_600_photographs(coco_dir, tmp_path):
    check_same(cache.load(coco_600.write_cache(coco_dir, tmp_path / "cache")), tmp_path)
