"""probe.py on the bundled sample, on photographs, and on what it must refuse, from the outside."""

import json
import shutil

import pytest

from common import files, probe_results
from common.retrieval import cache, meta, probe_items
from tests.support import probes, running
from tests.support.folders import Folders
from tests.support.summary_study import table

torch = pytest.importorskip("torch", reason="the negative captions are encoded with torch")


@pytest.fixture
def copy(sample_measured, tmp_path) -> Folders:
    """The sample after step 1, without labels and without texts."""
    for name in ("cache", "results"):
        shutil.copytree(sample_measured.root / name, tmp_path / name)
    return Folders(tmp_path)


def run(study: Folders, *options) -> running.Run:
    return running.run("probe.py", *study.options("cache", "failure", "result"), "--device", "cpu", *options)


def refused(study: Folders, *options, status: int = 1) -> str:
    """What it says where it refuses; nothing is written."""
    before = {path: path.stat().st_mtime_ns for path in study.root.rglob("*")}
    found = run(study, *options)
    assert found.status == status and found.err.startswith("error: "), found.err
    after = {path: path.stat().st_mtime_ns for path in study.root.rglob("*")}
    assert after == before, set(after) ^ set(before)
    return found.err


def read(study: Folders) -> dict:
    return json.loads((study.results / probe_results.RESULT).read_text(encoding="utf-8"))


def test_accuracies_equal_an_independent_computation(copy):
    """Ten lines: both captions encoded again by transformers alone, compared with the image's row."""
    from transformers import CLIPModel, CLIPTokenizer

    status, out, err = run(copy)
    assert (status, err) == (0, ""), err
    folder = probe_items.OF_SAMPLE.parent / "clip"
    model, tokenizer = CLIPModel.from_pretrained(folder).float().eval(), CLIPTokenizer.from_pretrained(folder)
    frozen = cache.load(meta.find(copy.cache))
    row = {name: at for at, name in enumerate(frozen.meta.file_names)}
    for found in read(copy)["accuracies"]:
        items = json.loads((probe_items.OF_SAMPLE / f"{found['type']}.json").read_bytes()).values()
        texts = [item[name] for item in items for name in ("caption", "negative_caption")]
        with torch.inference_mode():
            rows = model.get_text_features(
                **tokenizer(texts, padding=True, return_tensors="pt")
            ).pooler_output
        images = frozen.img[[row[item["filename"]] for item in items]]
        own, negative = ((rows[k::2] / rows[k::2].norm(dim=1, keepdim=True) * images).sum(1) for k in (0, 1))
        assert (found["n"], found["right"]) == (len(items), int((own > negative).sum())), found["type"]
        line = f"  {found['type']:<12} {100 * found['right'] / found['n']:.2f}% ["
        assert line in out


def test_the_result_is_what_its_items_say(sample_study):
    """Counts, odds ratios and labeled failures, from the CSV alone."""
    result, rows = read(sample_study), table(sample_study.results / probe_results.ITEMS)
    assert result["items_file"] == files.file_fingerprint(sample_study.results / probe_results.ITEMS)
    assert tuple(rows[0]) == probe_results.ITEM_COLUMNS and len(rows) == result["joined"] == result["items"]
    labels = {row["idx"]: row["category"] for row in table(sample_study.failures / "annotations_clean.csv")}
    assert all(row["category"] == labels.get(row["idx"], "") for row in rows)
    for right, odds in zip(result["accuracies"], result["odds"], strict=True):
        own = [row for row in rows if row["type"] == right["type"]]
        pairs = [(row["outcome"] != "right", int(row["rank"]) > 1) for row in own]
        names = ("both_fail", "only_item_fails", "only_retrieval_fails", "both_right")
        kinds = ((True, True), (True, False), (False, True), (False, False))
        counts = [pairs.count(kind) for kind in kinds]
        assert [odds[name] for name in names] == counts
        assert right["right"] == counts[2] + counts[3]
        if 0 in counts:
            assert odds["odds_ratio"] is None
        else:
            ratio = counts[0] * counts[3] / counts[1] / counts[2]
            assert odds["odds_ratio"] == pytest.approx(ratio, abs=1e-6)
    labeled = {(row["category"], row["type"]): row["n"] for row in result["labeled"]}
    assert sum(labeled.values()) == sum(row["category"] != "" for row in rows)
    assert all(("share" in row and row["share"] is not None) == (row["n"] >= 10) for row in result["labeled"])


