"""Step 1 as a user runs it: on tiny datasets in this process, and killed, cut off and starved in its own."""

import json
import os
import random
import re
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from common import records
from common.retrieval import cache, coco, download, meta, ranking
from common.retrieval.evaluation import Baseline
from tests.support import model_folders, running
from tests.support.folders import write_dataset
from tests.support.forking import Forked
from tests.support.running import without_folders


@pytest.fixture
def options(tiny_dataset, tiny_clip_folder, tmp_path):
    """Options for a run on the tiny dataset."""
    chosen = {
        "model-name": tiny_clip_folder,
        "image-dir": tiny_dataset / "images",
        "annotation-file": tiny_dataset / "captions.json",
        "cache-dir": tmp_path / "cache",
        "result-dir": tmp_path / "results",
        "device": "cpu",
    }
    return chosen


def arguments(options: dict, **changed) -> list[str]:
    merged = options | {name.replace("_", "-"): value for name, value in changed.items()}
    return [part for name, value in merged.items() for part in (f"--{name}", str(value))]


def bytes_of(folder: Path) -> dict[str, bytes]:
    """All files of a folder but its lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".lock")}


def test_a_run_freezes_evaluates_and_names_the_next_step(run_script, options, tmp_path):
    status, out, err = run_script("main.py", *arguments(options))
    assert (status, err) == (0, "")
    assert "12 images, 30 captions (seed 42)" in out
    assert "NUM_IMAGES = 5,000, but the dataset has only 12 images: using all of them" in out
    assert "12 images with fewer captions than CAPTIONS_PER_IMAGE" in out  # which is five
    assert without_folders(out).rstrip().endswith("Next: python failure.py")
    assert sorted(bytes_of(tmp_path / "cache")) == [
        "img_12_tiny-clip.pt",
        "meta_12_tiny-clip.json",
        "ranks_12_tiny-clip.json",
        "ranks_12_tiny-clip.npz",
        "txt_12_tiny-clip.pt",
    ]
    found = cache.load(meta.find(tmp_path / "cache"))
    result = json.loads((tmp_path / "results" / "baseline.json").read_text())
    ranks = ranking.rank(found.txt, found.img, found.gt).rank
    assert result["text_to_image"]["R@5"]["value"] == np.mean(ranks <= 5)
    low, high = (100 * result["text_to_image"]["R@5"][end] for end in ("low", "high"))
    assert f"R@5  = {100 * np.mean(ranks <= 5):.2f}% [{low:.2f}, {high:.2f}]" in out
    assert result["text_to_image"]["n"] == 30 and result["text_to_image"]["n_images"] == 12
    assert result["comparison"] is None
    assert result["cache"]["fingerprint"] == found.meta.fingerprint


def test_rows_are_in_the_frozen_order(run_script, options, tmp_path, tiny_clip_folder, tiny_dataset):
    """Each row against the image and the caption encoded alone."""
    from common.retrieval import encoder, models

    run_script("main.py", *arguments(options, batch_size=4))
    found = cache.load(meta.find(tmp_path / "cache"))
    sample = coco.sample(coco.read_captions(tiny_dataset / "captions.json"), 5000, 5, 42)
    assert found.meta.sampled_img_ids == sample.image_ids
    assert found.meta.captions == sample.captions
    towers = encoder.load(models.locate(str(tiny_clip_folder)), "cpu", "float32", [], [])
    for row, name in enumerate(sample.file_names):
        alone = towers.encode_images([tiny_dataset / "images" / name], 1).rows[0]
        assert float(alone @ found.img[row]) > 1 - 1e-6
    for row, caption in enumerate(sample.captions):
        assert float(towers.encode_texts([caption], 1)[0] @ found.txt[row]) > 1 - 1e-6


def test_equal_captions_get_equal_rows(run_script, options, tmp_path):
    """So their ties are counted: in batches of other padding one text would have two sets of last bits."""
    content = json.loads(options["annotation-file"].read_text())
    same = [
        annotation for annotation in content["annotations"] if annotation["caption"] == "a dog on table 3"
    ]
    for annotation in content["annotations"][::4]:
        annotation["caption"] = same[0]["caption"]
    options["annotation-file"].write_text(json.dumps(content))
    status, out, _ = run_script("main.py", *arguments(options, batch_size=3))
    found = cache.load(meta.find(tmp_path / "cache"))
    equal = [idx for idx, caption in enumerate(found.meta.captions) if caption == same[0]["caption"]]
    assert status == 0 and len(equal) > 5
    assert (found.txt[equal] == found.txt[equal[0]]).all()
    ties = json.loads((tmp_path / "results" / "baseline.json").read_text())["image_to_text"]["ties"]
    assert ties == ranking.rank(found.txt, found.img, found.gt).image_tied.sum() > 0
    assert re.search(rf"Ties count as errors: .*, {ties} images?\n", out)


def test_a_second_run_only_loads(run_script, options, tmp_path):
    run_script("main.py", *arguments(options))
    before, result = bytes_of(tmp_path / "cache"), (tmp_path / "results" / "baseline.json").read_bytes()
    status, out, err = run_script("main.py", *arguments(options))
    assert (status, err) == (0, "")
    assert "nothing was encoded again" in out
    assert bytes_of(tmp_path / "cache") == before
    assert (tmp_path / "results" / "baseline.json").read_bytes() == result


def test_a_frozen_cache_outlives_its_model_and_images(run_script, options, tmp_path, monkeypatch):
    """Months later: the model is gone from this machine and the images were moved away."""
    from common.retrieval import models

    run_script("main.py", *arguments(options))
    for image in list(options["image-dir"].iterdir()):
        image.unlink()
    monkeypatch.setattr(models, "locate", lambda name, download=True: None)
    status, out, err = run_script("main.py", *arguments(options))
    assert (status, err) == (0, "")
    assert "not checked (the model or the images are not on this machine): revision, processor, images" in out


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"seed": 7}, "SEED: 42 in the cache, 7 now"),
        ({"captions_per_image": 2}, "CAPTIONS_PER_IMAGE: 5 in the cache, 2 now"),
        ({"dtype": "bfloat16"}, "DTYPE: float32 in the cache, bfloat16 now"),
    ],
)
def test_a_cache_of_other_settings_is_refused(run_script, options, tmp_path, changed, field):
    run_script("main.py", *arguments(options))
    before = bytes_of(tmp_path / "cache")
    status, _, err = run_script("main.py", *arguments(options, **changed))
    assert status == 1
    first, *differing, last = err.splitlines()
    assert first.endswith("meta_12_tiny-clip.json was made with other settings:")
    assert differing == [f"  {field}"] and "--cache-dir <folder>" in last
    assert bytes_of(tmp_path / "cache") == before


def test_another_model_file_caption_or_image_is_refused(run_script, options, tmp_path, tiny_clip_folder):
    run_script("main.py", *arguments(options))
    before = bytes_of(tmp_path / "cache")

    other = model_folders.tiny_clip(tmp_path / "models" / tiny_clip_folder.name, seed=1)
    status, _, err = run_script("main.py", *arguments(options, model_name=other))
    assert status == 1 and "revision of the model or its vectors: " in err

    captions = options["annotation-file"].read_text()
    options["annotation-file"].write_text(captions.replace("a dog on table 3", "a cat on table 3"))
    status, _, err = run_script("main.py", *arguments(options))
    assert status == 1 and "ANNOTATION_FILE's content: SHA-256" in err and "rows: SHA-256" in err
    options["annotation-file"].write_text(captions)

    image = sorted(options["image-dir"].iterdir())[0]
    image.write_bytes(image.read_bytes() + b" ")
    status, _, err = run_script("main.py", *arguments(options))
    assert status == 1 and "names and sizes of the images: SHA-256" in err
    assert bytes_of(tmp_path / "cache") == before


def test_a_moved_dataset_is_the_same_dataset(run_script, options, tmp_path):
    run_script("main.py", *arguments(options))
    moved = shutil.move(options["image-dir"].parent, tmp_path / "moved")
    changed = {"image_dir": Path(moved) / "images", "annotation_file": Path(moved) / "captions.json"}
    status, out, _ = run_script("main.py", *arguments(options, **changed))
    assert status == 0 and "nothing was encoded again" in out


def test_a_damaged_cache_is_refused_by_name(run_script, options, tmp_path):
    run_script("main.py", *arguments(options))
    path = tmp_path / "cache" / "txt_12_tiny-clip.pt"
    path.write_bytes(path.read_bytes()[:-100])
    status, _, err = run_script("main.py", *arguments(options))
    assert status == 1
    assert "txt_12_tiny-clip.pt is damaged or cut off" in err and "Traceback" not in err


def test_all_bad_images_are_listed_and_no_cache_is_written(run_script, options, tmp_path):
    images = sorted(options["image-dir"].iterdir())
    images[0].unlink()
    images[1].write_bytes(images[1].read_bytes()[:-200])
    status, _, err = run_script("main.py", *arguments(options))
    assert status == 1
    assert "2 of 12 images" in err and images[0].name in err and images[1].name in err
    assert bytes_of(tmp_path / "cache") == {}


def test_images_that_only_fail_on_decoding_are_all_listed(run_script, options, tmp_path):
    """Once they are fixed, the run continues with what it had, and ends in the bytes of a clean one."""
    whole = {path: path.read_bytes() for path in options["image-dir"].glob("*.png")}
    for path, data in list(whole.items())[:2]:
        path.write_bytes(data[:200] + data[-12:])  # header and end marker are there
    status, _, err = run_script("main.py", *arguments(options))
    assert status == 1
    assert "2 of 12 images" in err and all(path.name in err for path in list(whole)[:2])
    assert not list((tmp_path / "cache").glob("*.json"))
    for path, data in whole.items():
        path.write_bytes(data)
    assert run_script("main.py", *arguments(options))[0] == 0
    clean = {"cache_dir": tmp_path / "clean", "result_dir": tmp_path / "other"}
    assert run_script("main.py", *arguments(options, **clean))[0] == 0
    assert bytes_of(tmp_path / "cache") == bytes_of(tmp_path / "clean")


def test_batch_size_changes_no_row_by_more_than_its_last_bits(run_script, options, tmp_path):
    for size in (1, 64):
        folders = {"cache_dir": tmp_path / str(size), "result_dir": tmp_path / f"results_{size}"}
        assert run_script("main.py", *arguments(options, batch_size=size, **folders))[0] == 0
    one, many = (cache.load(meta.find(tmp_path / size)) for size in ("1", "64"))
    assert (one.txt - many.txt).abs().max() < 1e-5 and (one.img - many.img).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"annotation_file": "/nowhere/a.json"}, "/nowhere/a.json was not found"),
        ({"model_name": "/nowhere/clip"}, "MODEL_NAME = /nowhere/clip: there is no such folder"),
    ],
)
def test_what_a_user_can_cause_is_one_line(run_script, options, changed, message):
    status, _, err = run_script("main.py", *arguments(options, **changed))
    assert status == 1
    assert message in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_images": 0}, "NUM_IMAGES = 0: should be 2 or more"),
        ({"num_images": 1}, "NUM_IMAGES = 1: should be 2 or more"),
        ({"captions_per_image": -1}, "CAPTIONS_PER_IMAGE = -1: should be 1 or more"),
        ({"batch_size": 0}, "BATCH_SIZE = 0: should be 1 or more"),
        ({"dtype": "f32"}, "DTYPE = f32: should be of float32, bfloat16, float16"),
        ({"device": "quantum"}, "DEVICE = quantum: should be auto, cpu, cuda, cuda:<number> or mps"),
        ({"download": True}, "DOWNLOAD = True fetches COCO's captions_val2017.json, but ANNOTATION_FILE is"),
        ({"nonsense": 1}, "unknown option --nonsense"),
        ({"seed": "x"}, "--seed x: should be a whole number"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_read(run_script, options, changed, message):
    """With exit status 2. The cache, the model and the data play no part: they are not here."""
    gone = {name: "/nowhere/x.json" for name in ("model_name", "image_dir", "annotation_file", "cache_dir")}
    status, out, err = run_script("main.py", *arguments(options, **(gone | changed)))
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {message}") and len(err.splitlines()) == 1


def test_a_folder_that_was_not_found_is_shown_whole(run_script, options, monkeypatch, tmp_path):
    """A relative one starts where it was typed; which folder that is, the message says."""
    monkeypatch.chdir(tmp_path)
    status, _, err = run_script("main.py", *arguments(options, image_dir="photos"))
    assert (status, err) == (2, f"error: IMAGE_DIR = {tmp_path / 'photos'} was not found\n")


def test_a_wrong_precision_names_the_legal_ones_with_a_cache(run_script, options):
    """Not another folder for the cache, in which it would be as wrong."""
    assert run_script("main.py", *arguments(options))[0] == 0
    status, _, err = run_script("main.py", *arguments(options, dtype="f32"))
    assert status == 2 and "float32, bfloat16, float16" in err and "cache" not in err


def test_the_bundled_sample_is_said_and_named_folders_are_kept(sample_run):
    """A folder that the user names is used as it is: no `sample` in it."""
    out, folder = sample_run
    assert "BUNDLED SAMPLE: data/val2017/ was not found, so this run uses 540 rendered scenes" in out
    assert sorted(path.name for path in folder.glob("*_540_clip.*")) == [
        "img_540_clip.pt",
        "meta_540_clip.json",
        "ranks_540_clip.json",
        "ranks_540_clip.npz",
        "txt_540_clip.pt",
    ]
    assert meta.read(meta.find(folder)).bundled_sample is True
    written = re.search(r"^Wrote (.+baseline\.json)$", out, re.MULTILINE)[1]
    assert "/sample/baseline.json" not in written
    found = records.read(Path(written), Baseline, "").text_to_image.r1
    assert 0.25 <= found.value <= 0.60
    assert found.low < found.value < found.high


# ---- in a process of its own: what only the system can do to a run -----------------------------------------


def test_a_device_that_is_not_here_is_reported_with_a_cache(run_script, options):
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    assert run_script("main.py", *arguments(options))[0] == 0
    status, _, err = run_script("main.py", *arguments(options, device="cuda"))
    assert status == 1 and err.startswith("error: DEVICE = cuda does not work here in float64 (")


def test_download_fetches_then_goes_on(run_script, options, tmp_path, monkeypatch, tiny_dataset):
    """What `download.fetch` brings is tested on its own; here it only copies a folder."""
    target = tmp_path / "fetched"
    chosen = options | {
        "image-dir": target / "val2017",
        "annotation-file": target / "annotations" / "captions_val2017.json",
        "download": "True",
    }
    asked = []

    def fetch(image_dir, annotation_dir, on_wait):
        asked.append((image_dir, annotation_dir))
        shutil.copytree(tiny_dataset / "images", image_dir)
        annotation_dir.mkdir()
        shutil.copy(tiny_dataset / "captions.json", annotation_dir / "captions_val2017.json")
        return [target / "val2017.zip", image_dir]

    monkeypatch.setattr(download, "fetch", fetch)
    status, out, err = run_script("main.py", *arguments(chosen))
    assert (status, err) == (0, "")
    assert asked == [(target / "val2017", target / "annotations")]
    assert f"Wrote {target}/val2017.zip (may be deleted)\nWrote {target}/val2017\nRead " in out
    assert without_folders(out).rstrip().endswith("Next: python failure.py")


def start(options: dict, **how) -> Forked:
    return Forked("main.py", *arguments(options), **how)


class Larger(NamedTuple):
    """A dataset that takes a few seconds of encoding in many shards."""

    options: dict  # of a run on it, without folders of its own
    clean: dict[str, bytes]  # what an undisturbed run writes
    length: float  # seconds that this run took once it had its folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_clip_folder) -> Larger:
    root = tmp_path_factory.mktemp("larger")
    folder = write_dataset(root / "data", n_images=1500)
    options = {
        "model-name": tiny_clip_folder,
        "image-dir": folder / "images",
        "annotation-file": folder / "captions.json",
        "device": "cpu",
        "batch-size": 8,
    }
    run = start(options | {"cache-dir": root / "clean", "result-dir": root / "clean results"})
    begin = wait_for(root / "clean", run)
    assert run.wait() == 0, run.end()
    return Larger(options, bytes_of(root / "clean"), time.monotonic() - begin)


@pytest.fixture
def larger(undisturbed, tmp_path) -> dict:
    return undisturbed.options | {"cache-dir": tmp_path / "cache", "result-dir": tmp_path / "results"}


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_in_the_same_bytes(undisturbed, larger, tmp_path):
    moments = random.Random(0)
    killed_with_shards = 0
    for round_ in range(10):
        folder = tmp_path / f"cut{round_}"
        cut = larger | {"cache-dir": folder, "result-dir": tmp_path / f"results {round_}"}
        run = start(cut)
        wait_for(folder, run)  # before it there is nothing to lose
        time.sleep(moments.uniform(0, 1.05 * undisturbed.length))
        run.kill()
        run.wait()
        killed_with_shards += any(folder.glob("partial_*/*.pt"))
        status, _, err = start(cut).end()
        assert (status, err) == (0, ""), err
        assert bytes_of(folder) == undisturbed.clean
    assert killed_with_shards >= 3, "the moments missed the encoding: nothing was tested"


def wait_for(folder: Path, run: Forked) -> float:
    """Wait until a run makes its cache folder; returns the moment."""
    while not folder.exists():
        assert run.poll() is None, run.end()
        time.sleep(0.01)
    return time.monotonic()


@pytest.mark.slow
def test_two_runs_at_once_harm_nothing(undisturbed, larger, tmp_path):
    ends = [run.end() for run in [start(larger), start(larger)]]
    assert [status for status, *_ in ends] == [0, 0], ends
    assert sorted("Another run makes this cache" in out for _, out, _ in ends) == [False, True]
    assert bytes_of(tmp_path / "cache") == undisturbed.clean


@pytest.mark.slow
def test_a_file_that_cannot_grow_is_said_and_nothing_is_lost(undisturbed, larger, tmp_path):
    """A limit on file sizes stands for a disk that fills up while the tensors are written."""
    status, _, err = start(larger, most_bytes=130_000).end()
    assert status == 1
    assert "could not be written" in err and "run the same command again" in err and "Traceback" not in err
    assert not list((tmp_path / "cache").glob("meta_*"))
    shards = list((tmp_path / "cache").glob("partial_*/*.pt"))
    assert len(shards) > 10
    assert start(larger).wait() == 0
    assert bytes_of(tmp_path / "cache") == undisturbed.clean


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("mount"), reason="a small disk can only be mounted by root"
)
def test_a_full_disk_is_said(larger, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk isn't allowed here")
    try:
        status, _, err = start(larger | {"cache-dir": disk / "cache"}).end()
        assert status == 1
        assert "No space left on device" in err and "Traceback" not in err
        kept = list((disk / "cache").glob("partial_*/*.pt"))
        assert (
            kept and not list((disk / "cache").rglob("*.tmp")) and not list((disk / "cache").glob("meta_*"))
        )
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        again = start(larger | {"cache-dir": disk / "cache"})
        assert again.wait() == 0, again.end()
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_the_real_photographs_through_a_model_of_full_size(coco_dir, tmp_path):
    """600 photographs and 3,000 captions through 151 million (random) parameters, in under 3 GB."""
    annotation_file = coco_dir / "annotations" / "captions_val2017_600.json"
    captions = [each["caption"] for each in json.loads(annotation_file.read_text())["annotations"]]
    options = {
        "model-name": model_folders.full_clip(tmp_path / "vit-b-32", captions),
        "image-dir": coco_dir / "val2017",
        "annotation-file": annotation_file,
        "cache-dir": tmp_path / "cache",
        "result-dir": tmp_path / "results",
        "device": "cpu",
    }
    status, out, err = running.apart("main.py", *arguments(options))
    assert (status, err) == (0, ""), err
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    assert peak < 3, f"{peak:.2f} GiB"
    found = cache.load(meta.find(tmp_path / "cache"))
    assert tuple(found.img.shape) == (600, 512) and tuple(found.txt.shape) == (3000, 512)
    assert "R@1 is at chance" in out


def test_the_result_of_another_model_is_never_overwritten(run_script, options, tmp_path, tiny_clip_folder):
    """Nor that of another number of images: both are refused before anything is encoded."""
    assert run_script("main.py", *arguments(options))[0] == 0
    result = tmp_path / "results" / "baseline.json"
    before = result.read_bytes()
    other = shutil.copytree(tiny_clip_folder, tmp_path / "othermodel")
    for changed in ({"model_name": other}, {"num_images": 3}, {"cache_dir": tmp_path / "elsewhere"}):
        status, out, err = run_script("main.py", *arguments(options, **changed))
        assert status == 1 and "would be overwritten" in err and "--study-dir" in err, changed
        assert "Encoding" not in out and result.read_bytes() == before
    assert run_script("main.py", *arguments(options))[0] == 0, "the same study again"


def with_captions(options: dict, change) -> None:
    """Change the captions file's content."""
    content = json.loads(options["annotation-file"].read_text(encoding="utf-8"))
    change(content)
    options["annotation-file"].write_text(json.dumps(content), encoding="utf-8")


