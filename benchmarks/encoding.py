"""How fast images and captions are encoded, next to two usual ways, and what half precision does to ranks.

Run:    COCO_DIR=<folder of COCO files> python -m benchmarks.encoding
Needs:  val2017/ and annotations/captions_val2017_600.json or captions_val2017.json below COCO_DIR; without it
        pictures are rendered and captions made up, of COCO's size and length. `clip-benchmark` for its row
        (pip install --no-deps clip-benchmark). The model is of ViT-B/32's size with random weights, which
        take the same time as real ones
Prints: 1. Ours (the path of main.py), one item at a time, and clip-benchmark's own `evaluate` over the same
           weights and items, captions padded to 77 tokens, amp=False: rates, time, memory, and by how much
           the embeddings differ. Totals hold each way's own ranking. `--half bfloat16` adds ours in that
           precision (slow on a CPU without instructions for it).
        2. Which share of the machine's own matrix rate both towers reach, and where the rest goes.
        3. The bundled sample in float32 and in bfloat16: whose rank changes.
Takes:  some nine minutes on 2 CPU cores. Each run is a process of its own, ways in turn; loading the model
        is not in the times, and files were read once before, so no disk is either. Memory is the peak of the
        process that computes, the loaded model included and clip-benchmark's decoding processes not
"""

import importlib.util
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from benchmarks import PROJECT
from benchmarks import _limits as limits
from benchmarks import _measuring as measuring
from benchmarks import _peers as peers
from benchmarks._peers import Clock
from common import say
from common.errors import reported
from common.retrieval import cache, coco, encoder, evaluation, freezing, models, ranking
from common.settings import at_least, one_of, override
from tests.support import model_folders

# ---- settings ----------------------------------------------------------------------------------------------
NUM_IMAGES: int = 192  # 5 captions each; 10 or more, for clip-benchmark's recall@10
ROUNDS: int = 3  # of all ways, in turn
BATCH_SIZE: int = 32  # images, then captions, at once in ours: main.py's default
DEVICE: str = "auto"  # auto, cpu, cuda
HALF: str = "none"  # none, bfloat16, float16: one more row, ours in that precision
# ------------------------------------------------------------------------------------------------------------

SAMPLE = PROJECT / "data" / "sample"
CAPTIONS_PER_IMAGE, SEED = 5, 42
# Made-up captions: how many of 100 have so many words, as in captions_val2017.json (full stop included).
LENGTHS = {8: 5, 9: 17, 10: 21, 11: 19, 12: 14, 13: 9, 14: 6, 15: 3, 16: 2, 17: 1, 18: 1, 20: 1, 24: 1}
WORDS = (
    "a the two three man woman dog cat bus train red blue old small sits stands rides holds on under near "
    "table street field beach with and of in next to his her people group white black large kitchen plate"
).split()


def inputs(folder: Path, num_images: int) -> dict:
    """Paths, captions, each caption's image row, and a model's folder: what every way gets. All written."""
    if os.environ.get("COCO_DIR"):
        root = Path(os.environ["COCO_DIR"])
        names = ("captions_val2017_600.json", "captions_val2017.json")
        file = next(root / "annotations" / name for name in names if (root / "annotations" / name).is_file())
        sample = coco.sample(coco.read_captions(file), num_images, CAPTIONS_PER_IMAGE, SEED)
        paths = [root / "val2017" / name for name in sample.file_names]
        captions, gt, kind = sample.captions, sample.gt_img_index, "photographs"
    else:
        paths = [rendered(folder / f"{number:06d}.jpg", number) for number in range(num_images)]
        captions, gt, kind = *made_up(num_images), "rendered pictures"
    for path in paths:
        path.read_bytes()
    model = model_folders.full_clip(folder / "vit-b-32", captions)
    return {
        "model": str(model),
        "paths": [str(path) for path in paths],
        "captions": captions,
        "gt": gt,
        "kind": kind,
    }


