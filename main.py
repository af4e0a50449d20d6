"""Step 1 of 6: sample COCO, encode it with a frozen CLIP, and measure zero-shot retrieval.

Run:    python main.py
        python main.py --download True                  (fetches COCO first, once)
        torchrun --nproc-per-node 4 main.py             (a process for each of 4 GPUs)
Reads:  data/val2017/ and data/annotations/captions_val2017.json (data/README.md says where to get them),
        or the bundled sample in data/sample/ as long as there is no data/val2017/; with EMBEDDINGS_DIR
        images.npy, captions.npy and rows.json, vectors that were made elsewhere; with RUN_FILE a run;
        step 4's verified positives, once there are some
Writes: cache/ (frozen embeddings, what their rows are, and their ranks), final_results/baseline.json and,
        with EXPORT_RUN, run.trec.gz and qrels.trec next to it
Takes:  the bundled sample: seconds. COCO's 5,000 images and 25,000 captions: some minutes on a GPU, about a
        quarter of an hour on a laptop; a run that was stopped continues where it was. Later runs only load.
"""

from pathlib import Path

from common import records, say
from common.commands import command
from common.errors import SettingError, list_rows, reported
from common.retrieval import (
    additional,
    cache,
    coco,
    download,
    encoder,
    evaluation,
    freezing,
    frozen_ranks,
    imported,
    measure_lines,
    meta,
    run_cache,
    run_export,
    runs,
)
from common.retrieval.distributed import Team, together
from common.retrieval.evaluation import Baseline
from common.retrieval.freezing import Data, Frozen, Wanted
from common.retrieval.meta import Meta
from common.retrieval.ranks import Ranks
from common.retrieval.runs import Run
from common.settings import PROJECT_DIR, Settings, at_least, override, shown

# ---- settings ----------------------------------------------------------------------------------------------
MODEL_NAME: str = "openai/clip-vit-base-patch32"  # of the hub (name, name@revision), or a folder
NUM_IMAGES: int = 5000  # images to sample; more than the dataset has means all
CAPTIONS_PER_IMAGE: int = 5  # captions of each image, the first ones by annotation id
SEED: int = 42  # of the sample; later steps take it from the cache
IMAGE_DIR: str = "data/val2017"  # folder of the images
ANNOTATION_FILE: str = "data/annotations/captions_val2017.json"  # COCO captions JSON
EMBEDDINGS_DIR: str | None = None  # vectors made elsewhere, in the model's place (docs/settings.md)
STUDY_DIR: str | None = None  # folder of one study, with the three below in it; None: the project's own
CACHE_DIR: str = "cache"  # frozen embeddings
FAILURE_DIR: str = "failure_analysis"  # verified positives, once step 4 has found some
RESULT_DIR: str = "final_results"  # baseline.json
RUN_FILE: str | None = None  # of another retriever, in place of a model: a TREC run, or mteb's predictions
DEVICE: str = "auto"  # auto, cpu, cuda, cuda:1, mps
DTYPE: str = "float32"  # float32, bfloat16, float16; the study's is float32
BATCH_SIZE: int = 32  # items at once; halved by itself where a GPU's memory is too small
EXPORT_RUN: int = 0  # images of each caption to write as a TREC run; 0: none
DOWNLOAD: bool = False  # True: fetch what is missing of COCO (1.1 GB) to the places named above
# ------------------------------------------------------------------------------------------------------------

COCO_IMAGE_DIR = PROJECT_DIR / "data" / "val2017"
SAMPLE_DIR = PROJECT_DIR / "data" / "sample"
BUNDLED = """\
========================================================================================================
BUNDLED SAMPLE: data/val2017/ was not found, so this run uses {scenes:,} rendered scenes and a tiny CLIP.
Use it to try the pipeline; the numbers say nothing about CLIP. For COCO: python main.py --download True
========================================================================================================"""


def check_settings(settings: Settings) -> None:
    """Refuse what no run can do, before anything is read."""
    at_least(2, NUM_IMAGES=settings.NUM_IMAGES)  # out of a single image any caption retrieves its own
    at_least(1, CAPTIONS_PER_IMAGE=settings.CAPTIONS_PER_IMAGE, BATCH_SIZE=settings.BATCH_SIZE)
    at_least(0, EXPORT_RUN=settings.EXPORT_RUN)
    if settings.RUN_FILE and (settings.EXPORT_RUN or settings.EMBEDDINGS_DIR):
        raise SettingError("RUN_FILE takes a run in place of embeddings: unset EXPORT_RUN and EMBEDDINGS_DIR")
    encoder.check_names(settings.DEVICE, settings.DTYPE)
    imported.check(settings.EMBEDDINGS_DIR)
    # The archive holds COCO's own files: one of another name would still be missing once all is fetched.
    if settings.DOWNLOAD and settings.ANNOTATION_FILE.name != download.VAL_CAPTIONS:
        raise SettingError(
            f"DOWNLOAD = True fetches COCO's {download.VAL_CAPTIONS}, but ANNOTATION_FILE is "
            f"{shown(settings.ANNOTATION_FILE)}: set it back, or set DOWNLOAD = False"
        )


def fetch(image_dir: Path, annotation_dir: Path) -> None:
    """Get what is missing of COCO, and say what was written."""
    waiting = "Another run is fetching COCO; waiting for it ..."
    for path in download.fetch(image_dir, annotation_dir, on_wait=lambda: print(waiting)):
        print(f"Wrote {shown(path)}" + (" (may be deleted)" if path.suffix == ".zip" else ""))


