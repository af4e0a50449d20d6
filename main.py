"""Step 1 of 6: sample COCO, encode it with a frozen CLIP, and measure zero-shot retrieval.

Run:    python main.py
        python main.py --download True                  (fetches COCO first, once)
        torchrun --nproc-per-node 4 main.py             (a process for each of 4 GPUs)
Reads:  data/val2017/ and data/annotations/captions_val2017.json (data/README.md says where to get them),
        or the bundled sample in data/sample/ as long as data/val2017/ isn't there
Writes: cache/ (frozen embeddings and what their rows are), final_results/baseline.json
Takes:  the bundled sample: seconds. COCO's 5,000 images and 25,000 captions: some minutes on a GPU, about a
        quarter of an hour on a laptop; a run that was stopped goes on where it was. Later runs only load.
"""

import contextlib
import types
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import files, records, statistics
from common.errors import UserError, list_rows, reported
from common.retrieval import cache, coco, download, encoder, meta, ranking
from common.retrieval.distributed import Team, together
from common.settings import PROJECT_DIR, override, shown

# ---- settings ----------------------------------------------------------------------------------------------
MODEL_NAME: str = "openai/clip-vit-base-patch32"  # of the hub (name, name@revision), or a folder
NUM_IMAGES: int = 5000  # images to sample; more than the dataset has means all
CAPTIONS_PER_IMAGE: int = 5  # captions of each image, the first ones by annotation id
SEED: int = 42  # of the sample; later steps take it from the cache
IMAGE_DIR: str = "data/val2017"  # folder of the images
ANNOTATION_FILE: str = "data/annotations/captions_val2017.json"  # COCO captions JSON
CACHE_DIR: str = "cache"  # frozen embeddings
RESULT_DIR: str = "final_results"  # baseline.json
DEVICE: str = "auto"  # auto, cpu, cuda, cuda:1, mps
DTYPE: str = "float32"  # float32, bfloat16, float16; the study's is float32
BATCH_SIZE: int = 32  # items at once; halved by itself where a GPU's memory is too small
DOWNLOAD: bool = False  # True: fetch what is missing of COCO (1.1 GB) to IMAGE_DIR and beside ANNOTATION_FILE
# ------------------------------------------------------------------------------------------------------------

COCO_IMAGE_DIR = PROJECT_DIR / "data" / "val2017"
SAMPLE_DIR = PROJECT_DIR / "data" / "sample"
STUDY_MODEL = "openai/clip-vit-base-patch32"
# The study that this project re-implements: percent, text to image, on this very file's 25,000 captions.
STUDY_RECALL = {1: 30.44, 5: 54.77, 10: 66.24}
STUDY_FILE = "1018a8760deaf1fc71be2f1b8da1a1348b9c35994af4322ca2fd795a78abb79c"  # captions_val2017.json
STUDY_TOLERANCE = 0.15  # points; nothing is sampled, so only numerics and the image backend can differ


class Data(NamedTuple):
    """Where this run reads and writes, after the choice between the user's data and the bundled sample."""

    model_name: str
    image_dir: Path
    annotation_file: Path
    cache_dir: Path
    result_dir: Path
    bundled_sample: bool


def fetch(image_dir: Path, annotation_file: Path) -> None:
    """Get what is missing of COCO, and say what was written."""
    if annotation_file.name != download.VAL_CAPTIONS:
        raise UserError(
            f"DOWNLOAD = True fetches COCO's {download.VAL_CAPTIONS}, but ANNOTATION_FILE is "
            f"{shown(annotation_file)}: set it back, or set DOWNLOAD = False"
        )
    waiting = "Another run fetches COCO; waiting for it ..."
    written = download.fetch(image_dir, annotation_file.parent, on_wait=lambda: print(waiting))
    for path in written:
        print(f"Wrote {shown(path)}" + (" (may be deleted)" if path.suffix == ".zip" else ""))


