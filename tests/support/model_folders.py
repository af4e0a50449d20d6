"""Model folders with random weights, written locally: what the real loading code is tested and timed on."""

import json
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    Aimv2Config,
    Aimv2Model,
    AltCLIPConfig,
    AltCLIPModel,
    BertTokenizerFast,
    BlipConfig,
    BlipImageProcessorPil,
    BlipModel,
    ChineseCLIPConfig,
    ChineseCLIPImageProcessorPil,
    ChineseCLIPModel,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizerFast,
    MetaClip2Config,
    MetaClip2Model,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    Tipsv2Config,
    Tipsv2Model,
)
from transformers.utils.logging import disable_progress_bar

disable_progress_bar()

SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
SQUARE = {"height": 32, "width": 32}
WORDS = "a the two three man woman dog cat red blue sits stands on under table street with and of in".split()


def tiny_clip(folder: Path, seed: int = 0) -> Path:
    """A CLIP of some 100,000 parameters: 32 px images, 77 tokens."""
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**text, "image_size": 32, "patch_size": 8}
    return _clip(folder, text, vision, 24, 32, seed, [" ".join(WORDS)])


def full_clip(folder: Path, texts: list[str], seed: int = 0) -> Path:
    """A CLIP of ViT-B/32's full size: 151 million parameters, for speed and memory.

    `texts` are captions for its tokenizer to learn from, so that they come out about as long as CLIP's own.
    """
    text = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8}
    vision = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
    }
    vision |= {"image_size": 224, "patch_size": 32}
    return _clip(folder, text, vision, 512, 224, seed, texts, vocabulary=49408)


def tiny_siglip(folder: Path, seed: int = 0) -> Path:
    """A SigLIP: its text tower reads the last position, so it needs texts padded to the full length."""
    torch.manual_seed(seed)
    tokenizer = _word_tokenizer(length=16, kind=PreTrainedTokenizerFast)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config={
            **size,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 16,
            "projection_size": 32,
        },
        vision_config={**size, "image_size": 32, "patch_size": 8},
    )
    SiglipModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def tiny_siglip_of_the_hub(folder: Path, seed: int = 0) -> Path:
    """A SigLIP laid out as the hub ships it: `SiglipTokenizer` and its spiece.model, no tokenizer.json."""
    import sentencepiece

    folder.mkdir(parents=True)
    text = " ".join(WORDS) + " a red bus and two small dogs on a long street"
    (folder / "text.txt").write_text("\n".join([text] * 20), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"),
        model_prefix=str(folder / "spiece"),
        vocab_size=60,
        hard_vocab_limit=False,
        pad_id=-1,
        bos_id=-1,
        eos_id=1,
        unk_id=2,
        minloglevel=2,
    )
    for name in ("text.txt", "spiece.vocab"):
        (folder / name).unlink()
    torch.manual_seed(seed)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text_config = {**size, "vocab_size": 100, "max_position_embeddings": 16, "projection_size": 32}
    config = SiglipConfig(text_config=text_config, vision_config={**size, "image_size": 32, "patch_size": 8})
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    content = {"tokenizer_class": "SiglipTokenizer", "do_lower_case": True, "model_max_length": 16}
    content |= {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    content["model_input_names"] = ["input_ids"]
    (folder / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def tiny_chinese_clip(folder: Path, seed: int = 0) -> Path:
    """A Chinese-CLIP: a BERT text tower with an attention mask."""
    torch.manual_seed(seed)
    characters = "一二三只个人狗猫红蓝色的坐站在桌子街上下和有"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *WORDS]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=32)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = ChineseCLIPConfig(
        text_config={**size, "vocab_size": len(vocabulary), "max_position_embeddings": 32},
        vision_config={**size, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    ChineseCLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    square = {"height": 32, "width": 32}
    ChineseCLIPImageProcessorPil(size=square, crop_size=square).save_pretrained(folder)
    return folder


def tiny_siglip2(folder: Path, seed: int = 0) -> Path:
    """A SigLIP 2 of fixed resolution: `model_type: siglip`, and Gemma's tokenizer, which keeps capitals."""
    torch.manual_seed(seed)
    n = _gemma_tokenizer(folder)
    text = {**SIZE, "vocab_size": n, "max_position_embeddings": 16, "projection_size": 32}
    vision = {**SIZE, "image_size": 32, "patch_size": 8}
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    SiglipImageProcessorPil(size=SQUARE).save_pretrained(folder)
    return folder


def tiny_siglip2_naflex(folder: Path, seed: int = 0) -> Path:
    """A SigLIP 2 of any resolution: its pictures are lists of patches with a mask."""
    torch.manual_seed(seed)
    n = _gemma_tokenizer(folder)
    text = {**SIZE, "vocab_size": n, "max_position_embeddings": 16, "projection_size": 32}
    vision = {**SIZE, "num_patches": 16, "patch_size": 8}
    Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)).save_pretrained(folder)
    Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16).save_pretrained(folder)
    return folder


def tiny_metaclip2(folder: Path, seed: int = 0) -> Path:
    """A MetaCLIP 2: CLIP with XLM-V's tokenizer, whose end token its tower reads."""
    torch.manual_seed(seed)
    special = _xlm_tokenizer(folder, length=77)
    text = {**SIZE, **special, "max_position_embeddings": 77}
    vision = {**SIZE, "image_size": 32, "patch_size": 8}
    config = MetaClip2Config(text_config=text, vision_config=vision, projection_dim=24)
    MetaClip2Model(config).save_pretrained(folder)
    CLIPImageProcessorPil(crop_size=SQUARE, size={"shortest_edge": 32}).save_pretrained(folder)
    return folder