def test_a_rerun_encodes_nothing_and_writes_the_same_bytes(copy):
    assert run(copy).status == 0
    before = {path: path.read_bytes() for path in copy.results.iterdir()}
    encoded = list(copy.cache.glob("texts_*.pt"))
    again = run(copy, "--model-dir", copy.root / "nowhere")  # which nobody asks
    assert (again.status, again.err) == (0, "") and "No labels yet" in again.out
    assert {path: path.read_bytes() for path in copy.results.iterdir()} == before
    assert list(copy.cache.glob("texts_*.pt")) == encoded and len(encoded) == 1


def test_what_can_not_be_right_is_named_and_nothing_written(copy, tmp_path):
    said = refused(copy, "--probe-dir", tmp_path / "none", status=2)
    assert "PROBE_DIR = " in said and "was not found" in said
    assert "DEVICE = tpu" in refused(copy, "--device", "tpu", status=2)
    own = tmp_path / "elsewhere"
    shutil.copytree(probe_items.OF_SAMPLE, own / "probe")
    (own / "probe" / "add_att.json").unlink()
    study = Folders(copy.root)
    before = run(study, "--probe-dir", own / "probe")
    assert before.status == 1 and "add_att.json" in before.err and "--download True" in before.err
    probes.write(own / "probe", {name: [("1.jpg", "a", "b")] for name in (*probes.TYPES, "replace_num")})
    assert "are of other images" in run(study, "--probe-dir", own / "probe").err
    assert not list(copy.cache.glob("texts_*")) and not (copy.results / probe_results.RESULT).exists()


def test_an_item_whose_caption_is_not_in_the_cache_is_named(copy, tmp_path):
    shutil.copytree(probe_items.OF_SAMPLE, tmp_path / "probe")
    path = tmp_path / "probe" / "swap_obj.json"
    content = json.loads(path.read_bytes())
    content["3"]["caption"] = "Another caption"
    path.write_text(json.dumps(content), encoding="utf-8")
    status, out, err = run(copy, "--probe-dir", tmp_path / "probe")
    assert (status, err) == (0, "")
    named = f"swap_obj 3: {content['3']['filename']}, 'Another caption'"
    assert f"1 item whose caption is not in the cache:\n  {named}\n" in out
    assert read(copy)["without_caption"] == [named]


def test_imported_vectors_can_not_encode_negatives(imported_study, coco_dir):
    """Said in one line, with what helps; a model that does not reproduce the captions is refused too."""
    options = ("--probe-dir", probes.published(coco_dir))
    said = refused(imported_study, *options)
    assert said.count("\n") == 1 and "made elsewhere (EMBEDDINGS_DIR)" in said and "set MODEL_DIR" in said


@pytest.mark.slow
def test_it_runs_on_photographs_with_a_model_folder(coco_dir, tiny_clip_folder, tmp_path):
    study = Folders(tmp_path)
    data = ["--image-dir", coco_dir / "val2017", "--model-name", tiny_clip_folder, "--device", "cpu"]
    data += ["--annotation-file", coco_dir / "annotations" / "captions_val2017_600.json"]
    running.done("main.py", *study.options("cache", "result"), *data)
    status, out, err = run(study, "--probe-dir", probes.published(coco_dir))
    assert (status, err) == (0, "")
    assert "7,511 items, 945 of them with a caption of the cache" in out
    assert "left out: 6,566 items of other images" in out and "Count: no items" in out
    result = read(study)
    assert (result["joined"], result["agrees"], result["inputs"]["published"]) == (945, None, True)
    assert [row["type"] for row in result["accuracies"]] == probes.TYPES
