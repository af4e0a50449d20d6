"""How the text tower of each family was trained to read a text: a small table with its sources.

A tokenizer's defaults serve other models (Gemma's pads on the left and masks, BERT's reads 512 tokens), and a
folder may lack the lines that override them. All families here were trained on texts padded on the right.
Whether padding can be left out altogether isn't in the table: encoder.py measures that on the tower itself.
"""

from typing import NamedTuple


class Reading(NamedTuple):
    """How a text tower reads a text."""

    length: int | None = None  # tokens; None: as many as it has positions, or as its tokenizer says
    mask: bool | None = None  # whether padding is masked; None: as the tokenizer says, since it can't matter
    lower: bool = False  # trained on texts in lower case, by whatever tokenizer
    side: str | None = "right"  # where padding goes; None: as the tokenizer says
    types: bool | None = False  # whether token types are given; None: as the tokenizer says


UNKNOWN = Reading(side=None, types=None)  # families that are not in the table: the tokenizer's own way

READINGS = {  # model_type of config.json -> how it reads
    # openai/CLIP, clip/clip.py, tokenize(): zeros behind the end token, where a causal tower is read.
    "clip": Reading(),
    # facebookresearch/MetaCLIP: CLIP's tower on XLM-V's tokens, 77 of them (arXiv 2507.22062).
    "metaclip_2": Reading(),
    # apple/aimv2-large-patch14-224-lit: CLIP's tokens, causal; transformers makes the tower so by the mask.
    "aimv2": Reading(mask=True),
    # google-research/big_vision, pp/ops_text.py: lower case, 64 tokens, no mask: the last position is read,
    # padding or not. transformers' convert_siglip_to_hf.py and convert_siglip2_to_hf.py say the same.
    "siglip": Reading(mask=False, lower=True),
    "siglip2": Reading(mask=False, lower=True),
    # FlagAI-Open/FlagAI, examples/AltCLIP: 77 tokens of XLM-R, masked.
    "altclip": Reading(length=77, mask=True),
    # OFA-Sys/Chinese-CLIP, cn_clip/clip/utils.py, tokenize(): 52 tokens; its BERT masks the padding.
    "chinese_clip": Reading(length=52, mask=True),
    # salesforce/BLIP, train_retrieval.py and models/blip_retrieval.py: 35 tokens, masked.
    "blip": Reading(length=35, mask=True),
}


def of(model_type: str | None) -> Reading:
    """How a family reads texts; UNKNOWN for one that is not in the table."""
    return READINGS.get(model_type, UNKNOWN)


def must_lower(model_type: str | None, tokenizer) -> bool:
    """Whether captions have to be put in lower case: the tower knows no other, its tokenizer keeps capitals.

    So it is for SigLIP 2 of fixed resolution, whose folders name Gemma's tokenizer (transformers PR 43101).
    """
    return of(model_type).lower and tokenizer("A Dog").input_ids != tokenizer("a dog").input_ids