def choose_data(data: Data) -> Data:
    """The user's data, or the bundled sample as long as the folder of COCO's images isn't there.

    Only the default folder falls back: a folder that the user named and that is missing is an error.
    """
    if data.image_dir.is_dir():
        return data
    if data.image_dir != COCO_IMAGE_DIR:
        raise UserError(f"IMAGE_DIR = {shown(data.image_dir)}: there is no such folder")
    return Data(
        model_name=str(SAMPLE_DIR / "clip") if data.model_name == STUDY_MODEL else data.model_name,
        image_dir=SAMPLE_DIR / "val2017",
        annotation_file=SAMPLE_DIR / "annotations" / "captions_val2017.json",
        cache_dir=meta.sample_folder(data.cache_dir),
        result_dir=meta.sample_folder(data.result_dir),
        bundled_sample=True,
    )


def check_settings(num_images: int, captions_per_image: int, batch_size: int) -> None:
    """Counts that can't be zero or less."""
    counts = {"NUM_IMAGES": num_images, "CAPTIONS_PER_IMAGE": captions_per_image, "BATCH_SIZE": batch_size}
    for name, value in counts.items():
        if value < 1:
            raise UserError(f"{name} = {value}: should be 1 or more")


def say_data(data: Data, sample: coco.Sample, num_images: int, seed: int) -> None:
    """What was read, and what was left out."""
    if data.bundled_sample:
        print("=" * 96)
        print("BUNDLED SAMPLE: data/val2017 isn't there, so small rendered scenes and a tiny CLIP stand in.")
        print("For trying every step; its numbers say nothing about CLIP. To get COCO: --download True")
        print("=" * 96)
    n_images, n_captions = len(sample.image_ids), len(sample.captions)
    print(f"Read {shown(data.annotation_file)}: {n_images:,} images, {n_captions:,} captions (seed {seed})")
    if num_images > n_images:
        print(f"  NUM_IMAGES = {num_images:,} is more than there are: all {n_images:,} are taken")
    if sample.without_caption:
        print(f"  left out: {sample.without_caption:,} images without a caption")
    if sample.short_of_captions:
        print(f"  {sample.short_of_captions:,} images have fewer captions than asked for; all are taken")


def identity(sample: coco.Sample, data: Data, source: encoder.Source | None, settings: dict) -> dict:
    """Everything that makes a cache this one and no other; None for what can't be known on this machine."""
    processor = type(encoder.image_processor(source)).__name__ if source else None
    return {
        "seed": settings["SEED"],
        "num_images": len(sample.image_ids),
        "captions_per_image": settings["CAPTIONS_PER_IMAGE"],
        "revision": source.revision if source else None,
        "processor": processor,
        "dtype": settings["DTYPE"],
        "annotation_file": files.file_fingerprint(data.annotation_file),
        "rows": meta.rows_fingerprint(types.SimpleNamespace(**rows_of(sample))),
        "images": coco.images_fingerprint(data.image_dir, sample.file_names),
    }


def rows_of(sample: coco.Sample) -> dict:
    """The part of a meta file that says what each row is."""
    return {
        "sampled_img_ids": sample.image_ids,
        "file_names": sample.file_names,
        "caption_ids": sample.caption_ids,
        "captions": sample.captions,
        "gt_img_index": sample.gt_img_index,
    }


