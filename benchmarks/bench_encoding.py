"""How fast captions are encoded, against the two usual ways: one at a time, and padded to 77 tokens.

Run:   COCO_DIR=<folder of COCO files> python benchmarks/bench_encoding.py
Needs: captions_val2017.json below COCO_DIR. The model is of ViT-B/32's size with random weights, which take
       the same time as real ones.
Takes: some two minutes on 2 CPU cores. Ratios are of runs side by side, in turn, over the same captions.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

import torch  # noqa: E402

import model_folders  # noqa: E402
from common import encoder  # noqa: E402

N = 512  # captions
ROUNDS = 3
BATCH_SIZE = 64


def captions() -> list[str]:
    """The first N captions of the real file."""
    if not os.environ.get("COCO_DIR"):
        sys.exit("COCO_DIR isn't set: it should name a folder with annotations/captions_val2017.json")
    file = Path(os.environ["COCO_DIR"]) / "annotations" / "captions_val2017.json"
    return [each["caption"] for each in json.loads(file.read_text(encoding="utf-8"))["annotations"]][:N]


def in_order_of_length(towers: encoder.Encoder, texts: list[str]) -> torch.Tensor:
    """As main.py does it."""
    order = towers.lengths(texts).argsort(kind="stable")
    rows = towers.encode_texts([texts[position] for position in order], BATCH_SIZE)
    restored = torch.empty_like(rows)
    restored[torch.from_numpy(order)] = rows
    return restored


def main() -> None:
    texts = captions()
    with tempfile.TemporaryDirectory() as folder:
        source = encoder.locate(str(model_folders.full_clip(Path(folder) / "vit-b-32", texts)))
        longest = encoder.load(source, "cpu", "float32", [], [])
        padded = encoder.load(source, "cpu", "float32", [], [])
    padded.pad_to_longest = False
    ways = {
        "in order of length, padded to the longest of 64": lambda: in_order_of_length(longest, texts),
        "as they come, padded to the longest of 64": lambda: longest.encode_texts(texts, BATCH_SIZE),
        "one at a time": lambda: longest.encode_texts(texts, 1),
        "padded to 77 tokens, 64 at once": lambda: padded.encode_texts(texts, BATCH_SIZE),
    }
    times = {name: [] for name in ways}
    rows = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            rows[name] = way()
            times[name].append(time.perf_counter() - start)
    first = next(iter(ways))
    print(f"{N} captions, {ROUNDS} rounds in turn, {torch.get_num_threads()} threads, float32, CPU\n")
    print(f"{'way':<50} {'captions/s':>10} {'time, ratio':>12} {'largest difference':>19}")
    for name, spent in times.items():
        ratio = statistics.median(other / own for own, other in zip(times[first], spent, strict=True))
        difference = float((rows[name] - rows[first]).abs().max())
        print(f"{name:<50} {N / statistics.median(spent):>10.0f} {ratio:>12.2f} {difference:>19.1e}")


if __name__ == "__main__":
    main()
