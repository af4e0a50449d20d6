"""Ranks by counting against two usual ways that hold the whole score matrix: time, memory, the same recall.

Run:    python -m benchmarks.ranking
Prints: 1. Counting (ours), `torch.argsort` and `torch.topk` on COCO's 25,000 captions x 5,000 images, both
           directions, the product included. `topk` gives recall@K and no ranks.
        2. Counting over a range of sizes, where the whole matrix fits and where it no longer does, with the
           exponents that fit its time and memory; `topk` next to it as far as the machine's memory goes.
Takes:  six to seven minutes on 2 CPU cores. Each run is a process of its own, ways in turn; random
        embeddings, the same for all. Memory is what a process holds at its peak beyond the embeddings
"""

import json
import os
import statistics
import sys
import time

import numpy as np
import torch
from tqdm import tqdm

from benchmarks import _measuring as measuring
from common import say
from common.errors import reported
from common.retrieval import evaluation, ranking
from common.settings import override

# ---- settings ----------------------------------------------------------------------------------------------
IMAGES: int = 5000  # of the comparison; 5 captions each
SIZES: list[int] = [1250, 2500, 5000, 10000, 20000, 32000]  # images of the range, 5 captions each
ROUNDS: int = 3  # of the comparison, and of the range up to its size; larger sizes run once
# ------------------------------------------------------------------------------------------------------------

CAPTIONS_PER_IMAGE, DIMENSION = 5, 512
CHUNK = 1000  # images made at once, so that making embeddings leaves no peak behind
MATRICES = {"argsort": 5.1, "topk": 1.1}  # what a way holds at its peak, in whole float32 matrices (measured)
LARGEST_DIFFERENCE = 3  # queries: float32 sums differ from ours in their last bits, which decide near-ties


def embeddings(n_images: int):
    """Random captions, images and the image row of each caption, captions nearer to their own image."""
    generator = torch.Generator().manual_seed(0)
    img = torch.empty(n_images, DIMENSION)
    txt = torch.empty(n_images * CAPTIONS_PER_IMAGE, DIMENSION)
    gt = torch.arange(n_images).repeat_interleave(CAPTIONS_PER_IMAGE)
    for start in range(0, n_images, CHUNK):
        images = img[start : start + CHUNK].normal_(generator=generator)
        images /= images.norm(dim=1, keepdim=True)
        captions = txt[start * CAPTIONS_PER_IMAGE : (start + CHUNK) * CAPTIONS_PER_IMAGE]
        captions.normal_(0, DIMENSION**-0.5, generator=generator)
        captions += 0.12 * images.repeat_interleave(CAPTIONS_PER_IMAGE, 0)
        captions /= captions.norm(dim=1, keepdim=True)
    return txt, img, gt


def by_counting(txt, img, gt) -> dict:
    """Ours. Recall in the other ways' form: queries found at each cutoff, in both directions."""
    found = ranking.rank(txt, img, gt.numpy())
    return {name: _found(ranks) for name, ranks in (("t2i", found.rank), ("i2t", found.image_rank))}


def by_argsort(txt, img, gt) -> dict:
    """The whole matrix sorted in each direction, and the place of the (best) positive looked up."""
    scores = txt @ img.T
    ranks = 1 + (scores.argsort(dim=1, descending=True) == gt[:, None]).int().argmax(1)
    result = {"t2i": _found(ranks.numpy())}
    own = gt[scores.T.argsort(dim=1, descending=True)] == torch.arange(len(img))[:, None]
    return {**result, "i2t": _found(1 + own.int().argmax(1).numpy())}


def by_topk(txt, img, gt) -> dict:
    """The ten best of each row of the whole matrix: recall at 1, 5, 10, but no ranks."""
    scores = txt @ img.T
    most = evaluation.CUTOFFS[-1]
    hit = {"t2i": scores.topk(most, dim=1).indices == gt[:, None]}
    hit["i2t"] = gt[scores.T.topk(most, dim=1).indices] == torch.arange(len(img))[:, None]
    return {
        name: [int(hits[:, :cutoff].any(1).sum()) for cutoff in evaluation.CUTOFFS]
        for name, hits in hit.items()
    }


def _found(ranks: np.ndarray) -> list[int]:
    return [int((ranks <= cutoff).sum()) for cutoff in evaluation.CUTOFFS]


WAYS = {"counting": by_counting, "argsort": by_argsort, "topk": by_topk}


def one(way: str, n_images: int) -> None:
    """Run one way in this process and print what it took."""
    data = embeddings(n_images)
    before = measuring.reset_peak()
    start = time.perf_counter()
    found = WAYS[way](*data)
    seconds = time.perf_counter() - start
    threads = torch.get_num_threads()
    print(json.dumps({**found, "seconds": seconds, "MiB": measuring.peak() - before, "threads": threads}))


