"""How long step 2 takes and how much memory it needs, at the study's size and on real photographs.

Run:    COCO_DIR=<folder with val2017/ and embeddings_600/> python -m benchmarks.sampling_failures
Prints: seconds and peak memory of `python failure.py`, as a process of its own, for
        - 600 photographs with 3,000 captions and a real dual encoder's embeddings
        - 5,000 images x 25,000 captions of 512 dimensions: random, the 600 photographs again and again
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks import PROJECT
from common import records
from common.retrieval import cache, meta
from tests.support import coco_600


def enlarged(meta_file: Path, folder: Path) -> Path:
    """A cache of the study's size: the photographs' names repeated, other ids, random embeddings."""
    content = meta.read(meta_file)
    n_images, n_captions = 5000, 25000
    torch.manual_seed(0)
    gt = [idx // 5 for idx in range(n_captions)]
    img = torch.nn.functional.normalize(torch.randn(n_images, 512), dim=1)
    txt = torch.nn.functional.normalize(img[gt] + 5.0 * torch.randn(n_captions, 512) / 512**0.5, dim=1)
    names, captions = content.file_names, content.captions
    study = records.replace(
        content,
        num_images=n_images,
        model="random-512",
        sampled_img_ids=list(range(n_images)),
        file_names=[names[row % len(names)] for row in range(n_images)],
        caption_ids=list(range(n_captions)),
        captions=[captions[idx % len(captions)] for idx in range(n_captions)],
        gt_img_index=gt,
    )
    return cache.write(folder, img, txt, study)


def measure(meta_file: Path, folder: Path) -> tuple[float, float, str]:
    """Seconds, peak resident memory in GB, and the headline of one run in a process of its own."""
    command = [sys.executable, str(PROJECT / "failure.py"), "--cache-dir", str(meta_file)]
    start = time.perf_counter()
    run = subprocess.run([*command, "--failure-dir", str(folder)], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    # The largest of all children so far: cases are measured from the smaller to the larger.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    return seconds, peak, next(line for line in run.stdout.splitlines() if line.startswith("failures@1"))


def main() -> None:
    coco_dir = Path(os.environ["COCO_DIR"])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        small = coco_600.write_cache(coco_dir, folder / "600")
        large = enlarged(small, folder / "5000")
        for name, meta_file in (("600 x 3,000", small), ("5,000 x 25,000", large)):
            seconds, peak, headline = measure(meta_file, folder / f"out_{meta_file.stem}")
            print(f"{name}: {seconds:.0f} s, peak {peak:.2f} GB ({headline})")


if __name__ == "__main__":
    main()
