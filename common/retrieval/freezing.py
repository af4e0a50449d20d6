"""The frozen cache, made: images and captions through the towers of a model, once, into files that are kept.

A cache is made for one identity (model, data, settings). Files of that name that are there already are
compared with it and used; those of another identity are refused, never overwritten. What a user hears goes
through `tell`, the rest is in the record that `freeze` returns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from common import files, records, say
from common.errors import UserError, list_rows
from common.heavy import torch
from common.retrieval import cache, coco, encoder, evaluation, images, meta, models
from common.retrieval.distributed import Team
from common.settings import PROJECT_DIR, shown

Tell = Callable[[str], None]  # hears a line for the user


class Data(NamedTuple):
    """Where a run reads and writes, after the choice between the user's data and the bundled sample."""

    model_name: str  # of the hub (name, name@revision), or a folder
    image_dir: Path
    annotation_file: Path
    cache_dir: Path
    result_dir: Path
    bundled_sample: bool  # whether the rendered scenes are used
    embeddings_dir: Path | None = None  # vectors made elsewhere, in the model's place: see imported.py


class Wanted(NamedTuple):
    """What the settings ask of the embeddings."""

    seed: int  # of the sample
    captions_per_image: int  # the most of one image
    dtype: str  # one of encoder.DTYPES
    device: str  # auto, cpu, cuda, cuda:1, mps
    batch_size: int  # items at once


class Identity(NamedTuple):
    """Everything that makes a cache this one and no other; None for what can't be known on this machine.

    The names are those of the meta file's fields and fingerprints.
    """

    seed: int
    num_images: int  # that were sampled
    captions_per_image: int
    revision: str | None  # of the model; None where the model was not found
    processor: str | None  # class of the image processor; None where the model was not found
    dtype: str
    annotation_file: str  # SHA-256 of its bytes
    rows: str  # SHA-256 over what each row stands for
    images: str | None  # SHA-256 over names and sizes; None where an image was not found
    lower_cased: bool | None = None  # captions, before they are encoded; None where the model was not found
    run: str | None = None  # SHA-256 of the run file that ranks come from, where there are no embeddings


LATER = ("lower_cased", "run")  # where they don't apply, shards are known as before there were such fields


class Job(NamedTuple):
    """A cache to make."""

    data: Data
    sample: coco.Sample
    wanted: Wanted
    source: models.Source | None  # the model's files
    identity: Identity


class Frozen(NamedTuple):
    """What `freeze` did."""

    meta_file: Path  # of the cache
    made: bool  # by this run; False: it was there and was compared with what is wanted
    not_compared: list[str]  # fields of Identity that can't be known here, where it was there
    leftovers: list[Path]  # folders with partial results of runs with other settings


# What a field of Identity is called in a message. Those in HASHES say only that something differs: they are
# shown where nothing that a user can read differs.
SETTINGS = {
    "seed": "SEED",
    "num_images": "number of images",
    "captions_per_image": "CAPTIONS_PER_IMAGE",
    "revision": "revision of the model or its vectors",
    "processor": "image processor",
    "dtype": "DTYPE",
    "lower_cased": "captions in lower case",
}
HASHES = {
    "annotation_file": "ANNOTATION_FILE's content",
    "images": "names and sizes of the images",
    "rows": "images and captions of the rows",
    "run": "RUN_FILE's content",
}


def freeze(data: Data, sample: coco.Sample, wanted: Wanted, team: Team, tell: Tell) -> Frozen:
    """Make the cache that is wanted, or find that it is there already.

    `tell` is called with one line where another run makes this cache, and where encoding starts. Raises
    UserError where the cache was made with other settings, where images are missing or broken, and where the
    model can't be had.
    """
    name = models.label(data.model_name)
    stem = meta.stem(len(sample.image_ids), name)
    meta_file = data.cache_dir / f"meta_{stem}.json"
    refuse_other_baseline(data.result_dir / evaluation.BASELINE, meta_file)
    with alone_in(data.cache_dir, stem, team, tell):
        # Only the leader looks: a name looked up too early stays missing for a while on a network's disk.
        there = team.gather(team.leads and meta_file.is_file())[0]
        with team.leader_first():  # it fetches the model, the others find it
            source = models.locate(data.model_name, download=not there)
        identity = identify(data, sample, wanted, source)
        how = {"device": wanted.device, "opening": images.OPENING, "batch_size": wanted.batch_size}
        parts = {name: value for name, value in identity._asdict().items() if value or name not in LATER}
        exact = {**parts, **how, "versions": encoder.versions()}
        team.check_same(exact, "data, model or libraries")
        shards = cache.Shards(data.cache_dir, stem, exact | {"model": name}, team)
        if there:
            refuse_another(meta_file, identity, data.image_dir)
        else:
            _make(Job(data, sample, wanted, source, identity), shards, tell)
        team.wait()  # whoever still reads shards needs them
        if team.leads:
            shards.remove()
    unknown = [name for name, value in identity._asdict().items() if value is None and name not in LATER]
    return Frozen(meta_file, not there, unknown if there else [], shards.others)


