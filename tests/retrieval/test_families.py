"""Text as each model was trained on, whatever its tokenizer's defaults are, and folders of other layouts."""

import json
import shutil

import huggingface_hub
import numpy as np
import pytest
import torch

from common.errors import UserError
from common.retrieval import cache, coco, encoder, families, freezing, meta, models, text_cache
from common.retrieval.distributed import ALONE
from common.retrieval.freezing import Data, Wanted
from tests.support import model_folders

SIGLIP_2 = {"fixed": model_folders.tiny_siglip2, "naflex": model_folders.tiny_siglip2_naflex}
WANTED = Wanted(seed=42, captions_per_image=5, dtype="float32", device="cpu", batch_size=8)


@pytest.fixture(scope="module")
def siglip_2(tmp_path_factory):
    base = tmp_path_factory.mktemp("siglip2")
    return {name: make(base / f"siglip2-{name}") for name, make in SIGLIP_2.items()}


def load(folder) -> encoder.Encoder:
    return encoder.load(models.locate(str(folder)), "cpu", "float32", [], [])


def changed(path, **values) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in (content | values).items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


# ---- lower case --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SIGLIP_2)
def test_siglip_2_reads_capitals_as_it_was_trained(siglip_2, kind):
    ours = load(siglip_2[kind])
    one, other = ours.encode_texts(["A Dog", "a dog"], 2)
    assert torch.equal(one, other)
    assert ours.lengths(["A DOG"]) == ours.lengths(["a dog"])
    assert ours.lower_case == (kind == "fixed"), "Siglip2Tokenizer does it by itself"


def test_without_that_capitals_would_be_other_texts(siglip_2):
    ours = load(siglip_2["fixed"])
    ours.lower_case = False
    one, other = ours.encode_texts(["A Dog", "a dog"], 2)
    assert float(one @ other) < 0.999


@pytest.fixture
def data(tiny_dataset, siglip_2, tmp_path) -> Data:
    """The tiny dataset with a capital in every other caption, and a SigLIP 2."""
    path = tiny_dataset / "captions.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for annotation in content["annotations"][::2]:
        annotation["caption"] = annotation["caption"].capitalize()
    path.write_text(json.dumps(content), encoding="utf-8")
    places = tiny_dataset / "images", path, tmp_path / "cache", tmp_path / "results"
    return Data(str(siglip_2["fixed"]), *places, bundled_sample=False)


def freeze(data: Data) -> tuple[freezing.Frozen, list[str]]:
    said = []
    sample = coco.sample(coco.read_captions(data.annotation_file), 12, 5, 42)
    return freezing.freeze(data, sample, WANTED, ALONE, said.append), said


def test_it_is_said_and_kept_in_the_cache(data):
    made, said = freeze(data)
    assert sum("captions are put in lower case" in line for line in said) == 1
    found = cache.load(made.meta_file)
    assert found.meta.lower_cased and "A dog on table 0" in found.meta.captions
    towers = load(data.model_name)
    rows = towers.encode_texts([caption.lower() for caption in found.meta.captions], 8)
    torch.testing.assert_close(found.txt, rows, atol=1e-6, rtol=0)
    again, said = freeze(data)
    assert not again.made and said == []


def test_a_cache_with_capitals_is_another_one(data):
    """Step 1 refuses it; later steps, which only read it, encode further texts as it was made."""
    meta_file = freeze(data)[0].meta_file
    towers = load(data.model_name)
    towers.lower_case = False
    found = cache.load(meta_file)
    earlier = towers.encode_texts(found.meta.captions, 8)
    changed(meta_file, lower_cased=None)
    old = cache.load(cache.write(data.cache_dir, found.img, earlier, meta.read(meta_file)))
    assert not old.meta.lower_cased
    with pytest.raises(UserError, match="captions in lower case: False in the cache, True now"):
        freeze(data)
    texts = text_cache.TextCache(old, None, "cpu")
    texts.add(["Two Cats"], "some")
    torch.testing.assert_close(texts.rows(["Two Cats"]), towers.encode_texts(["Two Cats"], 1))


# ---- padding, mask, length ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SIGLIP_2)
def test_a_tokenizer_s_defaults_change_nothing(siglip_2, kind, tmp_path):
    """Gemma's own are padding on the left and a mask, where a folder's file doesn't say otherwise."""
    bare = shutil.copytree(siglip_2[kind], tmp_path / "bare")
    changed(bare / "tokenizer_config.json", padding_side=None, model_input_names=None)
    ours, texts = load(bare), ["a dog", "two cats"]
    assert ours.tokenizer.padding_side == "left" and "attention_mask" in ours.tokenizer.model_input_names
    assert set(ours.tokens(texts)) == {"input_ids"}
    assert torch.equal(ours.encode_texts(texts, 2), load(siglip_2[kind]).encode_texts(texts, 2))


