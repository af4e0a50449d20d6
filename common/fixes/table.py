"""The confirmatory result and comparisons as tables of text, for the console."""

from common import say
from common.comparisons import Difference, Recovered
from common.results import DRAWS, FAILURES, LEGEND, ComparedModel, Index, IndexRow, Power


def lines(index: Index) -> list[str]:
    """A line for each method's net effect on R@1, fixes first; then what its words mean."""
    rows = sorted(index.net_effects, key=lambda row: not row.marks.is_fix)
    said = " ".join(word for row in rows for word in row.marks.words)
    if not rows:
        return ["  no method was measured", f"  {index.family}"]
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
    return found + of_power(index.power) + of_differences(index.differences)


def of_power(kinds: list[Power]) -> list[str]:
    """Which effects could have been found: a line a kind of methods; none where nothing was changed."""
    if not kinds:
        return []
    lines = ["Smallest net effect to be found here with 80% power, after Holm, in points:"]
    for each in kinds:
        ends = dict.fromkeys((say.two(each.least), say.two(each.most)))
        line = f"  {each.kind} ({say.items(each.methods, 'method')}): {' to '.join(ends)}"
        if not each.exact:
            size = each.control_size
            needed = "no CONTROL_SIZE would do" if size is None else f"CONTROL_SIZE = {size}"
            line += f"; for 1 point {needed}"
        lines.append(line)
    return lines


def of_differences(pairs: list[Difference]) -> list[str]:
    """Whether corrections of hubs differ from each other; no line where there is no pair of them."""
    if not pairs:
        return []
    apart = [pair for pair in pairs if pair.low_all > 0]
    n = say.items(len(pairs), "pair")
    if not apart:
        most = max(max(-pair.low_all, pair.high_all) for pair in pairs)
        return [
            f"Corrections of hubs, {n}: none differs for certain, and none by more than {say.two(most)} "
            "points (95%, all pairs at once)"
        ]
    widest = max(apart, key=lambda pair: pair.value)
    effect = say.points(widest.value, widest.low_all, widest.high_all)
    return [
        f"Corrections of hubs differ: {say.number(len(apart))} of {n} (95%, all pairs at once)",
        f"  the widest apart: {widest.first} is {effect} above {widest.second}",
    ]


def of_compared(index: Index, first: str) -> list[str]:
    """What other models do to the same captions. `first`: the name of the cache's own."""
    found = []
    for model in index.compared:
        found += _compared(model, first)
    rows = {row.categories: row for row in index.failed_by_all}
    if rows:
        every = rows.pop(FAILURES)
        said = [f"{name} {row.hits} of {row.n}" for name, row in rows.items()]
        n = say.number(len(index.compared) + 1)
        found.append(f"All {n} models fail {say.items(every.hits, 'caption')}; labeled ones among them:")
        found.append(f"  {', '.join(said) if said else 'there are no labels'}")
    return found


def _compared(model: ComparedModel, first: str) -> list[str]:
    effect, both = model.net_effect["R@1"], model.overlap
    net = say.points(effect.value, effect.low, effect.high)
    same = say.coefficient(both.consistency, both.consistency_low, both.consistency_high)
    own, other = both.both_fail + both.only_first_fails, both.both_fail + both.only_other_fails
    back = "" if both.recovered_back is None else f", and {first} {_percent(both.recovered_back)} of its own"
    every, *categories = model.recovered
    lines = [
        f"{model.name} in place of {first}: {net} on R@1, {say.p(effect.p)}, "
        f"Holm {say.p_value(model.p_holm)}, gained {say.number(effect.gained)}, "
        f"lost {say.number(effect.lost)}",
        f"  {say.number(both.both_fail)} captions fail in both, of {say.number(own)} and "
        f"{say.number(other)}; error consistency {same}",
        f"  of the {say.number(own)} failures it has {_recovered(every)} right{back}",
    ]
    if categories:
        lines.append("  of the labeled ones by category; they were drawn among these failures, of which any")
        lines.append("  other model has some right, so a category is to be read next to all failures:")
    return lines + [f"    {row.categories:<12} {row.n:>4}  {_recovered(row)}" for row in categories]


def _recovered(row: Recovered) -> str:
    return say.share(row.value / 100, row.low / 100, row.high / 100)


def _percent(value: float) -> str:
    return say.share(value / 100)


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