def choose_data(settings: Settings) -> Data:
    """The user's data, or the bundled sample as long as the folder of COCO's images was not found.

    Only the default folder falls back: a folder that the user named and that is missing is an error.
    """
    folders = {"cache_dir": settings.CACHE_DIR, "result_dir": settings.RESULT_DIR}
    if settings.IMAGE_DIR.is_dir():
        images, captions = settings.IMAGE_DIR, settings.ANNOTATION_FILE
        return Data(settings.MODEL_NAME, images, captions, **folders, bundled_sample=False)
    if settings.IMAGE_DIR != COCO_IMAGE_DIR:
        raise SettingError(f"IMAGE_DIR = {settings.IMAGE_DIR} was not found")
    # The sample has a model of its own; one that the user named is used all the same.
    default_model = settings.MODEL_NAME == evaluation.STUDY_MODEL
    return Data(
        model_name=str(SAMPLE_DIR / "clip") if default_model else settings.MODEL_NAME,
        image_dir=SAMPLE_DIR / "val2017",
        annotation_file=SAMPLE_DIR / "annotations" / "captions_val2017.json",
        **{name: meta.sample_folder(folder) for name, folder in folders.items()},
        bundled_sample=True,
    )


def say_data(data: Data, sample: coco.Sample, settings: Settings) -> None:
    """What was read, and what was left out."""
    n_images, n_captions = len(sample.image_ids), len(sample.captions)
    if data.bundled_sample:
        print(BUNDLED.format(scenes=n_images))
    source, seed = shown(data.annotation_file), settings.SEED
    print(f"Read {source}: {n_images:,} images, {n_captions:,} captions (seed {seed})")
    if settings.NUM_IMAGES > n_images:
        asked = f"NUM_IMAGES = {settings.NUM_IMAGES:,}"
        print(f"  {asked}, but the dataset has only {say.items(n_images, 'image')}: using all of them")
    if sample.without_caption:
        print(f"  left out: {say.items(sample.without_caption, 'image')} without a caption")
    if sample.short_of_captions:
        short = say.items(sample.short_of_captions, "image")
        print(f"  {short} with fewer captions than CAPTIONS_PER_IMAGE: using all that there are")


def say_frozen(frozen: Frozen, held: str) -> None:
    """Whether the cache was made or found, and what could not be checked."""
    name = shown(frozen.meta_file)
    if frozen.made:
        print(f"Wrote {name} and its {held}. Keep these files: every later step refers to their rows")
    else:
        print(f"Loaded {name} and its {held}; nothing was encoded again")
    if frozen.not_compared:
        unknown = ", ".join(frozen.not_compared)
        print(f"  not checked (the model or the images are not on this machine): {unknown}")
    if frozen.leftovers:
        folder = shown(frozen.meta_file.parent)
        print(f"  {folder}/ also holds partial results of runs with other settings; they can be deleted:")
        print(list_rows([path.name for path in frozen.leftovers]))


def say_run(run: Run, path: Path) -> None:
    """What was read of a run, and what was left out."""
    print(f"Read {shown(path)}: {say.items(len(run.image), 'listed image')}, retrieved by {run.name}")
    if run.left_out:
        print(f"  left out: {run.left_out:,} of captions or images that are not in the sample")


def evaluate(found: Ranks, content: Meta, meta_file: Path, failure_dir: Path) -> Baseline:
    """Recall@1/5/10, median rank and MRR in both directions, with 95 % intervals clustered by image."""
    captions = evaluation.of_captions(found, content)
    return Baseline(
        text_to_image=captions,
        image_to_text=evaluation.of_images(found, content),
        comparison=evaluation.comparison(captions, content),
        cache=evaluation.CacheNote(content.fingerprint, shown(meta_file)),
        made_with=content.making,
        versions=encoder.versions(),
        additional_positives=additional.of(found.rank, found.best_other, content, failure_dir),
    )


@reported
@together
def main(team: Team) -> None:
    settings = override(globals())
    check_settings(settings)
    if settings.DOWNLOAD:
        with team.leader_first():
            fetch(settings.IMAGE_DIR, settings.ANNOTATION_FILE.parent)
    data = choose_data(settings)._replace(embeddings_dir=settings.EMBEDDINGS_DIR)
    captions, per_image = coco.read_captions(data.annotation_file), settings.CAPTIONS_PER_IMAGE
    sample = coco.sample(captions, settings.NUM_IMAGES, per_image, settings.SEED)
    say_data(data, sample, settings)

    wanted = Wanted(settings.SEED, per_image, settings.DTYPE, settings.DEVICE, settings.BATCH_SIZE)
    if settings.RUN_FILE:
        run = runs.read(settings.RUN_FILE, runs.known(captions, sample))
        say_run(run, settings.RUN_FILE)
        with team.leader_first():
            frozen = run_cache.freeze(data, sample, wanted, run)
        say_frozen(frozen, "ranks")
        content = meta.read(frozen.meta_file)
        ranks = frozen_ranks.of(frozen.meta_file, content)
    else:
        freeze = imported.freeze if data.embeddings_dir else freezing.freeze
        frozen = freeze(data, sample, wanted, team, tell=print)
        say_frozen(frozen, "embeddings")
        loaded = cache.load(frozen.meta_file)
        content = loaded.meta
        ranks = frozen_ranks.freeze(loaded, encoder.counting_device(team.device(settings.DEVICE)), team)
    found = evaluate(ranks, content, frozen.meta_file, settings.FAILURE_DIR)
    print("\n".join(measure_lines.lines(found)))

    result_file, exported = data.result_dir / evaluation.BASELINE, []
    if team.leads:
        records.write(result_file, found)
        if settings.EXPORT_RUN:
            exported = run_export.write(data.result_dir, loaded, ranks, settings.EXPORT_RUN)
    print(f"\nWrote {', '.join(map(shown, [result_file, *exported]))}")
    print(f"Next: {command('failure.py')}")


if __name__ == "__main__":
    main()
