"""The sample's CLIP: its vocabulary, its shape, and its training from scratch on rendered scenes.

What makes ten minutes on two cores enough, beside the usual contrastive loss:

- scenes come in families (a scene and siblings that differ in one fact), so a batch holds hard negatives. A
  caption that a sibling satisfies too is no negative for it and is left out of the loss;
- auxiliary heads on the vision tower, thrown away after training: what stands on each patch, and the facts of
  the whole scene. The kind of an object is what a contrastive loss alone learns last.

Trained like this the model lacks what large models have: hubs, images that are retrieved whatever the caption
says. They are planted after training (`plant_hubs`), so that step 6 has something to mend.
"""

import random
import shutil
from collections import Counter

import numpy as np
import torch
import world
from PIL import Image
from render import IMAGE_SIZE, place_objects, render
from tokenizers import pre_tokenizers
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer
from transformers.utils import logging

# ---------------------------------------------------------------- settings
PATCH_SIZE = 12  # pixels
WIDTH = 128  # of both towers and of the shared space
VISION_LAYERS = 4
TEXT_LAYERS = 3
HEADS = 4
MAX_TOKENS = 32  # of a caption, start and end included
FAMILIES = 5000  # families of training scenes drawn before training
FAMILY_SIZE = 4  # a scene and its siblings
BATCH_FAMILIES = 16  # families in a batch
AUXILIARY_WEIGHT = 0.5  # of the auxiliary loss beside the contrastive one
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
# --------------------------------------------------------------------------

