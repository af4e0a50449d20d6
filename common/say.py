"""How numbers and lists are put into words: one format for each kind, on every console and page.

1,811    32.93% [30.15, 35.83]    +3.56 points [+1.63, +5.48]    0.84 [0.76, 0.92]    p = 0.0063
"""

from collections.abc import Sequence

LEAST_P = 0.0001  # below it only that is said: no test gives a p of 0


def number(n: float) -> str:
    """A count: `1,811`."""
    return f"{int(n):,}"


def items(n: int, noun: str, plural: str = "") -> str:
    """A count with its noun: `1 item`, `1,811 items`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def share(value: float, low: float | None = None, high: float | None = None) -> str:
    """A share between 0 and 1, with its 95 % interval if it has one: `32.93% [30.15, 35.83]`."""
    return f"{100 * value:.2f}%" + _interval(low, high, lambda end: f"{100 * end:.2f}")


def points(value: float, low: float | None = None, high: float | None = None) -> str:
    """A change, given in points: `+3.56 points [+1.63, +5.48]`."""
    return f"{signed(value)} points" + _interval(low, high, signed)


def coefficient(value: float, low: float | None = None, high: float | None = None) -> str:
    """A coefficient or a mean: `0.84 [0.76, 0.92]`."""
    return two(value) + _interval(low, high, two)


def cosine(value: float) -> str:
    """A cosine, or the difference of two: `0.0511`."""
    return f"{rounded(value, 4):.4f}"


def rank(value: float) -> str:
    """A rank, or a median of ranks: `3`, `3.5`, `1,204`."""
    return f"{value:,.10g}"


def p(value: float) -> str:
    """A p-value: `p = 0.0063`, or `p < 0.0001`."""
    return f"p {p_value(value)}" if value < LEAST_P else f"p = {p_value(value)}"


def p_value(value: float) -> str:
    """The same without its letter, for a table's cell: `0.0063`, or `< 0.0001`."""
    return f"< {LEAST_P}" if value < LEAST_P else f"{value:.4f}"


def signed(value: float) -> str:
    """Two decimals with a sign, and 0 without a minus: `+3.56`."""
    return f"{rounded(value, 2):+.2f}"


def two(value: float) -> str:
    """Two decimals, and 0 without a minus."""
    return f"{rounded(value, 2):.2f}"


def rounded(value: float, digits: int = 6) -> float:
    """A number for a file, without the last bits of one machine: six digits, and never -0.0."""
    return round(value, digits) + 0.0


def first_of(words: Sequence[str], most: int = 5) -> str:
    """The first of many names and how many more there are: `a, b, c and 7 more`."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def _interval(low: float | None, high: float | None, form) -> str:
    return "" if low is None or high is None else f" [{form(low)}, {form(high)}]"


def brief(value: object) -> str:
    """A value for a message: of a hash the first 12 digits, which is plenty to see that two differ."""
    text = str(value)
    return text[:12] if len(text) in (40, 64) else text
