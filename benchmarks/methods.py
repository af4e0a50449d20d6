"""Step 6 at COCO's full size: all methods that encode no text, timed, with their peak memory.

Run:    COCO_DIR=<folder with annotations/captions_val2017.json> python -m benchmarks.methods
Prints: seconds and peak memory of `improve_subset.py` on 25,000 captions over 5,000 images, 512 dimensions,
        with a bank of 20,000. The captions are COCO's own; embeddings are random ones with hubs (the real
        weights are not needed to time anything). Nothing outside of a temporary folder is written
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from benchmarks import PROJECT
from common import files
from common.retrieval import cache, coco, meta

DIM, BANK = 512, 20000
METHODS = "nnn,dn,is,dis,tfidf,overlap,words,nnn+words"
LIMIT = 300, 3.0  # seconds on 2 cores, GB


def write_inputs(annotation_file: Path, folder: Path) -> None:
    """A cache of the whole file in the frozen order, and a bank of as many captions of nobody's images."""
    sample = coco.sample(coco.read_captions(annotation_file), 5000, 5, 42)
    random = torch.Generator().manual_seed(0)
    shared = torch.randn(DIM, generator=random)
    noise = [
        torch.randn(n, DIM, generator=random) for n in (len(sample.image_ids), len(sample.captions), BANK)
    ]
    hub = torch.rand(len(sample.image_ids), 1, generator=random)  # how far an image leans to all captions
    img = normalize(noise[0] + hub * shared, dim=1)
    txt = normalize(0.16 * DIM**0.5 * img[sample.gt_img_index] + noise[1] + 0.5 * shared, dim=1)
    bank = normalize(noise[2] + 0.5 * shared, dim=1)
    content = meta.Meta(
        seed=42,
        num_images=len(sample.image_ids),
        captions_per_image=5,
        model="random",
        revision="1",
        processor="none",
        dtype="float32",
        image_folder="none",
        bundled_sample=False,
        versions={},
        fingerprints=meta.Fingerprints(annotation_file=files.file_fingerprint(annotation_file)),
        sampled_img_ids=sample.image_ids,
        file_names=sample.file_names,
        caption_ids=sample.caption_ids,
        captions=sample.captions,
        gt_img_index=sample.gt_img_index,
    )
    cache.write(folder / "cache", img, txt, content)
    np.savez(
        folder / "bank.npz",
        embeddings=bank.numpy(),
        caption_ids=-1 - np.arange(BANK),
        image_ids=-1 - np.arange(BANK),
        captions=np.array([f"{text} elsewhere" for text in (sample.captions * 2)[3 : BANK + 3]]),
        model=np.array("random"),
        revision=np.array("1"),
    )


def main() -> None:
    if not os.environ.get("COCO_DIR"):
        sys.exit("set COCO_DIR to a folder that holds annotations/captions_val2017.json")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(Path(os.environ["COCO_DIR"]) / "annotations" / "captions_val2017.json", folder)
        print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        options = ["--cache-dir", "cache", "--failure-dir", "none", "--result-dir", "results"]
        options = [folder / each if not each.startswith("--") else each for each in options]
        start = time.perf_counter()
        run = subprocess.run(
            [
                sys.executable,
                "improve_subset.py",
                *options,
                "--bank-file",
                folder / "bank.npz",
                "--methods",
                METHODS,
            ],
            cwd=PROJECT,
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - start
        # Kilobytes on Linux, bytes on macOS.
        unit = 1e9 if sys.platform == "darwin" else 1e6
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    print(re.sub(r"(?s)\n\nWrote.*", "", run.stdout))
    print(f"\n{seconds:.0f} s (limit {LIMIT[0]}), peak memory {peak:.2f} GB (limit {LIMIT[1]})")
    print(f"load average after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
