"""The world behind the sample: its scenes, their captions, and the true category of any failure.

A scene is a dict that fits in JSON:

    {"background": "beach", "drawing": 0, "groups": [{"kind": "cat", "colour": "red", "size": "large",
     "number": 2, "state": "sleeping", "place": "left"}, ...]}

It holds one or two groups of alike objects, one to four objects in all. `drawing` numbers the drawings of the
same facts: two scenes that differ in nothing else are near-duplicates. What a caption states is a dict too:

    {"mentions": [{"noun": "animal", "count": "some", "colour": "red", "state": "sleeping"}, ...],
     "relation": "beside", "context": "sand"}

Every word in it stands for the set of facts that make it true (`NOUNS`, `COUNTS`, `RELATIONS`, `CONTEXTS`;
for the other keys the word is the fact), so the two dicts alone decide whether an image satisfies a caption.

The true failure category of a caption and a retrieved image (`true_label`):

1. The image satisfies the caption: no error of the model, Ambiguous. Subtype `nearduplicate` if the retrieved
   scene has the same facts as the caption's own (whatever the caption says), otherwise `underspecified`.
2. Otherwise the violated constraint of the caption decides (`CATEGORY_OF`). Mentions are matched with groups
   so that as little as possible is violated, missing objects counting most. Where several constraints are
   violated the first in `PRECEDENCE` wins:

   Object    a named kind is not there. Nothing else about it is judged: what is missing has no colour, no
             number and no place, so this has to come first.
   Spatial   the relation or the place is another: it takes the most to state, so where it is stated it is
             what the caption is about.
   Action    the action or state is another.
   Count     the number is another.
   Attribute colour or size is another.
   Context   the background is another: people look at the things before they look behind them.

   From Spatial to Attribute the order runs from what binds the most words to what binds the fewest. It also
   is the order in which every category gets enough cases: the common slips come last.
"""

from itertools import permutations

# ---------------------------------------------------------------- settings
VAGUE_NOUN = 0.10  # share of mentions by a wider noun ("an animal")
VAGUE_COUNT = 0.15  # share of plural mentions without the number ("several")
VAGUE_CONTEXT = 0.15  # share of stated backgrounds by a wider word ("on the sand")
VAGUE_RELATION = 0.15  # share of stated side-by-side relations without the side ("beside")
# --------------------------------------------------------------------------

CATEGORIES = ("Ambiguous", "Attribute", "Action", "Count", "Context", "Spatial", "Object")
SUBTYPES = ("underspecified", "nearduplicate")

# Which constraint of a caption belongs to which category, and which category wins where several are violated.
CATEGORY_OF = {
    "noun": "Object",
    "count": "Count",
    "colour": "Attribute",
    "size": "Attribute",
    "state": "Action",
    "place": "Spatial",
    "relation": "Spatial",
    "context": "Context",
}
PRECEDENCE = ("Object", "Spatial", "Action", "Count", "Attribute", "Context")

# kind: its two actions or states, and the kind it is most easily taken for.
STATES = {
    "cat": ("sleeping", "sitting"),
    "dog": ("sleeping", "running"),
    "bird": ("flying", "standing"),
    "robot": ("waving", "standing"),
    "car": ("driving", "parked"),
    "ball": ("bouncing", "resting"),
    "lamp": ("glowing", "unlit"),
    "umbrella": ("open", "closed"),
    "book": ("open", "closed"),
    "cup": ("steaming", "empty"),
    "box": ("open", "closed"),
    "flag": ("fluttering", "drooping"),
}
LOOK_ALIKE = {
    "cat": "dog",
    "dog": "cat",
    "bird": "cat",
    "robot": "car",
    "car": "robot",
    "ball": "cup",
    "lamp": "umbrella",
    "umbrella": "lamp",
    "book": "box",
    "cup": "box",
    "box": "book",
    "flag": "umbrella",
}
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
SIZES = ("small", "large")
# background: the one it is easily taken for.
BACKGROUNDS = {
    "room": "kitchen",
    "kitchen": "room",
    "meadow": "park",
    "park": "meadow",
    "beach": "desert",
    "desert": "beach",
    "snow field": "frozen lake",
    "frozen lake": "snow field",
}
# place of one group: the place of the other.
PLACES = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
MAX_OBJECTS = 4
GROUP_FACTS = ("kind", "colour", "size", "number", "state", "place")

