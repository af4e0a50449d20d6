"""Packages that take up to seconds to import: each is imported when something in it is first used.

    from common.heavy import torch

So `--help` and a wrong option or setting answer at once, and a step waits for nothing that it doesn't use. A
type in a signature would be a use, so files that import from here begin with
`from __future__ import annotations`, and use nothing of it outside of functions.
"""

import importlib
import sys


class _Later:
    """A module, and those inside it that have to be imported by name."""

    def __init__(self, name: str, *inside: str):
        self._name, self._inside, self._module = name, inside, None

    def __getattr__(self, attribute: str):
        if self._module is None:
            for name in (self._name, *self._inside):
                importlib.import_module(name)
            self._module = sys.modules[self._name]
        return getattr(self._module, attribute)


huggingface_hub = _Later("huggingface_hub", "huggingface_hub.errors")
jinja2 = _Later("jinja2")
matplotlib = _Later("matplotlib", "matplotlib.figure", "matplotlib.font_manager", "matplotlib.ft2font")
openpyxl = _Later("openpyxl", "openpyxl.worksheet.datavalidation")
safetensors = _Later("safetensors")
sklearn_text = _Later("sklearn.feature_extraction.text")
sparse = _Later("scipy.sparse")
stats = _Later("scipy.stats")
torch = _Later("torch")
transformers = _Later("transformers")
