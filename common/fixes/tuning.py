"""Which parameters methods run with."""

import numpy as np
from tqdm import tqdm

from common.fixes import recipes, rerank
from common.fixes.recipes import Recipe
from common.fixes.study import Study
from common.retrieval import evaluation


def choose_parameters(chosen: list[Recipe], study: Study, maker: rerank.Maker) -> dict[str, dict]:
    """Part -> its published parameters or, with TUNE, those of its grid with the best R@1.

    Each part is tuned alone, on the tuning half.
    """
    used = {part.name for recipe in chosen for part in recipe.parts}
    parts = [part for part in recipes.PARTS if part.name in used and part.published]
    if not len(study.tuning):
        return {part.name: part.published for part in parts}
    parameters = {}
    for part in tqdm(parts, desc="tuning", unit="part", disable=None, leave=False):
        alone = recipes.parse(part.name)
        # The first of equal ones wins, so the published parameters unless others are better.
        tried = [part.published, *part.grid]
        recalls = []
        for values in tried:
            method = maker.make(alone, {part.name: values})
            (after,) = rerank.rank([method], study.tuning, study.frozen.gt)
            recalls.append(evaluation.recall(after.rank, 1))
        parameters[part.name] = tried[int(np.argmax(recalls))]
    return parameters
