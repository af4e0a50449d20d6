"""What a loaded model has to pass before anything is encoded: that its parts belong together and it sees.

A tokenizer of another model, a stub of one, spoiled weights or a tower that is read at the wrong place don't
raise: they give vectors, and a study that is frozen with them. Each check here has one line with its reason.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from common.errors import UserError
from common.heavy import torch

TEXTS = ("a dog", "two people sit at a small table and eat a pizza with a lot of cheese on it")
FEWEST_TOKENS = 10  # a tokenizer without its files is made of special tokens alone
SAME = 1e-5  # largest difference of two rows that should be equal: batches move their last bits
LEGACY_END = 2  # CLIP's configurations of old name 2, and its tower then reads the largest id


def check_weights(model, name: str) -> None:
    """Refuse weights that are not finite; every vector would be NaN, or nonsense."""
    spoiled = next((key for key, rows in model.named_parameters() if not torch.isfinite(rows).all()), None)
    if spoiled:
        raise UserError(f"{name}: its weights are not finite ({spoiled} holds NaN or inf); fetch it again")


def check_tokenizer(model, tokenizer, name: str) -> None:
    """Refuse a tokenizer that is not the model's.

    Its ids are rows of the text tower, it has more than special tokens, and it ends a text with the token at
    which the tower reads it.
    """
    if len(tokenizer) < FEWEST_TOKENS:
        raise UserError(
            f"{name}: its tokenizer knows {len(tokenizer)} tokens, so its files are missing "
            "(tokenizer.json, or vocab.json and merges.txt): fetch it again"
        )
    text = model.config.get_text_config()
    rows, largest = getattr(text, "vocab_size", None), max(tokenizer.get_vocab().values())
    if rows is not None and largest >= rows:
        raise UserError(
            f"{name}: its tokenizer has the token id {largest}, its text tower has {rows} rows: the "
            "tokenizer's files are another model's, or tokens were added to them"
        )
    tower = getattr(model, "text_model", None)
    end = getattr(tower, "eos_token_id", None)  # only of towers that are read at it
    if end not in (None, LEGACY_END) and tokenizer.eos_token_id != end:
        raise UserError(
            f"{name}: its text tower reads a text at the token {end}, its tokenizer ends one with "
            f"{tokenizer.eos_token_id}: the tokenizer's files are another model's"
        )


def check_features(encoder, name: str) -> None:
    """Refuse features that are not what the model itself compares; projected twice they have its shape."""
    pixels = _pixels(encoder, _pictures()[:1])
    try:
        with torch.inference_mode():
            whole = encoder.model(**encoder.tokens(list(TEXTS)), **pixels)
    except Exception as error:  # each family raises its own kinds; all are about the folder's content
        whole, reason = None, str(error).splitlines()[0] if str(error) else type(error).__name__
    theirs = [getattr(whole, field, None) for field in ("image_embeds", "text_embeds")]
    if any(rows is None for rows in theirs):
        kind = type(encoder.model).__name__
        if whole is None:
            raise UserError(
                f"{name}: a {kind} that does not take images and texts together ({reason}): use a CLIP-like "
                "model, with the tokenizer and the image processor that belong to it"
            )
        raise UserError(f"{name}: a {kind} does not score images against texts: use a CLIP-like model")
    ours = (encoder.image_rows(pixels), encoder.encode_texts(list(TEXTS), batch_size=len(TEXTS)))
    for rows, compared in zip(ours, theirs, strict=True):
        compared = torch.nn.functional.normalize(compared.float(), dim=-1)
        if not torch.isfinite(compared).all() or not compared.any():
            raise UserError(
                f"{name}: texts or pictures get no vectors (zero, or not finite): its weights are spoiled, "
                "or the numbers in its preprocessor_config.json are; fetch it again"
            )
        if not torch.allclose(rows, compared, atol=SAME):
            raise UserError(
                f"{name}: a {type(encoder.model).__name__} whose get_image_features() or "
                "get_text_features() does not return the vectors that the model itself compares"
            )


def check_sight(encoder, name: str) -> None:
    """Refuse a model to which two texts or two pictures are one, or one of them is two."""
    first, second, again = encoder.encode_texts([*TEXTS, TEXTS[0]], batch_size=3)
    _check_rows(
        first, second, again, f"{name}: texts", "the tokenizer's files are missing or another model's"
    )
    plain, striped = _pictures()
    first, second, again = encoder.image_rows(_pixels(encoder, [plain, striped, plain]))
    _check_rows(first, second, again, f"{name}: pictures", "see its preprocessor_config.json")


def _check_rows(first, second, again, what: str, cause: str) -> None:
    """Rows (dim,) of two different items and of the first once more."""
    if not torch.isfinite(torch.stack([first, second, again])).all():
        raise UserError(f"{what} get vectors that are not finite: fetch the model again")
    if (first - second).abs().max() < SAME:
        raise UserError(f"{what} that differ get the same vector, which a study can't rest on: {cause}")
    if (first - again).abs().max() > 100 * SAME:
        raise UserError(f"{what} that are equal get different vectors: {cause}")


def _pictures() -> list[Image.Image]:
    """Two pictures that nobody takes for one: a grey gradient, and colored stripes."""
    size = 64
    ramp = np.linspace(0, 255, size, dtype=np.uint8)
    gradient = np.stack([np.tile(ramp, (size, 1))] * 3, axis=2)
    stripes = np.zeros((size, size, 3), dtype=np.uint8)
    stripes[::8], stripes[4::8] = (255, 0, 0), (0, 0, 255)
    return [Image.fromarray(gradient), Image.fromarray(stripes)]


def _pixels(encoder, pictures: list[Image.Image]) -> dict[str, torch.Tensor]:
    """Pictures as the model reads them."""
    return dict(encoder.processor(images=pictures, return_tensors="pt"))
