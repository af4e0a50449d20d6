"""manifest.json: what step 2 wrote into a failure folder, from which cache, by which draw."""

from pathlib import Path

from common import records
from common.records import Record

NAME = "manifest.json"


class Design(Record):
    """How failures are drawn and dealt: step 2's settings, under their names there."""

    SAMPLE_SIZE: int  # failures to label
    OVERLAP_SIZE: int  # of them labeled by every annotator
    PER_ANNOTATOR: int  # of them labeled by one annotator each
    BACKUP_SIZE: int  # further failures, to replace damaged items
    ANNOTATORS: list[str]  # short names
    SEED: int  # of the draw; where the setting was None, the cache's
    LANGUAGE: str  # of pages and pictures
    REPEAT: int = 0  # own items that each page shows a second time


class Manifest(Record):
    """Where a failure folder's files come from. The names of the JSON's keys."""

    fingerprint: str  # of the cache: rows and both tensors
    meta_file: str  # of the cache, as a message shows it
    settings: Design
    captions: int  # of the cache
    images: int
    failures: int  # captions whose own image does not come first: the population of the draw
    drawn: dict[str, int]  # part -> failures in it
    versions: dict[str, str]  # package -> version
    complete: bool  # false while files are being written, and where a run was interrupted
    files: list[str]  # everything that was written, or could have been, seen from the folder


def read_or_none(folder: Path) -> Manifest | None:
    """A folder's manifest; None where there is none. Raises UserError where step 2 did not write it."""
    path = folder / NAME
    again = "restore it from a copy, or run `python failure.py` with another --failure-dir"
    return records.read(path, Manifest, again) if path.is_file() else None


def write(folder: Path, manifest: Manifest) -> None:
    """Write a folder's manifest."""
    records.write(folder / NAME, manifest)
