"""Draws that depend on nothing but a seed and each item's own id."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np


def hashed_order(items: Iterable[int], ids: Sequence[int], seed: int) -> np.ndarray:
    """Items in the order of SHA-256 of "<seed>:<id>", ids[item] being an item's id: (n,) int64.

    The first n of it are a random sample of n. Where one item more or less is there (a borderline failure on
    another machine), one place changes; a shuffle would draw an entirely different sample.
    """
    ordered = sorted(map(int, items), key=lambda item: digest(f"{seed}:{ids[item]}"))
    return np.array(ordered, dtype=np.int64)


def digest(text: str) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
