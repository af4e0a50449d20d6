"""Ranks by counting against the usual way, sorting the whole score matrix: time, memory, and the same ranks.

Run:   python benchmarks/bench_ranking.py
Takes: about a minute on 2 CPU cores. Each way runs in a process of its own, in turn; random embeddings.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import torch  # noqa: E402

from common import ranking  # noqa: E402

N_IMAGES, CAPTIONS_PER_IMAGE, DIMENSION = 5000, 5, 512
ROUNDS = 3


def embeddings():
    """Random captions and images of COCO's size, captions nearer to their own image than to others."""
    generator = torch.Generator().manual_seed(0)
    img = torch.nn.functional.normalize(torch.randn(N_IMAGES, DIMENSION, generator=generator), dim=1)
    gt = torch.arange(N_IMAGES).repeat_interleave(CAPTIONS_PER_IMAGE)
    noise = torch.randn(len(gt), DIMENSION, generator=generator) / DIMENSION**0.5
    return torch.nn.functional.normalize(img[gt] * 0.12 + noise, dim=1), img, gt


def by_counting(txt, img, gt) -> dict:
    found = ranking.rank(txt, img, gt.numpy())
    return {"t2i": ranking.recall(found.rank, 1), "i2t": ranking.recall(found.image_rank, 1)}


def by_sorting(txt, img, gt) -> dict:
    scores = txt @ img.T
    t2i = (scores.argsort(dim=1, descending=True) == gt[:, None]).int().argmax(1)
    # Image to text: the place of the best of an image's captions.
    own = gt[scores.T.argsort(dim=1, descending=True)] == torch.arange(N_IMAGES)[:, None]
    return {"t2i": float((t2i == 0).float().mean()), "i2t": float((own.int().argmax(1) == 0).float().mean())}


def one(way: str) -> None:
    """Run one way in this process and print what it took."""
    data = embeddings()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    found = {"counting": by_counting, "sorting": by_sorting}[way](*data)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({**found, "seconds": seconds, "MiB": (peak - before) / 1024}))


def main() -> None:
    runs = {"counting": [], "sorting": []}
    for _ in range(ROUNDS):
        for way, results in runs.items():
            command = [sys.executable, __file__, way]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    n = N_IMAGES * CAPTIONS_PER_IMAGE
    print(f"{n:,} captions x {N_IMAGES:,} images, both directions, {ROUNDS} rounds in turn, CPU\n")
    print(f"{'way':<10} {'R@1 t2i':>8} {'R@1 i2t':>8} {'time, ratio':>12} {'MiB more':>9}")
    for way, results in runs.items():
        pairs = zip(runs["counting"], results, strict=True)
        ratio = statistics.median(other["seconds"] / own["seconds"] for own, other in pairs)
        memory = statistics.median(each["MiB"] for each in results)
        print(f"{way:<10} {results[0]['t2i']:>8.4f} {results[0]['i2t']:>8.4f} {ratio:>12.2f} {memory:>9.0f}")


if __name__ == "__main__":
    one(sys.argv[1]) if len(sys.argv) > 1 else main()
