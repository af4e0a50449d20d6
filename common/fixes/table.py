"""The confirmatory result as a table of text, for the console."""

from common import say
from common.results import DRAWS, LEGEND, Index, IndexRow


def lines(index: Index) -> list[str]:
    """A line for each method's net effect on R@1, fixes first; then what its words mean."""
    rows = sorted(index.net_effects, key=lambda row: not row.marks.is_fix)
    said = " ".join(word for row in rows for word in row.marks.words)
    found = [_line(row) for row in rows]
    found += [f"  {mark}: {meaning}" for mark, meaning in LEGEND.items() if mark in said]
    if not all(row.marks.exact for row in rows):
        found.append("  gained and lost are then counts in the samples, so their difference isn't the effect")
    found += [
        f"  placebo: mean of {DRAWS} draws, and the standard deviation between them",
        f"  {index.family}",
    ]
    if not any(row.helps for row in rows):
        found.append("No fix helps: none is above zero by Holm's p")
    return found


def _line(row: IndexRow) -> str:
    effect, placebo = row.net_effect["R@1"], row.placebo["R@1"]
    value, low, high = (f"{say.signed(each):>6}" for each in (effect.value, effect.low, effect.high))
    holm = "" if row.p_holm is None else f", Holm {say.p_value(row.p_holm)}"
    marks = f"  ({', '.join(row.marks.words)})" if row.marks.words else ""
    return (
        f"  {row.name:<30} {value} [{low}, {high}]  {say.p(effect.p)}{holm}  "
        f"gained {say.number(effect.gained)}, lost {say.number(effect.lost)}  "
        f"placebo {say.signed(placebo.value)} (sd {say.two(placebo.sd)}){marks}"
    )