def forget_opening(folder: Path) -> None:
    """Make a cache one of a version that opened photographs as they are stored."""
    meta_file = meta.find(folder)
    content = json.loads(meta_file.read_text(encoding="utf-8"))
    del content["opening"]
    meta_file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def test_a_cache_of_an_earlier_opening_is_used_again(run_script, options, tmp_path):
    """Its photographs are plain ones, as COCO's are: today's rules give the same pixels."""
    run_script("main.py", *arguments(options))
    forget_opening(tmp_path / "cache")
    before = bytes_of(tmp_path / "cache")
    status, out, err = run_script("main.py", *arguments(options))
    assert (status, err) == (0, "") and "nothing was encoded again" in out
    assert bytes_of(tmp_path / "cache") == before


def test_a_cache_of_other_pixels_than_people_see_is_refused(run_script, options, tmp_path):
    """In step 1, and in step 2, where people would explain what the model never saw."""
    image = sorted(options["image-dir"].iterdir())[3]
    with Image.open(image) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6
        picture.save(image, exif=exif)
    assert run_script("main.py", *arguments(options))[0] == 0
    forget_opening(tmp_path / "cache")
    step_2 = ["--cache-dir", tmp_path / "cache", "--failure-dir", tmp_path / "failures"]
    step_2 += ["--sample-size", 4, "--overlap-size", 1, "--per-annotator", 1, "--backup-size", 0]
    for script, given in (("main.py", arguments(options)), ("failure.py", map(str, step_2))):
        status, _, err = run_script(script, *given)
        assert status == 1 and "the model saw other pixels" in err and image.name in err
        assert "Traceback" not in err and not (tmp_path / "failures").exists()


