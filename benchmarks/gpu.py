"""What one GPU makes of step 1 at COCO's size: seconds, waiting, memory, and the same ranks as the CPU's.

Run:    COCO_DIR=<folder of COCO files> python -m benchmarks.gpu
Needs:  a GPU that torch can use; the rest as for `benchmarks.encoding`. DISTINCT photographs are read again
        and again, and captions get a number, so that each is encoded
Prints: 1. Encoding on the GPU: images and captions a second, the share of the images' time that the model
           waits for decoded ones, and the peak of the GPU's own memory.
        2. Ranks of the same embeddings, counted on the GPU and on the CPU: seconds, and whether all that is
           counted is the same. PROBES images are encoded on the CPU too: the largest difference.
Takes:  a minute or two, written for a machine with a GPU; it was not run on one yet
"""

import dataclasses
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from benchmarks import _measuring as measuring
from benchmarks import encoding
from benchmarks._peers import Clock
from common import say
from common.errors import UserError, reported
from common.retrieval import encoder, models, ranking
from common.settings import at_least, override

# ---- settings ----------------------------------------------------------------------------------------------
NUM_IMAGES: int = 5000  # 5 captions each
BATCH_SIZE: int = 128  # items at once
DEVICE: str = "cuda"  # cuda, cuda:1
DTYPE: str = "float32"  # float32, bfloat16, float16
PROBES: int = 64  # images that the CPU encodes too
# ------------------------------------------------------------------------------------------------------------

DISTINCT = 500  # photographs at most: the others are the same again


def job_of(folder: Path, num_images: int) -> dict:
    """What `encoding.ours` takes, for so many images."""
    known = encoding.inputs(folder, min(DISTINCT, num_images))
    n = num_images * encoding.CAPTIONS_PER_IMAGE
    captions = [f"{text} {number}" for number, text in enumerate(islice(cycle(known["captions"]), n))]
    paths = [Path(path) for path in islice(cycle(known["paths"]), num_images)]
    gt = np.repeat(np.arange(num_images), encoding.CAPTIONS_PER_IMAGE).tolist()
    return {**known, "paths": paths, "captions": captions, "gt": gt}


def counted(
    txt: torch.Tensor, img: torch.Tensor, gt: np.ndarray, device: str
) -> tuple[float, ranking.Ranking]:
    """Seconds, and the ranks; the first start of a GPU is not in them."""
    ranking.rank(txt[:1000], img, gt[:1000], device)
    start = time.perf_counter()
    found = ranking.rank(txt, img, gt, device)
    return time.perf_counter() - start, found


def say_encoding(towers, job: dict, clock: Clock) -> None:
    """Print the first table."""
    n, m = len(job["paths"]), len(job["captions"])
    row = [
        torch.cuda.get_device_name(towers.device),
        *(f"{clock.spent[part]:.1f}" for part in ("images", "captions")),
        f"{n / clock.spent['images']:,.0f}",
        f"{m / clock.spent['captions']:,.0f}",
        say.share(clock.spent["waiting"] / clock.spent["images"]),
        f"{torch.cuda.max_memory_allocated(towers.device) / 2**20:,.0f}",
    ]
    head = ["GPU", "images, s", "captions, s", "images/s", "captions/s", "waiting for images", "peak, MiB"]
    measuring.print_table(head, [row])


def say_ranks(job: dict, img: torch.Tensor, txt: torch.Tensor, device: str) -> None:
    """Print the second table. Raises UserError where the two devices disagree."""
    gt = np.array(job["gt"])
    (there, on_gpu), (here, on_cpu) = (counted(txt, img, gt, where) for where in (device, "cpu"))
    names = [each.name for each in dataclasses.fields(on_cpu)]
    differing = [name for name in names if not np.array_equal(getattr(on_gpu, name), getattr(on_cpu, name))]
    print(f"\n{len(txt):,} captions x {len(img):,} images, both directions\n")
    measuring.print_table(["", "GPU", "CPU"], [["seconds", f"{there:.2f}", f"{here:.2f}"]])
    if differing:
        raise UserError(f"ranks differ between the GPU and the CPU: {', '.join(differing)}")
    print("\nRanks, ties and best images are the same on both.")


@reported
def main() -> None:
    settings = override(globals())
    at_least(encoding.CAPTIONS_PER_IMAGE, NUM_IMAGES=settings.NUM_IMAGES)
    at_least(1, BATCH_SIZE=settings.BATCH_SIZE, PROBES=settings.PROBES)
    encoder.check_names(settings.DEVICE, settings.DTYPE)
    if not settings.DEVICE.startswith("cuda") or not torch.cuda.is_available():
        raise UserError(
            "no GPU was found that torch can use: `python -m benchmarks.encoding` measures the CPU"
        )
    print(f"{measuring.machine()}. {measuring.load()} at the start\n")
    with tempfile.TemporaryDirectory() as name:
        job = job_of(Path(name), settings.NUM_IMAGES) | {"batch_size": settings.BATCH_SIZE}
        source, probes = models.locate(job["model"]), job["paths"][: settings.PROBES]
        towers = encoder.load(source, settings.DEVICE, settings.DTYPE, job["paths"], job["captions"])
        clock = Clock()
        img, txt = encoding.ours(towers, job, clock)
        reference = encoder.load(source, "cpu", "float32", [], []).encode_images(probes, 32).rows
    say_encoding(towers, job, clock)
    say_ranks(job, img, txt, settings.DEVICE)
    difference = float((img[: len(reference)] - reference).abs().max())
    print(f"{len(reference)} images encoded on the CPU differ by at most {difference:.1e}.")


if __name__ == "__main__":
    main()