logging.disable_progress_bar()  # of reading and writing files
START, END = "<|startoftext|>", "<|endoftext|>"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def make_tokenizer(texts):
    """A CLIPTokenizer whose byte-pair merges make one token of every word in `texts`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Every byte alone and as the end of a word: without them an unknown word would read as the end token.
    tokens = alphabet + [letter + "</w>" for letter in alphabet]
    merges = _learn_merges(texts)
    tokens += [left + right for left, right in merges] + [START, END]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=MAX_TOKENS)


def _learn_merges(texts):
    """Byte-pair encoding (Sennrich et al. 2016): the most frequent pair first, until a word is one token."""
    counts = Counter(
        word for text in texts for word in text.lower().replace(".", "").replace(",", "").split()
    )
    words = {word: (*word[:-1], word[-1] + "</w>") for word in counts}
    merges = []
    while True:
        pairs = Counter()
        for word, parts in words.items():
            for pair in zip(parts, parts[1:], strict=False):
                pairs[pair] += counts[word]
        if not pairs:
            return merges
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = {word: _merge(parts, best) for word, parts in words.items()}


def _merge(parts, pair):
    merged = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)


def make_model(tokenizer):
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,  # where the text tower pools
        "pad_token_id": tokenizer.pad_token_id,
    }
    tower = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": HEADS}
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_TOKENS,
        "num_hidden_layers": TEXT_LAYERS,
    }
    vision = {"image_size": IMAGE_SIZE, "patch_size": PATCH_SIZE, "num_hidden_layers": VISION_LAYERS}
    config = CLIPConfig(
        text_config={**tower, **text, **ids, "num_hidden_layers": TEXT_LAYERS, "projection_dim": WIDTH},
        vision_config={**tower, **vision, "projection_dim": WIDTH},
        projection_dim=WIDTH,
    )
    return CLIPModel(config)


def make_image_processor():
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    return CLIPImageProcessorPil(
        size={"shortest_edge": IMAGE_SIZE}, crop_size=size, image_mean=list(MEAN), image_std=list(STD)
    )


def draw_families(seed, forbidden):
    """FAMILIES lists of FAMILY_SIZE scenes that differ in one fact each; none has a key in `forbidden`."""
    rng = random.Random(seed)
    changes = [category for category in world.CATEGORIES if category != "Ambiguous"]
    families = []
    while len(families) < FAMILIES:
        scene = world.random_scene(rng)
        siblings = [world.sibling(scene, change, rng) for change in rng.sample(changes, len(changes))]
        family = [scene, *(s for s in siblings if s)][:FAMILY_SIZE]
        if len(family) == FAMILY_SIZE and not any(world.scene_key(s) in forbidden for s in family):
            for member in family:
                member["drawing"] = rng.randrange(1000)
            families.append(family)
    return families


def pixels(scenes):
    return torch.from_numpy(
        np.stack([np.asarray(render(scene)) for scene in scenes])
    )  # (n, height, width, 3), uint8


def normalise(images):
    """uint8 (n, height, width, 3) to float32 (n, 3, height, width), as the image processor does it."""
    images = images.permute(0, 3, 1, 2).float() / 255
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


KINDS = list(world.STATES)
LABELS = {
    "number": [1, 2, 3, 4],
    "colour": list(world.COLOURS),
    "size": list(world.SIZES),
    "state": [0, 1],
    "place": ["left", "right", "top", "bottom", "middle"],
}
NOTHING = -100  # what cross_entropy ignores


def patch_targets(scene):
    """What stands on each patch: (kind and state, colour), 0 and NOTHING where there is nothing."""
    n = IMAGE_SIZE // PATCH_SIZE
    kinds, colours = np.zeros((n, n), int), np.full((n, n), NOTHING)
    centres = (np.arange(n) + 0.5) * PATCH_SIZE
    for i, x, y, radius in place_objects(scene):
        group = scene["groups"][i]
        inside = np.hypot(centres[None] - x, centres[:, None] - y) < max(radius, 0.75 * PATCH_SIZE)
        state = world.STATES[group["kind"]].index(group["state"])
        kinds[inside] = 1 + 2 * KINDS.index(group["kind"]) + state
        colours[inside] = world.COLOURS.index(group["colour"])
    return np.stack([kinds.ravel(), colours.ravel()])  # (2, n_patches)


def scene_targets(scene):
    """The scene's facts: the background, whether each kind is there, and each kind's facts if it is."""
    present = np.zeros(len(KINDS), int)
    facts = np.full((len(KINDS), len(LABELS)), NOTHING)
    for group in scene["groups"]:
        k = KINDS.index(group["kind"])
        values = {**group, "state": world.STATES[group["kind"]].index(group["state"])}
        present[k] = 1
        facts[k] = [labels.index(values[name]) for name, labels in LABELS.items()]
    return np.concatenate([[list(world.BACKGROUNDS).index(scene["background"])], present, facts.ravel()])


class Heads(torch.nn.Module):
    """The auxiliary heads. They are not saved."""

    def __init__(self):
        super().__init__()
        self.kind = torch.nn.Linear(WIDTH, 1 + 2 * len(KINDS))
        self.colour = torch.nn.Linear(WIDTH, len(world.COLOURS))
        self.background = torch.nn.Linear(WIDTH, len(world.BACKGROUNDS))
        self.present = torch.nn.Linear(WIDTH, len(KINDS))
        self.facts = torch.nn.ModuleList(
            torch.nn.Linear(WIDTH, len(KINDS) * len(labels)) for labels in LABELS.values()
        )

    def on_patches(self, patches, targets):
        """patches (n, n_patches, WIDTH), targets as of `patch_targets`, stacked; returns the loss."""
        kinds = self.kind(patches).flatten(0, 1)
        # Nine patches of ten are empty: unweighted, the kinds are learned ten times as slowly.
        weight = torch.ones(kinds.shape[1])
        weight[0] = 0.05
        loss = 2 * functional.cross_entropy(kinds, targets[:, 0].flatten(), weight=weight)
        return loss + functional.cross_entropy(self.colour(patches).flatten(0, 1), targets[:, 1].flatten())

    def on_scene(self, rows, targets):
        """rows (n, WIDTH) of the shared space, targets as of `scene_targets`, stacked; returns the loss."""
        n, k = len(rows), len(KINDS)
        present, facts = targets[:, 1 : 1 + k].float(), targets[:, 1 + k :].view(n, k, -1)
        loss = functional.cross_entropy(self.background(rows), targets[:, 0])
        loss = loss + 5 * functional.binary_cross_entropy_with_logits(self.present(rows), present)
        for i, head in enumerate(self.facts):
            loss = loss + 0.5 * functional.cross_entropy(head(rows).view(n * k, -1), facts[:, :, i].flatten())
        return loss


def train(tokenizer, forbidden, steps, seed, progress=iter):
    """A CLIPModel trained for `steps` batches on scenes whose keys are not in `forbidden`."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    families = draw_families(seed, forbidden)
    scenes = [scene for family in families for scene in family]
    images = pixels(scenes)
    on_patches = torch.from_numpy(np.stack([patch_targets(scene) for scene in scenes]))
    on_scene = torch.from_numpy(np.stack([scene_targets(scene) for scene in scenes]))
    model, heads = make_model(tokenizer), Heads()
    weights = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(weights, LEARNING_RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps, pct_start=0.08)
    for _ in progress(range(steps)):
        chosen = rng.sample(range(len(families)), BATCH_FAMILIES)
        rows = [f * FAMILY_SIZE + i for f in chosen for i in range(FAMILY_SIZE)]
        batch = [scenes[row] for row in rows]
        contrast, patches, *towers = _contrast(model, tokenizer, batch, normalise(images[rows]), rng)
        aux = heads.on_patches(patches, on_patches[rows])
        aux = aux + sum(heads.on_scene(tower, on_scene[rows]) for tower in towers)
        optimizer.zero_grad()
        (contrast + AUXILIARY_WEIGHT * aux).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=np.log(50))
    return model.eval()