def freeze(data: Data, sample: coco.Sample, settings: dict, team: Team) -> Path:
    """Make the cache that the settings ask for, or find that it is there already. Returns its meta file."""
    name = encoder.label(data.model_name)
    stem = meta.stem(len(sample.image_ids), name)
    meta_file = data.cache_dir / f"meta_{stem}.json"
    with alone_in(data.cache_dir, stem, team):
        # Only the leader looks: a name looked up too early stays missing for a while on a network's disk.
        made = team.gather(team.leads and meta_file.is_file())[0]
        with team.leader_first():
            source = encoder.locate(data.model_name, download=not made)
        wanted = identity(sample, data, source, settings)
        how = {
            "device": settings["DEVICE"],
            "batch_size": settings["BATCH_SIZE"],
            "versions": encoder.versions(),
        }
        team.check_same({**wanted, **how}, "data, model or libraries")
        shards = cache.Shards(data.cache_dir, stem, {**wanted, **how, "model": name})
        if made:
            refuse_another(meta_file, wanted)
            print(f"Loaded {shown(meta_file)} and the embeddings beside it; nothing was encoded again")
        else:
            if team.leads:
                check_images(data.image_dir, sample.file_names)
            team.wait()  # nobody encodes for a run that ends here
            img, txt, facts = encode(data, sample, source, shards, settings, team)
            if team.leads:
                cache.write(data.cache_dir, img, txt, meta_content(sample, data, wanted, facts, name))
            print(f"Wrote {shown(meta_file)} and the embeddings beside it: freeze them, don't delete them")
        team.wait()
        if team.leads:
            shards.remove()
        if shards.others:
            print(f"  unfinished parts of other settings lie in {shown(data.cache_dir)}/; delete at will:")
            print(list_rows([path.name for path in shards.others]))
    return meta_file


@contextlib.contextmanager
def alone_in(cache_dir: Path, stem: str, team: Team):
    """Let no other run make this cache meanwhile. Of a run's processes the leader holds the lock for all."""
    waiting = "Another run makes this cache; waiting for it ..."
    lock = cache.locked(cache_dir, stem, lambda: print(waiting)) if team.leads else contextlib.nullcontext()
    with lock:
        team.check_folder(cache_dir)
        yield


def refuse_another(meta_file: Path, wanted: dict) -> None:
    """Never use a cache that differs from what the settings ask for."""
    differing = cache.differences(meta.read(meta_file), wanted)
    if differing:
        raise UserError(
            f"{shown(meta_file)} isn't the cache that the settings ask for:\n{list_rows(differing)}\n"
            "Set the settings back to go on with it, or set CACHE_DIR to another folder to make a second one"
        )
    unknown = [field for field, value in wanted.items() if value is None]
    if unknown:
        print(f"  not compared, since the model or the images aren't on this machine: {', '.join(unknown)}")


def check_images(image_dir: Path, file_names: list[str]) -> None:
    """Refuse to encode while an image is missing or cut off: rows would shift, or mean something else."""
    refuse_bad(coco.bad_images(image_dir, file_names), image_dir, len(file_names))


def refuse_bad(bad: list[str], image_dir: Path, n: int) -> None:
    """All bad images in one message."""
    if bad:
        raise UserError(
            f"{len(bad)} of {n:,} images in {shown(image_dir)} can't be used; no cache was written. Move "
            "away what is cut off, then get COCO's again by `python main.py --download True`:\n"
            + list_rows(bad)
        )


def encode(
    data: Data,
    sample: coco.Sample,
    source: encoder.Source,
    shards: cache.Shards,
    settings: dict,
    team: Team,
):
    """Encode all images and captions: (img, txt, facts on how), img and txt in the frozen order."""
    paths = [data.image_dir / name for name in sample.file_names]
    device, batch_size = team.device(settings["DEVICE"]), settings["BATCH_SIZE"]
    towers = encoder.load(source, device, settings["DTYPE"], paths, sample.captions)
    of_them = f", {team.size} processes" if team.size > 1 else ""
    print(f"Encoding with {type(towers.model).__name__} on {towers.device} in {settings['DTYPE']}{of_them}")
    bad = []

    def images(ranges):
        groups = [[paths[position] for position in positions] for positions in ranges]
        for rows in towers.stream_images(groups, batch_size):
            if isinstance(rows, encoder.BadImages):
                bad.extend(rows.problems)
                rows = None
            yield rows

    img = shards.encode("img", len(paths), images, "images", team)
    refuse_bad(sum(team.gather(bad), []), data.image_dir, len(paths))

    txt, lengths = shards.encode_texts(towers, sample.captions, batch_size, "captions", team)
    facts = {
        "device": str(towers.device),
        "batch_size": batch_size,
        "padding": "longest of the batch" if towers.pad_to_longest else f"{towers.max_length} tokens",
        "max_tokens": towers.max_length,
        "truncated_captions": int((lengths > towers.max_length).sum()),
    }
    return img, txt, facts