def identify(data: Data, sample: coco.Sample, wanted: Wanted, source: models.Source | None) -> Identity:
    """The identity that a cache of these settings, this data and this model has."""
    return Identity(
        seed=wanted.seed,
        num_images=len(sample.image_ids),
        captions_per_image=wanted.captions_per_image,
        revision=source.revision if source else None,
        processor=type(models.image_processor(source)).__name__ if source else None,
        dtype=wanted.dtype,
        annotation_file=files.file_fingerprint(data.annotation_file),
        rows=meta.rows_fingerprint(rows_of(sample)),
        images=images.fingerprint(data.image_dir, sample.file_names),
        lower_cased=models.lowers_case(source) if source else None,
    )


def rows_of(sample: coco.Sample) -> meta.Rows:
    """What each row of a sample's cache stands for."""
    return meta.Rows(
        sample.image_ids, sample.file_names, sample.caption_ids, sample.captions, sample.gt_img_index
    )


def refuse_other_baseline(result_file: Path, meta_file: Path) -> None:
    """Raise UserError where a result of another cache would be overwritten: another model's, say.

    Before anything is encoded. A cache of the same name that was made again is the same study.
    """
    if not result_file.is_file():
        return
    earlier = records.read(result_file, evaluation.Baseline, "move it away")
    named = Path(earlier.cache.meta_file)
    there = PROJECT_DIR / named
    elsewhere = there.is_file() and not (meta_file.is_file() and there.samefile(meta_file))
    if named.name != meta_file.name or elsewhere:
        raise UserError(
            f"{shown(result_file)} is the result of another cache, {named}, and would be overwritten. Give "
            "this study a folder of its own, `--study-dir <folder>`, or move that file away"
        )


def refuse_another(meta_file: Path, identity: Identity, image_dir: Path) -> None:
    """Raise UserError where a cache is not the one of this identity, naming settings with both values.

    So it is where one of its images is opened with other pixels today than it was encoded with.
    """
    found = meta.read(meta_file)
    differing = differences(found, identity)
    if differing:
        raise UserError(
            f"{shown(meta_file)} was made with other settings:\n{list_rows(differing)}\n"
            "Restore the setting to reuse the cache, or start a new one with `--cache-dir <folder>`"
        )
    images.refuse_other_pixels(image_dir, found)


def differences(found: meta.Meta, identity: Identity) -> list[str]:
    """What a cache was made with otherwise: `SEED: 42 in the cache, 43 now`. None in an identity is unknown.

    Another seed gives other rows, and another captions file gives both: what only a hash shows is left out
    where a setting differs too.
    """

    def told(names: dict[str, str], of: object, sign: str = "") -> list[str]:
        values = [(called, getattr(of, field), getattr(identity, field)) for field, called in names.items()]
        return [
            f"{called}: {sign}{say.brief(was)} in the cache, {say.brief(now)} now"
            for called, was, now in values
            if now not in (None, was)
        ]

    return told(SETTINGS, found) or told(HASHES, found.fingerprints, "SHA-256 ")


def encode_images(
    towers: encoder.Encoder, folder: Path, names: list[str], batch_size: int, shards: cache.Shards
) -> torch.Tensor:
    """Rows of images, in the order of their names: (n, dim) float32, length 1.

    Shards that are there already are not encoded again. All images are tried, and shards without a broken one
    are kept: then UserError names every image of any process that does not decode.
    """
    missing, bad = shards.missing("img", len(names)), []
    groups = [[folder / names[position] for position in positions] for positions in missing]
    with _bar("images", shards.mine("img", len(names)), missing, shards.team) as bar:
        encoded = towers.stream_images(groups, batch_size)
        for positions, batch in zip(missing, encoded, strict=True):
            bad += batch.bad
            if not batch.bad:  # a shard is kept whole or not at all
                shards.keep("img", positions, batch.rows)
            bar.update(len(positions))
    refuse_bad(sum(shards.team.gather(bad), []), folder, len(names))
    return shards.all("img", len(names))


