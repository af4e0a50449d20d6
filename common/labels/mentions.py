"""Which categories a caption mentions, by the word lists of the taxonomy.

One that names no color can't fail by its color, so shares of failures are compared per mention. A list
(`Label.words`) is in English, lower case, its entries separated by spaces. Each is a regular expression for
whole words, but `_` stands for a space and `*` for any letters; one that begins with `!` is taken out of
the caption before the others are looked for ("!building *ing"). `*` alone: every caption mentions it.
A list knows nothing of grammar; docs/statistics.md says how often it is right.
"""

import functools
import re
from collections.abc import Sequence

from common.labels.taxonomy import CATEGORIES


def mentioned(caption: str) -> set[str]:
    """The categories that a caption mentions, of those with a word list."""
    text = " ".join(re.findall(r"[\w']+", caption.lower()))
    return {name for name, (drop, words) in _lists().items() if words.search(drop.sub(" ", text))}


def rate(captions: Sequence[str], categories: Sequence[str]) -> float | None:
    """Share of captions that mention one of some categories; None where one of these has no word list."""
    if not set(categories) <= set(_lists()):
        return None
    return sum(bool(mentioned(caption) & set(categories)) for caption in captions) / len(captions)


@functools.cache
def _lists() -> dict[str, tuple[re.Pattern, re.Pattern]]:
    """Category -> what is taken out of a caption, and what is looked for in the rest."""
    found = {}
    for label in CATEGORIES:
        entries = label.words.split()
        if entries:
            found[label.name] = (
                _pattern([entry[1:] for entry in entries if entry.startswith("!")]),
                _pattern([entry for entry in entries if not entry.startswith("!")]),
            )
    return found


def _pattern(entries: list[str]) -> re.Pattern:
    """Matches any of some entries as whole words; of no entries, nothing."""
    if not entries:
        return re.compile(r"(?!)")
    either = "|".join(entry.replace("*", r"\w*").replace("_", " ") for entry in entries)
    return re.compile(rf"\b(?:{either})\b")