def rendered(path: Path, seed: int) -> Path:
    """A picture that costs a decoder what a photograph of COCO does: 640 x 480, about 160 KB of JPEG."""
    random = np.random.default_rng(seed)
    canvas = np.zeros((480, 640, 3), dtype=np.float32)
    for cells, strength in ((4, 60), (20, 40), (80, 25), (320, 25)):  # from large shapes to fine texture
        noise = random.integers(0, 256, (cells * 3 // 4, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)
        canvas += (np.asarray(layer, dtype=np.float32) - 128) * (strength / 64)
    Image.fromarray(np.clip(canvas + 128, 0, 255).astype(np.uint8)).save(path, quality=90)
    return path


def made_up(num_images: int) -> tuple[list[str], list[int]]:
    """Captions as long as COCO's, and each one's image row."""
    random = np.random.default_rng(SEED)
    n = num_images * CAPTIONS_PER_IMAGE
    share = np.array(list(LENGTHS.values())) / sum(LENGTHS.values())
    lengths = random.choice(list(LENGTHS), n, p=share) - 1
    captions = [" ".join(random.choice(WORDS, length)) + "." for length in lengths]
    return captions, np.repeat(np.arange(num_images), CAPTIONS_PER_IMAGE).tolist()


def ours(towers, job: dict, clock: Clock):
    """As main.py does it: shards on disk, captions in order of length, ranks by counting."""
    paths, batch_size = job["paths"], job["batch_size"]
    decoded = towers._decoded
    towers._decoded = lambda *arguments: clock.waiting(decoded(*arguments))

    with tempfile.TemporaryDirectory() as folder:
        shards = cache.Shards(Path(folder), "benchmark", {})
        with clock.part("images"):
            names = [str(path) for path in paths]
            img = freezing.encode_images(towers, Path(), names, batch_size, shards)
        with clock.part("captions"):
            txt, _ = freezing.encode_texts(towers, job["captions"], batch_size, shards)
    ranking.rank(txt, img, np.array(job["gt"]))
    return img, txt


WAYS = {"ours": ours, "one at a time": peers.one_at_a_time, "clip-benchmark": peers.clip_benchmark}


def one(job_file: Path, way: str, dtype: str) -> None:
    """Run one way in this process, keep its embeddings next to the job, and print what it took."""
    job = json.loads(job_file.read_text(encoding="utf-8"))
    job["paths"] = [Path(path) for path in job["paths"]]
    source = models.locate(job["model"])
    towers = encoder.load(source, job["device"], dtype, job["paths"], job["captions"])
    clock = Clock()
    loaded = measuring.reset_peak()
    with clock.part("total"):
        img, txt = WAYS[way](towers, job, clock)
    result = {**clock.spent, "loaded": loaded, "peak": measuring.peak(), "device": towers.device.type}
    result["threads"] = torch.get_num_threads()
    if towers.device.type == "cuda":
        result |= {"device": torch.cuda.get_device_name(), "gpu": torch.cuda.max_memory_allocated() / 2**20}
    torch.save((img, txt), job_file.with_name(f"{way} {dtype}.pt"))
    print(json.dumps(result))


def compare(num_images: int, rounds: int, batch_size: int, device: str, half: str) -> None:
    """The first table: every way in turn over the same items."""
    ways = [(way, "float32") for way in WAYS] + [("ours", half)] * (half != "none")
    if importlib.util.find_spec("clip_benchmark") is None:
        ways.remove(("clip-benchmark", "float32"))
        print("clip-benchmark is not installed (pip install --no-deps clip-benchmark): its row is left out\n")
    runs = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = {**inputs(folder, num_images), "batch_size": batch_size, "device": device}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        for _ in tqdm(range(rounds), desc="rounds", unit="round", disable=None, leave=False):
            for way, results in runs.items():
                results.append(measuring.child(__spec__.name, "--one", folder / "job.json", *way))
        limit = measuring.child("benchmarks._limits", folder / "job.json")
        rows = {way: torch.load(folder / f"{' '.join(way)}.pt", weights_only=True) for way in ways}
    say_ways(job, runs, rows, rounds)
    limits.say(limit)


def say_ways(job: dict, runs: dict, rows: dict, rounds: int) -> None:
    """Print the first table."""
    first = next(iter(runs))
    facts = runs[first][0]
    n, m = len(job["paths"]), len(job["captions"])
    print(f"{n:,} {job['kind']}, {m:,} captions ({len(set(job['captions'])):,} distinct), random weights of")
    print(f"ViT-B/32's size, {facts['device']}, {facts['threads']} threads, float32 but where a row says")
    print(f"otherwise, {rounds} rounds in turn; the loaded model holds {facts['loaded']:,.0f} MiB\n")
    table = []
    for way, results in runs.items():
        spent = {part: [each[part] for each in results] for part in ("images", "captions", "total")}
        middle = {part: statistics.median(seconds) for part, seconds in spent.items()}
        ratios = [measuring.ratio([each[part] for each in runs[first]], spent[part]) for part in spent]
        largest = [float((a - b).abs().max()) for a, b in zip(rows[way], rows[first], strict=True)]
        table.append(
            [
                called(way),
                *(f"{n / middle['images']:.1f}", f"{m / middle['captions']:.1f}", f"{middle['total']:.1f}"),
                *(f"{ratio:.2f}" for ratio in ratios),
                f"{statistics.median(each['peak'] for each in results):,.0f}",
                *("" if way == first else f"{difference:.1e}" for difference in largest),
            ]
        )
    head = ["way", "images/s", "captions/s", "total, s", "time, ratio: images", "captions", "total"]
    measuring.print_table([*head, "peak, MiB", "largest difference: images", "captions"], table)
    say_device(runs)


def say_device(runs: dict) -> None:
    """Print how long the model waited for decoded images and, on a GPU, the memory that it took there."""
    shares = {
        way: statistics.median(each["waiting"] / each["images"] for each in results)
        for way, results in runs.items()
    }
    waits = "; ".join(f"{called(way)} {say.share(share)}" for way, share in shares.items())
    print(f"\nShare of the images' time that the model waits for decoded ones: {waits}.")
    memory = [f"{called(way)} {each[0]['gpu']:,.0f} MiB" for way, each in runs.items() if "gpu" in each[0]]
    if memory:
        print(f"The GPU's own memory at its peak: {'; '.join(memory)}.")


def called(way: tuple[str, str]) -> str:
    """A way's name, with its precision where that is another than the others'."""
    return way[0] if way[1] == "float32" else ", ".join(way)


def sample_ranks(device: str, batch_size: int) -> None:
    """Encode the bundled sample in two precisions in this process, and print whose rank changes."""
    file = SAMPLE / "annotations" / "captions_val2017.json"
    sample = coco.sample(coco.read_captions(file), sys.maxsize, CAPTIONS_PER_IMAGE, SEED)
    paths = [SAMPLE / "val2017" / name for name in sample.file_names]
    job = {"paths": paths, "captions": sample.captions, "gt": sample.gt_img_index, "batch_size": batch_size}
    rows, found = [], []
    for dtype in ("float32", "bfloat16"):
        towers = encoder.load(models.locate(str(SAMPLE / "clip")), device, dtype, paths, sample.captions)
        img, txt = ours(towers, job, Clock())
        rows.append((img, txt))
        found.append(ranking.rank(txt, img, np.array(job["gt"])))
    full, half = found
    hits = full.rank == 1, half.rank == 1
    result = {
        "captions": len(sample.captions),
        "images": len(paths),
        "changed": int((full.rank != half.rank).sum()),
        "gained": int((hits[1] & ~hits[0]).sum()),
        "lost": int((hits[0] & ~hits[1]).sum()),
        "recall": [evaluation.recall(each.rank, 1) for each in found],
        "ties": [int(each.tied.sum()) for each in found],
        "difference": [float((a - b).abs().max()) for a, b in zip(*rows, strict=True)],
        "device": towers.device.type,
    }
    print(json.dumps(result))


def say_sample(result: dict) -> None:
    """Print the third table."""
    n = result["captions"]
    print(f"\nThe bundled sample, {n:,} captions over {result['images']:,} images, text to image, on")
    print(f"{result['device']}: bfloat16 next to float32, ranks counted in float32 either way\n")
    table = [
        ["R@1", *(say.share(value) for value in result["recall"])],
        ["captions with a tie", *(f"{value:,}" for value in result["ties"])],
        ["captions whose rank changes", "", f"{result['changed']:,} ({say.share(result['changed'] / n)})"],
        ["first places gained, lost", "", f"{result['gained']:,}, {result['lost']:,}"],
        ["largest difference, images", "", f"{result['difference'][0]:.1e}"],
        ["largest difference, captions", "", f"{result['difference'][1]:.1e}"],
    ]
    measuring.print_table(["", "float32", "bfloat16"], table)


@reported
def main() -> None:
    settings = override(globals())
    at_least(10, NUM_IMAGES=settings.NUM_IMAGES)
    at_least(1, ROUNDS=settings.ROUNDS, BATCH_SIZE=settings.BATCH_SIZE)
    one_of(("none", "bfloat16", "float16"), HALF=settings.HALF)
    encoder.check_names(settings.DEVICE, "float32")
    print(f"{measuring.machine()}. {measuring.load()} at the start\n")
    compare(settings.NUM_IMAGES, settings.ROUNDS, settings.BATCH_SIZE, settings.DEVICE, settings.HALF)
    say_sample(measuring.child(__spec__.name, "--sample", settings.DEVICE, settings.BATCH_SIZE))
    print(f"\n{measuring.load()} at the end")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(Path(sys.argv[2]), *sys.argv[3:])
    elif sys.argv[1:2] == ["--sample"]:
        sample_ranks(sys.argv[2], int(sys.argv[3]))
    else:
        main()