def encode_texts(
    towers: encoder.Encoder, texts: list[str], batch_size: int, shards: cache.Shards, label: str = "captions"
) -> tuple[torch.Tensor, np.ndarray]:
    """Rows of texts in the order given: (n, dim) float32, length 1. And tokens of each: (n,) int64.

    Shards that are there already are not encoded again. Each distinct text is encoded once: equal texts, in
    whatever Unicode form, get equal rows, so that their tie is a tie and can be counted. In order of length,
    so that a batch holds texts of nearly one length and hardly any padding is computed. `label` names the
    progress bar.
    """
    texts = [coco.one_form(towers.cased(text)) for text in texts]
    distinct = list(dict.fromkeys(texts))
    lengths = towers.lengths(distinct)
    order = np.argsort(lengths, kind="stable")
    ordered = [distinct[position] for position in order]

    missing = shards.missing("txt", len(ordered))
    with _bar(label, shards.mine("txt", len(ordered)), missing, shards.team) as bar:
        for positions in missing:
            rows = towers.encode_texts(ordered[positions.start : positions.stop], batch_size)
            shards.keep("txt", positions, rows)
            bar.update(len(positions))

    row_of = {text: row for row, text in enumerate(ordered)}
    places = np.array([row_of[text] for text in texts])
    return shards.all("txt", len(ordered))[torch.from_numpy(places)], lengths[order][places]


def refuse_bad(bad: list[str], image_dir: Path, n: int) -> None:
    """Raise UserError listing bad images (`name: reason`) of n, if there are any."""
    if bad:
        raise UserError(
            f"{len(bad):,} of {n:,} images in {shown(image_dir)} can't be used; no cache was written. "
            f"{images.how_to_restore(image_dir, bad)}:\n{list_rows(bad)}"
        )


def _make(job: Job, shards: cache.Shards, tell: Tell) -> None:
    """Encode everything and write the cache."""
    data, sample, wanted, team = job.data, job.sample, job.wanted, shards.team
    if team.leads:
        # Before anything is encoded: rows would shift, or mean something else.
        bad = images.bad_images(data.image_dir, sample.file_names)
        refuse_bad(bad, data.image_dir, len(sample.file_names))
    team.wait()  # nobody encodes for a run that ends here
    paths = [data.image_dir / name for name in sample.file_names[: encoder.PROBES]]  # what is tried first
    device = team.device(wanted.device)
    towers = encoder.load(job.source, device, wanted.dtype, paths, sample.captions[: encoder.PROBES])
    together = f", {team.size} processes" if team.size > 1 else ""
    tell(f"Encoding with {type(towers.model).__name__} on {towers.device} in {wanted.dtype}{together}")
    if towers.lower_case:
        tell("  captions are put in lower case, as it was trained on: its tokenizer keeps capitals")
    img = encode_images(towers, data.image_dir, sample.file_names, wanted.batch_size, shards)
    txt, lengths = encode_texts(towers, sample.captions, wanted.batch_size, shards)
    if team.leads:
        cache.write(data.cache_dir, img, txt, _meta(job, towers, lengths))


def _meta(job: Job, towers: encoder.Encoder, lengths: np.ndarray) -> meta.Meta:
    """The meta file without what `cache.write` adds; lengths (n_captions,): tokens before any are cut off."""
    return meta_of(
        job.data,
        job.sample,
        job.identity,
        model=models.label(job.data.model_name),
        model_source=models.origin(job.data.model_name),
        device=str(towers.device),
        batch_size=job.wanted.batch_size,
        padding="longest of the batch" if towers.pad_to_longest else f"{towers.max_length} tokens",
        max_tokens=towers.max_length,
        lower_cased=towers.lower_case,
        truncated_captions=int((lengths > towers.max_length).sum()),
        versions=encoder.versions(),
    )


def meta_of(data: Data, sample: coco.Sample, identity: Identity, **making: object) -> meta.Meta:
    """A meta file without what `cache.write` adds; `making`: fields on what made the rows."""
    named = ("seed", "num_images", "captions_per_image", "revision", "processor", "dtype")
    parts = {name: getattr(identity, name) for name in ("annotation_file", "images", "run")}
    return meta.Meta(
        **{name: getattr(identity, name) for name in named},
        image_folder=shown(data.image_dir),
        annotation_file=shown(data.annotation_file),
        bundled_sample=data.bundled_sample,
        opening=images.OPENING,
        fingerprints=meta.Fingerprints(**parts),
        **rows_of(sample)._asdict(),
        **making,
    )


@contextlib.contextmanager
def alone_in(cache_dir: Path, stem: str, team: Team, tell: Tell) -> Iterator[None]:
    """Let no other run make this cache meanwhile. Of a run's processes the leader holds the lock for all."""
    waiting = "Another run makes this cache; waiting for it ..."
    lock = cache.locked(cache_dir, stem, lambda: tell(waiting)) if team.leads else contextlib.nullcontext()
    with lock:
        team.check_folder(cache_dir)
        yield


def _bar(label: str, mine: list[range], missing: list[range], team: Team) -> tqdm:
    """A progress bar in items over the shards of this process, at what was there already."""
    total = sum(map(len, mine))
    return tqdm(
        total=total,
        initial=total - sum(map(len, missing)),
        desc=label,
        unit="",
        disable=None if team.leads else True,  # None: no bar where there is no terminal
        leave=False,
    )
