"""Step 6 as a user runs it: the known numbers, what is written, what is refused, resuming, never mixing."""

import json
import re
import shutil
import time

import numpy as np
import pytest
import torch

from common.fixes import bank as banks
from common.fixes import hubness, recipes
from common.fixes.hubness import Correction
from common.labels.taxonomy import CATEGORY_NAMES
from common.retrieval import cache, meta
from tests.support import PROJECT, baked, coco_600, hub_study
from tests.support.forking import Forked
from tests.support.hub_study import CAPTIONS, IMAGES, HubStudy
from tests.support.running import without_folders

NO_TEXT = "nnn,dn,is,dis,tfidf,overlap,words,nnn+words"


@pytest.fixture
def study(tmp_path) -> HubStudy:
    return hub_study.write(tmp_path)


# ---- the known numbers -------------------------------------------------------------------------------------


def test_the_real_embeddings_give_the_known_net_effect(coco_dir, tmp_path, run_script):
    study = HubStudy(tmp_path)
    coco_600.write_cache(coco_dir, study.cache)
    coco_600.write_bank(coco_dir, study.bank)
    status, said, error = run_script("improve_subset.py", *study.options("--methods=nnn,prompts,nnn+words"))
    assert (status, error) == (0, "")
    assert "Left out: prompts: the cache's model dual-encoder-600 " in said and "set MODEL_DIR" in said
    assert "nothing is measured by category (the net effects need no labels)" in said
    row = study.index()["net_effects"][0]
    one, five = row["net_effect"]["R@1"], row["net_effect"]["R@5"]
    assert [round(each, 2) for each in (one["before"], one["after"])] == [25.73, 29.07]
    assert [round(each, 2) for each in (five["before"], five["after"])] == [58.80, 62.77]
    assert row["marks"]["exact"] and one["gained"] - one["lost"] == 100
    assert 0 < one["low"] < one["value"] < one["high"] and one["p"] <= row["p_holm"] < 0.001

    # Among failures alone the placebo looks like a gain; on the whole set it is a loss.
    sets = study.sets()
    failures = sets["nnn", "none", "failures"]
    assert failures["placebo"]["delta_pp"]["R@1"]["low"] > 0 and failures["baseline"]["R@1"] == 0
    placebo, beyond = row["placebo"]["R@1"], row["beyond"]["R@1"]
    # Over 40 seeds it is -5.47 with a standard deviation of 0.67.
    assert -6.5 < placebo["value"] < -4.7 and 0.1 < placebo["sd"] < 1.4 and placebo["high"] < -2
    assert len(set(placebo["draws"])) > 5 and beyond["low"] > 6
    assert beyond["value"] == pytest.approx(one["value"] - placebo["value"], abs=1e-3)
    # Where R@1 is, hubs shrink; among the first ten the largest do too, though skewness rises.
    first, ten = sets["nnn", "none", "all"]["hubness"]
    assert (first["k"], ten["k"]) == (1, 10)
    for name in ("skewness", "never_among_first", "largest_share"):
        assert first["after"][name] < first["before"][name], name
    assert ten["after"]["skewness"] > ten["before"]["skewness"]
    assert ten["before"]["top"][0]["queries"] > ten["after"]["top"][0]["queries"]
    assert (first["before"]["top"][0]["queries"], first["after"]["top"][0]["queries"]) == (44, 18)
    assert first["before"]["largest_share"] == pytest.approx(44 / 3000, abs=1e-6)
    assert "  R@1 = 25.73% over 3,000 captions: 2,228 failures" in said
    assert re.search(
        r"^  nnn +\+3\.33 \[ \+\d\.\d\d, +\+\d\.\d\d\]  p = 0\.\d{4}|p < 0\.0001, Holm", said, re.M
    )
    recomputed = study.ranks("nnn", name="all")
    assert np.mean([int(each["rank_after"]) == 1 for each in recomputed]) == pytest.approx(0.2907, abs=5e-5)