def test_clip_is_read_as_it_always_was(tiny_clip_folder):
    """The very tokens and mask that its tokenizer gives by itself, so its caches keep their fingerprints."""
    ours, texts = load(tiny_clip_folder), ["A Dog sits", "two cats", "dog " * 100]
    theirs = ours.tokenizer(texts, padding="longest", truncation=True, max_length=77, return_tensors="pt")
    tokens = ours.tokens(texts)
    assert list(tokens) == list(theirs)
    assert all(torch.equal(tokens[name], theirs[name]) for name in tokens)
    assert not ours.lower_case and not models.lowers_case(models.locate(str(tiny_clip_folder)))


def test_the_sample_s_cache_is_the_recorded_one(sample_cache):
    """Fingerprints of tensors are one machine's: of these, numbers that every machine gives."""
    assert sample_cache.meta.fingerprints.rows == ROWS
    np.testing.assert_allclose(sample_cache.txt[0, :4], TEXT, atol=1e-5)
    np.testing.assert_allclose(sample_cache.img[0, :4], IMAGE, atol=1e-5)
    np.testing.assert_allclose(sample_cache.txt.double().abs().sum(), TEXTS, rtol=1e-6)


ROWS = "e2d7720d4c2a9ae1f6df725f3a37ecd1d10012e2f54898b39e6d91dcac21801d"
TEXT, IMAGE, TEXTS = (
    [-0.012595, -0.061363, -0.090697, 0.095413],
    [-0.097072, -0.038763, 0.053646, 0.042465],
    24446.719,
)


def test_an_unknown_family_is_read_as_its_tokenizer_says():
    reading = families.of("something new")
    assert reading == families.UNKNOWN
    assert (reading.length, reading.mask, reading.side, reading.types) == (None,) * 4 and not reading.lower


# ---- what transformers can't load --------------------------------------------------------------------------


def refusal(folder) -> str:
    with pytest.raises(UserError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_tipsv2_needs_torchvision(tmp_path):
    """transformers has the model, but its image processor for torchvision alone."""
    said = refusal(model_folders.tiny_tipsv2(tmp_path / "tipsv2"))
    assert "image processor of a tipsv2 for torchvision alone" in said and "EMBEDDINGS_DIR" in said


def test_a_model_of_another_class(tiny_clip_folder, tmp_path):
    """BLIP's checkpoints for retrieval hold projections that BlipModel knows under other names."""
    from safetensors.torch import load_file, save_file

    folder = model_folders.tiny_blip(tmp_path / "blip")
    weights = load_file(folder / "model.safetensors")
    weights["text_proj.weight"] = weights.pop("text_projection.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    changed(folder / "config.json", architectures=["BlipForImageTextRetrieval"])
    said = refusal(folder)
    assert "it is a BlipForImageTextRetrieval, not a BlipModel" in said and "EMBEDDINGS_DIR" in said


LAYOUTS = {
    "open_clip": (
        ["open_clip_config.json", "open_clip_model.safetensors"],
        "laid out for open_clip, .*EMBEDDINGS",
    ),
    "sentence-transformers": (
        ["modules.json", "0_CLIPModel/config.json", "0_CLIPModel/model.safetensors"],
        "sentence-transformers; the model is in .*0_CLIPModel: name that folder",
    ),
    "sentence-transformers, no CLIP": (
        ["modules.json", "model.safetensors"],
        "without a model .*EMBEDDINGS",
    ),
    "PEFT": (["adapter_config.json", "adapter_model.safetensors"], "PEFT adapter to some/clip.*merge_and_un"),
}


@pytest.mark.parametrize("names, said", LAYOUTS.values(), ids=LAYOUTS)
def test_a_folder_of_another_library_says_what_it_is(names, said, tmp_path):
    for name in names:
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_text(json.dumps({"base_model_name_or_path": "some/clip"}))
    with pytest.raises(UserError, match=said) as caught:
        models.locate(str(tmp_path / "model"))
    assert "\n" not in str(caught.value)


def test_a_model_of_the_hub_in_open_clip_s_layout_says_so(tmp_path, monkeypatch):
    """It is found only after it was fetched: on this machine there is nothing at first."""
    (tmp_path / "open_clip_config.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    with pytest.raises(UserError, match="MODEL_NAME = timm/some-clip: the folder is laid out for open_clip"):
        models.locate("timm/some-clip")


def test_a_folder_in_both_layouts_is_taken(tiny_clip_folder, tmp_path):
    folder = shutil.copytree(tiny_clip_folder, tmp_path / "laion")
    (folder / "open_clip_config.json").write_text("{}")
    assert load(folder).max_length == 77
