"""Make the bundled sample's probe: captions with one thing changed, in the format of SugarCrepe.

Run:    python data/sample/make_probe.py
Reads:  data/sample/annotations/captions_val2017.json
Writes: data/sample/probe/*.json, the same bytes each time
Takes:  a second

A changed caption is the caption with one word or phrase replaced, two exchanged, or one added. What it then
says is changed alike, and an item is kept only where its own scene violates that (`world.violations`): so the
truth is known, and no changed caption is true by accident. `replace_num` is the sample's own type: SugarCrepe
changes no numbers. Which words a change may put in is chosen so that articles and states still fit.
"""

import copy
import json
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import world

from common.errors import reported
from common.files import write_bytes
from common.settings import override, shown

# ---- settings ------------------------------------------------------------------------------------
SEED: int = 7  # of which captions are changed, and how
ITEMS: int = 120  # of each type
ANNOTATION_FILE: str = "data/sample/annotations/captions_val2017.json"  # captions with their scenes
OUTPUT_DIR: str = "data/sample/probe"
# --------------------------------------------------------------------------------------------------

# Words that begin with a vowel would need another article.
COLORS = [color for color in world.COLOURS if color[0] not in "aeiou"]
KINDS = [kind for kind in world.STATES if kind[0] not in "aeiou"]
NUMBERS = ("two", "three", "four")
OPPOSITES = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
PHRASES = {"left of": "left of", "right of": "right of", "above": "above", "below": "below"}
PHRASES |= {"over": "above", "under": "below", "beneath": "below"}  # phrase -> the relation it states


class Changed(NamedTuple):
    """A caption with one thing changed."""

    text: str
    says: dict  # what it states now


def once(text: str, *words: str) -> bool:
    """Whether each of some words or phrases occurs in a text exactly once."""
    return all(len(re.findall(rf"\b{word}\b", text, re.I)) == 1 for word in words)


def put(text: str, **other_of: str) -> str:
    """The text with words replaced, all at once, with a capital where the replaced word had one."""

    def replacing(found: re.Match) -> str:
        other = other_of[found[0].lower().replace(" ", "_")]
        return other.capitalize() if found[0][0].isupper() else other

    words = "|".join(word.replace("_", " ") for word in other_of)
    return re.sub(rf"\b(?:{words})\b", replacing, text, flags=re.I)


def plural(mention: dict, kind: str) -> str:
    """A kind in the number of a mention."""
    return kind if mention["count"] == "one" else world.PLURALS[kind]


def fitting(scene: dict, mention: dict) -> list[str]:
    """Kinds that the scene lacks and that can be in the mention's state."""
    taken = {group["kind"] for group in scene["groups"]}
    state = mention.get("state")
    return [kind for kind in KINDS if kind not in taken and (not state or state in world.STATES[kind])]


# Each of the following changes a text and, in place, what it says; None where the caption has nothing to
# change in that way.


def replace_obj(text: str, says: dict, scene: dict, rng: random.Random) -> Changed | None:
    mention = rng.choice(says["mentions"])
    old, kinds = plural(mention, mention["noun"]), fitting(scene, mention)
    if mention["noun"] not in KINDS or not kinds or not once(text, old):
        return None
    kind = rng.choice(kinds)
    text = put(text, **{old: plural(mention, kind)})
    mention["noun"] = kind
    return Changed(text, says)


def replace_att(text: str, says: dict, scene: dict, rng: random.Random) -> Changed | None:
    mention = rng.choice(says["mentions"])
    old = mention.get("colour")
    if old not in COLORS or not once(text, old):
        return None
    mention["colour"] = rng.choice([color for color in COLORS if not re.search(color, text, re.I)])
    return Changed(put(text, **{old: mention["colour"]}), says)


def replace_num(text: str, says: dict, scene: dict, rng: random.Random) -> Changed | None:
    mention = rng.choice(says["mentions"])
    old = mention["count"]
    if old not in NUMBERS or not once(text, old):
        return None
    mention["count"] = rng.choice([word for word in NUMBERS if word != old])
    return Changed(put(text, **{old: mention["count"]}), says)