@pytest.mark.slow
def test_on_the_sample_nnn_is_a_gain_and_prompts_run(sample_run, tmp_path, run_script):
    study = HubStudy(tmp_path)
    shutil.copytree(sample_run[1], study.cache)  # encoded texts are kept there
    found, _ = study.baseline()
    study.label_some()
    options = study.options(
        "--methods=nnn,prompts,category,prompts+nnn", "--k-templates=2", "--pooling=mean,max"
    )
    options = [each for each in options if "bank-file" not in each]  # the sample's own is found
    status, said, error = run_script("improve_subset.py", *options, "--control-size=150")
    assert (status, error) == (0, ""), error
    assert "captions of data/sample/annotations/captions_train2017.json" in said
    net = {(row["method"], row["pooling"]): row for row in study.index()["net_effects"]}
    assert net["nnn", "none"]["net_effect"]["R@1"]["low"] > 0
    assert len(net) == 1 + 3 * 2 and not net["prompts", "max"]["marks"]["exact"]
    dealt = net["category", "max"]
    assert dealt["marks"]["dealt"] and not dealt["marks"]["oracle"] and dealt["category_of_query"] == "dealt"
    tested = {key for key, row in net.items() if row.get("p_holm") is not None}
    # One test a method, with the first pooling.
    assert tested == {key for key in net if key[1] in ("none", "mean")}
    assert "Holm over 4 fixes" in study.index()["family"]
    assert net["category", "max"]["name"] == "category (max)"
    sets = study.sets()
    assert sets["category", "max", "Object"]["category_of_query"] == "label"
    assert sets["category", "max", "Object"]["marks"]["oracle"], "here its templates are the label's"
    assert ("category", "max", "Ambiguous") not in sets and ("prompts", "max", "Ambiguous") in sets
    sampled = sets["prompts", "mean", "all"]
    assert sampled["marks"]["ranked"] == 300 and "hubness" not in sampled
    effect = sampled["net_effect"]["R@1"]
    assert effect["low"] < effect["sampling_low"] < effect["value"] < effect["sampling_high"] < effect["high"]
    # The formula, from the file of ranks.
    ranks = study.ranks("prompts", "mean", "all")
    fixed = np.mean([int(each["rank_after"]) == 1 for each in ranks if each["stratum"] == "failure"])
    broken = np.mean([int(each["rank_after"]) > 1 for each in ranks if each["stratum"] == "success"])
    recall = float((found.rank == 1).mean())
    assert effect["value"] == pytest.approx(100 * ((1 - recall) * fixed - recall * broken), abs=1e-3)
    # A query that was needed with its label's templates and with dealt ones was ranked with both.
    twice = [each for each in study.ranks("category", "max") if each["category_of_query"] == "dealt"]
    assert {"label", "dealt"} == {each["category_of_query"] for each in study.ranks("category", "max")}
    assert all(set(each["sets"].split()) <= {"all", "failures", "successes"} for each in twice)
    # Once encoded, texts are read: nothing is encoded for another tau.
    encoded = sorted(study.cache.glob("texts_*"))
    again = [each for each in options if "--pooling" not in each]
    further = ("--pooling=max", "--control-size=150", "--tau=0.02")
    assert run_script("improve_subset.py", *again, *further)[0] == 0
    assert sorted(study.cache.glob("texts_*")) == encoded


# ---- what is written ---------------------------------------------------------------------------------------


def test_every_number_of_a_set_comes_from_its_ranks(study, run_script):
    labels = {idx: category for idx, _, category in study.label_some()}
    status, said, error = run_script("improve_subset.py", *study.options(f"--methods={NO_TEXT}"))
    assert (status, error) == (0, "")
    assert "fewer than SUBSET_SIZE = 100, so all are taken: Ambiguous 5" in said
    assert without_folders(said).rstrip().endswith("Next: python summarize_result.py")
    sets, methods = study.sets(), study.methods()
    assert {key[2] for key in sets} == {*CATEGORY_NAMES, "clear", "failures", "successes", "all"}
    for (method, pooling, name), found in sets.items():
        rows = study.ranks(method, pooling, name)
        check_levels(found, rows)
        assert found["marks"]["oracle"] == (method in ("tfidf", "overlap"))
        assert not found["marks"]["transductive"]
        assert "p" not in found["changed"]["delta_pp"]["R@1"]
        assert ("net_effect" in found) == (name == "all") == found["confirmatory"]
        if name in CATEGORY_NAMES:
            assert {row["category"] for row in rows} == {name}
            assert {row["stratum"] for row in rows} == {"failure"}
            queries = methods[method, pooling]["queries"]
            share = sum(category == name for category in labels.values()) / len(labels)
            failing = queries["failures"] / queries["all"]
            recovered = np.mean([row["rank_after"] == "1" for row in rows])
            expected = 100 * share * failing * recovered
            assert found["contribution_pp"] == pytest.approx(expected, abs=1e-3)


