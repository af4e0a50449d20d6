"""A study of a run: exported by EXPORT_RUN, read back by RUN_FILE, and taken through steps 1 to 5."""

import csv
import gzip
import io
import json
import shutil
from pathlib import Path

import pytest

from common import records
from common.labels.taxonomy import CATEGORY_NAMES
from common.retrieval import cache, coco, freezing, frozen_ranks, meta, run_export
from tests.support import coco_600, noise_cache, running

DRAW = "--sample-size 20 --overlap-size 5 --per-annotator 5 --backup-size 4".split()


class Source:
    """A cache with its captions file and photographs, and the first images of each caption as a run."""

    def __init__(self, root: Path, k: int):
        frozen = cache.load(noise_cache.write(root))
        self.root, self.annotations = root, root / "captions.json"
        images = [
            {"id": image_id, "file_name": name, "width": 40, "height": 40}
            for image_id, name in zip(frozen.meta.sampled_img_ids, frozen.meta.file_names, strict=True)
        ]
        annotations = [
            {"id": caption_id, "image_id": frozen.meta.sampled_img_ids[row], "caption": caption}
            for caption_id, row, caption in zip(
                frozen.meta.caption_ids, frozen.meta.gt_img_index, frozen.meta.captions, strict=True
            )
        ]
        content = {"images": images, "annotations": annotations}
        self.annotations.write_text(json.dumps(content), encoding="utf-8")
        # The same vectors in the frozen order: what each is of does not matter here.
        sample = coco.sample(coco.read_captions(self.annotations), 40, 5, 42)
        content = records.replace(frozen.meta, captions_per_image=5, **freezing.rows_of(sample)._asdict())
        self.frozen = cache.load(cache.write(root / "frozen", frozen.img, frozen.txt, content))
        self.ranks = frozen_ranks.of(self.frozen.meta_file, self.frozen.meta)
        self.run, _ = run_export.write(root, self.frozen, self.ranks, k)

    def main(self, study: Path, run: Path) -> running.Run:
        data = ("--image-dir", self.root / "photos", "--annotation-file", self.annotations)
        return running.run("main.py", "--study-dir", study, "--run-file", run, *data)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Source:
    return Source(tmp_path_factory.mktemp("source"), k=12)


@pytest.fixture(scope="module")
def study(source, tmp_path_factory) -> Path:
    """The study of the unchanged export, after steps 1 and 2."""
    folder = tmp_path_factory.mktemp("study")
    status, said, error = source.main(folder, source.run)
    assert (status, error) == (0, ""), error
    (folder / "said.txt").write_text(said, encoding="utf-8")
    running.done("failure.py", "--study-dir", folder, *DRAW)
    return folder


def test_recall_is_exact_as_far_as_the_run_goes(source, study):
    said = (study / "said.txt").read_text(encoding="utf-8")
    found = json.loads((study / "final_results" / "baseline.json").read_text(encoding="utf-8"))
    captions, below = found["text_to_image"], source.ranks.rank > 12
    for k in (1, 5, 10):
        assert captions[f"R@{k}"]["value"] == (source.ranks.rank <= k).mean()
    assert captions["MRR"]["value"] < (1 / source.ranks.rank).mean()  # a lower bound
    assert (captions["below"], captions["listed"]) == (below.sum(), 12) and found["image_to_text"] is None
    assert (
        f"{below.sum()} captions below the 12 or more images that the run lists: they count as last" in said
    )
    assert found["cache"]["fingerprint"] == source.frozen.meta.fingerprint