def test_both_unicode_forms_of_a_caption_get_one_row(run_script, options, tmp_path):
    """The captions stay as they are in the file; their tie is a tie."""
    forms = ["Un caf\u00e9 cre\u0300me", "Un cafe\u0301 cr\u00e8me", "Un caf\u00e9 cr\u00e8me"]

    def change(content):
        for annotation, text in zip(content["annotations"][::4], forms, strict=False):
            annotation["caption"] = text

    with_captions(options, change)
    assert run_script("main.py", *arguments(options))[0] == 0
    found = cache.load(meta.find(tmp_path / "cache"))
    rows = [found.meta.captions.index(text) for text in forms]
    assert (found.txt[rows] == found.txt[rows[0]]).all()
    result = json.loads((tmp_path / "results" / "baseline.json").read_text())["text_to_image"]
    images = {found.meta.gt_img_index[row] for row in rows}
    assert result["provably_ambiguous_captions"] == 3 and len(images) > 1
    assert result["provably_ambiguous_at_most"] == 3 - len(images) + 1


def test_two_images_give_a_defined_result(run_script, options, tmp_path):
    status, out, err = run_script("main.py", *arguments(options, num_images=2))
    assert (status, err) == (0, "") and "at chance" not in out and "inf" not in out
    for direction in ("text_to_image", "image_to_text"):
        found = json.loads((tmp_path / "results" / "baseline.json").read_text())[direction]
        for name in ("R@1", "R@5", "R@10", "MRR"):
            assert 0 <= found[name]["low"] <= found[name]["value"] <= found[name]["high"] <= 1


def test_one_image_is_refused_before_anything_is_encoded(run_script, options, tmp_path):
    with_captions(options, lambda content: content.update(annotations=content["annotations"][:1]))
    status, _, err = run_script("main.py", *arguments(options))
    assert status == 1 and "retrieval needs 2 or more" in err and len(err.splitlines()) == 1
    assert not (tmp_path / "cache").exists()


def test_images_that_are_all_alike_tie_and_are_not_at_chance(run_script, options):
    first, *others = sorted(options["image-dir"].iterdir())
    for image in others:
        shutil.copy(first, image)
    status, out, err = run_script("main.py", *arguments(options))
    if status:  # a check of the model may find out before
        assert len(err.splitlines()) == 1 and "Traceback" not in err
    else:
        assert "30 of 30 captions tie" in out and "at chance" not in out


def test_own_photographs_are_not_fetched_from_coco(run_script, options):
    image = sorted(options["image-dir"].iterdir())[0]
    image.write_bytes(image.read_bytes()[:200])
    status, _, err = run_script("main.py", *arguments(options))
    assert status == 1 and image.name in err and "COCO" not in err and "--download" not in err