def model_source(model_name: str) -> str:
    """Where later steps find the model again: its folder, or the hub's name with the revision asked for."""
    folder = PROJECT_DIR / Path(model_name).expanduser()
    return shown(folder) if folder.is_dir() else model_name


def meta_content(sample: coco.Sample, data: Data, wanted: dict, facts: dict, name: str) -> meta.Meta:
    """The meta file: identity first, rows last."""
    plain = ("seed", "num_images", "captions_per_image", "revision", "processor", "dtype")
    return meta.Meta(
        model=name,
        model_source=model_source(data.model_name),
        **{field: wanted[field] for field in plain},
        **facts,
        image_folder=shown(data.image_dir),
        annotation_file=shown(data.annotation_file),
        bundled_sample=data.bundled_sample,
        versions=encoder.versions(),
        fingerprints=meta.Fingerprints(**{field: wanted[field] for field in ("annotation_file", "images")}),
        **rows_of(sample),
    )


def evaluate(frozen: cache.Cache, settings: dict, team: Team) -> dict:
    """Recall@1/5/10, median rank and MRR in both directions, with 95 % intervals clustered by image."""
    gt = np.array(frozen.meta.gt_img_index)
    # On the CPU unless DEVICE or torchrun chose a GPU: one start of CUDA takes as long as COCO's ranks.
    device = team.device(settings["DEVICE"])
    device = device if device.startswith("cuda") else "cpu"
    encoder.check_device(device, "float64")
    share = ranking.count(frozen.txt, frozen.img, gt, team.share(len(gt)), device)
    found = ranking.total(team.gather(share), gt)
    ambiguous = coco.provably_ambiguous(frozen.meta.captions, gt)
    with_caption = np.flatnonzero(found.image_rank)
    return {
        "text_to_image": {
            **measures(found.rank, gt),
            "gallery": len(frozen.img),
            "ties": int(found.tied.sum()),
            "provably_ambiguous_captions": int(ambiguous.sum()),
        },
        "image_to_text": {
            **measures(found.image_rank[with_caption], with_caption),
            "ties": int(found.image_tied.sum()),
            "gallery": len(frozen.txt),
        },
    }


def measures(ranks: np.ndarray, cluster: np.ndarray) -> dict:
    """The figures of one direction; each share as a value between 0 and 1 with its interval."""
    result = {"n": len(ranks), "n_images": len(np.unique(cluster))}
    for cutoff in ranking.CUTOFFS:
        low, high = statistics.clustered_share(ranks <= cutoff, cluster)
        result[f"R@{cutoff}"] = {"value": ranking.recall(ranks, cutoff), "low": low, "high": high}
    low, high = statistics.clustered_mean(1.0 / ranks, cluster)
    result["MRR"] = {"value": ranking.mean_reciprocal_rank(ranks), "low": low, "high": high}
    result["median_rank"] = float(np.median(ranks))
    return result


def comparison(result: dict, content: dict) -> dict | None:
    """The published recall beside this run's, in points, where the settings are the study's."""
    same = (
        content.fingerprints.annotation_file == STUDY_FILE
        and (content.num_images, content.captions_per_image) == (5000, 5)
        and content.dtype == "float32"
        and Path(content.model).name == Path(STUDY_MODEL).name
    )
    if not same:
        return None
    recall = result["text_to_image"]
    points = {
        k: round(100 * recall[f"R@{k}"]["value"] - published, 2) for k, published in STUDY_RECALL.items()
    }
    return {
        "published": {f"R@{k}": value for k, value in STUDY_RECALL.items()},
        "difference_points": {f"R@{k}": value for k, value in points.items()},
        "agrees": all(abs(value) <= STUDY_TOLERANCE for value in points.values()),
    }


