"""A second model as a method: overlap and recovery by hand, exact ends, names, and what is refused."""

import json

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from common import records
from common.errors import UserError
from common.fixes import bank as banks
from common.fixes import compared, hubness, measures
from common.fixes import rerank as reranking
from common.fixes.net_effect import Ranks
from common.fixes.study import make_study
from common.retrieval import cache, frozen_ranks, meta, ranks
from tests.support import baked, hub_study
from tests.support.hub_study import CAPTIONS, IMAGES


@pytest.fixture
def files(tmp_path):
    return hub_study.write(tmp_path)


@pytest.fixture
def study(files):
    labels = {idx: category for idx, _, category in files.label_some()}
    return make_study(cache.load(meta.find(files.cache)), labels, tune=False, seed=3)


def noisy(study, seed: int = 5):
    """Another model's embeddings of the same rows."""
    generator = torch.Generator().manual_seed(seed)
    frozen = study.frozen
    return normalize(frozen.txt + 0.1 * torch.randn(frozen.txt.shape, generator=generator), dim=1)


@pytest.fixture
def other(study, tmp_path):
    content = records.replace(study.frozen.meta, model="other")
    path = cache.write(tmp_path / "other", study.frozen.img, noisy(study), content)
    return compared.read([path], study.frozen.meta)[0]


def described(other, study):
    return compared.described(other, study, compared.net_effects(other, study, 3), 0.5)


def test_the_same_cache_changes_nothing(study):
    (same,) = compared.read([study.frozen.meta_file], study.frozen.meta)
    found = described(same, study)
    for effect in found.net_effect.values():
        assert (effect.value, effect.gained, effect.lost, effect.p) == (0, 0, 0, 1)
    both = found.overlap
    assert (both.only_first_fails, both.only_other_fails, both.recovered_back) == (0, 0, 0)
    assert (both.consistency, both.both_fail) == (1, len(study.failures))
    assert {row.hits for row in found.recovered} == {0}
    assert found.name == f"nowhere ({study.frozen.meta.fingerprint[:8]})", "its model's name says nothing"


def test_vectors_with_nnn_baked_in_are_nnn(study, files, tmp_path):
    wish = banks.Wish(files.bank, None, 20000, 3, False)
    bank = banks.find(wish, study.frozen.meta).embeddings
    correction = hubness.nnn(study.frozen.img, bank, 0.75, 128)
    path = baked.write(tmp_path / "baked", study.frozen, correction)
    (other,) = compared.read([path], study.frozen.meta)
    plain = reranking.Plain(study.frozen.txt, study.frozen.img)
    (after,) = reranking.rank([reranking.Method(plain, correction)], study.queries, study.frozen.gt)
    ranks = Ranks(study.before.rank, after.rank, study.frozen.gt)
    assert compared.net_effects(other, study, 3) == measures.net_effects(ranks, study, 3)
    assert ranks.change(1).any()


def test_overlap_and_recovery_by_hand(study, other):
    first, second = study.before.rank > 1, other.rank > 1
    found = described(other, study)
    both = found.overlap
    assert both.both_fail == (first & second).sum() and both.both_right == (~first & ~second).sum()
    effect = found.net_effect["R@1"]
    assert (effect.gained, effect.lost) == (both.only_first_fails, both.only_other_fails)
    assert both.recovered_back == pytest.approx(100 * (~first)[second].mean(), abs=1e-3)
    rows = {row.categories: row for row in found.recovered}
    every = rows["failures"]
    assert (every.n, every.hits) == (first.sum(), (first & ~second).sum()) and every.hits > 0
    for name in ("Object", "Count"):
        idx = [at for at in study.labeled if study.labels[at] == name]
        assert (rows[name].n, rows[name].hits) == (len(idx), (~second[idx]).sum())
        assert rows[name].low <= rows[name].value <= rows[name].high
    assert rows["clear"].n == sum(study.labels[at] != "Ambiguous" for at in study.labeled)


def test_what_all_models_fail(study, other):
    (same,) = compared.read([study.frozen.meta_file], study.frozen.meta)
    rows = compared.failed_by_all([same, other], study)
    assert rows[0].hits == ((study.before.rank > 1) & (other.rank > 1)).sum()
    assert compared.failed_by_all([], study) == []


def test_error_consistency_is_cohen_s_kappa():
    sklearn = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    image = np.repeat(np.arange(200), 5)
    hard = random.beta(1, 1, 200)[image]
    first, other = (random.random(1000) < hard for _ in range(2))
    value, low, high = compared.consistency(first, other, image)
    assert value == pytest.approx(sklearn.cohen_kappa_score(first, other), abs=1e-6) and low < value < high


def test_error_consistency_covers_that_of_endless_images():
    def drawn(random, images):
        hard = random.beta(2, 1, images).repeat(3)
        return *(random.random(3 * images) < hard for _ in range(2)), np.arange(images).repeat(3)

    truth, *_ = compared.consistency(*drawn(np.random.default_rng(0), 300_000))
    found = [compared.consistency(*drawn(np.random.default_rng(seed), 150)) for seed in range(1, 401)]
    assert 0.92 <= np.mean([low <= truth <= high for _, low, high in found]) <= 0.975