def replace_rel(text: str, says: dict, scene: dict, rng: random.Random) -> Changed | None:
    found = [phrase for phrase, relation in PHRASES.items() if relation == says.get("relation")]
    found = [phrase for phrase in found if once(text, phrase)]
    if not found:
        return None
    says["relation"] = OPPOSITES[says["relation"]]
    return Changed(put(text, **{found[0].replace(" ", "_"): says["relation"]}), says)


def swap_obj(text: str, says: dict, scene: dict, rng: random.Random) -> Changed | None:
    if len(says["mentions"]) < 2:
        return None
    first, second = says["mentions"]
    kinds = first["noun"], second["noun"]
    # Another state or number would need other words.
    if {"state"} & (first.keys() | second.keys()) or (first["count"] == "one") != (second["count"] == "one"):
        return None
    words = plural(first, kinds[0]), plural(second, kinds[1])
    if not set(kinds) <= set(KINDS) or not once(text, *words):
        return None
    first["noun"], second["noun"] = kinds[1], kinds[0]
    return Changed(put(text, **{words[0]: words[1], words[1]: words[0]}), says)


def swap_att(text: str, says: dict, scene: dict, rng: random.Random) -> Changed | None:
    mentions = says["mentions"]
    colors = [mention.get("colour") for mention in mentions]
    if len(set(colors)) < 2 or not set(colors) <= set(COLORS) or not once(text, *colors):
        return None
    mentions[0]["colour"], mentions[1]["colour"] = colors[1], colors[0]
    return Changed(put(text, **{colors[0]: colors[1], colors[1]: colors[0]}), says)


def add_obj(text: str, says: dict, scene: dict, rng: random.Random) -> Changed | None:
    mention = rng.choice(says["mentions"])
    old, kind = plural(mention, mention["noun"]), rng.choice(fitting(scene, {}))
    if not once(text, old):
        return None
    says["mentions"].append({"noun": kind, "count": "one"})
    return Changed(put(text, **{old: f"{old} with a {kind}"}), says)


def add_att(text: str, says: dict, scene: dict, rng: random.Random) -> Changed | None:
    mention = rng.choice(says["mentions"])
    old = plural(mention, mention["noun"])
    if "colour" in mention or mention["noun"] not in KINDS or not once(text, old):
        return None
    shown = {group["colour"] for group in scene["groups"]}
    mention["colour"] = rng.choice([color for color in COLORS if color not in shown])
    return Changed(put(text, **{old: f"{mention['colour']} {old}"}), says)


CHANGES: dict[str, Callable] = {
    change.__name__: change
    for change in (
        *(replace_obj, swap_obj, add_obj, replace_att, swap_att, add_att),
        *(replace_rel, replace_num),
    )
}


def make_items(content: dict, change: Callable, n: int, rng: random.Random) -> dict[str, dict[str, str]]:
    """`n` items of one type, at most one of a caption. content: of the annotation file."""
    images = {image["id"]: image for image in content["images"]}
    rows, items = list(content["annotations"]), {}
    rng.shuffle(rows)
    for row in rows:
        image = images[row["image_id"]]
        changed = change(row["caption"], copy.deepcopy(row["says"]), image["scene"], rng)
        if changed and world.violations(changed.says, image["scene"]) and len(items) < n:
            texts = {"caption": row["caption"], "negative_caption": changed.text}
            items[str(len(items))] = {"filename": image["file_name"], **texts}
    return items


def make_probe(content: dict, output_dir: Path, n: int, seed: int) -> dict[str, int]:
    """Write a file for each type; returns type -> items."""
    counts = {}
    for name, change in CHANGES.items():
        # A generator for each, so that another change leaves the rest as it was.
        items = make_items(content, change, n, random.Random(f"{seed} {name}"))
        write_bytes(output_dir / f"{name}.json", (json.dumps(items, indent=1) + "\n").encode())
        counts[name] = len(items)
    return counts


@reported
def main() -> None:
    settings = override(globals())
    content = json.loads(settings.ANNOTATION_FILE.read_bytes())
    for name, n in make_probe(content, settings.OUTPUT_DIR, settings.ITEMS, settings.SEED).items():
        print(f"{name}: {n} items")
    print(f"wrote {shown(settings.OUTPUT_DIR)}/. Next: python probe.py")


if __name__ == "__main__":
    main()