def say_result(result: dict, compared: dict | None, content: dict) -> None:
    """The headline numbers, each with its n and its interval."""
    for direction, query, item in (
        ("text_to_image", "captions", "images"),
        ("image_to_text", "images", "captions"),
    ):
        found = result[direction]
        print(f"\n{direction.replace('_', ' ')}: {found['n']:,} {query} over {found['gallery']:,} {item}")
        for name in ("R@1", "R@5", "R@10", "MRR"):
            figure = found[name]
            interval = f"{figure['low']:.4f} to {figure['high']:.4f}"
            print(f"  {name:<4} = {figure['value']:.4f}   95 % interval {interval}")
        print(f"  median rank {found['median_rank']:g}")
    recall = result["text_to_image"]
    print("\nIntervals are clustered by image. Ties, which count against the model:")
    print(f"  {recall['ties']:,} captions, {result['image_to_text']['ties']:,} images")
    ambiguous = recall["provably_ambiguous_captions"]
    print(f"Captions that no method can answer (another image has the same text): {ambiguous:,}")
    if content.truncated_captions:
        print(f"Captions cut off at {content['max_tokens']} tokens: {content['truncated_captions']:,}")
    if recall["R@1"]["value"] < 3 / recall["gallery"]:
        print("R@1 is at chance: these images don't belong to these captions, or the weights are random")
    if compared:
        say_comparison(compared)


def say_comparison(compared: dict) -> None:
    """Whether the published baseline was reproduced, and where to look if not."""
    published = " / ".join(f"{value:.2f}" for value in compared["published"].values())
    points = " / ".join(f"{value:+.2f}" for value in compared["difference_points"].values())
    if compared["agrees"]:
        print(f"Agrees with the published {published} (differences {points} points)")
    else:
        print(f"Differs from the published {published} by {points} points; {STUDY_TOLERANCE} is numerics.")
        print(
            "  Likely causes: other weights (see `revision`), another image backend or resize (`processor`),"
        )
        print("  images that were re-encoded or don't belong to this file")


def baseline(frozen: cache.Cache, result: dict, compared: dict | None) -> dict:
    """The result file: figures, then where they come from."""
    return {
        **result,
        "comparison": compared,
        "cache": {"fingerprint": frozen.meta.fingerprint, "meta_file": shown(frozen.meta_file)},
        "made_with": records.plain(frozen.meta.making),
        "versions": encoder.versions(),
    }


@reported
@together
def main(team: Team) -> None:
    globals().update(vars(override(globals())))
    check_settings(NUM_IMAGES, CAPTIONS_PER_IMAGE, BATCH_SIZE)
    settings = {"SEED": SEED, "CAPTIONS_PER_IMAGE": CAPTIONS_PER_IMAGE, "DTYPE": DTYPE}
    settings |= {"DEVICE": DEVICE, "BATCH_SIZE": BATCH_SIZE}
    if DOWNLOAD:
        with team.leader_first():
            fetch(IMAGE_DIR, ANNOTATION_FILE)
    data = choose_data(Data(MODEL_NAME, IMAGE_DIR, ANNOTATION_FILE, CACHE_DIR, RESULT_DIR, False))
    sample = coco.sample(coco.read_captions(data.annotation_file), NUM_IMAGES, CAPTIONS_PER_IMAGE, SEED)
    say_data(data, sample, NUM_IMAGES, SEED)

    frozen = cache.load(freeze(data, sample, settings, team))
    result = evaluate(frozen, settings, team)
    compared = comparison(result, frozen.meta)
    say_result(result, compared, frozen.meta)

    result_file = data.result_dir / "baseline.json"
    if team.leads:
        files.write_json(result_file, baseline(frozen, result, compared))
    print(f"\nWrote {shown(result_file)}")
    print("Next: python failure.py")


if __name__ == "__main__":
    main()
