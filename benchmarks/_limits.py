"""How near the towers come to what the machine's matrix products allow, and where the rest of the time goes.

`python -m benchmarks._limits JOB.json` measures in a process of its own, for encoding.py; `say` prints it.
The limit is measured, not looked up: the products of a tower's own linear layers, of the same shapes and as
many, without anything between them. Tower and products run in turn; each number is the median of rounds.
"""

import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import _measuring as measuring
from benchmarks._peers import Clock
from common import say as words
from common.retrieval import encoder, models

ROUNDS = 5
# What Linux calls instructions for bfloat16: of x86, and of ARM.
HALF = ("avx512_bf16", "amx_bf16", "bf16", "svebf16")


class Products:
    """The matrix products of a forward pass alone: as many as its linear layers, of the same shapes."""

    def __init__(self, module: torch.nn.Module, forward: Callable[[], object], dtype: torch.dtype):
        self.shapes = Counter()  # rows, numbers of each before and after -> how often
        linear = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)]
        hooks = [layer.register_forward_pre_hook(self._note) for layer in linear]
        forward()
        for hook in hooks:
            hook.remove()
        self.operations = sum(2 * n * k * m * times for (n, k, m), times in self.shapes.items())
        self.operands = {
            (n, k, m): (torch.randn(n, k).to(dtype), torch.randn(m, k).to(dtype)) for n, k, m in self.shapes
        }

    def _note(self, layer: torch.nn.Linear, given: tuple[torch.Tensor]) -> None:
        rows = given[0].numel() // layer.in_features
        self.shapes[rows, layer.in_features, layer.out_features] += 1

    def __call__(self) -> None:
        with torch.inference_mode():
            for shape, times in self.shapes.items():
                for _ in range(times):
                    torch.nn.functional.linear(*self.operands[shape])


def in_turn(*ways: Callable[[], object]) -> list[float]:
    """Median seconds of each."""
    spent = [[] for _ in ways]
    for _ in range(ROUNDS + 1):
        for way, seconds in zip(ways, spent, strict=True):
            start = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds[1:]) for seconds in spent]  # the first round is for warming up


def measured(module: torch.nn.Module, forward: Callable[[], object], n: int) -> dict:
    """A tower over a batch of n: operations (counted by torch), seconds, and the products' own."""
    with FlopCounterMode(display=False) as counter:
        forward()
    alone = Products(module, forward, torch.float32)
    tower, limit = in_turn(forward, alone)
    operations = counter.get_total_flops()
    return {
        "operations": operations / n,
        "tower": tower / n,
        # What attention and the first convolution multiply is taken to run at the linear layers' rate.
        "limit": limit / n * operations / alone.operations,
        "rate": alone.operations / limit,
    }


def measure(job: dict) -> dict:
    """Both towers on the CPU in float32; and images with their decoding, captions with their tokens."""
    paths, size = [Path(path) for path in job["paths"]], job["batch_size"]
    captions = sorted(job["captions"], key=len)
    towers = encoder.load(models.locate(job["model"]), "cpu", "float32", paths, captions)
    decoded = next(towers._decoded([paths[:size]])).pixels
    middle = len(captions) // 2
    batch = captions[middle : middle + size]
    tokens, text = towers.tokens(batch), towers.model.get_text_features
    found = {
        "images": measured(towers.model.vision_model, lambda: towers.image_rows(decoded), len(paths[:size])),
        "captions": measured(towers.model.text_model, lambda: towers._forward(text, tokens), len(batch)),
    }
    clock = Clock()
    plain = towers._decoded
    towers._decoded = lambda batches: clock.waiting(plain(batches))
    with clock.part("images"):
        towers.encode_images(paths, size)
    found["images"] |= {
        "all": clock.spent["images"] / len(paths),
        "before": clock.spent["waiting"] / len(paths),
    }
    whole, reading = in_turn(lambda: towers.encode_texts(batch, size), lambda: towers.tokens(batch))
    found["captions"] |= {"all": whole / len(batch), "before": reading / len(batch)}
    rate = None
    if has_half():
        half = Products(towers.model.vision_model, lambda: towers.image_rows(decoded), torch.bfloat16)
        rate = half.operations / in_turn(half)[0]
    return {**found, "half": rate}


def has_half() -> bool:
    """Whether this CPU has instructions for bfloat16, by what Linux says of it."""
    path = Path("/proc/cpuinfo")
    known = set(path.read_text().split()) if path.is_file() else set()
    return bool(known & set(HALF))


def say(found: dict) -> None:
    """Print the table, and what half precision would move."""
    print("\nNext to the machine's own matrix products of the towers' shapes, float32, on the CPU:\n")
    table = []
    for name in ("images", "captions"):
        each = found[name]
        before, rest = each["before"], each["tower"] - each["limit"]
        table.append(
            [
                name,
                f"{each['operations'] / 1e9:.2f}",
                f"{each['rate'] / 1e9:.0f}",
                *(words.share(each["limit"] / each[part]) for part in ("tower", "all")),
                *(f"{1000 * part:.1f}" for part in (each["all"], each["limit"], rest, before)),
            ]
        )
    head = ["", "GFLOP an item", "products, GFLOP/s", "the tower reaches", "with all before it", "ms an item"]
    measuring.print_table([*head, "products", "else in the tower", "decoding, tokens"], table)
    if found["half"] is None:
        print("\nbfloat16: this CPU has no instructions for it, so it would take longer, not less.")
    else:
        print(f"\nbfloat16: products at {found['half'] / found['images']['rate']:.2f} times float32's rate.")


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
