"""Step 2's export of all failures for a model, from the outside."""

import shutil
from pathlib import Path

import pytest

from common import files
from common.labels import label_task
from tests.support import merge_folder, running

pytest.importorskip("torch", reason="failures are found in embeddings, which needs torch")


def test_all_failures_in_the_order_of_the_draw(sample_drawn, sample_measured, tmp_path):
    """Labels that people gave before stay where they are: nothing else is written."""
    for pattern in ("*.csv", "manifest.json"):
        for path in sample_drawn.failures.glob(pattern):
            shutil.copy(path, tmp_path)
    rows = merge_folder.table(tmp_path / "assign_A.csv")
    rows[0]["category"] = "Count"
    merge_folder.write_table(tmp_path / "assign_A.csv", rows)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    options = ["--cache-dir", sample_measured.cache, "--failure-dir", tmp_path, "--export-task", True]
    said = running.done("failure.py", *options)
    assert "label_task.jsonl: the prompt, then 1,811 failures in the order of the draw" in said
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {label_task.NAME}
    task = label_task.read(tmp_path)
    drawn = merge_folder.table(tmp_path / "failure_samples.csv")
    first = [(str(one.idx), one.caption, str(one.pred_img_idx)) for one in task.tasks[: len(drawn)]]
    assert first == [(row["idx"], row["caption"], row["pred_img_idx"]) for row in drawn]
    assert len({one.idx for one in task.tasks}) == len(task.tasks) == 1811
    assert task.head.cache == files.read_json(tmp_path / "manifest.json")["fingerprint"]
    shown = [path for one in task.tasks for path in (one.own_image, one.retrieved_image)]
    assert all(Path(path).is_file() for path in set(shown))


def test_before_a_draw_there_is_nothing_to_export(sample_measured, tmp_path):
    options = ["--cache-dir", sample_measured.cache, "--failure-dir", tmp_path, "--export-task", True]
    status, _, err = running.run("failure.py", *options)
    assert status == 1
    assert "holds no failures that were drawn from" in err and "first, or name the draw's folder" in err
    assert not list(tmp_path.iterdir())
