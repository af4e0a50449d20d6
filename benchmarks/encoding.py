"""How fast images and captions are encoded, beside the two usual ways, and what half precision does to ranks.

Run:    COCO_DIR=<folder of COCO files> python -m benchmarks.encoding
Needs:  val2017/ and annotations/captions_val2017_600.json or captions_val2017.json below COCO_DIR; without it
        pictures are rendered and captions made up, of COCO's size and length. `clip-benchmark` for its row
        (pip install --no-deps clip-benchmark). The model is of ViT-B/32's size with random weights, which
        take the same time as real ones
Prints: 1. Ours (the path of main.py), one item at a time, and clip-benchmark's own `evaluate` over the same
           weights and items, captions padded to 77 tokens, amp=False: rates, time, memory, and by how much
           the embeddings differ. Totals hold each way's own ranking. `--half bfloat16` adds ours in that
           precision (slow on a CPU without instructions for it).
        2. The bundled sample in float32 and in bfloat16: whose rank changes.
Takes:  some eight minutes on 2 CPU cores. Each run is a process of its own, ways in turn; loading the model
        isn't in the times, and files were read once before, so no disk is either. Memory is the peak of the
        process that computes, the loaded model included and clip-benchmark's decoding processes not
"""

import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize
from tqdm import tqdm

from benchmarks import PROJECT
from benchmarks import _measuring as measuring
from common.errors import UserError, reported
from common.retrieval import cache, coco, encoder, ranking
from common.settings import override
from tests.support import model_folders

# ---- settings ----------------------------------------------------------------------------------------------
NUM_IMAGES: int = 192  # 5 captions each
ROUNDS: int = 3  # of all ways, in turn
BATCH_SIZE: int = 32  # images, then captions, at once in ours: main.py's default
DEVICE: str = "auto"  # auto, cpu, cuda
HALF: str = "none"  # none, bfloat16, float16: one more row, ours in that precision
# ------------------------------------------------------------------------------------------------------------

SAMPLE = PROJECT / "data" / "sample"
CAPTIONS_PER_IMAGE, SEED = 5, 42
PEER_BATCH_SIZE = 64  # the default of clip-benchmark's command line; of captions it takes 5 times as many
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


class Clock:
    """Seconds by part of the work."""

    def __init__(self):
        self.spent = defaultdict(float)

    @contextmanager
    def part(self, name: str):
        start = time.perf_counter()
        yield
        self.spent[name] += time.perf_counter() - start

    def waiting(self, batches, *also: str):
        """Pass batches on, and count the time that the model has to wait for them."""
        batches = iter(batches)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            for name in ("waiting", *also):
                self.spent[name] += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def ours(towers, job: dict, clock: Clock):
    """As main.py does it: shards on disk, captions in order of length, ranks by counting."""
    paths, batch_size = job["paths"], job["batch_size"]
    decoded = towers._decoded
    towers._decoded = lambda *arguments: clock.waiting(decoded(*arguments))

    def images(ranges):
        groups = [[paths[position] for position in positions] for positions in ranges]
        return towers.stream_images(groups, batch_size)

    with tempfile.TemporaryDirectory() as folder:
        shards = cache.Shards(Path(folder), "benchmark", {})
        with clock.part("images"):
            img = shards.encode("img", len(paths), images, "images")
        with clock.part("captions"):
            txt, _ = shards.encode_texts(towers, job["captions"], batch_size, "captions")
    ranking.rank(txt, img, job["gt"])
    return img, txt


def one_at_a_time(towers, job: dict, clock: Clock):
    """The usual script: each item by itself through the model, then the whole matrix sorted."""
    model, device = towers.model, towers.device
    img, txt = [], []
    with torch.no_grad():
        with clock.part("images"):
            for path in job["paths"]:
                with clock.part("waiting"), Image.open(path) as image:
                    pixels = towers.processor(images=image.convert("RGB"), return_tensors="pt")
                features = model.get_image_features(pixel_values=pixels["pixel_values"].to(device))
                img.append(normalize(features.pooler_output, dim=-1).cpu())
        with clock.part("captions"):
            for caption in job["captions"]:
                tokens = towers.tokenizer([caption], truncation=True, max_length=77, return_tensors="pt")
                features = model.get_text_features(**{name: ids.to(device) for name, ids in tokens.items()})
                txt.append(normalize(features.pooler_output, dim=-1).cpu())
    img, txt = torch.cat(img), torch.cat(txt)
    scores = txt @ img.T
    scores.argsort(dim=1, descending=True), scores.T.argsort(dim=1, descending=True)
    return img, txt


class Peer:
    """The same weights in the form that clip-benchmark asks for; keeps what it returns."""

    def __init__(self, towers, clock: Clock):
        self.towers, self.clock, self.img, self.txt = towers, clock, [], []

    def tokenize(self, texts: list[str]) -> torch.Tensor:
        with self.clock.part("captions"):  # to 77 tokens, as open_clip's tokenizers do
            return self.towers.tokenizer(
                texts, padding="max_length", truncation=True, max_length=77, return_tensors="pt"
            )["input_ids"]

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        with self.clock.part("images"):
            features = self.towers.model.get_image_features(pixel_values=pixels).pooler_output
            self.img.append(features.cpu())  # which also waits for the GPU, so that the clock is right
        return features

    def encode_text(self, ids: torch.Tensor) -> torch.Tensor:
        with self.clock.part("captions"):
            features = self.towers.model.get_text_features(input_ids=ids).pooler_output
            self.txt.append(features.cpu())
        return features