def check_levels(found: dict, rows: list[dict]) -> None:
    """A set's levels and changes, computed again from its rows."""
    before, after, *draws = (
        np.array([int(row[column]) for row in rows])
        for column in ("rank_before", "rank_after", *(name for name in rows[0] if "rank_placebo" in name))
    )
    marks, changed, placebo = found["marks"], found["changed"], found["placebo"]
    assert marks["ranked"] == len(rows) and marks["anecdotal"] == (len(rows) < 30) and len(draws) == 10
    assert changed["improved"]["MRR"] == pytest.approx(100 * np.mean(1 / after), abs=1e-4)
    mrr = np.mean([np.mean(1 / ranks) for ranks in draws])
    assert placebo["improved"]["MRR"] == pytest.approx(100 * mrr, abs=1e-3)
    for k in (1, 5, 10):
        measure, hit = f"R@{k}", before <= k
        assert changed["improved"][measure] == pytest.approx(100 * np.mean(after <= k), abs=1e-4)
        assert changed["gained"][measure] == np.sum(~hit & (after <= k))
        assert changed["lost"][measure] == np.sum(hit & (after > k))
        gained = np.mean([np.sum(~hit & (ranks <= k)) for ranks in draws])
        assert placebo["gained"][measure] == pytest.approx(gained)
        by_draw = [100 * (np.mean(ranks <= k) - np.mean(hit)) for ranks in draws]
        chance, own, beyond = (
            each[measure] for each in (placebo["delta_pp"], changed["delta_pp"], placebo["beyond"])
        )
        assert chance["draws"] == pytest.approx(by_draw, abs=1e-3)
        assert chance["sd"] == pytest.approx(np.std(by_draw, ddof=1), abs=1e-3)
        for each in (own, chance, beyond):
            assert -100 <= each["low"] <= each["value"] <= each["high"] <= 100
        assert own["value"] == pytest.approx(100 * (np.mean(after <= k) - np.mean(hit)), abs=1e-4)
        assert beyond["value"] == pytest.approx(own["value"] - chance["value"], abs=1e-3)


def test_a_method_has_one_result_and_one_file_of_ranks(study, run_script):
    study.label_some()
    run_script("improve_subset.py", *study.options("--methods=nnn,words+nnn"))
    index = study.index()
    stems = [f"{name}_none_K10_tau0.01_seed3_{index['mark']}" for name in ("nnn", "nnn+words")]
    assert index["cells"] == [f"cells/{stem}.json" for stem in stems]
    assert [row["file"] for row in index["net_effects"]] == index["cells"]
    assert {path.name for path in study.results.iterdir()} == {"net_effects.json", "cells"}
    written = {path.name for path in (study.results / "cells").iterdir()}
    assert written == {f"{stem}.{end}" for stem in stems for end in ("json", "csv")}
    rows = study.ranks("nnn")
    assert [int(row["idx"]) for row in rows] == list(range(IMAGES * CAPTIONS)), "each query once"
    assert {row["category_of_query"] for row in rows} == {""}
    assert all(row["sets"].split()[-1] == "all" for row in rows)
    assert [(part["name"], part["kind"]) for part in index["parts"]] == [("nnn", "hubs"), ("words", "words")]


