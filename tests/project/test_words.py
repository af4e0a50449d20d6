"""The project's words: plain US English in everything that people read."""

import re

import pytest

from tests.support import PROJECT

# A word that reads as translated or is British -> what to write.
PLAIN = {
    r"mend(s|ed|ing)?": "fix",
    r"hang(s|ing)? on": "depend on",
    r"anew": "again",
    r"beside": "next to",
    r"passed over": "skipped",
    r"(told|tells?) apart": "distinguished",
    r"lies": "is",
    r"stand(s|ing)? in": "is in",
    r"at will": "as you like",
    r"colours?|coloured": "color",
    r"labelling": "labeling",
    r"(normalis|tokenis)\w+": "z",
    r"licence": "license",
    r"(is|are)n't there": "was not found",
    r"broke off": "was interrupted",
    r"goes on": "continues",
}
KINDS = ("py", "md", "js", "j2", "css")
# Accepted spellings of labels; templates, whose texts are encoded; captions.
QUOTED = re.compile(
    r"[Cc]olour['\"]|^\s+\"(The|What) colour|note beside a|a caption that goes on|\"relation\": \"beside"
)
EXAMPLE = re.compile(r"^\| .* \|$")  # of a guide: a caption, what a picture shows, its label
DRAWN = (
    "render.py",
    "world.py",
    "clip_model.py",
    "make_probe.py",
    "test_sample.py",
)  # the sample's scenes: names of fields
HERE = ("test_words.py", "annotation_guide_cn.md")


def pages():
    """Every file of words, the data of the sample aside."""
    for kind in KINDS:
        for path in PROJECT.rglob(f"*.{kind}"):
            parts = path.relative_to(PROJECT).parts
            own = len(parts) <= 2 or parts[0] in ("common", "tests", "benchmarks", "data")
            if own and not parts[0].startswith(".") and path.name not in (*DRAWN, *HERE):
                yield path


@pytest.mark.parametrize("word", PLAIN)
def test_words_are_plain_us_english(word):
    pattern, found = re.compile(rf"\b({word})\b", re.I), []
    for path in pages():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            example = path.name == "annotation_guide.md" and EXAMPLE.match(line)
            if pattern.search(line) and not QUOTED.search(line) and not example:
                found.append(f"{path.relative_to(PROJECT)}:{number}: {line.strip()}")
    assert not found, f"write {PLAIN[word]!r}: " + "\n".join(found)
