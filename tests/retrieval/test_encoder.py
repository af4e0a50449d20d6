"""The towers: equal to what transformers itself computes, for each family, however texts are padded."""

import shutil

import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, BertConfig, BertModel

from common.errors import SettingError, UserError
from common.retrieval import encoder, models
from tests.support import model_folders

TEXTS = ["a dog", "two cats sit under the red table with a man", "", "naïve 猫 and = emoji 🐶", "the street"]
FAMILIES = {  # how to make a tiny one, how it pads, tokens that it reads
    "clip": (model_folders.tiny_clip, "longest", 77),
    "siglip": (model_folders.tiny_siglip, "max_length", 16),
    "siglip-2": (model_folders.tiny_siglip2, "max_length", 16),
    "siglip-2-naflex": (model_folders.tiny_siglip2_naflex, "max_length", 16),
    "metaclip-2": (model_folders.tiny_metaclip2, "longest", 77),
    "aimv2": (model_folders.tiny_aimv2, "max_length", 77),
    "altclip": (model_folders.tiny_altclip, "longest", 77),
    "chinese-clip": (model_folders.tiny_chinese_clip, "longest", 32),
    "blip": (model_folders.tiny_blip, "longest", 35),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("families")
    return {name: make(base / name) for name, (make, *_) in FAMILIES.items()}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Images in the modes that real folders hold: color, gray, palette, with alpha, CMYK."""
    folder = tmp_path_factory.mktemp("photos")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    paths = []
    for mode, suffix in (("RGB", "jpg"), ("L", "jpg"), ("P", "png"), ("RGBA", "png"), ("CMYK", "jpg")):
        paths.append(folder / f"{mode}.{suffix}")
        Image.fromarray(pixels).convert(mode).save(paths[-1])
    return paths


def load(folder, device="cpu", dtype="float32", images=(), texts=()):
    return encoder.load(models.locate(str(folder)), device, dtype, list(images), list(texts))


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_the_model_s_own_outputs(family, folders, photos):
    """Against model(**inputs), texts padded to the full length as the models' documentation shows."""
    folder = folders[family]
    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    how = {"truncation": True, "max_length": FAMILIES[family][2], "return_token_type_ids": False}
    inputs = tokenizer(TEXTS, padding="max_length", return_tensors="pt", **how)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = processor(images=[Image.open(path).convert("RGB") for path in photos], return_tensors="pt")
    with torch.inference_mode():
        theirs = model(**inputs, **pixels)
    ours = load(folder)
    for batch_size in (1, 2, 64):
        txt, img = ours.encode_texts(TEXTS, batch_size), ours.encode_images(photos, batch_size).rows
        torch.testing.assert_close(txt, normalize(theirs.text_embeds, dim=-1), atol=1e-5, rtol=0)
        torch.testing.assert_close(img, normalize(theirs.image_embeds, dim=-1), atol=1e-5, rtol=0)
        assert txt.dtype == img.dtype == torch.float32


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_is_decided_by_the_tower(family, folders):
    ours, (_, padding, length) = load(folders[family]), FAMILIES[family]
    assert (ours.pad_to_longest, ours.max_length) == (padding == "longest", length)


def test_a_text_is_cut_where_the_model_stops_reading(folders):
    ours = load(folders["siglip"])
    long = "the dog sits on the table and the cat sits under the table with the man and the woman"
    assert ours.lengths([long, "a dog"]).tolist() > [ours.max_length, 0]
    assert ours.lengths(["a dog"])[0] <= ours.max_length
    assert ours.encode_texts([long], 1).shape == (1, 32)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_checked_against_the_cpu(dtype, folders, photos):
    half = load(folders["clip"], dtype=dtype, images=photos, texts=TEXTS)
    full = load(folders["clip"])
    rows = half.encode_texts(TEXTS, 2)
    assert rows.dtype == torch.float32
    assert 0 < (rows - full.encode_texts(TEXTS, 2)).abs().max() < 0.05


def test_a_device_that_computes_nonsense_is_refused(folders, photos, monkeypatch):
    def scramble(self, device, dtype):
        for parameter in self.model.parameters():
            parameter.data += torch.randn_like(parameter) * 0.3

    monkeypatch.setattr(encoder.Encoder, "move", scramble)
    with pytest.raises(UserError, match="disagrees with the CPU"):
        load(folders["clip"], device="cuda", images=photos, texts=TEXTS)


def test_a_device_that_is_not_there_is_refused(folders, photos):
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(UserError, match="DEVICE = cuda does not work here in float32"):
        load(folders["clip"], device="cuda", images=photos, texts=TEXTS)


def test_a_nan_is_no_agreement():
    rows = torch.full((2, 3), torch.nan)
    with pytest.raises(UserError):
        encoder.check_agreement(rows, rows, "cuda", "float16")


def test_out_of_memory_halves_the_batch_and_goes_on(folders, photos, monkeypatch):
    ours = load(folders["clip"])
    expected = ours.encode_images(photos, 5).rows
    whole, sizes = ours.model.get_image_features, []

    def small_memory(pixel_values):
        sizes.append(len(pixel_values))
        if len(pixel_values) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(pixel_values=pixel_values)

    monkeypatch.setattr(ours.model, "get_image_features", small_memory)
    torch.testing.assert_close(ours.encode_images(photos, 5).rows, expected, atol=1e-6, rtol=0)
    assert sizes == [5, 2, 3, 1, 2]


def test_no_memory_for_one_item_is_said(folders, photos, monkeypatch):
    ours = load(folders["clip"])

    def no_memory(pixel_values):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ours.model, "get_image_features", no_memory)
    with pytest.raises(UserError, match="no memory for a single item"):
        ours.encode_images(photos, 5)