def test_a_toy_part_is_one_entry_and_its_function(study, run_script, monkeypatch):
    """It is seen in the console, in net_effects.json and in its own result without another edit."""

    def take_off_rows(material, strength):
        return Correction(strength * torch.arange(len(material.img), dtype=torch.float64))

    toy = recipes.Part(
        "toy",
        recipes.HUBS,
        "takes its row number off each image",
        take_off_rows,
        is_oracle=True,
        published={"strength": 0.01},
        source="nobody",
        grid=({"strength": 0.01}, {"strength": 0.0001}),
    )
    monkeypatch.setattr(recipes, "PARTS", (*recipes.PARTS, toy))
    options = study.options("--methods=toy,toy+words", "--tune=True")
    status, said, error = run_script("improve_subset.py", *options)
    assert (status, error) == (0, "")
    (line,) = (line for line in said.splitlines() if line.startswith("  toy  ") and "placebo" in line)
    assert line.endswith("(extra knowledge, tuned)") and "  extra knowledge: an oracle: it uses" in said
    assert said.index("  toy      takes its row number off each image") < said.index(line), "first explained"
    index = study.index()
    assert [row["name"] for row in index["net_effects"]] == ["toy", "toy+words"]
    assert index["parts"][-1] == {
        "name": "toy",
        "kind": "hubs",
        "oracle": True,
        "description": "takes its row number off each image",
        "source": "nobody",
    }
    assert index["parameters"]["toy"] == {"strength": 0.0001}, "what TUNE found in its grid"
    result = study.methods()["toy", "none"]
    assert all(each["marks"]["oracle"] for each in result["sets"]) and result["parameters"] == {
        "toy": {"strength": 0.0001}
    }
    assert result["identity"]["published"]["toy"] == {"strength": 0.01}


def test_a_toy_part_is_in_the_tables_and_the_report(sample_measured, tmp_path, run_script, monkeypatch):
    """Without a parameter, too."""
    study = HubStudy(tmp_path)
    study.cache = sample_measured.cache
    shutil.copytree(sample_measured.results, study.results)
    toy = recipes.Part(
        "toy",
        recipes.HUBS,
        "takes nothing off any image",
        lambda material: Correction(torch.zeros(len(material.img), dtype=torch.float64)),
    )
    monkeypatch.setattr(recipes, "PARTS", (*recipes.PARTS, toy))
    options = [each for each in study.options() if "bank-file" not in each]
    for script, further in (("improve_subset.py", ["--methods=toy"]), ("summarize_result.py", [])):
        status, _, error = run_script(script, *options, *further)
        assert (status, error) == (0, ""), script
    for name in ("summary_net_effects", "summary_subset_results"):
        assert {row["method"] for row in hub_study.read_csv(study.results / f"{name}.csv")} == {"toy"}
    page = (study.results / "report.html").read_text(encoding="utf-8")
    assert "toy" in page and "takes nothing off any image" in page


def test_a_subset_is_drawn_by_hash_and_sizes_are_kept(study, run_script):
    study.label_some(per_category=6)
    run_script("improve_subset.py", *study.options("--methods=nnn", "--subset-size=4", "--control-size=20"))
    sizes = {key[2]: found["marks"]["ranked"] for key, found in study.sets().items()}
    assert sizes["Object"] == 4 and sizes["failures"] == sizes["successes"] == 20
    assert sizes["all"] == IMAGES * CAPTIONS and sizes["clear"] > 6 * 4
    four = {row["idx"] for row in study.ranks("nnn", name="Object")}
    run_script("improve_subset.py", *study.options("--methods=nnn", "--subset-size=5", "--control-size=20"))
    assert four < {row["idx"] for row in study.ranks("nnn", name="Object")}


def test_the_same_run_writes_the_same_bytes(tmp_path, run_script):
    first, second = (hub_study.write(tmp_path / name) for name in ("a", "b"))
    for each in (first, second):
        each.label_some()
        # Paths are in the provenance, so both read one bank.
        run_script("improve_subset.py", *each.options(f"--methods={NO_TEXT}", f"--bank-file={first.bank}"))
    assert first.bytes() == second.bytes()