def _contrast(model, tokenizer, scenes, images, rng):
    captions = [world.write_caption(scene, _talk(rng), rng) for scene in scenes]
    tokens = tokenizer([text for text, _ in captions], padding=True, return_tensors="pt")
    vision = model.vision_model(pixel_values=images, output_hidden_states=True)
    text = model.text_model(**tokens)
    image_rows = model.visual_projection(vision.pooler_output)  # (n, WIDTH)
    text_rows = model.text_projection(text.pooler_output)  # (n, WIDTH)
    scores = functional.normalize(text_rows, dim=-1) @ functional.normalize(image_rows, dim=-1).T
    scores = model.logit_scale.exp() * scores  # (n_captions, n_images)
    scores = scores.masked_fill(_also_true(captions, scenes), float("-inf"))
    target = torch.arange(len(scenes))
    loss = functional.cross_entropy(scores, target) + functional.cross_entropy(scores.T, target)
    return loss / 2, vision.hidden_states[-2][:, 1:], image_rows, text_rows


def _talk(rng):
    return 1.0 if rng.random() < 0.3 else rng.uniform(0.4, 1.0)


def _also_true(captions, scenes):
    """Where a caption is true of another scene of its family: (n_captions, n_images), bool."""
    mask = torch.zeros(len(captions), len(scenes), dtype=torch.bool)
    for i, (_, says) in enumerate(captions):
        first = i - i % FAMILY_SIZE
        for j in range(first, first + FAMILY_SIZE):
            mask[i, j] = i != j and not world.violations(says, scenes[j])
    return mask


@torch.no_grad()
def plant_hubs(model, tokenizer, captions, strength, seed):
    """Draw images towards the mean direction of `captions`, some more and some less: those become hubs.

    The visual projection W becomes W + strength * m u^T with m that direction and u a random one in the
    vision tower's own space, both of length 1: what an image gains depends on what is in it alone.
    """
    rows = []
    for i in range(0, len(captions), 256):
        tokens = tokenizer(captions[i : i + 256], padding=True, return_tensors="pt")
        rows.append(functional.normalize(model.get_text_features(**tokens).pooler_output, dim=-1))
    mean = functional.normalize(torch.cat(rows).mean(0), dim=0)  # (WIDTH,)
    chance = torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))
    model.visual_projection.weight += strength * torch.outer(mean, functional.normalize(chance, dim=0))


def save(model, tokenizer, folder):
    """Write the folder that `from_pretrained` reads, with weights in float16."""
    shutil.rmtree(folder, ignore_errors=True)
    processor = make_image_processor()
    model.half().save_pretrained(folder)
    CLIPProcessor(processor, tokenizer).save_pretrained(folder)
    processor.save_pretrained(folder)  # under the name that image processors alone are looked for


def measure(folder, content, image_dir, batch=256):
    """Text to image recall and failures of the model in `folder` on a captions file's content.

    Returns {"n": captions, "recall": {1: share, 5:, 10:}, "failures": Counter of (category, subtype),
    "text": embeddings (n_captions, WIDTH), "image": (n_images, WIDTH), both float32 with rows of length 1}.
    A failure is a caption whose own image is not ranked first; images of an equal score rank above it.
    """
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    images, annotations = content["images"], content["annotations"]
    pictures = [Image.open(image_dir / image["file_name"]).convert("RGB") for image in images]
    text, image = [], []
    with torch.inference_mode():
        for i in range(0, len(annotations), batch):
            captions = [row["caption"] for row in annotations[i : i + batch]]
            tokens = tokenizer(captions, padding=True, truncation=True, return_tensors="pt")
            text.append(model.get_text_features(**tokens).pooler_output)
        for i in range(0, len(pictures), batch):
            inputs = processor(pictures[i : i + batch], return_tensors="pt")
            image.append(model.get_image_features(**inputs).pooler_output)
        text, image = (functional.normalize(torch.cat(rows), dim=-1) for rows in (text, image))
        scores = text @ image.T  # (n_captions, n_images)
    return {"text": text, "image": image, **count_failures(scores, images, annotations)}


def count_failures(scores, images, annotations):
    """Recall and true categories of the failures of a score matrix (n_captions, n_images)."""
    row_of = {image["id"]: row for row, image in enumerate(images)}
    own = torch.tensor([row_of[annotation["image_id"]] for annotation in annotations])
    others = scores.clone().scatter_(1, own[:, None], float("-inf"))
    ranks = 1 + (others >= scores.gather(1, own[:, None])).sum(1)
    retrieved = others.argmax(1)
    failures = Counter()
    for i in torch.nonzero(ranks > 1).flatten().tolist():
        scenes = images[own[i]]["scene"], images[retrieved[i]]["scene"]
        failures[world.true_label(annotations[i]["says"], *scenes)] += 1
    recall = {k: (ranks <= k).float().mean().item() for k in (1, 5, 10)}
    return {"n": len(annotations), "recall": recall, "failures": failures}
