"""Make the bundled sample: a small rendered world with COCO's layout, and a small CLIP trained on it.

Run:    python data/sample/make_sample.py                  all of it
        python data/sample/make_sample.py --train False    pictures and captions alone, in seconds
Reads:  nothing
Writes: data/sample/val2017/, data/sample/annotations/, data/sample/clip/
Takes:  about a quarter of an hour on 2 CPU cores, nearly all of it training; 0.7 GB of memory

What the sample is: something with a known right answer, so that every step of the pipeline can be tried and
tested offline, in seconds. Each image is drawn from a scene and each caption from facts, and the JSON holds
both, so the true category of every failure follows from `world.true_label` (the table is in world.py).

What it is not: a stand-in for COCO. The captions were written by a hundred lines of Python, the pictures are
drawings, and the model has 1.6 million parameters and has seen nothing else. No number measured on it says
anything about CLIP, about COCO, or about how often real captions are ambiguous.

What is the same on every run: scenes, captions and pixels, exactly (every generator is seeded; the pixels
need the pinned Pillow). The weights come out the same only on the same machine with the same versions and
number of threads: elsewhere the last bits of sums differ, and training makes other weights, about as good.

How the gallery is made: families of a scene and siblings that differ from it in exactly one fact, one family
after the other going round the kinds of facts, so that each category has pairs that only it separates; some
siblings are near-duplicates, the same facts drawn again, and share a caption. Backgrounds come in look-alike
pairs. Captions say more or less, as people's do (`TALK`). The gallery is in a light haze that no training
picture has: without that shift the model would hardly ever take a background or an action for another.
Hubs, images that are retrieved whatever the caption says, are planted in the trained model (`HUBNESS`): that
hubness corrections help on the sample is by construction.
"""

import json
import os
import random
import shutil
import sys
from itertools import count, cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import world
from render import IMAGE_SIZE, render
from tqdm import tqdm

from common.errors import reported
from common.files import write_bytes
from common.settings import override, shown

# ---- settings ------------------------------------------------------------------------------------
SEED = 7  # of scenes, captions and training
FAMILIES = 104  # families of scenes in the gallery
SIBLINGS = 4  # of each family's first scene, each one fact away from it
LONE_SCENES = 20  # further images in the gallery, without a family
CAPTIONS_PER_IMAGE = 5  # as in COCO
TALK: list[float] = [0.4, 0.95]  # least and greatest probability that a caption states a fact
HAZE = 0.33  # of the gallery's pictures, 0 (none) to 1; training pictures have none
BANK_SCENES = 2400  # scenes of captions_train2017.json
HUBNESS = 14.0  # strength of the hubs planted in the model, 0 (none) to about 20
TRAIN = True  # False: leave data/sample/clip/ as it is
STEPS = 1600  # training batches
THREADS = 2  # CPU cores that training uses
OUTPUT_DIR = "data/sample"
# --------------------------------------------------------------------------------------------------

CHANGES = ("Attribute", "Spatial", "Context", "Count", "nearduplicate", "Action", "Object")
PROJECT = "CLIP-ZeroShot-Retrieval"
FIRST_BANK_IMAGE, FIRST_BANK_CAPTION = 100_001, 1_000_001  # beyond every id of the gallery


def make_gallery(families, siblings, lone, rng):
    """The gallery's scenes, shuffled; no two share their facts unless one was made as a near-duplicate."""
    changes = cycle(CHANGES)
    scenes, keys = [], set()
    while len(scenes) < families * (1 + siblings) + lone:
        first = world.random_scene(rng)
        family = [first]
        if len(scenes) < families * (1 + siblings):
            family += [world.sibling(first, next(changes), rng) for _ in range(siblings)]
        if None in family:
            continue
        new = {world.scene_key(scene) for scene in family}
        expected = len(family) - sum(scene["drawing"] for scene in family)
        if len(new) == expected and not new & keys:
            keys |= new
            scenes += family
    rng.shuffle(scenes)
    return scenes


def make_bank(n, forbidden, rng):
    """`n` further scenes, each with facts of its own, none of whose keys is in `forbidden`."""
    scenes, keys = [], set(forbidden)
    while len(scenes) < n:
        scene = world.random_scene(rng)
        if world.scene_key(scene) not in keys:
            keys.add(world.scene_key(scene))
            scenes.append(scene)
    return scenes


def write_captions(scenes, per_image, talk, rng):
    """For each scene a list of (text, says). A near-duplicate shares its first caption with its twin."""
    shared, captions = {}, []
    for scene in scenes:
        own = [world.write_caption(scene, rng.uniform(*talk), rng) for _ in range(per_image)]
        own[0] = shared.setdefault(world.scene_key(scene), own[0])
        captions.append(own)
    return captions