def test_tune_splits_queries_by_image_not_the_gallery(study, run_script):
    status, said, _ = run_script("improve_subset.py", *study.options("--methods=nnn,words", "--tune=True"))
    assert status == 0 and "TUNE: parameters are tuned on half of the images (90 captions)." in said
    index = study.index()
    assert index["split"] == {
        "tuned_on": {"queries": 90, "images": 30},
        "reported_on": {"queries": 90, "images": 30},
    }
    rows = study.ranks("nnn", name="all")
    assert not {int(row["gt_img_idx"]) for row in rows} & set(index["tuning_image_ids"])
    found, _ = study.baseline()
    assert [int(row["rank_before"]) for row in rows] == [int(found.rank[int(row["idx"])]) for row in rows]
    # Chosen on one half: the grid's best there is at least as good as the published values.
    assert set(index["parameters"]["nnn"]) == {"alpha", "k"}


# ---- what is refused, or left out --------------------------------------------------------------------------


def test_a_bank_with_a_query_is_refused_or_marks_numbers(study, run_script):
    hub_study.write_bank(study.bank, torch.eye(24), ["x"] * 24, first_image=IMAGES - 1)
    status, _, error = run_script("improve_subset.py", *study.options("--methods=nnn"))
    assert status == 1 and "1 of its images are among the queries" in error and "ALLOW_TRANSDUCTIVE" in error
    options = study.options("--methods=nnn,words,tfidf", "--allow-transductive=True")
    status, said, _ = run_script("improve_subset.py", *options)
    assert status == 0 and "TRANSDUCTIVE" in said and "Left out: words: the bank holds queries" in said
    rows = study.index()["net_effects"]
    assert {row["method"]: row["marks"]["transductive"] for row in rows} == {"nnn": True, "tfidf": False}
    assert all(row.get("p_holm") is None for row in rows) and "Holm over 0 fixes" in study.index()["family"]
    assert all(found["marks"]["transductive"] for key, found in study.sets().items() if key[0] == "nnn")
    assert "No fix helps" in said


@pytest.mark.parametrize("form", ["{}", "{}.", "  {} "])
def test_queries_under_other_ids_are_refused(study, run_script, form):
    """A bank that holds the very texts has seen the answers, whatever it calls them."""
    _, content = study.baseline()
    texts = [form.format(text).upper() for text in content.captions] + ["x"] * 20
    hub_study.write_bank(study.bank, torch.randn(len(texts), 24), texts)
    for option in ("--bank-file", "--other-bank-file"):
        status, said, error = run_script(
            "improve_subset.py", *study.options("--methods=nnn", f"{option}={study.bank}")
        )
        assert (status, study.results.exists()) == (1, False)
        assert "180 of 180 queries have their very text or embedding in it (100.00%" in error
    status, said, _ = run_script(
        "improve_subset.py", *study.options("--methods=nnn", "--allow-transductive=True")
    )
    assert status == 0 and "TRANSDUCTIVE" in said and "of other images" not in said
    (line,) = (line for line in said.splitlines() if line.startswith("  nnn  ") and "placebo" in line)
    assert line.endswith("(transductive)") and "Holm" not in line


def test_a_bank_of_another_numbering_says_so(study, run_script):
    hub_study.write_bank(study.bank, torch.eye(24), ["x"] * 24, first_image=IMAGES - 1)
    options = study.options("--methods=nnn", f"--other-bank-file={study.bank}")
    status, said, error = run_script("improve_subset.py", *options)
    assert (status, error) == (0, "") and "their ids are of another numbering" in said
    assert not study.index()["bank"]["transductive"] and not study.index()["bank"]["ids_compared"]


