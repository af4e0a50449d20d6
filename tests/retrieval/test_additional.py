"""R@1 with verified positives, by hand: what counts as right, what doesn't, and which file can't be read."""

import numpy as np
import pytest

from common.errors import UserError
from common.retrieval import additional
from common.retrieval.meta import Rows

# Two captions of image 70, one each of 71 and 72.
ROWS = Rows([70, 71, 72], ["a", "b", "c"], [10, 11, 12, 13], ["q", "r", "s", "t"], [0, 0, 1, 2])
RANK = np.array([1, 2, 3, 2])  # the own image first once
OTHER = np.array([2, 1, 2, 0])  # the best image but the own one


def measured(folder, text: str) -> additional.Additional:
    path = folder / additional.QRELS
    path.write_text(text, encoding="utf-8")
    return additional.measure(RANK, OTHER, ROWS, path)


@pytest.mark.parametrize(
    ("qrels", "value", "gained", "pairs", "others"),
    [
        ("", 0.25, 0, 0, 0),
        ("11 0 71 1\n", 0.5, 1, 1, 0),
        ("11 0 71 1\n13 0 70 1\n", 0.75, 2, 2, 0),
        ("11 0 71 0\n", 0.25, 0, 0, 0),  # judged, and found not to fit
        ("11 0 72 1\n", 0.25, 0, 1, 0),  # it fits, but another image comes first
        ("10 0 72 1\n", 0.25, 0, 1, 0),  # the own image comes first anyway
        ("11 0 70 1\n", 0.25, 0, 0, 0),  # the own image is no further one
        ("11 0 71 1\n11 0 71 1\n", 0.5, 1, 1, 0),
        ("99 0 71 1\n11 0 99 1\n", 0.25, 0, 0, 2),  # not of this cache
    ],
)
def test_what_counts_as_right(tmp_path, qrels, value, gained, pairs, others):
    found = measured(tmp_path, qrels)
    assert (found.value, found.gained, found.pairs, found.other_pairs) == (value, gained, pairs, others)
    assert found.low <= value <= found.high


def test_it_is_said_to_be_a_lower_bound(tmp_path):
    text = measured(tmp_path, "11 0 71 1\n").sentence
    assert text.startswith("R@1 >= 50.00% [") and "1 verified pair of" in text and "a lower bound" in text


@pytest.mark.parametrize("line", ["11 71", "11 0 dog 1", "11 0 71 1 2"])
def test_a_line_that_is_no_judgment_is_named(tmp_path, line):
    with pytest.raises(UserError, match=f"line 2: '{line}' is not"):
        measured(tmp_path, f"11 0 71 1\n{line}\n")
