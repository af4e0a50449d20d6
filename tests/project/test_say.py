"""One format for each kind of number, and lists in words."""

import pytest

from common import say


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (say.number(1811), "1,811"),
        (say.share(0.329259, 0.3015, 0.3583), "32.93% [30.15, 35.83]"),
        (say.share(0.5), "50.00%"),
        (say.points(3.5556, 1.63, 5.48), "+3.56 points [+1.63, +5.48]"),
        (say.points(-0.001), "+0.00 points"),
        (say.coefficient(0.84, 0.76, 0.92), "0.84 [0.76, 0.92]"),
        (say.coefficient(-0.001), "0.00"),
        (say.p(0.00631), "p = 0.0063"),
        (say.p(0.00009), "p < 0.0001"),
        (say.items(1, "item"), "1 item"),
        (say.items(1811, "item"), "1,811 items"),
        (say.items(2, "entry", "entries"), "2 entries"),
        (say.first_of(list("abcdefg"), 3), "a, b, c and 4 more"),
        (say.first_of(["a", "b"]), "a, b"),
    ],
)
def test_each_kind_has_one_format(text, expected):
    assert text == expected


def test_an_interval_with_an_open_end_is_left_out():
    assert say.share(0.5, None, 0.6) == "50.00%"


def test_a_file_never_holds_minus_zero():
    assert str(say.rounded(-1e-9)) == "0.0"
    assert say.rounded(0.12345678) == 0.123457