def test_without_a_bank_the_rest_runs(study, run_script, monkeypatch):
    study.bank.unlink()
    status, _, error = run_script("improve_subset.py", *study.options("--methods=nnn"))
    assert status == 1 and "bank.npz was not found" in error
    options = [each for each in study.options("--methods=nnn,tfidf") if "bank-file" not in each]
    if (PROJECT / "data" / "annotations" / "captions_train2017.json").is_file():
        pytest.skip("captions_train2017.json is there, and would be encoded")
    status, said, _ = run_script("improve_subset.py", *options)
    assert status == 0
    assert "Left out: nnn: no bank of captions was found: `python main.py --download True` puts" in said
    assert [row["method"] for row in study.index()["net_effects"]] == ["tfidf"]


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("--methods=nnn+is", "has more than one of nnn, dn, is, dis"),
        ("--methods=nn", "'nn' is none of prompts"),
        ("--methods=", "METHODS is empty"),
        ("--pooling=median", "should be of mean, max, logsumexp"),
        ("--categories=Colour", "should be of Ambiguous"),
        ("--k-templates=11", "there are 10 of each set"),
        ("--tau=0", "should be above 0"),
        ("--subset-size=0", "should be 1 or more"),
    ],
)
def test_settings_that_no_run_can_follow_are_refused(study, run_script, option, named):
    for path in study.cache.iterdir():
        path.unlink()  # refused before anything is read
    status, said, error = run_script("improve_subset.py", *study.options(option))
    assert (status, said) == (2, "") and named in error and not study.results.exists()


def test_a_run_of_nothing_writes_nothing(study, run_script, monkeypatch):
    """And what an earlier run found stays as it was."""
    options = study.options("--methods=prompts,prompts+nnn")  # the model is nowhere
    status, said, error = run_script("improve_subset.py", *options)
    assert status == 1 and "No method could be run" in error and not study.results.exists()
    assert "Left out: prompts, prompts+nnn: the cache's model" in said
    run_script("improve_subset.py", *study.options("--methods=nnn,tfidf"))
    before = study.bytes()
    assert run_script("improve_subset.py", *options)[0] == 1 and study.bytes() == before


def test_labels_of_another_cache_are_refused(study, run_script):
    rows = study.label_some()
    study.write_labels([(rows[0][0], "a caption of another study", "Object"), *rows[1:]])
    status, _, error = run_script("improve_subset.py", *study.options("--methods=nnn"))
    assert status == 1 and "belongs to another cache: 1 of 35 captions differ" in error


def test_labels_of_successes_are_left_out(study, run_script):
    rows = study.label_some()
    found, content = study.baseline()
    right = int(np.flatnonzero(found.rank == 1)[0])
    study.write_labels([*rows, (right, content.captions[right], "Object")])
    status, said, _ = run_script("improve_subset.py", *study.options("--methods=nnn"))
    assert status == 0 and "left out: 1 label of captions that are no failures of this cache" in said


# ---- other models ------------------------------------------------------------------------------------------


def test_models_are_compared_in_the_family_of_the_fixes(study, run_script, tmp_path):
    """The cache with itself, and with one whose cosines are nnn's."""
    study.label_some()
    frozen = cache.load(meta.find(study.cache))
    bank = banks.find(banks.Wish(study.bank, None, 20000, 3, False), frozen.meta).embeddings
    path = baked.write(tmp_path / "baked", frozen, hubness.nnn(frozen.img, bank, 0.75, 128))
    options = study.options("--methods=nnn,is", f"--compare={path},{frozen.meta_file}")
    status, said, error = run_script("improve_subset.py", *options)
    assert (status, error) == (0, "")
    index = study.index()
    other, same = index["compared"]
    assert other["net_effect"] == index["net_effects"][0]["net_effect"], "nnn's own, to the last digit"
    assert other["p_holm"] == index["net_effects"][0]["p_holm"]
    for effect in same["net_effect"].values():
        assert (effect["value"], effect["gained"], effect["lost"], effect["p"]) == (0, 0, 0, 1)
    assert "over 2 fixes and 2 compared models" in index["family"] and same["p_holm"] == 1
    assert f"{same['name']} in place of nowhere: +0.00 points [" in said
    assert "a category is to be read next to all failures" in said and "All 3 models fail " in said
    rows = hub_study.read_csv(study.results / index["compared_ranks"])
    after = {row["idx"]: row["rank_after"] for row in study.ranks("nnn", name="all")}
    assert {row["idx"]: row["rank_1"] for row in rows} == after
    every = index["failed_by_all"][0]
    assert every["hits"] == sum(row["failed_by"] == "3" for row in rows)
    # Whoever names none the next time has none, and the methods stay.
    run_script("improve_subset.py", *study.options("--methods=nnn,is"))
    assert "compared" not in study.index() and len(study.index()["differences"]) == 1


