"""A model's labels: read like a sheet, refused whole if one is wrong, counted nowhere as a person's."""

import json

import pytest

from common.labels import assisted, label_task, model_labels
from common.labels.ratings import Choice
from tests.support import merge_folder as study
from tests.support import model_study
from tests.support.model_study import ORDER, Folder

ALL = {idx: study.CATEGORIES[idx % 7] for idx in range(study.N)}
DRAWN = sum(map(len, study.PARTS.values()))


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


# ---- what a model is asked, and what it answers ---------------------------------------------------------


def test_a_task_holds_what_a_model_needs(folder):
    task = label_task.read(folder.path)
    assert [one.idx for one in task.tasks] == ORDER
    assert task.tasks[0] == label_task.Task(
        idx=0,
        caption=study.CAPTIONS[0],
        own_image="/photos/0.jpg",
        retrieved_image="/photos/7.jpg",
        gt_img_idx=0,
        pred_img_idx=7,
    )
    prompt = task.head.prompt
    assert [one.name for one in prompt.categories] == study.CATEGORIES
    assert prompt.categories[0].definition.startswith("The retrieved image fits the whole caption too")
    assert [one.name for one in prompt.subtypes] == ["underspecified", "nearduplicate"]
    assert prompt.precedence[0] == "Object"
    assert prompt.fingerprint == task.head.prompt_fingerprint


def test_a_task_is_one_json_a_line_and_names_no_label(folder):
    lines = (folder.path / label_task.NAME).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + study.N
    assert {key for line in lines[1:] for key in json.loads(line)} == set(label_task.Task.__struct_fields__)


def test_spellings_are_those_of_a_sheet(folder):
    row = {"idx": 39, "caption": study.CAPTIONS[39], "category": "ambigous", "subtype": "near dup"}
    folder.answer({**{idx: "counting" for idx in range(39)}, 1: " Spatial relation "}, [row])
    found = folder.read()
    assert found.findings == []
    assert found.labels.choices[0] == Choice("Count", "")
    assert found.labels.choices[1] == Choice("Spatial", "")
    assert found.labels.choices[39] == Choice("Ambiguous", "nearduplicate")
    assert (found.labels.population, found.labels.same_prompt) == (study.N, False)


def test_the_first_ones_are_a_random_sample(folder):
    folder.answer({idx: "Count" for idx in ORDER[:30]})
    assert len(folder.read().labels.choices) == 30
    folder.answer({idx: "Count" for idx in [*ORDER[:29], ORDER[30]]})
    assert folder.faults() == [
        "  : labels 30 of 40 failures: neither all nor, as a random sample, the first ones of "
        f"label_task.jsonl. Label these too (idx {ORDER[29]})"
    ]


def test_no_file_is_no_model(folder):
    assert folder.read() == model_labels.Reading(None, [])


# ---- hostile ones ---------------------------------------------------------------------------------------


def test_half_of_the_failures_is_refused(folder):
    folder.answer({idx: ALL[idx] for idx in range(0, study.N, 2)})
    (fault,) = folder.faults()
    assert "labels 20 of 40 failures: neither all nor" in fault
    assert "(idx 1, 3, 5, 7, 9 and " in fault


def test_fewer_than_people_got_is_refused(folder):
    folder.answer({idx: ALL[idx] for idx in ORDER[: DRAWN - 1]})
    assert f"(idx {ORDER[DRAWN - 1]})" in folder.faults()[0]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"idx": 40, "caption": "A dog"}, "42 idx 40: is out of range (0 to 39)"),
        ({"idx": "x", "caption": "A dog"}, "42 idx x: is not a row number"),
        ({"idx": 3, "caption": study.CAPTIONS[3]}, "42 idx 3: has several rows: keep one"),
        (
            {"idx": 3, "caption": "A dog"},
            "42 caption A dog: is not that of idx 3: 'A red bus on a wet street'",
        ),
    ],
)
def test_a_row_of_no_failure_is_named(folder, row, fault):
    folder.answer(ALL, [row | {"category": "Count"}])
    assert fault in folder.faults()


def test_a_caption_that_did_not_fail_is_named(folder):
    """In a study where not every caption is a failure: the model labels one that people can't have got."""
    label_task.write(
        folder.path / label_task.NAME, list(map(model_study.failure, ORDER[:-1])), folder.path, "x"
    )
    study.write_manifest(folder.path, "x", study.N - 1)
    folder.answer(ALL)
    fault = f"{ORDER[-1] + 2} idx {ORDER[-1]}: is not among the failures (label_task.jsonl)"
    assert folder.faults() == [fault]


@pytest.mark.parametrize(
    ("category", "fault"),
    [("Weird", "is not a label"), ("", "is blank, but a model has to label each failure")],
)
def test_a_label_that_is_none_is_named(folder, category, fault):
    folder.answer(ALL | {5: category})
    assert folder.faults() == [f"7 category {category}: {fault}"]