class Pictures(torch.utils.data.Dataset):
    """Processed images with their captions."""

    def __init__(self, processor, paths: list[str], captions_of: list[list[str]]):
        self.processor, self.paths, self.captions_of = processor, paths, captions_of

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int):
        with Image.open(self.paths[row]) as image:
            pixels = self.processor(images=image.convert("RGB"), return_tensors="pt")["pixel_values"][0]
        return pixels, self.captions_of[row]


def collate(items):
    """As clip-benchmark's own collate function for captions: stacked images, lists of captions."""
    images, captions = zip(*items, strict=True)
    return torch.stack(images), list(captions)


def clip_benchmark(towers, job: dict, clock: Clock):
    """clip-benchmark's own loop, with its own ranking.

    Its command line starts 4 processes that decode. Here it is one on a CPU, since more would take cores
    from the model, and on a GPU as many as ours has threads.
    """
    from clip_benchmark.metrics import zeroshot_retrieval

    captions_of = [[] for _ in job["paths"]]
    for caption, row in zip(job["captions"], job["gt"], strict=True):
        captions_of[row].append(caption)
    device = towers.device.type
    loader = torch.utils.data.DataLoader(
        Pictures(towers.processor, job["paths"], captions_of),
        batch_size=PEER_BATCH_SIZE,
        num_workers=1 if device == "cpu" else min(encoder.DECODERS, os.cpu_count()),
        collate_fn=collate,
    )
    peer = Peer(towers, clock)
    batches = clock.waiting(loader, "images")
    zeroshot_retrieval.evaluate(peer, batches, peer.tokenize, device, amp=False, recall_k_list=[1, 5, 10])
    return normalize(torch.cat(peer.img), dim=-1), normalize(torch.cat(peer.txt), dim=-1)


WAYS = {"ours": ours, "one at a time": one_at_a_time, "clip-benchmark": clip_benchmark}


def one(job_file: Path, way: str, dtype: str) -> None:
    """Run one way in this process, keep its embeddings beside the job, and print what it took."""
    job = json.loads(job_file.read_text(encoding="utf-8"))
    job["paths"] = [Path(path) for path in job["paths"]]
    source = encoder.locate(job["model"])
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
        print("clip-benchmark isn't installed (pip install --no-deps clip-benchmark): its row is left out\n")
    runs = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = {**inputs(folder, num_images), "batch_size": batch_size, "device": device}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        for _ in tqdm(range(rounds), desc="rounds", unit="round", disable=None, leave=False):
            for way, results in runs.items():
                results.append(measuring.child(__spec__.name, "--one", folder / "job.json", *way))
        rows = {way: torch.load(folder / f"{' '.join(way)}.pt", weights_only=True) for way in ways}
    say(job, runs, rows, rounds)


def say(job: dict, runs: dict, rows: dict, rounds: int) -> None:
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
    waits = "; ".join(f"{called(way)} {100 * share:.1f} %" for way, share in shares.items())
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
        towers = encoder.load(encoder.locate(str(SAMPLE / "clip")), device, dtype, paths, sample.captions)
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
        "recall": [ranking.recall(each.rank, 1) for each in found],
        "ties": [int(each.tied.sum()) for each in found],
        "difference": [float((a - b).abs().max()) for a, b in zip(*rows, strict=True)],
        "device": towers.device.type,
    }
    print(json.dumps(result))


def say_sample(result: dict) -> None:
    """Print the second table."""
    n = result["captions"]
    print(f"\nThe bundled sample, {n:,} captions over {result['images']:,} images, text to image, on")
    print(f"{result['device']}: bfloat16 beside float32, ranks counted in float32 either way\n")
    table = [
        ["R@1", *(f"{value:.4f}" for value in result["recall"])],
        ["captions with a tie", *(f"{value:,}" for value in result["ties"])],
        ["captions whose rank changes", "", f"{result['changed']:,} ({100 * result['changed'] / n:.1f} %)"],
        ["first places gained, lost", "", f"{result['gained']:,}, {result['lost']:,}"],
        ["largest difference, images", "", f"{result['difference'][0]:.1e}"],
        ["largest difference, captions", "", f"{result['difference'][1]:.1e}"],
    ]
    measuring.print_table(["", "float32", "bfloat16"], table)


@reported
def main() -> None:
    globals().update(vars(override(globals())))
    if HALF not in ("none", "bfloat16", "float16"):
        raise UserError(f"HALF = {HALF}: should be none, bfloat16 or float16")
    print(f"{measuring.machine()}. {measuring.load()} at the start\n")
    compare(NUM_IMAGES, ROUNDS, BATCH_SIZE, DEVICE, HALF)
    say_sample(measuring.child(__spec__.name, "--sample", DEVICE, BATCH_SIZE))
    print(f"\n{measuring.load()} at the end")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(Path(sys.argv[2]), *sys.argv[3:])
    elif sys.argv[1:2] == ["--sample"]:
        sample_ranks(sys.argv[2], int(sys.argv[3]))
    else:
        main()
