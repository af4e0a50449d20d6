"""A model whose parts don't belong together is refused in one line, before anything is encoded."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from common.errors import UserError
from common.retrieval import encoder, models
from tests.support import model_folders


@pytest.fixture
def folder(tiny_clip_folder, tmp_path):
    """A copy of a working CLIP, to spoil."""
    return shutil.copytree(tiny_clip_folder, tmp_path / "model")


def refusal(folder) -> str:
    """The one line that loading a folder ends in."""
    with pytest.raises(UserError) as caught:
        encoder.load(models.locate(str(folder)), "cpu", "float32", [], ["a dog"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(path, **values) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | values), encoding="utf-8")


def spoiled(folder, name: str, change) -> None:
    """Weights of one tensor changed in place."""
    weights = load_file(folder / "model.safetensors")
    change(weights[name])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_the_model_itself_is_taken(folder):
    assert encoder.load(models.locate(str(folder)), "cpu", "float32", [], ["a dog"]).max_length == 77


def test_without_its_tokenizer_files(folder):
    """transformers then makes a tokenizer of special tokens, to which every text of one length is one."""
    for path in [*folder.glob("tokenizer*"), *folder.glob("vocab*"), *folder.glob("merges*")]:
        path.unlink()
    assert "its files are missing" in refusal(folder)


def test_a_token_without_a_row(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["hedgehog"])
    tokenizer.save_pretrained(folder)
    assert "tokens were added" in refusal(folder)


def test_a_text_that_ends_elsewhere_than_the_tower_reads(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["text_config"]["eos_token_id"] = 7
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "reads a text at the token 7" in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["text_projection.weight", "visual_projection.weight"])
def test_weights_that_are_not_finite(folder, name, value):
    spoiled(folder, name, lambda rows: rows[0].fill_(value))
    said = refusal(folder)
    assert "not finite" in said and name in said


def test_texts_that_all_get_one_vector(folder):
    spoiled(folder, "text_model.final_layer_norm.weight", lambda rows: rows.zero_())
    spoiled(folder, "text_model.final_layer_norm.bias", lambda rows: rows.fill_(1.0))
    assert "texts that differ get the same vector" in refusal(folder)


def test_pictures_that_all_get_one_vector(folder):
    spoiled(folder, "vision_model.post_layernorm.weight", lambda rows: rows.zero_())
    spoiled(folder, "vision_model.post_layernorm.bias", lambda rows: rows.fill_(1.0))
    assert "pictures that differ get the same vector" in refusal(folder)


def test_without_an_image_processor(folder):
    for name in models.PROCESSORS:
        (folder / name).unlink(missing_ok=True)
    assert "lacks preprocessor_config.json" in refusal(folder)


def test_an_image_processor_that_nobody_knows(folder):
    changed(folder / "preprocessor_config.json", image_processor_type="NoSuchProcessor")
    assert "not a model that transformers can read" in refusal(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_pointer_of_git_lfs(folder, name):
    (folder / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n")
    assert f"{name} is a pointer of Git LFS" in refusal(folder)


def test_code_of_its_own_is_never_run_or_asked_about(folder, monkeypatch):
    changed(folder / "config.json", model_type="own", auto_map={"AutoModel": "modeling.OwnModel"})
    (folder / "modeling.py").write_text("raise SystemExit('it ran')\n", encoding="utf-8")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    assert "needs Python code that comes with it" in refusal(folder)


def test_siglip_as_the_hub_ships_it(tmp_path):
    """With a sentencepiece model and SigLIP's own tokenizer class."""
    folder = model_folders.tiny_siglip_of_the_hub(tmp_path / "siglip")
    towers = encoder.load(models.locate(str(folder)), "cpu", "float32", [], ["a dog"])
    assert not towers.pad_to_longest, "its tower reads the last position"
    first, second = towers.encode_texts(["a dog", "a red bus"], batch_size=2)
    assert torch.isfinite(first).all() and (first - second).abs().max() > 1e-5


@pytest.mark.parametrize("part", ["text_model", "vision_model", "projection"])
def test_weights_that_are_all_zero(folder, part):
    weights = load_file(folder / "model.safetensors")
    spoilt = {name: rows * 0 if part in name else rows for name, rows in weights.items()}
    save_file(spoilt, folder / "model.safetensors", metadata={"format": "pt"})
    assert "get no vectors (zero, or not finite)" in refusal(folder)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_an_image_processor_that_divides_by_zero(folder):
    changed(folder / "preprocessor_config.json", image_std=[0, 0, 0])
    assert "get no vectors" in refusal(folder) and "preprocessor_config.json" in refusal(folder)


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_weights_of_one_byte_each(folder, kind):
    """transformers reads them as they stand, without the scale that made numbers of them."""
    weights = load_file(folder / "model.safetensors")
    small = {name: (rows * 100).to(kind) if rows.dim() == 2 else rows for name, rows in weights.items()}
    save_file(small, folder / "model.safetensors", metadata={"format": "pt"})
    assert "its weights are quantized" in refusal(folder)


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "one of tomorrow"])
def test_a_configuration_of_quantized_weights(folder, method):
    changed(folder / "config.json", quantization_config={"quant_method": method, "bits": 4})
    assert "its weights are quantized" in refusal(folder)


def test_weights_of_other_shapes_than_the_configuration_says(folder):
    changed(folder / "config.json", projection_dim=99)
    assert "its weights have other shapes than its config.json says" in refusal(folder)


def test_weights_that_are_code(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    assert "holds more than weights, and code from elsewhere is not run" in refusal(folder)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_taken(folder, kind):
    weights = load_file(folder / "model.safetensors")
    small = {name: rows.to(kind) if rows.is_floating_point() else rows for name, rows in weights.items()}
    save_file(small, folder / "model.safetensors", metadata={"format": "pt"})
    assert encoder.load(models.locate(str(folder)), "cpu", "float32", [], ["a dog"]).max_length == 77
