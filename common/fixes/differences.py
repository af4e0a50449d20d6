"""Do corrections of hubs differ from each other? Each two of them on the same queries, in R@1."""

from itertools import combinations
from pathlib import Path

import numpy as np

from common import files, statistics
from common.comparisons import Difference
from common.fixes import measures, net_effect, recipes
from common.fixes.net_effect import Design, Ranks
from common.results import ALL, MethodResult

AGAIN = "run `python improve_subset.py` again"


def between_hubs(found: dict[Path, MethodResult], seed: int) -> list[Difference]:
    """A row for each two fixes that are a correction of hubs alone, the higher R@1 first.

    Read from their files of ranks, so that those of earlier runs count too. What is no fix, or was not ranked
    on every query, is left out: it is not on the same footing.
    """
    hubs = {path: result for path, result in found.items() if _is_comparable(result)}
    # The best first, so that a difference is what the better one has.
    order = sorted(hubs, key=lambda path: -hubs[path].on(ALL).net_effect["R@1"].value)
    ranks = {path: _ranks(path.with_name(hubs[path].ranks_file)) for path in order}
    pairs = list(combinations(order, 2))
    z = statistics.z_of(len(pairs)) if pairs else statistics.Z
    return [
        _difference((hubs[one].name, hubs[other].name), Ranks(ranks[other][0], *ranks[one]), seed, z)
        for one, other in pairs
    ]


def _is_comparable(result: MethodResult) -> bool:
    recipe, marks = recipes.parse(result.method), result.on(ALL).marks
    return recipe.parts == (recipe.hubs,) and marks.is_fix and marks.exact


def _difference(names: tuple[str, str], ranks: Ranks, seed: int, z: float) -> Difference:
    """`ranks`: the second method's as `before`, the first one's as `after`. z: for all pairs at once."""
    failed = ranks.before > 1
    sizes = int(failed.sum()), int((~failed).sum())
    effect, change = net_effect.effect(ranks, sizes, 1, seed), ranks.change(1)
    wide = Design(failed, ranks.image, sizes).reach(change) * z / statistics.Z
    low_all, high_all = net_effect.within(effect.value, wide)
    shares = {"value": effect.value, "low": effect.low, "high": effect.high}
    ends = {name: measures.points(each) for name, each in shares.items()}
    ends |= {"low_all": measures.points(low_all), "high_all": measures.points(high_all)}
    return Difference(first=names[0], second=names[1], **ends, gained=effect.gained, lost=effect.lost)


def _ranks(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ranks after the method, and image rows, of all queries: (n,) int64 each, by idx."""
    columns = ("rank_after", "gt_img_idx")
    rows = files.read_csv(path, columns, AGAIN)
    after, image = (np.array([int(row[name]) for row in rows]) for name in columns)
    return after, image