def test_the_own_export_gives_the_same_sheets_and_pages(source, study, tmp_path):
    """Byte for byte; in the table of failures a run lacks what it does not tell."""
    folder = ("--cache-dir", source.frozen.meta_file, "--failure-dir", tmp_path / "out")
    running.done("failure.py", *folder, *DRAW)
    files = {path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert len(files) > 40
    for name in files - {Path("manifest.json"), Path("failure_samples.csv")}:
        assert (study / "failure_analysis" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    ours, theirs = (
        list(csv.DictReader(io.StringIO((path / "failure_samples.csv").read_text(encoding="utf-8-sig"))))
        for path in (tmp_path / "out", study / "failure_analysis")
    )
    unknown = {"gt_rank", "gt_score", "margin"}
    for our, their in zip(ours, theirs, strict=True):
        listed = int(our["gt_rank"]) <= 12
        assert their["gt_pred_cosine"] == "" and (their["gt_score"] != "") == listed
        same = set(our) - {"gt_pred_cosine"} - (set() if listed else unknown)
        assert {name: our[name] for name in same} == {name: their[name] for name in same}


def test_steps_4_and_5_run_on_it_and_step_6_says_why_not(study, tmp_path):
    folder = Path(shutil.copytree(study, tmp_path / "study"))
    for path in sorted((folder / "failure_analysis").glob("assign_*.csv")):
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
        place = rows[0].index("category")
        for row in rows[1:]:
            row[place] = CATEGORY_NAMES[1 + int(row[0]) % 6]
        with open(path, "w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows(rows)
    running.done("merge_assignments.py", "--study-dir", folder, "--bootstrap-rounds", 50)
    running.done("summarize_result.py", "--study-dir", folder)
    report = (folder / "final_results" / "report.html").read_text(encoding="utf-8")
    assert "below the 12 or more images that the run lists" in report
    status, _, error = running.run("improve_subset.py", "--study-dir", folder)
    assert status == 1 and error.count("\n") == 1 and "has ranks but no embeddings" in error


def test_a_changed_run_is_another_study(source, study, tmp_path):
    """Its tag still names the cache, but its lists are not those of the export."""
    lines = gzip.decompress(source.run.read_bytes()).decode("ascii").splitlines()
    fields = lines[1].split()  # the second image comes first
    lines[0], lines[1] = lines[1].replace(f" 2 {fields[4]}", f" 1 {float(fields[4]) + 1}"), lines[0]
    lines[1] = lines[1].replace(" 1 ", " 2 ", 1)
    changed = tmp_path / "changed.trec"
    changed.write_text("\n".join(lines), encoding="ascii")
    before = {path: path.read_bytes() for path in (study / "cache").iterdir()}
    status, _, error = source.main(study, changed)
    assert status == 1 and "was made with other settings" in error and "RUN_FILE's content: SHA-256" in error
    assert {path: path.read_bytes() for path in (study / "cache").iterdir()} == before
    assert source.main(tmp_path / "other", changed).status == 0
    assert meta.read(meta.find(tmp_path / "other" / "cache")).fingerprint != source.frozen.meta.fingerprint


def test_what_cannot_be_used_leaves_nothing_behind(source, tmp_path):
    (tmp_path / "run.trec").write_text("1 Q0 2 1 high t\n", encoding="ascii")
    status, _, error = source.main(tmp_path / "study", tmp_path / "run.trec")
    assert status == 1 and "line 1: the score high is not a finite number" in error
    assert not (tmp_path / "study").exists()
    status, _, error = running.run("main.py", "--run-file", tmp_path / "run.trec", "--export-run", 5)
    assert status == 2 and error.count("\n") == 1 and "unset EXPORT_RUN and EMBEDDINGS_DIR" in error


@pytest.mark.slow
def test_600_photographs_as_a_run(coco_dir, tmp_path):
    frozen = cache.load(coco_600.write_cache(coco_dir, tmp_path / "cache"))
    ranks = frozen_ranks.of(frozen.meta_file, frozen.meta)
    run, _ = run_export.write(tmp_path, frozen, ranks, 100)
    data = ("--image-dir", coco_dir / "val2017", "--num-images", 600)
    file = ("--annotation-file", coco_dir / "annotations" / "captions_val2017_600.json")
    running.done("main.py", "--study-dir", tmp_path / "study", "--run-file", run, *data, *file)
    said = running.done("failure.py", "--study-dir", tmp_path / "study")
    assert "failures@1 = 2,228 of 3,000 captions (74.27%)" in said
