"""Word lists of the categories: what they find in a caption, and how often they are right."""

import json
import random
import re

import pytest

from common.labels import mentions, taxonomy
from tests.support import PROJECT

ANNOTATIONS = PROJECT / "data" / "sample" / "annotations" / "captions_val2017.json"
N = 200
# What a scene's facts say that a caption mentions; the only count that is no mention is one.
FACTS = {"colour": "Attribute", "size": "Attribute", "state": "Action", "place": "Spatial"}


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("A cat.", {"Object"}),
        ("A red cat", {"Object", "Attribute"}),
        ("The building has a ceiling this morning", {"Object", "Context"}),
        ("A man riding a wave.", {"Object", "Action"}),
        ("Two dogs", {"Object", "Count"}),
        ("A dog on the beach", {"Object", "Context"}),
        ("A dog on the table", {"Object", "Spatial"}),
        ("A cup in front of a box", {"Object", "Spatial"}),
        ("A blacksmith's twofold fronts", {"Object"}),
        ("A GREEN bottle NEXT-TO a cup", {"Object", "Attribute", "Spatial"}),
    ],
)
def test_a_caption_mentions_what_its_words_say(caption, found):
    assert mentions.mentioned(caption) == found


def test_a_rate_is_of_captions_that_mention_any_of_some():
    captions = ["a red cat", "two cats", "two red cats", "a cat"]
    assert mentions.rate(captions, ["Attribute"]) == 0.5
    assert mentions.rate(captions, ["Attribute", "Count"]) == 0.75
    assert mentions.rate(captions, ["Attribute", taxonomy.AMBIGUOUS]) is None, "that one has no list"


def test_docs_say_how_often_the_lists_are_right():
    """On captions whose scenes say what is mentioned: the truth is known by construction."""
    rows = random.Random(0).sample(json.loads(ANNOTATIONS.read_bytes())["annotations"], N)
    page = (PROJECT / "docs" / "statistics.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| (\w+) \| (\d+ \| \d+ \| \d+) \|$", page, re.M))
    measured = {}
    for name in documented:
        true = [name in says_of(row["says"]) for row in rows]
        found = [name in mentions.mentioned(row["caption"]) for row in rows]
        wrong = sum(has and not is_true for has, is_true in zip(found, true, strict=True))
        measured[name] = f"{sum(true)} | {sum(found)} | {wrong}"
    assert measured == documented and set(documented) == set(taxonomy.CLEAR_NAMES)


def says_of(says: dict) -> set[str]:
    found = {"Object"} | {FACTS[fact] for mention in says["mentions"] for fact in FACTS if fact in mention}
    found |= {"Count"} if any(mention["count"] != "one" for mention in says["mentions"]) else set()
    found |= {"Spatial"} if "relation" in says else set()
    return found | ({"Context"} if "context" in says else set())
