"""The shares as lines to read: a table, what its intervals are about, and what missing labels mean for it."""

from common import say
from common.labels import shares
from common.labels.gaps import Gaps
from common.labels.shares import CategoryShare, LabelShare
from common.labels.taxonomy import AMBIGUOUS


def heading(rows: list[CategoryShare], gaps: Gaps) -> str:
    """How many items the shares are over, and of what: a random draw only where every one has a label."""
    total, population = rows[0].share.total, rows[0].share.population
    at_random = ", drawn at random from" if gaps.drawn and not gaps.missing and not gaps.waiting else " of"
    of_all = f"{at_random} {say.items(population, 'failure')}" if population else ""
    more = f" ({gaps.status.replace('provisional', 'PROVISIONAL')})" if gaps.status != "final" else ""
    return f"Distribution over {say.items(total, 'item')}{of_all}{more}:"


def table(rows: list[CategoryShare], gaps: Gaps) -> list[str]:
    """A line a category: its share over all items with its interval and bounds, and over the clear ones."""
    clear = {row.category: row.share.share for row in rows if row.over == shares.CLEAR}
    lines = []
    for category, found in [(row.category, row.share) for row in rows if row.over == shares.ALL]:
        if not found.total:
            continue
        of_clear = clear.get(category)  # Ambiguous has none; nor has any, where no item is clear
        words = "" if of_clear is None else f"{say.share(of_clear):>7} of the clear ones"
        value, _, interval = say.share(found.share, found.low, found.high).partition(" ")
        bounds = f"{say.share(found.least):>7} to {say.share(found.most):<7} " if gaps.open else ""
        lines.append(f"{category:<10} {say.number(found.n):>5} {value:>7} {interval:<16} {bounds}{words}")
    return lines


def about(ambiguous: list[LabelShare], gaps: Gaps) -> list[str]:
    """What the intervals are about, how many Ambiguous have a subtype, and what the gaps mean."""
    n = {row.label: row.share.n for row in ambiguous}
    unsaid = n[shares.OF_AMBIGUOUS[-1]]
    lines = [
        "Intervals (95%): all failures of these captions and this model, one category at a time (low_all to "
        f"high_all in {shares.DISTRIBUTION}: all at once)",
        f"{AMBIGUOUS}: {say.number(n[AMBIGUOUS] - unsaid)} with a subtype (the retrieved image fits), "
        f"{say.number(unsaid)} without one (unsure, or not said)",
    ]
    if gaps.open:
        lines.append(
            f"Caution: {gaps.caution}. Labels are seldom missing at random, since people skip what is hard: "
            "`x% to y%` is a share if none or all of these had the label"
        )
    return lines