ANIMALS = ("cat", "dog", "bird")
NOUNS = {kind: (kind,) for kind in STATES} | {
    "animal": ANIMALS,
    "object": tuple(kind for kind in STATES if kind not in ANIMALS),
}
COUNTS = {"one": (1,), "two": (2,), "three": (3,), "four": (4,), "some": (2, 3, 4), "several": (3, 4)}
# relation of the first mention to the second: the pairs of places that make it true.
RELATIONS = {
    "left of": (("left", "right"),),
    "right of": (("right", "left"),),
    "above": (("top", "bottom"),),
    "below": (("bottom", "top"),),
    "beside": (("left", "right"), ("right", "left")),
}
CONTEXTS = {background: (background,) for background in BACKGROUNDS} | {
    "indoors": ("room", "kitchen"),
    "grass": ("meadow", "park"),
    "sand": ("beach", "desert"),
    "outdoors": tuple(b for b in BACKGROUNDS if b not in ("room", "kitchen")),
}


def scene_key(scene):
    """Everything a caption could say of a scene, as one string: near-duplicates share it."""
    parts = [scene["background"]]
    for group in sorted(scene["groups"], key=lambda g: g["place"]):
        parts.append(" ".join(str(group[name]) for name in GROUP_FACTS))
    return "; ".join(parts)


def random_scene(rng):
    """A scene drawn by `rng` (a random.Random): two groups in seven of ten, no kind in both."""
    n_groups = 2 if rng.random() < 0.7 else 1
    if n_groups == 2:
        numbers = rng.choice([(1, 1), (1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 1)])
        first = rng.choice(list(PLACES))
        places = (first, PLACES[first])
    else:
        numbers = (rng.choice([1, 1, 2, 2, 3, 4]),)
        # Four objects fill the picture, so they have no side.
        places = ("middle" if numbers[0] == MAX_OBJECTS else rng.choice(["left", "middle", "right"]),)
    groups = []
    for kind, number, place in zip(rng.sample(list(STATES), n_groups), numbers, places, strict=True):
        groups.append(
            {
                "kind": kind,
                "colour": rng.choice(COLOURS),
                "size": rng.choice(SIZES),
                "number": number,
                "state": rng.choice(STATES[kind]),
                "place": place,
            }
        )
    return {"background": rng.choice(list(BACKGROUNDS)), "drawing": 0, "groups": groups}


def sibling(scene, change, rng):
    """The scene with exactly one fact changed, of category `change` (or "nearduplicate": none, drawn anew).

    Returns None where this scene has no such sibling (four objects have no other place).
    """
    new = {**scene, "groups": [dict(group) for group in scene["groups"]]}
    group = rng.choice(new["groups"])
    if change == "nearduplicate":
        new["drawing"] += 1
    elif change == "Context":
        new["background"] = BACKGROUNDS[scene["background"]]
    elif change == "Action":
        group["state"] = next(state for state in STATES[group["kind"]] if state != group["state"])
    elif change == "Object":
        taken = {other["kind"] for other in new["groups"]}
        kind = LOOK_ALIKE[group["kind"]]
        group["kind"] = kind if kind not in taken else rng.choice([k for k in STATES if k not in taken])
        group["state"] = rng.choice(STATES[group["kind"]])
    elif change == "Attribute":
        _change_attribute(new["groups"], group, rng)
    elif change == "Count":
        return _change_number(new, group, rng)
    elif change == "Spatial":
        return _change_places(new, rng)
    else:
        raise ValueError(f"no such change: {change}")
    return new


def _change_attribute(groups, group, rng):
    if len(groups) == 2 and groups[0]["colour"] != groups[1]["colour"] and rng.random() < 0.35:
        # Both colours stay in the picture, on the wrong things.
        groups[0]["colour"], groups[1]["colour"] = groups[1]["colour"], groups[0]["colour"]
    elif rng.random() < 0.35:
        group["size"] = "small" if group["size"] == "large" else "large"
    else:
        group["colour"] = rng.choice([colour for colour in COLOURS if colour != group["colour"]])


def _change_number(scene, group, rng):
    total = sum(g["number"] for g in scene["groups"])
    steps = [1] * (total < MAX_OBJECTS) + [-1] * (group["number"] > 1)
    if len(scene["groups"]) == 1 and group["place"] != "middle" and group["number"] == MAX_OBJECTS - 1:
        steps = [-1]
    group["number"] += rng.choice(steps or [0])
    return scene if steps else None


