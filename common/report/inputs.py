"""Everything that earlier steps wrote and that step 5 works with, read and checked against one cache."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from common import files, probe_results, records, results
from common.errors import UserError, list_rows
from common.labels import manifest, merged
from common.labels.manifest import Manifest
from common.report import earlier, label_inputs
from common.report.label_inputs import Labels
from common.results import Index, Measured, MethodResult
from common.retrieval import meta
from common.retrieval.evaluation import Baseline
from common.settings import shown

BASELINE = "baseline.json"
AGAIN = {step: f"run `python {step}` again" for step in ("main.py", "improve_subset.py", "probe.py")}


class Sources(NamedTuple):
    """All that was read. `labels` is None before step 4, `measured` before step 6."""

    folder: Path  # of results
    failure_dir: Path
    baseline: Baseline
    draw: Manifest | None  # step 2's manifest
    labels: Labels | None
    measured: Measured | None
    notes: list[str]  # what was odd or left out on the way in
    probe: probe_results.Result | None  # None: probe.py, which is optional, did not run on this cache

    @property
    def recall(self) -> float:
        """R@1, text to image, as a share."""
        return self.baseline.text_to_image.r1.value

    @property
    def population(self) -> int:
        """How many captions fail at R@1 in all, of which some were drawn and labeled."""
        n = self.baseline.text_to_image.n
        return n - round(self.recall * n)


def read(cache_dir: Path, failure_dir: Path, result_dir: Path) -> Sources:
    """Everything that earlier steps wrote and that belongs to this cache. Raises UserError."""
    making, notes = find_cache(cache_dir, result_dir)
    folder, failures = meta.own_folder(result_dir, making), meta.own_folder(failure_dir, making)
    baseline = read_baseline(folder)
    cache_id = baseline.cache.fingerprint
    captions = None
    if isinstance(making, meta.Meta):
        captions = making.captions
        if making.fingerprint != cache_id:
            raise UserError(
                f"{shown(folder / BASELINE)} belongs to another cache ({cache_id}) than the one in "
                f"{shown(cache_dir)}/ ({making.fingerprint}): {AGAIN['main.py']}"
            )
    drawn = manifest.read_or_none(failures)
    if drawn is not None and drawn.fingerprint != cache_id:
        notes.append(
            f"{shown(failures)}/ was made from another cache ({drawn.fingerprint}) than {BASELINE} "
            f"({cache_id}): labels may be about other failures than those counted here"
        )
    labels = label_inputs.read(failures, captions)
    measured = read_improvements(folder, cache_id, labels, notes)
    probe = read_probe(folder, cache_id, labels, notes)
    return Sources(folder, failures, baseline, drawn, labels, measured, notes, probe)


def find_cache(cache_dir: Path, result_dir: Path) -> tuple[meta.Making, list[str]]:
    """The cache's meta content or, where there is no cache, as much of it as a baseline.json holds."""
    if meta.find_or_none(cache_dir) is None:
        for folder in meta.places(result_dir):
            if (folder / BASELINE).is_file():
                note = "the cache was not found, so captions were not compared with it"
                return read_baseline(folder).made_with, [note]
    return meta.read(meta.find(cache_dir)), []  # where there is neither, this says what to run


def read_baseline(folder: Path) -> Baseline:
    """Step 1's result."""
    path = folder / BASELINE
    if not path.is_file():
        raise UserError(f"{shown(path)} was not found: run `python main.py` first")
    return records.read(path, Baseline, AGAIN["main.py"])


def read_improvements(
    folder: Path, cache_id: str, labels: Labels | None, notes: list[str]
) -> Measured | None:
    """Step 6's last run, all methods that it lists; None where it is missing or of another cache.

    Appends to `notes` what makes its results doubtful. Raises UserError where a listed file is missing.
    """
    path = folder / results.INDEX
    if not path.is_file():
        return None
    content, again = files.read_json(path), AGAIN["improve_subset.py"]
    is_earlier = earlier.is_earlier(content)
    index = records.parse(content, earlier.Listing if is_earlier else Index, shown(path), again)
    if index.identity.cache != cache_id:
        notes.append(f"{shown(path)} was measured on another cache, so improvements are left out: {again}")
        return None
    missing = [name for name in index.cells if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{shown(path)} lists results that were not found; {again}\n{list_rows(missing)}")
    now = category_of(labels)
    if index.identity.labels != merged.fingerprint(now):
        notes.append(
            "labels were merged again after improvements had been measured: results by category, and of "
            f"category templates, are about the earlier labels. {again.capitalize()}"
        )
    if is_earlier:
        notes.append(f"{earlier.NOTE}. {again.capitalize()} for today's")
        return earlier.measured(folder, index, Counter(now.values()), again)
    methods = [records.read(folder / name, MethodResult, again) for name in index.cells]
    return Measured(index, methods)


def read_probe(
    folder: Path, cache_id: str, labels: Labels | None, notes: list[str]
) -> probe_results.Result | None:
    """What probe.py wrote; None where it is missing or of another cache. Appends to `notes` what is odd."""
    path = folder / probe_results.RESULT
    if not path.is_file():
        return None
    again = AGAIN["probe.py"]
    found = records.read(path, probe_results.Result, again)
    if found.inputs.cache != cache_id:
        notes.append(f"{shown(path)} is of another cache, so the probe is left out: {again}")
        return None
    if found.inputs.labels != merged.fingerprint(category_of(labels)):
        notes.append(
            "labels were merged after the probe had been compared with them: what it says by category is "
            f"about the earlier labels. {again.capitalize()}"
        )
    return found


def category_of(labels: Labels | None) -> dict[int, str]:
    """idx -> category of the labels as they are now."""
    return {} if labels is None else merged.categories([failure.label for failure in labels.failures])
