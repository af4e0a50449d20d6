"""Whether step 6's tests and intervals keep what they promise, over 1,000 seeds.

Run:    python -m benchmarks.calibration [rounds]
Prints: 1. With an independent second placebo as the method and the first as the comparison nothing is to be
           found: how often p is below 0.05 all the same, and how often any adjusted p of a run is.
        2. How often the interval of an estimated net effect covers the exact one.
        On the embeddings of 600 photographs that COCO_DIR names or, without it, on the bundled sample
Takes:  a quarter of an hour on 2 cores; half an hour next to other work
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import binomtest
from torch.nn.functional import normalize

from benchmarks import PROJECT
from common.fixes import bank as banks
from common.fixes import net_effect, recipes, rerank
from common.fixes.net_effect import Ranks
from common.fixes.recipes import Material
from common.retrieval import cache, meta, text_cache

WHOLE = ("nnn", "dn", "is", "dis", "tfidf", "overlap", "words", "nnn+words")  # all queries are ranked
SAMPLED = "prompts"  # failures and successes are sampled, as for every method that encodes texts
CONTROL = 500  # of each, for that method
TEMPLATES, ANGLE = 4, 0.9  # its templates' number, and their cosine with the plain caption
SIZES = (100, 300, 1000)  # of failures and of successes, for the coverage of intervals
SEED = 42


class State(NamedTuple):
    """What a process works with."""

    maker: rerank.Maker
    gt: np.ndarray  # (n_captions,) image row of each caption
    templated: torch.Tensor  # (n_captions, TEMPLATES, dim) float32, rows of length 1


state: State  # of a worker process, made by `start`


def prepare(folder: Path) -> tuple[Path, Path]:
    """A cache and a bank: (meta file, bank file)."""
    if os.environ.get("COCO_DIR"):
        from tests.support import coco_600

        coco_dir = Path(os.environ["COCO_DIR"])
        return coco_600.write_cache(coco_dir, folder), coco_600.write_bank(coco_dir, folder / "bank.npz")
    command = [sys.executable, "main.py", "--cache-dir", folder, "--result-dir", folder / "results"]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    return meta.find(folder), PROJECT / "data" / "sample" / "annotations" / "captions_train2017.json"


def start(meta_file: Path, bank_file: Path) -> None:
    """What every process needs, once."""
    global state
    torch.set_num_threads(1)
    frozen = cache.load(meta_file)
    bank = banks.read(bank_file, 20000, SEED, frozen.meta)
    bank, no_bank = banks.encoded(bank, text_cache.TextCache(frozen, None, "cpu"), False)
    if no_bank:
        sys.exit(no_bank)
    txt = frozen.txt[:, None]
    noise = torch.randn(len(txt), TEMPLATES, txt.shape[2], generator=torch.manual_seed(SEED))
    noise = normalize(noise, dim=-1)
    across = normalize(noise - (noise * txt).sum(-1, keepdim=True) * txt, dim=-1)
    material = Material(
        frozen.txt, frozen.img, frozen.meta.captions, frozen.gt, bank.embeddings, bank.captions
    )
    templated = ANGLE * txt + (1 - ANGLE**2) ** 0.5 * across
    state = State(rerank.Maker(material, SEED), frozen.gt, templated)


def placebos(seed: int, queries: np.ndarray) -> list:
    """Ranks by two independent placebos of each method, in one pass that shares the plain scores."""
    maker, methods = state.maker, []
    for name in (*WHOLE, SAMPLED):
        base = None
        if name == SAMPLED:
            base = maker.templated(queries, state.templated).pooled("mean", 0.01)
        method = maker.make(recipes.parse(name), recipes.published(), base)
        for maker.seed in (2 * seed + 1000, 2 * seed + 1001):
            methods += maker.placebos(method, 1)
    ranked = rerank.rank(methods, queries, state.gt)
    return list(zip(ranked[::2], ranked[1::2], strict=True))


def one_run(seed: int) -> list[tuple[float, float]]:
    """(p, McNemar's p) of every method where there is nothing to find."""
    gt, everything, random = state.gt, np.arange(len(state.gt)), np.random.default_rng(seed)
    found = []
    for name, (first, second) in zip((*WHOLE, SAMPLED), placebos(seed, everything), strict=True):
        strata = np.flatnonzero(first.rank > 1), np.flatnonzero(first.rank == 1)
        rows = everything
        if name == SAMPLED:
            rows = np.concatenate([random.permutation(each)[:CONTROL] for each in strata])
        sizes = tuple(map(len, strata))
        effect = net_effect.effect(Ranks(first.rank[rows], second.rank[rows], gt[rows]), sizes, 1, seed)
        found.append((effect.p, mcnemar(effect, [len(rows[first.rank[rows] > 1]), len(rows)], sizes)))
    return found


def mcnemar(effect: net_effect.Effect, ranked: list[int], sizes: tuple[int, int]) -> float:
    """McNemar's exact p, which takes captions of an image for independent. ranked: failures, all."""
    if not effect.gained + effect.lost:
        return 1.0
    # Where as many are gained as lost, the ranked ones split as the sampled shares do (1 : 1 if exact).
    shares = ranked[0] / sizes[0], (ranked[1] - ranked[0]) / sizes[1]
    return binomtest(effect.gained, effect.gained + effect.lost, shares[0] / sum(shares)).pvalue


def coverage(ranks: Ranks, size: int, cutoff: int, rounds: int) -> float:
    """Share of samples whose interval covers the exact effect. ranks: of all queries."""
    strata = np.flatnonzero(ranks.before > 1), np.flatnonzero(ranks.before == 1)
    sizes = tuple(map(len, strata))
    exact = net_effect.effect(ranks, sizes, cutoff, 0).value
    covered = 0
    for seed in range(rounds):
        random = np.random.default_rng([seed, size])
        rows = np.concatenate([random.permutation(each)[:size] for each in strata])
        sample = Ranks(*(each[rows] for each in ranks))
        found = net_effect.effect(sample, sizes, cutoff, seed, flips=1)
        covered += found.sampling_low <= exact <= found.sampling_high
    return covered / rounds


def print_tests(results: np.ndarray) -> None:
    """results (rounds, methods, 2): p and McNemar's p."""
    print(f"\n1. Placebo against placebo, {len(results):,} runs of {results.shape[1]} methods: p < 0.05 in")
    print(f"{'method':<12} {'sign flip':>10} {'McNemar':>10}")
    for number, name in enumerate((*WHOLE, SAMPLED)):
        shares = (results[:, number] < 0.05).mean(0)
        print(f"{name:<12} {shares[0]:>10.1%} {shares[1]:>10.1%}" + (" (sampled)" if name == SAMPLED else ""))
    raw = (results[..., 0] < 0.05).mean()
    adjusted = np.mean([min(net_effect.holm(list(run))) < 0.05 for run in results[..., 0]])
    print(
        f"all tests: p < 0.05 in {raw:.1%}; any adjusted p < 0.05 in {adjusted:.1%} of runs (limits: 6.5 %)"
    )


def print_coverage(rounds: int) -> None:
    """Intervals of samples from real effects of each size and sign."""
    maker, gt = state.maker, state.gt
    maker.seed = SEED
    queries = np.arange(len(gt))
    (before,) = rerank.rank([rerank.Method(maker.plain)], queries, gt)
    print(f"\n2. Share of {rounds:,} samples whose 95 % interval covers the exact effect (93 to 97 % wanted)")
    print(f"{'effect':<24} {'exact':>7}  " + "  ".join(f"n = 2 x {size:<4}" for size in SIZES))
    for name in ("nnn", "words", "tfidf", "dis"):
        method = maker.make(recipes.parse(name), recipes.published())
        pair = rerank.rank([method, *maker.placebos(method, 1)], queries, gt)
        for label, after in zip((name, f"{name}, placebo"), pair, strict=True):
            for cutoff in (1, 5):
                ranks = Ranks(before.rank, after.rank, gt)
                exact = 100 * ranks.change(cutoff).mean()
                shares = [coverage(ranks, size, cutoff, rounds) for size in SIZES]
                line = "  ".join(f"{share:>12.1%}" for share in shares)
                print(f"{label + f', R@{cutoff}':<24} {exact:>+7.2f}  {line}", flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        inputs = prepare(Path(name))
        start(*inputs)
        print(f"{inputs[0].stem}: {len(state.gt):,} captions over {len(state.maker.material.img):,} images")
        begun = time.perf_counter()
        with ProcessPoolExecutor(os.cpu_count(), initializer=start, initargs=inputs) as pool:
            results = np.array(list(pool.map(one_run, range(rounds), chunksize=10)))
        print_tests(results)
        print(f"{time.perf_counter() - begun:.0f} s", flush=True)
        print_coverage(rounds)
        print(f"{time.perf_counter() - begun:.0f} s; load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