def _change_places(scene, rng):
    groups = scene["groups"]
    if len(groups) == 1:
        if groups[0]["number"] == MAX_OBJECTS:
            return None
        groups[0]["place"] = rng.choice([p for p in ("left", "middle", "right") if p != groups[0]["place"]])
    elif rng.random() < 0.75:
        groups[0]["place"], groups[1]["place"] = groups[1]["place"], groups[0]["place"]
    else:
        first = rng.choice([p for p in PLACES if p not in (groups[0]["place"], groups[1]["place"])])
        groups[0]["place"], groups[1]["place"] = first, PLACES[first]
    return scene


def violations(says, scene):
    """The categories of the constraints that the scene violates, one each; empty if it satisfies them all.

    Mentions are matched with groups one to one so that as few objects as possible are missing, then as few
    constraints as possible violated, then the least by `PRECEDENCE`.
    """
    mentions, groups = says["mentions"], scene["groups"]
    slots = list(range(len(groups))) + [None] * len(mentions)
    found = (_violations(says, scene, match) for match in set(permutations(slots, len(mentions))))
    return min(found, key=lambda v: (v.count("Object"), len(v), [-PRECEDENCE.index(c) for c in v]))


def _violations(says, scene, match):
    groups = [None if slot is None else scene["groups"][slot] for slot in match]
    broken = []
    for i, mention in enumerate(says["mentions"]):
        if groups[i] is None or groups[i]["kind"] not in NOUNS[mention["noun"]]:
            groups[i] = None
            broken.append(CATEGORY_OF["noun"])
            continue
        if "count" in mention and groups[i]["number"] not in COUNTS[mention["count"]]:
            broken.append(CATEGORY_OF["count"])
        for name in ("colour", "size", "state", "place"):
            if name in mention and groups[i][name] != mention[name]:
                broken.append(CATEGORY_OF[name])
    if "relation" in says and None not in groups:
        if (groups[0]["place"], groups[1]["place"]) not in RELATIONS[says["relation"]]:
            broken.append(CATEGORY_OF["relation"])
    if "context" in says and scene["background"] not in CONTEXTS[says["context"]]:
        broken.append(CATEGORY_OF["context"])
    return tuple(sorted(broken, key=PRECEDENCE.index))


def true_label(says, own_scene, retrieved_scene):
    """The true (category, ambiguous subtype) of a caption and a retrieved image.

    From what the caption says and from the scenes of its own image and of the retrieved one, as the table at
    the top of this file has it. Defined for every pair. The subtype is "" unless the category is Ambiguous.
    """
    broken = violations(says, retrieved_scene)
    if broken:
        return broken[0], ""
    same = scene_key(own_scene) == scene_key(retrieved_scene)
    return "Ambiguous", "nearduplicate" if same else "underspecified"


