"""The failure folder: what step 2 writes into it, and what it never overwrites."""

from pathlib import Path

from tqdm import tqdm

from common import files, records
from common.errors import UserError, list_rows
from common.labels import adjudication, drawing, file_names, manifest, sheet_reader, sheets, spellings
from common.labels.drawing import Failure
from common.labels.manifest import Design, Manifest
from common.retrieval.meta import Meta
from common.settings import shown

LABELS = ("category", "ambiguous_subtype")


def refuse_filled(folder: Path, captions: list[str]) -> None:
    """Raise UserError, before anything is written, where a handed-in file holds a label or a note.

    Those are all that step 4 names, whether it reads them or not.
    """
    known, found = dict(enumerate(captions)), file_names.find(folder)
    filled = [
        f"{path.relative_to(folder).as_posix()}: a sheet is open in a program; close it first"
        for path in found.opened
    ]
    decided = [path for path in folder.glob("*") if path.name.lower() == adjudication.NAME]
    for path in [*found.sheets, *found.others, *decided]:
        if held := _held(path, known, folder):
            filled.append(f"{path.relative_to(folder).as_posix()}: {held}")
    if filled:
        raise UserError(
            f"{shown(folder)}/ already contains labels or notes, so nothing was written:\n"
            f"{list_rows(filled)}\n"
            "To use them, run `python merge_assignments.py`. To draw a new sample, choose another folder: "
            "`--failure-dir <folder>`"
        )


def _held(path: Path, captions: dict[int, str], folder: Path) -> str:
    """What people have put into a file; "" if it is blank. What can't be read may hold labels."""
    if not path.is_file() or path.suffix.casefold() not in file_names.TABLES:
        return f"may hold labels: it {file_names.why_not_read(path, folder)}"
    is_adjudication = path.name.lower() == adjudication.NAME
    try:
        table = adjudication.COLUMN_TABLE if is_adjudication else spellings.COLUMN_TABLE
        sheet = sheet_reader.read(path, captions, table)
    except UserError as error:
        # A list of assignments is a table too: what is named like a sheet alone has to be one.
        may_hold = file_names.begins(path.name) or is_adjudication
        return f"can't be read and may hold labels ({error})" if may_hold else ""
    counts = {
        word: sum(any(row.cells.get(column) for column in fields) for row in sheet.rows)
        for word, fields in (("labels", LABELS), ("notes", ("note",)))
    }
    return ", ".join(f"{n} {word}" for word, n in counts.items() if n)


def manifest_of(
    meta_file: Path, content: Meta, n_failures: int, parts: dict[str, list[int]], design: Design
) -> Manifest:
    """Where the folder's files come from; `fingerprint` is the cache's, by which step 4 knows it again.

    n_failures: all of the cache, of which `parts` were drawn. `write_all` adds what is written.
    """
    return Manifest(
        fingerprint=content.fingerprint,
        meta_file=shown(meta_file),
        settings=design,
        captions=len(content.captions),
        images=len(content.file_names),
        failures=n_failures,
        drawn={part: len(drawn) for part, drawn in parts.items()},
        versions=files.versions("numpy", "pillow", "openpyxl"),
        complete=False,
        files=[],
    )


def write_all(folder: Path, failures: list[Failure], rendered: dict[str, bytes], made: Manifest) -> None:
    """Everything, with the manifest first and last: where a run is interrupted, it still lists what there
    can be. `rendered`: file name in the folder -> its bytes.

    Files of an earlier draw that this one doesn't have are removed. Sheets among them are blank, or
    `refuse_filled` would have stopped the run.
    """
    stems = _sheet_stems(failures, made.settings.ANNOTATORS)
    sheet_names = [f"{stem}{kind}" for stem in stems for kind in (".csv", ".xlsx")]
    names = [drawing.SAMPLES, *sheet_names, *rendered]
    stale = sorted(set(_earlier_files(folder)) - set(names))
    manifest.write(folder, records.replace(made, complete=False, files=names + stale))
    drawing.write_samples(folder / drawing.SAMPLES, failures)
    for stem, part in tqdm(stems.items(), desc="sheets", disable=None, leave=False):
        # Only what a sheet shows: ranks and scores could sway a label.
        own = [failure for failure in failures if failure.part == part]
        rows = [{name: getattr(failure, name) for name in sheets.ITEM} for failure in own]
        sheets.write_csv(folder / f"{stem}.csv", rows)
        sheets.write_xlsx(folder / f"{stem}.xlsx", rows, part)
    for name, data in rendered.items():
        files.write_bytes(folder / name, data)
    _remove(folder, stale)
    manifest.write(folder, records.replace(made, complete=True, files=names))


def _sheet_stems(failures: list[Failure], annotators: list[str]) -> dict[str, str]:
    """Stem of each sheet -> the part that it holds; the shared part once for all and once for each."""
    parts = dict.fromkeys(failure.part for failure in failures)
    shared = sheets.OVERLAP
    copies = {f"assign_{shared}_{name}": shared for name in annotators if shared in parts}
    return {f"assign_{part}": part for part in parts} | copies


def _earlier_files(folder: Path) -> list[str]:
    """What an earlier run wrote here, by its manifest; nothing where there is none that can be read."""
    try:
        earlier = manifest.read_or_none(folder)
    except (UserError, OSError):
        return []
    return earlier.files if earlier else []


def _remove(folder: Path, names: list[str]) -> None:
    """Delete files of the folder, and subfolders that become empty by it."""
    # A manifest that somebody edited can name files outside of the folder: those stay.
    paths = [folder / name for name in names if (folder / name).resolve().is_relative_to(folder.resolve())]
    for path in paths:
        path.unlink(missing_ok=True)
    for emptied in {path.parent for path in paths} - {folder}:
        if emptied.is_dir() and not any(emptied.iterdir()):
            emptied.rmdir()