def test_all_images_that_do_not_decode_are_named(folders, photos, tmp_path):
    # A good header and a good end, with the middle cut out: only decoding finds it.
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for name in ("one.png", "two.png"):
        noise.save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[:3000] + data[-12:])
    ours, paths = load(folders["clip"]), [photos[0], tmp_path / "one.png", *photos, tmp_path / "two.png"]
    found = ours.encode_images(paths, 2)
    assert [problem.split(":")[0] for problem in found.bad] == ["one.png", "two.png"]
    whole = ours.encode_images([photos[0], *photos], 2).rows
    torch.testing.assert_close(found.rows, whole, atol=1e-6, rtol=0)
    alone = ours.encode_images([tmp_path / "two.png"], 2)
    assert len(alone.rows) == 0 and len(alone.bad) == 1


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:11", "mps"])
def test_names_of_devices_are_known_without_them(device):
    encoder.check_names(device, "bfloat16")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU", "", "cpu "])
def test_a_device_of_no_such_name_is_a_wrong_setting(device):
    with pytest.raises(SettingError, match="should be auto, cpu, cuda, cuda:<number> or mps"):
        encoder.check_names(device, "float32")


def test_a_precision_of_no_such_name_is_a_wrong_setting():
    with pytest.raises(SettingError, match="DTYPE = f32: should be of float32, bfloat16, float16"):
        encoder.check_names("cpu", "f32")


def test_a_model_that_is_nowhere_says_how_to_bring_it(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", no_network)
    with pytest.raises(UserError) as caught:
        models.locate("somebody/some-clip")
    message = str(caught.value)
    assert "hf download somebody/some-clip --local-dir some-clip" in message and "MODEL_NAME" in message
    assert "\n" not in message
    assert models.locate("somebody/some-clip", download=False) is None


def no_network(*_, local_files_only, **__):
    from huggingface_hub.errors import LocalEntryNotFoundError

    raise LocalEntryNotFoundError("nothing here") if local_files_only else ConnectionError("no route to host")


def test_a_model_of_the_hub_is_found_in_the_cache(folders, tmp_path, monkeypatch):
    """The layout of the hub's client, written by hand: no network is asked, the commit is the revision."""
    commit = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
    repository = tmp_path / "models--somebody--some-clip"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    for file in folders["clip"].iterdir():
        (repository / "snapshots" / commit / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    original = huggingface_hub.snapshot_download

    def local_only(*arguments, local_files_only, **options):
        assert local_files_only, "the network was asked for what is here"
        return original(*arguments, local_files_only=True, cache_dir=tmp_path, **options)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", local_only)
    for name in ("somebody/some-clip", f"somebody/some-clip@{commit}"):
        source = models.locate(name)
        assert source.revision == commit
        assert models.label(name) == "somebody/some-clip"
    rows = encoder.load(source, "cpu", "float32", [], []).encode_texts(TEXTS, 2)
    torch.testing.assert_close(rows, load(folders["clip"]).encode_texts(TEXTS, 2), atol=0, rtol=0)


def test_a_folder_s_revision_follows_its_content(tmp_path):
    one = model_folders.tiny_clip(tmp_path / "a")
    same = shutil.copytree(one, tmp_path / "b")
    other = shutil.copytree(one, tmp_path / "c")
    (other / "preprocessor_config.json").write_text((one / "preprocessor_config.json").read_text() + "\n")
    revisions = [models.locate(str(folder)).revision for folder in (one, same, other)]
    assert revisions[0] == revisions[1] != revisions[2]


def test_folders_that_hold_no_clip_are_refused(tmp_path, folders):
    with pytest.raises(UserError, match="there is no such folder"):
        models.locate(str(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="lacks config.json and model.safetensors"):
        models.locate(str(tmp_path / "empty"))
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    bert = tmp_path / "bert"
    BertModel(BertConfig(**size, vocab_size=50)).save_pretrained(bert)
    AutoTokenizer.from_pretrained(folders["chinese-clip"]).save_pretrained(bert)
    with pytest.raises(UserError, match="a model of images and texts is needed"):
        load(bert)
    broken = model_folders.tiny_clip(tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UserError, match="not a model that transformers can read"):
        load(broken)


def test_missing_weights_are_never_filled_in_at_random(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = model_folders.tiny_clip(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights.pop("text_projection.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="weights are missing, among them text_projection.weight"):
        load(folder)
