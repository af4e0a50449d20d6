"""The bundled sample as whole studies, which are made once a session: `conftest` has the fixtures."""

import shutil
from pathlib import Path

from tests.support import running, summary_study
from tests.support.folders import Folders

SIMULATOR = "data/sample/simulate_annotators.py"
ERROR_RATES = "0.1,0.2,0.3"
# A small draw, and few methods of each kind.
DRAW = "--sample-size 80 --overlap-size 20 --per-annotator 20 --backup-size 0".split()
METHODS = (
    "--methods prompts,category,nnn,nnn_gallery,tfidf,nnn+words --pooling max --k-templates 2 "
    "--control-size 120 --subset-size 15 --bank-size 400 --device cpu"
).split()


def measured(root: Path) -> Folders:
    """Step 1, in a process of its own: nothing that this one has loaded or set can help it."""
    study = Folders(root)
    status, out, err = running.apart("main.py", *study.options("cache", "result"), "--device", "cpu")
    assert (status, err) == (0, ""), err
    study.said["main.py"] = out
    return study


def drawn(study: Folders) -> Folders:
    """Step 2 with the default settings, its sheets blank, into the study's own folder."""
    study.said["failure.py"] = running.done("failure.py", *study.options("cache", "failure"))
    return study


def other_model(first: Folders, root: Path) -> Path:
    """A second model's cache of the same captions: the first one's, disturbed; returns its meta file."""
    import torch

    from common import records
    from common.retrieval import cache, meta

    frozen = cache.load(meta.find(first.cache))
    noise = torch.randn(frozen.txt.shape, generator=torch.Generator().manual_seed(1))
    txt = torch.nn.functional.normalize(frozen.txt + 0.03 * noise, dim=1)
    return cache.write(root / "other", frozen.img, txt, records.replace(frozen.meta, model="other"))


def whole(first: Folders, root: Path) -> Folders:
    """All steps: the sample labeled with errors, merged, summarized, improved, and summarized again."""
    for name in ("cache", "results"):
        shutil.copytree(first.root / name, root / name)
    study = Folders(root, dict(first.said))
    compare = ["--compare", other_model(first, root)]
    summarize = "summarize_result.py"
    for script, names, *options in [
        ("failure.py", "cache failure", *DRAW),
        (SIMULATOR, "cache failure", "--error-rates", ERROR_RATES),
        ("merge_assignments.py", "cache failure", "--bootstrap-rounds", 200),
        (summarize, "cache failure result"),
        ("improve_subset.py", "cache failure result", *METHODS, *compare),
        ("probe.py", "cache failure result", "--device", "cpu"),
        (summarize, "cache failure result"),
    ]:
        if script == summarize and script in study.said:
            study.said[f"{script}, without improvements"] = study.said[script]
        # This module's runner draws a figure that it has drawn before from memory.
        status, study.said[script], err = summary_study.run(script, *study.options(*names.split()), *options)
        assert status == 0, f"{script}: {err}"
    return study
