"""A cache, merged labels and results of an earlier version are read to the same values.

`tests/support/earlier/` was made with commit 068f5f8: 12 scenes of the bundled sample with 2 captions each,
5 labeled failures, and step 6 with nnn and category (one template, a bank of 12 captions). `summary/` is what
that commit's step 5 wrote of them.
"""

import csv
import io
import json
import shutil

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.report import cautions, fix_rows, inputs, summaries
from common.retrieval import cache, meta, ranking, text_cache
from tests.support import PROJECT

EARLIER = PROJECT / "tests" / "support" / "earlier"
MARKS = {"oracle", "exact", "transductive", "anecdotal"}  # what they say today has more words


def table(name: str) -> list[dict[str, str]]:
    with open(EARLIER / "summary" / f"{name}.csv", encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def sources():
    return inputs.read(EARLIER / "cache", EARLIER / "failures", EARLIER / "results")


def test_a_cache_holds_what_it_held():
    frozen = cache.load(meta.find(EARLIER / "cache"))
    baseline = inputs.read_baseline(EARLIER / "results")
    assert frozen.meta.fingerprint == baseline.cache.fingerprint == "746e47e8f5eb6d5d"
    ranked = ranking.rank(frozen.txt, frozen.img, frozen.gt)
    found = baseline.text_to_image
    assert np.mean(ranked.rank <= 1) == pytest.approx(found.r1.value) == pytest.approx(17 / 24)


def test_encoded_texts_need_no_model(tmp_path):
    """The model would have to be found to encode them again."""
    frozen = cache.load(meta.find(EARLIER / "cache"))
    texts = text_cache.TextCache(frozen, tmp_path / "nowhere", "cpu")
    captions = [one["caption"] for one in json.loads((EARLIER / "bank.json").read_bytes())["annotations"]]
    texts.add(captions, "bank")
    (path,) = (EARLIER / "cache").glob("texts_*.pt")
    stored = torch.load(io.BytesIO(path.read_bytes()[64:]), weights_only=True)
    assert torch.equal(texts.rows(sorted(set(captions))), stored) and texts.cut_off == {"bank": 0}


def test_labels_come_out_as_they_did(sources):
    found = {failure.label.idx: failure.label.category for failure in sources.labels.failures}
    assert found == {4: "Spatial", 7: "Ambiguous", 16: "Count", 18: "Count", 23: "Ambiguous"}
    for row in table("summary_failures"):
        share = sources.labels.share(row["category"])
        assert (share.n, share.total, share.status) == (int(row["n"]), int(row["total"]), row["status"])
        assert share.share == pytest.approx(float(row["share"])) and not share.finite_population


@pytest.mark.parametrize("name", ["summary_net_effects", "summary_subset_results"])
def test_step_6_s_numbers_come_out_as_they_did(sources, name):
    rows = {
        "summary_net_effects": fix_rows.net_effects(sources.measured),
        "summary_subset_results": fix_rows.subset_results(sources.measured, sources.labels.status),
    }[name]
    before = table(name)
    assert len(rows) == len(before) == {"summary_net_effects": 2, "summary_subset_results": 11}[name]
    compared = set()
    for now, then in zip(rows, before, strict=True):
        for column in (now.keys() & then.keys()) - MARKS - {"file"}:
            value, text = now[column], then[column]
            if isinstance(value, float | int):
                assert value == pytest.approx(float(text), abs=0.0051), column
            else:
                assert (value or "") == text, column
            compared.add(column)
    assert {"p_R@1", "placebo_R@10"} <= compared or {"delta_pp_R@5_low", "contribution_pp"} <= compared


def test_what_was_not_measured_is_left_blank_and_said(sources):
    rows = fix_rows.net_effects(sources.measured)
    assert all(row[f"{name}_R@1"] is None for row in rows for name in ("beyond", "beyond_low", "placebo_sd"))
    said = " ".join(caution.caution for caution in cautions.of(sources))
    assert "measured by an earlier version" in said and "an earlier version merged them" in said
    assert "`python improve_subset.py`" in said
    marks = {row["name"]: row["marks"] for row in rows}
    assert marks == {"nnn": "anecdotal: n = 24", "category (mean)": "dealt; anecdotal: n = 24"}
    (oracle,) = (row for row in fix_rows.matrix(sources.measured, None) if row["name"] != "nnn")
    assert oracle["marks"] == "extra knowledge"


def test_every_table_is_written(sources, tmp_path):
    written = summaries.write(tmp_path, summaries.of(sources, 1))
    assert {
        "summary_net_effects",
        "summary_matrix",
        "figures/net_effect",
        "figures/hubness",
    } <= written.keys()


@pytest.mark.parametrize("broken", ["gone", "cut off", "of another version"])
def test_results_that_are_not_whole_name_the_command(tmp_path, broken):
    shutil.copytree(EARLIER, tmp_path / "study")
    results = tmp_path / "study" / "results"
    path = sorted(results.glob("subset_results_*"))[0]
    if broken == "gone":
        path.unlink()
    elif broken == "cut off":
        path.write_bytes(path.read_bytes()[:300])
    else:
        index = json.loads((results / "net_effects.json").read_bytes())
        index["identity"]["format"] = 2
        (results / "net_effects.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"run `python improve_subset.py` again|get or make it again"):
        inputs.read(tmp_path / "study" / "cache", tmp_path / "study" / "failures", results)