def coco_captions(scenes, captions, first_image, first_caption, description, with_says):
    """The content of a COCO captions file; `scene` and `says` are this project's additions."""
    caption_ids = count(first_caption)
    images, annotations = [], []
    for image_id, (scene, own) in enumerate(zip(scenes, captions, strict=True), start=first_image):
        image = {"license": 1, "file_name": f"{image_id:012d}.png", "coco_url": "", "flickr_url": ""}
        image |= {"height": IMAGE_SIZE, "width": IMAGE_SIZE, "date_captured": "", "id": image_id}
        images.append({**image, "scene": scene})
        for text, says in own:
            annotation = {"image_id": image_id, "id": next(caption_ids), "caption": text}
            annotations.append({**annotation, "says": says} if with_says else annotation)
    info = {"description": description, "sample_of": PROJECT, "url": "", "version": "1.0", "year": 2026}
    info |= {"contributor": PROJECT, "date_created": ""}
    licenses = [{"id": 1, "name": "Educational and research use, see LICENSE", "url": ""}]
    return {"info": info, "licenses": licenses, "images": images, "annotations": annotations}


def write_coco(path, content):
    """JSON with one image or annotation a line: small, and its changes can be read."""
    parts = []
    for name, value in content.items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in value)
            parts.append(f'"{name}": [\n{rows}\n]')
        else:
            parts.append(f'"{name}": {json.dumps(value)}')
    write_bytes(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def make_data(output_dir, settings):
    """Write images and annotations; returns the content of both annotation files (gallery, bank)."""
    rng = random.Random(settings["SEED"])
    talk, per_image = settings["TALK"], settings["CAPTIONS_PER_IMAGE"]
    scenes = make_gallery(settings["FAMILIES"], settings["SIBLINGS"], settings["LONE_SCENES"], rng)
    captions = write_captions(scenes, per_image, talk, rng)
    mark = f"Bundled sample of {PROJECT}: rendered scenes, not COCO"
    gallery = coco_captions(scenes, captions, 1, 1, mark, with_says=True)
    further = make_bank(settings["BANK_SCENES"], {world.scene_key(scene) for scene in scenes}, rng)
    captions = write_captions(further, per_image, talk, rng)
    bank = coco_captions(
        further, captions, FIRST_BANK_IMAGE, FIRST_BANK_CAPTION, mark + " (captions alone)", with_says=False
    )
    write_coco(output_dir / "annotations" / "captions_val2017.json", gallery)
    write_coco(output_dir / "annotations" / "captions_train2017.json", bank)
    shutil.rmtree(output_dir / "val2017", ignore_errors=True)
    (output_dir / "val2017").mkdir(parents=True)
    for image in gallery["images"]:
        picture = render(image["scene"], settings["HAZE"])
        picture.save(output_dir / "val2017" / image["file_name"], optimize=True)
    return gallery, bank


def make_clip(output_dir, gallery, bank, settings):
    """Train the sample's CLIP on scenes that are not in the gallery, save it, and say how good it is."""
    # Threads that spin while they wait make training five times slower as soon as anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Here, so that the data alone can be made where torch is not installed.
    import clip_model
    import torch

    torch.set_num_threads(settings["THREADS"])
    captions = [row["caption"] for row in bank["annotations"]]
    tokenizer = clip_model.make_tokenizer(captions)
    forbidden = {world.scene_key(image["scene"]) for image in gallery["images"]}
    model = clip_model.train(tokenizer, forbidden, settings["STEPS"], settings["SEED"], progress=tqdm)
    clip_model.plant_hubs(model, tokenizer, captions, settings["HUBNESS"], settings["SEED"])
    clip_model.save(model, tokenizer, output_dir / "clip")
    result = clip_model.measure(output_dir / "clip", gallery, output_dir / "val2017")
    print(f"R@1 = {result['recall'][1]:.4f}  R@5 = {result['recall'][5]:.4f}  n = {result['n']} captions")
    for (category, subtype), failures in result["failures"].most_common():
        print(f"{failures:5d} failures  {category} {subtype}")


@reported
def main():
    globals().update(vars(override(globals())))
    gallery, bank = make_data(OUTPUT_DIR, globals())
    print(f"gallery: {len(gallery['images'])} images, {len(gallery['annotations'])} captions")
    print(f"bank: {len(bank['annotations'])} captions of {len(bank['images'])} further scenes")
    if TRAIN:
        make_clip(OUTPUT_DIR, gallery, bank, globals())
    print(f"wrote {shown(OUTPUT_DIR)}/. Next: python main.py")


if __name__ == "__main__":
    main()
