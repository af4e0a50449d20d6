"""Whether a table's caption is the cache's: what makes no difference, what was lost, and one refusal."""

from pathlib import Path

import pytest

from common.errors import UserError
from common.labels import same_caption


@pytest.mark.parametrize(
    ("written", "caption", "outcome"),
    [
        ("A dog", "A dog", "same"),
        ("  A\ndog ", "A dog", "same"),
        ("A dog.", "A dog", "other"),
        ("a dog", "A dog", "other"),
        ("Cafe\u0301", "Café", "same"),
        ("Caf?", "Café", "lost"),
        ("Caf\ufffd\ufffd", "Café", "lost"),
        ("?? on a balloon", "😀 on a balloon", "lost"),
        ("????", "一只狗坐", "lost"),
        ("???", "一只狗坐", "other"),
        ("A d?g", "A dog", "other"),
        ("A dog?", "A dog", "other"),
        ("A dog?", "A dog?", "same"),
        ("A cat? caf?", "A cat? café", "lost"),
        ("A cat? cafe", "A cat? café", "other"),
        ("'=1", "=1", "same"),
        ("42", "0042", "same"),
        ("42", "420", "other"),
        ("0", "000", "same"),
        ("", "0", "other"),
        ("", "A dog", "other"),
    ],
)
def test_compare(written, caption, outcome):
    assert same_caption.compare(written, caption) == outcome


def test_many_lost_characters_take_no_time():
    """All ways to share 200 marks among 100 lost letters would take longer than the universe has lasted."""
    caption = "字" * 100
    assert same_caption.compare("?" * 200 + " cat", caption + " dog") == "other"
    assert same_caption.compare("?" * 200 + " dog", caption + " dog") == "lost"
    assert same_caption.compare("?" * 401, caption) == "other"


KNOWN = {0: "A dog", 1: "Café", 2: "A cat"}


def test_check_accepts_what_is_the_same_or_lost_characters():
    same_caption.check(Path("a.csv"), [(0, " A  dog"), (1, "Caf?"), (0, "A dog")], KNOWN, "run it")


def test_check_lists_every_row_that_is_not_the_caches():
    rows = [(0, "A dog"), (2, "A dog"), (7, "A cat"), (None, "A cat")]
    with pytest.raises(UserError) as refused:
        same_caption.check(Path("a.csv"), rows, KNOWN, "run it")
    assert str(refused.value) == (
        "a.csv belongs to another cache: 3 of 4 captions differ. Restore that cache, or run it\n"
        "  caption 'A dog' is not that of idx 2: 'A cat'\n"
        "  idx 7 is not in the cache\n"
        "  idx (no row number) is not in the cache"
    )