def test_a_model_can_be_compared_without_any_method(study, run_script):
    options = study.options("--methods=", f"--compare={next(study.cache.glob('meta_*'))}")
    status, said, error = run_script("improve_subset.py", *options)
    assert (status, error) == (0, "") and "no method was measured" in said
    assert len(study.index()["compared"]) == 1 and study.index()["net_effects"] == []


def test_a_model_that_cannot_be_compared_stops_before_anything(study, tmp_path, run_script):
    elsewhere = hub_study.write(tmp_path / "elsewhere", images=IMAGES - 1)
    path = next(elsewhere.cache.glob("meta_*"))
    before = sorted(study.cache.iterdir())
    status, said, error = run_script(
        "improve_subset.py", *study.options("--methods=nnn", f"--compare={path}")
    )
    assert (status, said) == (1, "") and error.count("\n") == 1
    assert error.startswith(f"error: COMPARE: {path} is of another sample: 1 image id in one")
    assert not study.results.exists() and sorted(study.cache.iterdir()) == before


# ---- resuming, never mixing --------------------------------------------------------------------------------


def test_only_unfinished_methods_are_computed_again(study, run_script):
    run_script("improve_subset.py", *study.options(f"--methods={NO_TEXT}"))
    whole, folder = study.bytes(), study.results / "cells"
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    results = sorted(path.name for path in folder.glob("*.json"))
    broken = folder / json.loads((folder / results[0]).read_bytes())["ranks_file"]
    broken.write_bytes(broken.read_bytes()[:-10])  # cut off
    (folder / results[1]).write_text("{", encoding="utf-8")
    (folder / results[2]).unlink()
    changed = json.loads((folder / results[3]).read_bytes())
    changed["identity"]["labels"] = "of another file"
    (folder / results[3]).write_text(json.dumps(changed), encoding="utf-8")
    _, said, _ = run_script("improve_subset.py", *study.options(f"--methods={NO_TEXT}"))
    assert f"{len(results) - 4} of {len(results)} methods were finished by an earlier run" in said
    assert study.bytes() == whole
    again = [name for name in results[4:] if (folder / name).stat().st_mtime_ns != stamps[name]]
    assert again == [], "finished ones are left alone"


@pytest.mark.slow
def test_a_killed_run_continues_and_ends_in_the_same_bytes(tmp_path, run_script):
    whole, killed = (hub_study.write(tmp_path / name) for name in ("whole", "killed"))
    options = [f"--methods={NO_TEXT}", f"--bank-file={whole.bank}"]
    run_script("improve_subset.py", *whole.options(*options))

    def finished() -> int:
        return len(list((killed.results / "cells").glob("*.json")))

    n_kills = 0
    for wanted in (1, 3, 5):
        process = Forked("improve_subset.py", *killed.options(*options))
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if finished() >= wanted:
                process.kill()
                n_kills += 1
                break
            time.sleep(0.002)
        process.wait()
    assert n_kills == 3 and not (killed.results / "net_effects.json").exists()
    n = finished()
    assert n < len(whole.index()["cells"])
    _, said, _ = run_script("improve_subset.py", *killed.options(*options))
    assert f"{n} of 8 methods were finished by an earlier run" in said
    assert killed.bytes() == whole.bytes()