def matrix_gib(n_images: int) -> float:
    """The float32 score matrix, in GiB."""
    return n_images**2 * CAPTIONS_PER_IMAGE * 4 / 2**30


def fits(way: str, n_images: int) -> bool:
    """Whether this machine's memory holds what a way needs."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return MATRICES[way] * matrix_gib(n_images) < 0.8 * memory


def in_turn(ways: list[str], n_images: int, rounds: int) -> dict[str, list[dict]]:
    """What each way took in each round. Stops where two disagree by more than near-ties can."""
    runs = {way: [] for way in ways if way == "counting" or fits(way, n_images)}
    for _ in tqdm(range(rounds), desc=f"{n_images:,} images", unit="round", disable=None, leave=False):
        for way, results in runs.items():
            results.append(measuring.child(__spec__.name, "--one", way, n_images))
    first = runs["counting"][0]
    for way, results in runs.items():
        for direction in ("t2i", "i2t"):
            difference = np.abs(np.subtract(results[0][direction], first[direction])).max()
            if difference > LARGEST_DIFFERENCE:
                sys.exit(f"{way} disagrees with counting in {difference} queries, {direction}")
    return runs


def medians(results: list[dict]) -> list[float]:
    """Seconds, and MiB beyond the embeddings."""
    return [statistics.median(each[name] for each in results) for name in ("seconds", "MiB")]


def compare(n_images: int, rounds: int) -> None:
    """The first table: all ways at one size."""
    runs = in_turn(list(WAYS), n_images, rounds)
    n, threads = n_images * CAPTIONS_PER_IMAGE, runs["counting"][0]["threads"]
    print(f"{n:,} captions x {n_images:,} images, {DIMENSION} dimensions, both directions, float32,")
    print(f"{rounds} rounds in turn, {threads} threads\n")
    rows = []
    spent = {way: [each["seconds"] for each in results] for way, results in runs.items()}
    for way, results in runs.items():
        seconds, memory = medians(results)
        ratio = measuring.ratio(spent["counting"], spent[way])
        recall = [say.share(results[0]["t2i"][0] / n), say.share(results[0]["i2t"][0] / n_images)]
        rows.append([way, f"{seconds:.2f}", f"{ratio:.2f}", f"{memory:,.0f}", *recall])
    head = ["way", "seconds", "time, ratio", "MiB beyond embeddings", "R@1 text to image", "image to text"]
    measuring.print_table(head, rows)


def at_sizes(sizes: list[int], rounds: int, many: int) -> None:
    """The second table: ours over a range of sizes. Sizes up to `many` images run `rounds` times."""
    print(f"\nOver a range of sizes: up to {many:,} images {rounds} rounds in turn, above that one\n")
    rows, measured = [], []
    for n_images in sizes:
        runs = in_turn(["counting", "topk"], n_images, rounds if n_images <= many else 1)
        seconds, memory = medians(runs["counting"])
        pairs = n_images**2 * CAPTIONS_PER_IMAGE
        measured.append((n_images, pairs, seconds, memory))
        size = f"{n_images * CAPTIONS_PER_IMAGE:,} x {n_images:,}"
        row = [size, f"{seconds:.2f}", f"{memory:,.0f}", f"{pairs / seconds / 1e6:,.0f}"]
        row.append(f"{1024 * matrix_gib(n_images):,.0f}")
        if "topk" in runs:
            seconds, memory = medians(runs["topk"])
            rows.append([*row, f"{seconds:.2f}", f"{memory:,.0f}"])
        else:
            rows.append([*row, "doesn't fit", "doesn't fit"])
    head = ["captions x images", "counting: seconds", "MiB", "million pairs/s"]
    measuring.print_table([*head, "full matrix, MiB", "topk: seconds", "MiB"], rows)
    say_exponents(measured)


def say_exponents(measured: list[tuple[int, int, float, float]]) -> None:
    """Slopes of least-squares lines through the logarithms: what grows by 2^slope when the size doubles."""
    if len(measured) < 2:
        return
    images, pairs, seconds, memory = np.log(np.array(measured, dtype=float)).T
    slopes = [np.polyfit(x, y, 1)[0] for x, y in ((pairs, seconds), (images, memory), (pairs, memory))]
    print(f"\nCounting's time grows as pairs^{slopes[0]:.2f}; its memory beyond the embeddings as", end=" ")
    print(f"images^{slopes[1]:.2f} (pairs^{slopes[2]:.2f}), where a full matrix grows as images^2 (pairs^1).")


@reported
def main() -> None:
    settings = override(globals())
    print(f"{measuring.machine()}. {measuring.load()} at the start\n")
    compare(settings.IMAGES, settings.ROUNDS)
    at_sizes(settings.SIZES, settings.ROUNDS, settings.IMAGES)
    print(f"\n{measuring.load()} at the end")


if __name__ == "__main__":
    one(sys.argv[2], int(sys.argv[3])) if sys.argv[1:2] == ["--one"] else main()
