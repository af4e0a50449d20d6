"""A model's labels of the failures: read like a sheet, checked like one, and never counted as a person's.

`model_labels.csv` (idx, caption, category, subtype) and `model_labels.json` next to it answer
label_task.jsonl. They have to hold every failure, or the first m in the order of the draw, which are a random
sample of them: of any other part nobody could say how it was chosen.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from common import files, records, say
from common.errors import UserError
from common.labels import label_task, ratings, same_caption, sheet_reader
from common.labels.drawn import SAMPLES, Folder
from common.labels.findings import Finding
from common.labels.label_task import Exported, Task
from common.labels.ratings import Choice, Known
from common.records import Record

NAME, NOTE = "model_labels.csv", "model_labels.json"
RATER = "model"  # whose labels they are, in findings and next to people's


class Note(Record):
    """model_labels.json: where the labels come from. Whoever ran the model writes it."""

    model: str  # name and version
    prompt: str  # fingerprint of the prompt: label_task.jsonl's own, or that of another wording
    date: str  # when the model labeled, as a person writes it


class ModelLabels(NamedTuple):
    """A model's labels, all of which count."""

    note: Note
    choices: dict[int, Choice]  # idx -> its label
    population: int  # all failures; as many as there are labels, or more
    sha256: str  # of model_labels.csv
    prompt: str  # fingerprint of label_task.jsonl's own prompt

    @property
    def same_prompt(self) -> bool:
        """Whether the model was asked in the words of label_task.jsonl."""
        return self.note.prompt == self.prompt


class Reading(NamedTuple):
    """What came of model_labels.csv."""

    labels: ModelLabels | None  # None where there is no such file, and where anything is wrong with it
    findings: list[Finding]
    rows: int = 0  # of the file


def read(folder: Folder) -> Reading:
    """A model's labels in a failure folder, with all that is wrong with them.

    One bad row costs all of them: what is left would be chosen by what the model could not do.
    """
    path = folder.path / NAME
    if not path.is_file():
        return Reading(None, [])
    try:
        task = label_task.read(folder.path)
        note = _note(folder.path / NOTE)
        sheet = sheet_reader.read(path, {one.idx: one.caption for one in task.tasks})
    except sheet_reader.SheetError as error:
        return Reading(None, [Finding.of_file(NAME, error.reason, RATER)])
    except UserError as error:
        return Reading(None, [Finding.of_file(NAME, f"can't be used: {error}", RATER)])
    choices, findings = _choices(sheet.rows, _known(task.tasks, folder))
    # Who lacks what can be said of the right failures alone, and of rows that are what they say.
    wrong = _other_draw(task, folder)
    if not wrong and all(finding.is_report for finding in findings):
        wrong = _lacking(choices, task, folder)
    findings += [Finding.of_file(NAME, what, RATER) for what in wrong]
    if any(not finding.is_report for finding in findings):
        return Reading(None, findings, len(sheet.rows))
    facts = (len(task.tasks), files.file_fingerprint(path), task.head.prompt_fingerprint)
    return Reading(ModelLabels(note, choices, *facts), findings, len(sheet.rows))


def _note(path: Path) -> Note:
    example = '{"model": "name and version", "prompt": "its fingerprint", "date": "2026-11-25"}'
    again = f"write it next to {NAME}, like {example}"
    if not path.is_file():
        raise UserError(f"{NOTE} was not found, which says whose labels they are: {again}")
    return records.read(path, Note, again)


def _known(tasks: list[Task], folder: Folder) -> Known:
    """What a model's rows are checked against: all failures, of which people got some."""
    captions = {one.idx: one.caption for one in tasks}
    own = {one.idx: one.gt_img_idx for one in tasks}
    retrieved = {one.idx: one.pred_img_idx for one in tasks}
    last = max([folder.known.last, *captions])
    return Known(captions, own, retrieved, frozenset(captions), last, f"the failures ({label_task.NAME})")


def _choices(rows: list[sheet_reader.Row], known: Known) -> tuple[dict[int, Choice], list[Finding]]:
    """idx -> label, and what is wrong with each row: no label, one of another caption, two of one failure."""
    choices, findings, places = {}, [], Counter()
    for row in rows:
        rating, found = ratings.rate(row, NAME, RATER, known)
        findings += found
        if rating.choice is None and all(one.is_report for one in found):
            what = "is blank, but a model has to label each failure"
            findings.append(Finding(NAME, row.number, RATER, "category", "", what))
        if rating.idx is not None:
            places[rating.idx] += 1
            if places[rating.idx] == 2:
                what = "has several rows: keep one"
                findings.append(Finding(NAME, row.number, RATER, "idx", str(rating.idx), what))
        if rating.choice:
            choices[rating.idx] = rating.choice
    return choices, findings


def _other_draw(task: Exported, folder: Folder) -> list[str]:
    """Why label_task.jsonl is not about the failures that people got; nothing where it is."""
    again, captions = f"{label_task.AGAIN} again and let the model label that", folder.known.captions
    if not folder.parts:
        return [f"can't be used, since {SAMPLES} was not found, which says what people got"]
    other = [
        one.idx
        for one in task.tasks
        if same_caption.compare(one.caption, captions.get(one.idx, one.caption)) == "other"
    ]
    if other:
        return [f"answers a {label_task.NAME} of another cache (idx {_first(other)}): {again}"]
    first = {one.idx for one in task.tasks[: len(folder.parts)]}
    if folder.population not in (None, len(task.tasks)) or first != folder.parts.keys():
        return [f"answers a {label_task.NAME} of another draw than this folder's: {again}"]
    return []


def _lacking(choices: dict[int, Choice], task: Exported, folder: Folder) -> list[str]:
    """Why the labels are no random sample that holds what people got; nothing where they are."""
    order = [one.idx for one in task.tasks]
    missing = [idx for idx in order[: max(len(choices), len(folder.parts))] if idx not in choices]
    if not missing:
        return []
    labeled = f"{say.number(len(choices))} of {say.items(len(order), 'failure')}"
    return [
        f"labels {labeled}: neither all nor, as a random sample, the first ones of {label_task.NAME}. "
        f"Label these too (idx {_first(missing)})"
    ]


def _first(idx: list[int]) -> str:
    return say.first_of(list(map(str, idx)))