@pytest.mark.parametrize("failures", [[], ORDER[::-1], ORDER[:-1]])
def test_another_draws_task_is_refused(folder, failures):
    tasks = list(map(model_study.failure, failures))
    label_task.write(folder.path / label_task.NAME, tasks, folder.path, "x")
    folder.answer({idx: ALL[idx] for idx in failures})
    assert any("of another draw than this folder's: run `python failure.py" in one for one in folder.faults())


def test_another_caches_task_is_refused(folder):
    tasks = [model_study.failure(idx)._replace(caption=study.CAPTIONS[idx][::-1]) for idx in ORDER]
    label_task.write(folder.path / label_task.NAME, tasks, folder.path, "x")
    folder.answer({})
    assert any("of another cache (idx 0, 1, " in one for one in folder.faults())


@pytest.mark.parametrize(
    ("lost", "fault"),
    [
        (
            "label_task.jsonl",
            "label_task.jsonl was not found, which lists all failures: run `python failure.py",
        ),
        ("model_labels.json", "model_labels.json was not found, which says whose labels they are: write it"),
        ("failure_samples.csv", "can't be used, since failure_samples.csv was not found"),
    ],
)
def test_a_file_that_is_missing_is_named(folder, lost, fault):
    folder.answer(ALL)
    (folder.path / lost).unlink()
    assert any(fault in one for one in folder.faults())


@pytest.mark.parametrize("text", ["", "idx,caption\n1,A\n", "not a table"])
def test_what_is_no_table_is_named(folder, text):
    folder.answer(ALL)
    (folder.path / model_labels.NAME).write_text(text)
    assert len(folder.faults()) == 1


@pytest.mark.parametrize("lines", [0, 1, 20])
def test_a_task_that_was_cut_off_is_named(folder, lines):
    folder.answer(ALL)
    text = (folder.path / label_task.NAME).read_text(encoding="utf-8").splitlines(keepends=True)
    (folder.path / label_task.NAME).write_text("".join(text[:lines]), encoding="utf-8")
    assert "label_task.jsonl" in folder.faults()[0]


# ---- step 4 with a model --------------------------------------------------------------------------------


def test_step_4_puts_them_next_to_peoples_and_changes_none(folder):
    folder.fill("assign_overlap_A", {idx: ALL[idx] for idx in range(6)})
    folder.fill("assign_overlap_B", {idx: ALL[idx] for idx in range(6)})
    folder.fill("assign_A", {6: "Count", 7: ""})
    alone, said_alone = folder.snapshot(), folder.merged()
    people = {name: data for name, data in folder.snapshot().items() if name not in alone}
    folder.answer(ALL)
    out = folder.merged()
    assert set(said_alone.splitlines()[:-2]) < set(out.splitlines())
    assert "Assisted by tiny-vlm 1.0, which labeled 40 of 40 failures, asked in other words than" in out
    assert "Agreement of people and the model on 7 items: Cohen's kappa 0.8" in out
    after = folder.snapshot()
    # A model's label is no rating and fills no blank: only what the merge was made of is another text.
    assert [name for name in people if after[name] != people[name]] == ["agreement.json"]
    assert folder.report()["model"]["labelled"] == study.N
    rows = {row["category"]: row for row in folder.table(assisted.NAME)}
    assert list(rows) == study.CATEGORIES
    assert (rows["Count"]["n"], rows["Count"]["model_n"], rows["Count"]["model"]) == ("7", "40", "0.15")
    folder.path.joinpath(model_labels.NAME).unlink()
    folder.merged()
    assert not set(assisted.FILES) & folder.snapshot().keys()


def test_step_4_stops_at_hostile_ones(folder):
    folder.fill("assign_A", {6: "Count", 7: "Object"})
    folder.answer(ALL | {5: "Weird"})
    status, _, err = folder.merge()
    assert status == 1
    assert "model_labels.csv row 7: category 'Weird' is not a label; nearest: " in err
    assert not (folder.path / "annotations_clean.csv").exists()
    out = folder.merged("--strict", False)
    assert "model_labels.csv is left out whole" in out
    assert ("model_labels.csv", "7", "category", "Weird") in study.problems(folder.path)
    assert not set(assisted.FILES) & folder.snapshot().keys()


def test_many_other_captions_are_said_in_one_line(folder):
    folder.fill("assign_A", {6: "Count"})
    rows = [{"idx": idx, "caption": f"caption {idx}", "category": "Count"} for idx in range(study.N)]
    folder.answer({}, rows)
    status, _, err = folder.merge()
    assert status == 1
    assert "model_labels.csv: looks like another sample: 40 of 40 captions differ" in err
