"""label_task.jsonl: every failure, as a vision-language model needs it to label each one like a person.

Step 2 writes it, and nothing in this project calls a model. The first line says what is asked and what the
legal answers are, each further line is a failure. Failures are in the order of the draw, so that the first
m of them are a random sample, of which those drawn for people are the first.
"""

import json
from pathlib import Path
from typing import NamedTuple

from common import files, records
from common.errors import UserError
from common.labels.drawing import Failure
from common.labels.taxonomy import AMBIGUOUS, CATEGORIES, PRECEDENCE, SUBTYPES
from common.records import Record
from common.settings import shown

NAME = "label_task.jsonl"
AGAIN = "run `python failure.py --export-task True`"
COLUMNS = ["idx", "caption", "category", "subtype"]  # of the answers' table
QUESTION = (
    "The caption was written for own_image. A retrieval model ranked retrieved_image first instead. What is "
    "wrong with retrieved_image, judged by the caption alone? Answer with one category. What the caption "
    "does not say does not count, what can't be seen is not wrong, and differences that one has to search "
    "for are none. If several categories fit, the first in `precedence` wins. "
    f"Of {AMBIGUOUS}, give a subtype "
    "where the retrieved image fits the whole caption, and none where you are unsure."
)


class Answer(Record):
    """A legal answer."""

    name: str  # what the answers' table holds
    long_name: str
    definition: str


class Prompt(Record):
    """What is asked, in the words of the annotation guide."""

    question: str
    categories: list[Answer]
    subtypes: list[Answer]  # of Ambiguous
    precedence: list[str]  # of the clear categories, the one that wins over all others first
    columns: list[str]  # of model_labels.csv, in which the answers come back

    @property
    def fingerprint(self) -> str:
        """Identity of the wording: 16 hexadecimal digits."""
        text = json.dumps(records.plain(self), ensure_ascii=False)
        return files.fingerprint(text.encode("utf-8"))[:16]


class Head(Record):
    """The first line of the file."""

    cache: str  # fingerprint of the cache whose failures these are
    failures: int  # lines that follow
    prompt_fingerprint: str  # for model_labels.json, if the prompt is used as it stands
    prompt: Prompt


class Task(Record):
    """A line of the file after the first: one failure."""

    idx: int  # caption row
    caption: str
    own_image: str  # file of the image that the caption was written for
    retrieved_image: str  # file of the image that the model ranks first
    gt_img_idx: int  # image rows of the two
    pred_img_idx: int


class Exported(NamedTuple):
    """The file, read back."""

    head: Head
    tasks: list[Task]  # every failure, in the order of the draw


def prompt() -> Prompt:
    """What a model is asked: the guide's definitions and the legal answers."""
    categories, subtypes = (
        [Answer(name=one.name, long_name=one.long_name, definition=one.definition) for one in labels]
        for labels in (CATEGORIES, SUBTYPES)
    )
    asked = {"categories": categories, "subtypes": subtypes, "precedence": list(PRECEDENCE)}
    return Prompt(question=QUESTION, **asked, columns=COLUMNS)


def write(path: Path, failures: list[Failure], photographs: Path, cache_id: str) -> None:
    """Write all failures, given in the order of the draw; paths of pictures begin with `photographs`."""
    asked = prompt()
    counts = {"failures": len(failures), "prompt_fingerprint": asked.fingerprint}
    lines: list[Record] = [Head(cache=cache_id, **counts, prompt=asked)]
    lines += [
        Task(
            idx=one.idx,
            caption=one.caption,
            own_image=(photographs / one.gt_file_name).as_posix(),
            retrieved_image=(photographs / one.pred_file_name).as_posix(),
            gt_img_idx=one.gt_img_idx,
            pred_img_idx=one.pred_img_idx,
        )
        for one in failures
    ]
    text = "".join(json.dumps(records.plain(line), ensure_ascii=False) + "\n" for line in lines)
    files.write_bytes(path, text.encode("utf-8"))


def read(folder: Path) -> Exported:
    """Read a failure folder's file. Raises UserError where it was not found, or step 2 did not write it."""
    path = folder / NAME
    if not path.is_file():
        raise UserError(f"{shown(path)} was not found, which lists all failures: {AGAIN}")
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except ValueError as error:
        raise UserError(f"{shown(path)} is not what step 2 writes ({error}): {AGAIN}") from error
    again = f"{AGAIN} again"
    head = records.parse(lines[0] if lines else None, Head, shown(path), again)
    tasks = [records.parse(line, Task, shown(path), again) for line in lines[1:]]
    if len(tasks) != head.failures:
        raise UserError(f"{shown(path)} holds {len(tasks)} of its {head.failures} failures: {again}")
    return Exported(head, tasks)