def test_results_of_another_input_or_setting_never_mix(tmp_path, run_script):
    """Another cache, label file, bank or setting."""
    study, other = hub_study.write(tmp_path / "a"), hub_study.write(tmp_path / "b", seed=1)
    marks = []

    def run(*further):
        status, said, error = run_script("improve_subset.py", *study.options("--methods=nnn", *further))
        assert status == 0, error
        assert "were finished by an earlier run" not in said
        marks.append(study.index()["mark"])
        assert all(marks[-1] in name for name in study.index()["cells"])
        return said

    assert "not used" not in run()
    study.label_some()
    assert "not used: files of other runs, " in run()
    rows = study.label_some()
    study.write_labels([(rows[0][0], rows[0][1], "Object"), *rows[1:]])
    run()
    run("--control-size=30")
    run("--categories=Object")
    run("--tau=0.5")
    run("--seed=9")
    run(f"--bank-file={other.bank}")
    run(f"--cache-dir={other.cache}", f"--failure-dir={tmp_path / 'none'}")
    assert len(set(marks)) == len(marks)
    # More methods or poolings are more files, not others.
    _, said, _ = run_script("improve_subset.py", *study.options("--methods=nnn,is"))
    assert "1 of 2 methods were finished by an earlier run" in said


def test_a_run_of_fewer_methods_keeps_the_others(study, run_script):
    run_script("improve_subset.py", *study.options("--methods=nnn,is,tfidf"))
    status, said, _ = run_script("improve_subset.py", *study.options("--methods=is"))
    index = study.index()
    assert status == 0 and [row["method"] for row in index["net_effects"]] == ["is", "nnn", "tfidf"]
    assert "kept from earlier runs of the same code and settings: nnn, tfidf" in said
    assert index["kept"] == ["nnn", "tfidf"] and "Holm over 2 fixes" in index["family"]
    assert [part["name"] for part in index["parts"]] == ["nnn", "is", "tfidf"]
    run_script("improve_subset.py", *study.options("--methods=is", "--control-size=30"))
    assert [row["method"] for row in study.index()["net_effects"]] == ["is"], "of other settings"


def test_edited_code_never_meets_old_results(study, tmp_path):
    """Its numbers are computed again, whatever was edited."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "common", project / "common")
    shutil.copy(PROJECT / "improve_subset.py", project)

    def said() -> str:
        status, out, err = Forked("improve_subset.py", *study.options("--methods=dn"), folder=project).end()
        assert (status, err) == (0, "")
        return out

    said()
    first = study.index()
    assert "1 of 1 method were finished by an earlier run of the same code and settings" in said()
    marks, codes = {first["mark"]}, {first["identity"]["code"]}
    for n, edited in enumerate(["placebo.py", "../statistics.py", "hubness.py"], start=2):
        path = project / "common" / "fixes" / edited
        source = path.read_text(encoding="utf-8").replace("Correction(alpha * ", "Correction(-alpha * ")
        path.write_text(source + "# edited\n", encoding="utf-8")
        assert "finished by an earlier run" not in said()
        now = study.index()
        marks.add(now["mark"])
        codes.add(now["identity"]["code"])
        assert len(marks) == len(codes) == n
        same = now["net_effects"][0]["net_effect"] == first["net_effects"][0]["net_effect"]
        assert same == (edited != "hubness.py")


def test_files_of_earlier_versions_are_named_and_kept(study, run_script):
    study.results.mkdir()
    old = [study.results / "subset_results_nnn_all_1a2b.json", study.results / "ranks_nnn_all_1a2b.csv"]
    for path in old:
        path.write_text("{}", encoding="utf-8")
    status, said, _ = run_script("improve_subset.py", *study.options("--methods=nnn"))
    (line,) = (line for line in said.splitlines() if "not used" in line)
    assert status == 0 and line == "  not used: files of other runs, ranks_nnn_all_1a2b.csv and 1 more"
    assert all(path.is_file() for path in old)


def test_its_help_is_its_block(run_script):
    status, said, _ = run_script("improve_subset.py", "--help")
    assert status == 0 and "ALLOW_TRANSDUCTIVE" in said and said.startswith("Step 6 of 6")
    assert "METHODS = prompts,category,nnn," in said
    lines = said.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("METHODS"))
    for name in ("nnn", "dis", "overlap"):
        assert any(line.strip().startswith(f"{name} ") for line in lines[:first]), (
            "explained before it is used"
        )
