"""Runs that somebody hands in: what is read, and what is refused by line."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from common.retrieval import run_cache, runs
from common.retrieval.runs import Known, Run

# Two sampled captions of images 10 and 11, three sampled images; one caption and one image are not sampled.
IMAGES = {"10": 0, "a.jpg": 0, "11": 1, "b.jpg": 1, "12": 2, "c.jpg": 2, "99": runs.NOT_SAMPLED}
KNOWN = Known({"5": 0, "6": 1, "7": runs.NOT_SAMPLED}, IMAGES, 2, 3)
GT = np.array([0, 1])
FITS = "5 Q0 10 1 0.9 tag\n5 Q0 11 2 0.8 tag\n6 Q0 12 1 0.7 tag\n6 Q0 b.jpg 2 0.5 tag\n"


def read(folder: Path, text: str | bytes, name: str = "run.trec") -> Run:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return runs.read(path, KNOWN)


def predictions(lists: dict) -> str:
    about = {"model_name": "some/model", "revision": "1"}
    return json.dumps({"mteb_model_meta": about, "default": {"test": lists}})


@pytest.mark.parametrize("form", ["plain", "gzip", "windows", "predictions"])
def test_every_form_says_the_same(tmp_path, form):
    lists = {"5": {"10": 0.9, "11": 0.8}, "6": {"12": 0.7, "11": 0.5}}
    text = {
        "plain": FITS,
        "gzip": gzip.compress(FITS.encode("ascii")),
        "windows": "\ufeff" + FITS.replace("\n", "\r\n"),
        "predictions": predictions(lists),
    }[form]
    found = read(tmp_path, text)
    assert found.caption.tolist() == [0, 0, 1, 1] and found.image.tolist() == [0, 1, 1, 2]
    assert found.score.tolist() == [0.9, 0.8, 0.5, 0.7]
    assert (found.name, found.left_out) == ("some/model" if form == "predictions" else "tag", 0)


def test_ranks_come_from_scores_by_the_rule_of_ties(tmp_path):
    """An equal score ranks above the own image; an own image that is not listed has the last rank of all."""
    tied = read(tmp_path, "5 Q0 11 0 1 t\n5 Q0 10 0 1.0 t\n5 Q0 12 0 0.5 t\n6 Q0 12 0 3 t\n")
    found = run_cache.ranks_of(tied, GT, 3)
    assert found.rank.tolist() == [2, 3] and found.tied.tolist() == [True, False]
    assert found.best_other.tolist() == [1, 2] and found.best_other_score.tolist() == [1, 3]
    assert found.depth.tolist() == [3, 1] and (found.rank > found.depth).tolist() == [False, True]
    assert found.positive_score[0] == 1 and np.isnan(found.positive_score[1])
    alone = run_cache.ranks_of(read(tmp_path, "5 Q0 10 1 1 t\n6 Q0 11 1 1 t\n"), GT, 3)
    assert alone.rank.tolist() == [1, 1] and alone.best_other.tolist() == [-1, -1]


def test_what_is_not_sampled_is_left_out_and_counted(tmp_path):
    assert read(tmp_path, FITS + "7 Q0 10 1 1 tag\n5 Q0 99 3 0.1 tag\n").left_out == 2


HOSTILE = {
    "text score": (FITS + "5 Q0 12 3 high t\n", "line 5: the score high is not a finite number"),
    "nan": (FITS + "5 Q0 12 3 nan t\n", "line 5: the score nan is not a finite number"),
    "too large": (FITS + "5 Q0 12 3 1e999 t\n", "line 5: the score 1e999 is not a finite number"),
    "twice": (FITS + "5 Q0 b.jpg 3 0.1 t\n", "line 5: the same caption and image as line 2"),
    "unknown caption": (FITS + "8 Q0 12 1 0.1 t\n", "line 5: caption 8 is not in the captions file"),
    "unknown image": (FITS + "5 Q0 d.jpg 3 0.1 t\n", "line 5: image d.jpg is not in the captions file"),
    "no list": (FITS[: FITS.index("6")], "1 of 2 captions have no list, caption 6 for one"),
    "empty": ("\n", "2 of 2 captions have no list, caption 5 for one"),
    "ranks": (FITS + "5 Q0 12 3 0.85 t\n", "line 5: a higher score than line 2, which has the better rank 2"),
    "text rank": (FITS + "5 Q0 12 first 0.1 t\n", "line 5: the rank first is not a whole number"),
    "columns": (FITS + "5 12 0.1\n", "line 5: 3 columns, not 6 (caption id, Q0, image, rank, score, tag)"),
    "no text": (b"\xff\xfe\x00\x01", "is no text, or is cut off"),
    "cut off": (gzip.compress(FITS.encode("ascii"))[:-9], "is no text, or is cut off"),
    "json text": (
        predictions({"5": {"10": "0.9"}, "6": {"11": True}}),
        "image 11: the score True",
    ),
    "json nan": (
        predictions({"5": {"10": float("nan")}, "6": {"11": 1}}),
        "image 10: the score nan",
    ),
    "json shape": ('{"default": {"test": [1, 2]}}', "is not mteb's predictions of one subset and one split"),
    "json twice": ('{"d": {"t": {"5": {"10": 1, "10": 2}}}}', "the key '10' is there twice"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_used_is_named_by_line(tmp_path, name):
    text, message = HOSTILE[name]
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value) and "run.trec" in str(caught.value)


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    with pytest.raises(UserError) as caught:
        read(tmp_path, "5 Q0 10 1 nan t\n5 Q0 77 x 0.1 t\n" + FITS)
    assert str(caught.value).count("\n  line ") == 3