def tiny_aimv2(folder: Path, seed: int = 0) -> Path:
    """An AIMv2 that was tuned to texts (lit), with CLIP's tokenizer."""
    torch.manual_seed(seed)
    tokenizer = _clip_tokenizer([" ".join(WORDS)])
    text = {**SIZE, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    vision = {**SIZE, "image_size": 32, "patch_size": 8}
    config = Aimv2Config(text_config=text, vision_config=vision, projection_dim=24)
    Aimv2Model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(crop_size=SQUARE, size={"shortest_edge": 32}).save_pretrained(folder)
    return folder


def tiny_altclip(folder: Path, seed: int = 0) -> Path:
    """An AltCLIP: an XLM-R text tower of 514 positions, which was trained on 77 tokens."""
    torch.manual_seed(seed)
    special = _xlm_tokenizer(folder, length=512)
    text = {**SIZE, **special, "max_position_embeddings": 514, "project_dim": 24}
    vision = {**SIZE, "image_size": 32, "patch_size": 8}
    config = AltCLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    AltCLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil(crop_size=SQUARE, size={"shortest_edge": 32}).save_pretrained(folder)
    return folder


def tiny_blip(folder: Path, seed: int = 0) -> Path:
    """A BLIP: a BERT text tower of 512 positions, which was trained on 35 tokens."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder)
    special = {"bos_token_id": 5, "eos_token_id": 2, "sep_token_id": 3, "pad_token_id": 0}
    text = {**SIZE, **special, "vocab_size": len(vocabulary), "encoder_hidden_size": 32}
    # With weights as small as it starts its training from, all pictures are one.
    vision = {**SIZE, "image_size": 32, "patch_size": 8, "initializer_range": 0.5}
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=24)
    BlipModel(config).save_pretrained(folder)
    BlipImageProcessorPil(size=SQUARE).save_pretrained(folder)
    return folder


def tiny_tipsv2(folder: Path, seed: int = 0) -> Path:
    """A TIPSv2, whose image processor transformers has for torchvision alone."""
    torch.manual_seed(seed)
    n = _gemma_tokenizer(folder, kind="Tipsv2Tokenizer")
    text = {**SIZE, "vocab_size": n, "max_position_embeddings": 16}
    vision = {**SIZE, "image_size": 32, "patch_size": 8}
    Tipsv2Model(Tipsv2Config(text_config=text, vision_config=vision)).save_pretrained(folder)
    content = {"image_processor_type": "Tipsv2ImageProcessor", "size": SQUARE}
    (folder / "preprocessor_config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def _gemma_tokenizer(folder: Path, kind: str = "GemmaTokenizer") -> int:
    """Gemma's kind of tokenizer as SigLIP 2's folders hold it: it keeps capitals. Returns its tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?\u2581"
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{n:02X}>" for n in range(256)), *letters]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.add_special_tokens(tokens[:5])
    tokenizer.post_processor = processors.TemplateProcessing("$A <eos>", special_tokens=[("<eos>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    content = {"tokenizer_class": kind, "add_bos_token": False, "add_eos_token": True}
    content |= {"padding_side": "right", "model_input_names": ["input_ids"], "do_lower_case": True}
    content |= {f"{name}_token": f"<{name}>" for name in ("pad", "eos", "bos", "unk")}
    (folder / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")
    return len(tokens)


def _xlm_tokenizer(folder: Path, length: int) -> dict[str, int]:
    """XLM-R's kind of tokenizer, by words; returns what a text tower's configuration says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "\u2581", *(f"\u2581{word}" for word in WORDS)]
    scores = [(token, 0.0 if number < 5 else -float(number)) for number, token in enumerate(tokens)]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    ends = [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=ends)
    tokenizer.add_special_tokens(tokens[:5])
    tokenizer.save(str(folder / "tokenizer.json"))
    content = {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": length}
    content |= {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    content |= {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")
    return {"vocab_size": len(tokens), "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}


def _clip(folder, text, vision, projection_dim, image_size, seed, texts, vocabulary=None) -> Path:
    torch.manual_seed(seed)
    tokenizer = _clip_tokenizer(texts)
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {
        **text,
        **special,
        "pad_token_id": tokenizer.pad_token_id,
        "vocab_size": vocabulary or len(tokenizer),
    }
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=projection_dim)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = {"crop_size": {"height": image_size, "width": image_size}, "size": {"shortest_edge": image_size}}
    CLIPImageProcessorPil(**size).save_pretrained(folder)
    return folder


def _clip_tokenizer(texts: list[str]) -> CLIPTokenizerFast:
    """CLIP's own kind of tokenizer, its merges learned from some texts; any other text is said in bytes."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\w+|[^\s\w]+"), "removed", invert=True),
            pre_tokenizers.ByteLevel(False),
        ]
    )
    learner.train_from_iterator(texts, trainers.BpeTrainer(end_of_word_suffix="</w>", show_progress=False))
    merges = [tuple(merge) for merge in json.loads(learner.to_str())["model"]["merges"]]
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = bytes_ + [byte + "</w>" for byte in bytes_]
    tokens += [left + right for left, right in merges] + ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizerFast(vocab=vocabulary, merges=merges, model_max_length=77)


def _word_tokenizer(length: int, kind):
    """A lower-casing word-piece tokenizer that ends a text with </s> and pads with it, as SigLIP's does."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        special_tokens=["<unk>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)], trainer)
    end = tokenizer.token_to_id("</s>")
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", end)])
    return kind(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        eos_token="</s>",
        pad_token="</s>",
        model_max_length=length,
        model_input_names=["input_ids"],
    )
