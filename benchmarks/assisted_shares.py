"""What intervals of assisted shares cover, and what a model's labels are worth, by how good the model is.

Run:   COCO_DIR=... python -m benchmarks.assisted_shares
Takes: about a minute.

Failures with a known category: those of the bundled sample, by its scenes; and as many as a real encoder has
on the 600 photographs of COCO_DIR (without it, those are left out), to which categories are dealt in shares
of COCO's kind. A model errs until its Cohen's kappa with the truth is as wanted; its errors seldom say
Ambiguous, as a model's do that finds fault with everything. Of all failures n are drawn without replacement,
1,000 times, and step 4's own estimator is asked: does its interval hold the true share of all failures; how
wide is it next to people's alone; which weight has the model, and how many labels is it worth.
"""

import functools
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import label_intervals
from common import files
from common.labels import assisted, shares
from common.labels.taxonomy import CATEGORY_NAMES

# Of the 1,811 failures of the bundled sample, by `world.true_label`: data/sample/README.md has them too.
OF_SAMPLE = (446, 100, 95, 439, 44, 442, 245)
SAMPLE = np.repeat(np.arange(len(OF_SAMPLE)), OF_SAMPLE)  # (n_failures,) category of each
SAYS_AMBIGUOUS = 0.02  # part of the model's errors
KAPPAS = (0.0, 0.3, 0.5, 0.7)
LABELED = (50, 200, 800)
DRAWS = 1000


class Setting(NamedTuple):
    """What is simulated."""

    n: int  # failures that people label
    kappa: float  # of the model and the truth; 0: it guesses
    draws: int
    second: int | None = None  # failures that the model labels; None: all


class Measured(NamedTuple):
    """What came of one category."""

    covers: float  # part of the intervals that hold the true share
    alone: float  # the same of people's alone
    width: float  # mean width by that of people's alone
    weight: float  # mean
    worth: float  # mean number of labels, by n
    bias: float  # share by the model alone less the true one


def kappa_of(truth: np.ndarray, model: np.ndarray) -> float:
    """Cohen's kappa of two (n,) arrays of codes."""
    table = np.bincount(truth * len(CATEGORY_NAMES) + model, minlength=len(CATEGORY_NAMES) ** 2)
    table = table.reshape(len(CATEGORY_NAMES), -1) / len(truth)
    chance = table.sum(0) @ table.sum(1)
    return float((np.trace(table) - chance) / (1 - chance))


def labels_of_a_model(truth: np.ndarray, kappa: float, rng: np.random.Generator) -> np.ndarray:
    """(n,) a model's labels, whose kappa with the truth is the one asked for."""
    others = len(CATEGORY_NAMES) - 1
    habit = [SAYS_AMBIGUOUS, *[(1 - SAYS_AMBIGUOUS) / others] * others]
    wrong, order = rng.choice(others + 1, len(truth), p=habit), rng.random(len(truth))
    if not kappa:
        return rng.choice(others + 1, len(truth))
    least, most = 0.0, 1.0  # part of the labels that are replaced: the more, the lower is kappa
    for _ in range(30):
        part = (least + most) / 2
        model = np.where(order < part, wrong, truth)
        least, most = (part, most) if kappa_of(truth, model) > kappa else (least, part)
    return model


def simulate(truth: np.ndarray, setting: Setting) -> list[Measured]:
    """Each category's numbers; truth (n_failures,) of codes into CATEGORY_NAMES."""
    rng = np.random.default_rng(5)
    model, population = labels_of_a_model(truth, setting.kappa, rng), len(truth)
    finite = shares.is_finite(setting.n, population)
    second, seen = setting.second or population, np.zeros((setting.draws, len(CATEGORY_NAMES), 5))
    for draw in range(setting.draws):
        of_model = rng.permutation(population)[:second]
        of_people = of_model[: setting.n]
        for code in range(len(CATEGORY_NAMES)):
            says, wanted = truth[of_people] == code, np.mean(truth == code)
            there, everywhere = model[of_people] == code, model[of_model] == code
            found = assisted.estimate(says, there, everywhere, population, finite)
            own = shares.interval(int(says.sum()), setting.n, population)
            covers, alone = found.low <= wanted <= found.high, own[0] <= wanted <= own[1]
            width = (found.high - found.low) / (own[1] - own[0])
            seen[draw, code] = covers, alone, width, found.weight, found.worth / setting.n
    bias = [float(np.mean(model == code) - np.mean(truth == code)) for code in range(len(CATEGORY_NAMES))]
    return [Measured(*map(float, row), off) for row, off in zip(seen.mean(0), bias, strict=True)]


@functools.cache
def of_coco(folder: Path) -> np.ndarray:
    """As many failures as the encoder of COCO_DIR has, with categories dealt in shares of COCO's kind."""
    rows = json.loads((folder / "embeddings_600" / "rows.json").read_text(encoding="utf-8"))
    images, captions = (np.load(folder / "embeddings_600" / f"{name}.npy") for name in ("images", "captions"))
    n = int(np.sum(np.argmax(captions @ images.T, axis=1) != np.array(rows["gt_img_index"])))
    chances = list(label_intervals.TRUTH.values())
    return np.random.default_rng(1).choice(len(chances), n, p=chances)


def show(name: str, truth: np.ndarray) -> None:
    """The table of one set of failures."""
    print(f"\n{name}: {len(truth):,} failures; {DRAWS:,} draws a row; least and most of seven categories")
    print(f"{'n':>4} {'model':>6} {'kappa':>5} {'covers, %':>13} {'people alone':>13} {'width':>11}", end="")
    print(f" {'weight':>11} {'worth, x n':>11} {'model alone off by, points':>27}")
    for n in LABELED:
        for second in (None, 2 * n):
            for kappa in KAPPAS:
                found = simulate(truth, Setting(n, kappa, DRAWS, second))
                ranges = [(min(column), max(column)) for column in zip(*found, strict=True)]
                covers, alone = (f"{100 * low:.1f} to {100 * high:.1f}" for low, high in ranges[:2])
                others = [f"{low:.2f} to {high:.2f}" for low, high in ranges[2:5]]
                bias = f"{100 * ranges[5][0]:+.1f} to {100 * ranges[5][1]:+.1f}"
                print(f"{n:>4} {second or len(truth):>6} {kappa:>5.1f} {covers:>13} {alone:>13}", end="")
                print(f" {others[0]:>11} {others[1]:>12} {others[2]:>12} {bias:>16}", flush=True)


def main() -> None:
    print(f"versions: {files.versions('numpy')}")
    show("the bundled sample", SAMPLE)
    if os.environ.get("COCO_DIR"):
        show("600 photographs of COCO", of_coco(Path(os.environ["COCO_DIR"])))


if __name__ == "__main__":
    main()