PLURALS = {noun: noun + "s" for noun in NOUNS} | {"box": "boxes"}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
COUNT_WORDS = {"two": ("two", "two", "a pair of"), "three": ("three",), "four": ("four",)}
COUNT_WORDS |= {"some": ("some", ""), "several": ("several", "a few")}
# States that stand before the noun only: "a cup is empty beside a box" is no English.
BEFORE_NOUN_ONLY = ("open", "closed", "empty", "unlit")
PLACE_WORDS = {
    "left": ("on the left", "on the left side", "at the left"),
    "right": ("on the right", "on the right side", "at the right"),
    "top": ("at the top", "in the upper half"),
    "bottom": ("at the bottom", "in the lower half"),
    "middle": ("in the middle", "in the center"),
}
RELATION_WORDS = {
    "left of": ("to the left of", "on the left of", "left of"),
    "right of": ("to the right of", "on the right of", "right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
    "beside": ("beside", "next to"),
}
CONTEXT_WORDS = {
    "room": ("in a room", "in a living room"),
    "kitchen": ("in a kitchen", "in the kitchen"),
    "meadow": ("in a meadow", "in the meadow"),
    "park": ("in a park", "at the park"),
    "beach": ("on the beach", "at the beach"),
    "desert": ("in the desert", "in a desert"),
    "snow field": ("in a snow field", "in the snow"),
    "frozen lake": ("on a frozen lake", "on the ice"),
    "indoors": ("indoors", "inside"),
    "grass": ("on the grass", "on green grass"),
    "sand": ("on the sand",),
    "outdoors": ("outdoors", "outside"),
}
OPENINGS = ("", "", "", "There {be} ", "There {be} ", "A picture of ", "A view of ", "This is a picture of ")


def write_caption(scene, talk, rng):
    """A caption of the scene and what it says. Each optional fact is stated with probability `talk`."""
    says = choose_facts(scene, talk, rng)
    text = _sentence(says, rng)
    text = text[0].upper() + text[1:]
    return text + ("." if rng.random() < 0.85 else ""), says


def choose_facts(scene, talk, rng):
    """What a caption of the scene says, as described at the top of this file."""
    groups = list(scene["groups"])
    rng.shuffle(groups)
    if len(groups) == 2 and rng.random() < 0.5 * (1 - talk):
        groups.pop()
    says = {"mentions": [_mention(group, talk, rng) for group in groups]}
    if len(groups) == 1 and rng.random() < talk:
        says["mentions"][0]["place"] = groups[0]["place"]
    if len(groups) == 2 and rng.random() < talk:
        places = (groups[0]["place"], groups[1]["place"])
        relations = [relation for relation, pairs in RELATIONS.items() if places in pairs]
        says["relation"] = relations[-1] if rng.random() < VAGUE_RELATION else relations[0]
    if rng.random() < talk:
        words = [word for word, backgrounds in CONTEXTS.items() if scene["background"] in backgrounds]
        says["context"] = rng.choice(words[1:]) if rng.random() < VAGUE_CONTEXT else words[0]
    return says


def _mention(group, talk, rng):
    wider = "animal" if group["kind"] in ANIMALS else "object"
    mention = {"noun": wider if rng.random() < VAGUE_NOUN else group["kind"]}
    counts = [word for word, numbers in COUNTS.items() if group["number"] in numbers]
    mention["count"] = rng.choice(counts[1:]) if counts[1:] and rng.random() < VAGUE_COUNT else counts[0]
    for name in ("size", "colour", "state"):
        # Sizes are what people leave out first.
        if rng.random() < (0.6 * talk if name == "size" else talk):
            mention[name] = group[name]
    return mention


def _noun_phrase(mention, rng, with_state=True):
    words = [rng.choice(SIZE_WORDS[mention["size"]])] if "size" in mention else []
    if with_state and "state" in mention:
        words.append(mention["state"])
    words += [mention["colour"]] if "colour" in mention else []
    if mention["count"] == "one":
        words.append(mention["noun"])
        return ("an " if words[0][0] in "aeiou" else "a ") + " ".join(words)
    words.append(PLURALS[mention["noun"]])
    return " ".join([rng.choice(COUNT_WORDS[mention["count"]]), *words]).strip()


def _sentence(says, rng):
    mentions = says["mentions"]
    first, be = mentions[0], "is" if mentions[0]["count"] == "one" else "are"
    moves = "state" in first and first["state"] not in BEFORE_NOUN_ONLY and rng.random() < 0.6
    subject = _noun_phrase(first, rng, with_state=not moves)
    rest = []
    if "place" in first:
        rest.append(rng.choice(PLACE_WORDS[first["place"]]))
    if "relation" in says:
        rest.append(rng.choice(RELATION_WORDS[says["relation"]]) + " " + _noun_phrase(mentions[1], rng))
    elif len(mentions) == 2:
        joint = rng.choice(("and", "and", "with", "together with"))
        if moves:
            rest.append("with " + _noun_phrase(mentions[1], rng))
        else:
            subject += f" {joint} " + _noun_phrase(mentions[1], rng)
            be = "are" if joint == "and" else be
    context = rng.choice(CONTEXT_WORDS[says["context"]]) if "context" in says else ""
    ahead = context and rng.random() < 0.2
    if context and not ahead:
        rest.append(context)
    if moves:
        core = [subject, rng.choice((f"{be} {first['state']}", first["state"])), *rest]
        return (f"{context}, " if ahead else "") + " ".join(core)
    opening = rng.choice(OPENINGS).format(be=be)
    if ahead:
        return f"{context}, there {be} " + " ".join([subject, *rest])
    return opening + " ".join([subject, *rest])