def test_ranks_by_each_model_are_written(study, other, tmp_path):
    path = compared.write_ranks(tmp_path, [other], study, "seed3_12345678")
    rows = hub_study.read_csv(path)
    assert path.name.startswith("compared_") and path.name.endswith("_seed3_12345678.csv")
    assert [int(row["rank_1"]) for row in rows] == other.rank.tolist()
    assert [int(row["rank_before"]) for row in rows] == study.before.rank.tolist()
    for row in rows:
        assert int(row["failed_by"]) == sum(int(row[name]) > 1 for name in ("rank_before", "rank_1"))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ([{"model": "a"}, {"model": "b"}], ["a", "b"]),
        ([{"dtype": "bfloat16"}], ["nowhere (bfloat16)"]),
        ([{"model": "a"}, {"model": "a", "dtype": "float16"}], ["a", "a (float16)"]),
    ],
)
def test_a_model_is_named_by_what_distinguishes_it(study, changes, names):
    first = study.frozen.meta
    assert compared._named([records.replace(first, **each) for each in changes], first) == names


def test_a_run_is_compared_by_its_ranks(study, tmp_path):
    """Read back, an export has the ranks of its cache: nothing is gained, nothing lost."""
    found = frozen_ranks.of(study.frozen.meta_file, study.frozen.meta)
    parts = records.replace(study.frozen.meta.fingerprints, run="0" * 64)
    content = records.replace(study.frozen.meta, model="run", fingerprints=parts)
    path = tmp_path / "meta_60_run.json"
    ranks.write(path, content, found, {})
    records.write(path, content)
    (other,) = compared.read([path], study.frozen.meta)
    assert other.rank.tolist() == study.before.rank.tolist()


# ---- what is refused ---------------------------------------------------------------------------------------


def rewritten(study, folder, **changes):
    """A whole cache whose rows differ."""
    frozen = study.frozen
    content = records.replace(frozen.meta, model="other", **changes)
    img, txt = frozen.img[: len(content.sampled_img_ids)], frozen.txt[: len(content.captions)]
    return cache.write(folder, img, txt, content)


def moved(values: list) -> list:
    return [values[1], values[0], *values[2:]]


def other_rows(study, kind: str) -> dict:
    content, n = study.frozen.meta, CAPTIONS * (IMAGES - 1)
    return {
        "fewer images": {
            "sampled_img_ids": content.sampled_img_ids[:-1],
            "file_names": content.file_names[:-1],
            "num_images": IMAGES - 1,
            "caption_ids": content.caption_ids[:n],
            "captions": content.captions[:n],
            "gt_img_index": content.gt_img_index[:n],
        },
        "other images": {"sampled_img_ids": [7777, *content.sampled_img_ids[1:]]},
        "other caption ids": {"caption_ids": [5, *content.caption_ids[1:]]},
        "other texts": {"captions": [*content.captions[:4], "a\nzebra", *content.captions[5:]]},
        "order of captions": {
            "caption_ids": moved(content.caption_ids),
            "captions": moved(content.captions),
        },
        "order of images": {"sampled_img_ids": moved(content.sampled_img_ids)},
        "other positives": {"gt_img_index": [1, *content.gt_img_index[1:]]},
    }[kind]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("fewer images", "is of another sample: 1 image id in one of the two caches alone, 59 for"),
        ("other images", "is of another sample: 2 image ids in one of the two caches alone, 0 for"),
        ("other caption ids", "is of other captions: 2 caption ids in one of the two caches alone, 5 for"),
        ("other texts", r"is of other captions: idx 4 is 'a\\nzebra' there and"),
        ("order of captions", "has another order: the caption of row 0 has id 1001 there and 1000 here"),
        ("order of images", "has another order: the image of row 0 has id 1 there and 0 here"),
        ("other positives", "gives captions to other images, first that of idx 0"),
    ],
)
def test_other_rows_are_refused_by_name(study, tmp_path, kind, said):
    path = rewritten(study, tmp_path / "other", **other_rows(study, kind))
    with pytest.raises(UserError, match=said) as refused:
        compared.read([path], study.frozen.meta)
    text = str(refused.value)
    assert "\n" not in text and path.name in text and "python main.py" in text


def damaged(study, folder, how: str):
    path = rewritten(study, folder)
    content = json.loads(path.read_text(encoding="utf-8"))
    tensor = path.with_name(path.name.replace("meta_", "txt_")).with_suffix(".pt")
    if how == "changed rows":
        path.write_text(json.dumps(content | {"captions": content["captions"][::-1]}), encoding="utf-8")
    elif how == "no json":
        path.write_bytes(path.read_bytes()[:-40])
    elif how == "no meta file":
        path.write_text('{"net_effects": []}', encoding="utf-8")
    elif how == "no tensor":
        tensor.unlink()
    elif how == "cut off":
        tensor.write_bytes(tensor.read_bytes()[:-100])
    elif how == "a folder":
        return folder
    elif how == "nowhere":
        return folder / "meta_9_nothing.json"
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("changed rows", "was changed after it was written"),
        ("no json", "is not valid JSON"),
        ("no meta file", "lacks model"),
        ("no tensor", "was not found, though its meta file is there"),
        ("cut off", "is damaged or cut off"),
        ("a folder", "is a folder: name the meta_....json in it"),
        ("nowhere", "COMPARE: .*meta_9_nothing.json was not found"),
    ],
)
def test_a_cache_that_is_not_whole_is_refused(study, tmp_path, how, said):
    path = damaged(study, tmp_path / "other", how)
    with pytest.raises(UserError, match=said) as refused:
        compared.read([path], study.frozen.meta)
    assert "\n" not in str(refused.value)


def test_a_cache_named_twice_is_refused(study, tmp_path):
    path = rewritten(study, tmp_path / "other")
    with pytest.raises(UserError, match="holds the very rows and embeddings of .*: name one of them"):
        compared.read([path, path], study.frozen.meta)
