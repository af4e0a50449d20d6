"""Rows on what a study of this size could show: step 2's plan of the labels, step 6's power. In points."""

from common.labels import plan
from common.labels.manifest import Manifest
from common.results import Index


def planned(draw: Manifest | None, pace: plan.Pace) -> list[dict]:
    """Something that the sizes of a draw promised; nothing where no manifest says them."""
    if draw is None:
        return []
    told = plan.told(plan.of(draw.settings, draw.failures, pace))
    return [{"what": what, "value": value} for what, value in told]


def power(index: Index) -> list[dict]:
    """A kind of methods: the smallest net effect on R@1 that they could show."""
    rows = []
    for each in index.power:
        needed = "every caption is ranked" if each.exact else each.control_size or "none would do"
        row = {"kind": each.kind, "methods": each.methods, "exact": each.exact}
        row |= {"smallest_least_pp": each.least, "smallest_most_pp": each.most}
        rows.append(row | {"control_size_for_1_point": needed})
    return rows
