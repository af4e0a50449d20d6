"""Step 2 of 6: draw failures@1 and put them into annotators' hands, as sheets, pictures and pages.

Run:    python failure.py
Reads:  cache/ (the frozen embeddings of step 1) and the photographs that they were made from
Writes: failure_analysis/: failure_samples.csv, assign_*.csv and .xlsx, vis_*/ (pictures), annotate_*.html
        (a page for each annotator), manifest.json
Takes:  half a minute on a laptop
"""

import platform
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import PIL
import torch
from tqdm import tqdm

from common import files, sampling
from common.annotation import fonts, page, pictures
from common.errors import UserError, list_rows, reported
from common.labels import adjudication, sheet_reader, sheets, spellings
from common.labels.taxonomy import LANGUAGES
from common.retrieval import cache, coco, meta, ranking
from common.settings import PROJECT_DIR, override, shown

# ---- settings ----------------------------------------------------------------------------------------------
SAMPLE_SIZE: int = 200  # failures to label: OVERLAP_SIZE + PER_ANNOTATOR x the number of ANNOTATORS
OVERLAP_SIZE: int = 50  # of them labelled by every annotator, which measures agreement
PER_ANNOTATOR: int = 50  # of them labelled by one annotator each
BACKUP_SIZE: int = 40  # further failures, to replace damaged items
ANNOTATORS: list[str] = ["A", "B", "C"]  # short names of letters and digits
SEED: int | None = None  # of the draw; None means the cache's
LANGUAGE: str = "en"  # of pages and pictures: en, zh
CACHE_DIR: str = "cache"  # frozen embeddings; a meta file in it chooses among several
IMAGE_DIR: str | None = None  # photographs; None means where step 1 found them
FAILURE_DIR: str = "failure_analysis"  # everything that this step writes
# ------------------------------------------------------------------------------------------------------------

OVERLAP, BACKUP = "overlap", "backup"
NOT_A_NAME = {OVERLAP, BACKUP, "page"}  # they mean something else in the names of sheets
FILLED = ("category", "ambiguous_subtype")


def check_settings(
    sample_size: int, overlap: int, each: int, backup: int, annotators: list[str], language: str
) -> None:
    """Sizes that add up, names that a file can carry."""
    sizes = {"OVERLAP_SIZE": overlap, "PER_ANNOTATOR": each, "BACKUP_SIZE": backup}
    for name, value in {"SAMPLE_SIZE": sample_size, **sizes}.items():
        if value < (name == "SAMPLE_SIZE"):
            raise UserError(f"{name} = {value}: should be {int(name == 'SAMPLE_SIZE')} or more")
    bad = [name for name in annotators if not re.fullmatch("[A-Za-z0-9]{1,20}", name)]
    bad += [name for name in annotators if name.lower() in NOT_A_NAME]
    if bad or len({name.lower() for name in annotators}) != len(annotators) or not annotators:
        raise UserError(
            f"ANNOTATORS = {','.join(annotators)}: should be different short names of letters and digits, "
            f"none of them {', '.join(sorted(NOT_A_NAME))}"
        )
    total = overlap + each * len(annotators)
    if total != sample_size:
        raise UserError(
            f"SAMPLE_SIZE = {sample_size}, but OVERLAP_SIZE + PER_ANNOTATOR x annotators = "
            f"{overlap} + {each} x {len(annotators)} = {total}: make the two equal"
        )
    if language not in LANGUAGES:
        raise UserError(f"LANGUAGE = {language}: should be {' or '.join(LANGUAGES)}")
    page.photo_bytes(overlap + each)  # raises where a page would grow too large


def draw(failures: np.ndarray, caption_ids: list[int], seed: int) -> list[int]:
    """All failures (idx) in the order in which they are dealt: by SHA-256 of "<seed>:<caption id>"."""
    return sampling.hashed_order(failures, caption_ids, seed).tolist()


def deal(order: list[int], overlap: int, each: int, backup: int, annotators: list[str]) -> dict[str, list]:
    """Part ("overlap", an annotator's name, "backup") -> its failures (idx), dealt from the front.

    Parts of size 0 are left out. Raises UserError where there are fewer failures than asked for.
    """
    sizes = {OVERLAP: overlap, **dict.fromkeys(annotators, each), BACKUP: backup}
    total = sum(sizes.values())
    if total > len(order):
        raise UserError(
            f"SAMPLE_SIZE + BACKUP_SIZE = {total - backup} + {backup} = {total} failures are to be drawn, "
            f"but there are {len(order)}: lower OVERLAP_SIZE, PER_ANNOTATOR or BACKUP_SIZE (and SAMPLE_SIZE)"
        )
    parts, start = {}, 0
    for part, size in sizes.items():
        if size:
            parts[part] = order[start : start + size]
        start += size
    return parts


def describe(parts: dict[str, list], found: ranking.Ranking, frozen: cache.Cache) -> list[dict]:
    """Everything known of each drawn failure: the rows of failure_samples.csv, in the order of the draw."""
    content = frozen.meta
    ambiguous = coco.provably_ambiguous(content.captions, content.gt_img_index)
    rows = []
    for part, drawn in parts.items():
        for idx in drawn:
            gt, pred = content.gt_img_index[idx], int(found.best_other[idx])
            gt_score, pred_score = float(found.positive_score[idx]), float(found.best_other_score[idx])
            cosine = float(frozen.img[gt].double() @ frozen.img[pred].double())
            rows.append(
                {
                    "order": len(rows) + 1,
                    "part": part,
                    "idx": idx,
                    "caption_id": content.caption_ids[idx],
                    "caption": content.captions[idx],
                    "gt_img_idx": gt,
                    "gt_img_id": content.sampled_img_ids[gt],
                    "gt_file_name": content.file_names[gt],
                    "pred_img_idx": pred,
                    "pred_img_id": content.sampled_img_ids[pred],
                    "pred_file_name": content.file_names[pred],
                    "gt_rank": int(found.rank[idx]),
                    "gt_score": f"{gt_score:.6f}",
                    "pred_score": f"{pred_score:.6f}",
                    "margin": f"{pred_score - gt_score:.6f}",
                    "tied": bool(found.tied[idx]),
                    "provably_ambiguous": bool(ambiguous[idx]),
                    "gt_pred_cosine": f"{cosine:.6f}",
                }
            )
    return rows


def refuse_filled(folder: Path, captions: list[str]) -> None:
    """Stop before anything is written where a file of the folder holds a label or a note."""
    known = dict(enumerate(captions))
    filled = []
    for path in sorted(folder.glob("*")):
        name = path.name.lower()
        if name.startswith(("~$assign_", ".~lock.assign_")):
            filled.append(f"{path.name}: a sheet is open in a spreadsheet; close it first")
        elif name.startswith("assign_") or name == adjudication.NAME:
            reason = _held(path, known)
            if reason:
                filled.append(f"{path.name}: {reason}")
    if filled:
        raise UserError(
            f"{shown(folder)}/ holds people's work, so nothing was written:\n{list_rows(filled)}\n"
            "To go on with these labels nothing has to run here: `python merge_assignments.py` reads them. "
            "To draw anew, move the folder's files away or name another one: `--failure-dir <folder>`"
        )


def _held(path: Path, captions: dict[int, str]) -> str:
    """What people have put into a file; "" if it is blank. What can't be read may hold labels."""
    columns = dict(spellings.COLUMN_TABLE)
    if path.name.lower() == adjudication.NAME:  # it has columns of its own for what is decided
        columns = {name: column for name, column in columns.items() if column not in FILLED}
        columns |= {spellings.squeezed(name): column for name, column in adjudication.FINAL.items()}
    try:
        sheet = sheet_reader.read(path, captions, columns)
    except UserError as error:
        return f"can't be read and may hold labels ({error})"
    counts = {
        word: sum(any(row.cells.get(column) for column in fields) for row in sheet.rows)
        for word, fields in (("labels", FILLED), ("notes", ("note",)))
    }
    return ", ".join(f"{n} {word}" for word, n in counts.items() if n)


def find_photographs(image_dir: str | None, content: dict) -> Path:
    """The folder of the photographs. Raises UserError where they aren't those that were encoded."""
    folder = Path(image_dir) if image_dir else PROJECT_DIR / content.image_folder
    way_on = "give the right folder with `--image-dir <folder>`"
    if not folder.is_dir():
        raise UserError(f"{shown(folder)}/, where the cache's photographs were, isn't there: {way_on}")
    encoded, here = (
        content.fingerprints.images,
        coco.images_fingerprint(folder, content.file_names),
    )
    if encoded and here and encoded != here:
        raise UserError(
            f"{shown(folder)}/ holds other photographs than those that were encoded (their sizes differ), "
            f"so labels would be about the wrong ones: {way_on}"
        )
    return folder


def picture_each(rows: list[dict], folder: Path, titles: tuple[str, str]) -> dict[str, bytes]:
    """A side-by-side picture for each row: file name in the failure folder -> JPEG."""
    for row in rows:
        fonts.check(row["caption"], f"the caption of idx {row['idx']}")
    fonts.check(" ".join(titles), "the titles under the pictures")

    def picture(row: dict) -> bytes:
        left, right = folder / row["gt_file_name"], folder / row["pred_file_name"]
        return pictures.side_by_side(left, right, row["caption"], titles)

    keyed = {sheets.picture_path(row["part"], row["idx"]): row for row in rows}
    return _render(keyed, picture, "pictures", folder)


def pages(
    rows: list[dict], annotators: list[str], folder: Path, seed: int, cache_id: str, language: str
) -> dict[str, bytes]:
    """A page for each annotator: file name in the failure folder -> HTML."""
    paged = [row for row in rows if row["part"] != BACKUP]
    most = max(sum(row["part"] in (OVERLAP, annotator) for row in paged) for annotator in annotators)
    limit = page.photo_bytes(most)
    names = {row["gt_img_idx"]: row["gt_file_name"] for row in paged}
    names |= {row["pred_img_idx"]: row["pred_file_name"] for row in paged}
    photos = _render(names, lambda name: pictures.for_page(folder / name, limit), "photographs", folder)
    return {
        f"annotate_{annotator}.html": _page_of(annotator, paged, photos, seed, cache_id, language)
        for annotator in annotators
    }


def _page_of(
    annotator: str, rows: list[dict], photos: dict, seed: int, cache_id: str, language: str
) -> bytes:
    """An annotator's page: the shared items and their own, in an order that is theirs alone.

    Alone, so that tiredness doesn't fall on the same items for everybody.
    """
    mine = [row for row in rows if row["part"] in (OVERLAP, annotator)]
    mine.sort(key=lambda row: sampling.digest(f"{seed}:{annotator}:{row['caption_id']}"))
    items = [
        page.Item(
            row["idx"],
            row["caption"],
            row["gt_img_idx"],
            row["pred_img_idx"],
            OVERLAP if row["part"] == OVERLAP else "own",
        )
        for row in mine
    ]
    needed = sorted({image for item in items for image in (item.gt, item.pred)})
    sample = sampling.digest(f"{cache_id} {[item.idx for item in items]}")[:16]
    return page.html(annotator, items, {image: photos[image] for image in needed}, sample, language)


def _render(keyed: dict, render: Callable, label: str, folder: Path) -> dict:
    """Render each value; all photographs that can't be read are named in one error."""
    rendered, bad = {}, set()
    for key, value in tqdm(keyed.items(), desc=label, disable=None, leave=False):
        try:
            rendered[key] = render(value)
        except (OSError, SyntaxError) as error:  # Pillow reports a broken PNG as a SyntaxError
            missing = isinstance(error, FileNotFoundError)
            bad.add(f"{Path(error.filename).name}: isn't there" if missing else f"{_named(value)}: {error}")
    if bad:
        raise UserError(
            f"{len(bad)} photographs in {shown(folder)}/ can't be used, so nothing was written. Restore "
            f"them, then run the same command again:\n{list_rows(sorted(bad))}"
        )
    return rendered


def _named(value: dict | str) -> str:
    """The photograph, or the two of a row of which one is bad."""
    return value if isinstance(value, str) else f"{value['gt_file_name']} or {value['pred_file_name']}"


def write_all(folder: Path, rows: list[dict], annotators: list[str], rendered: dict, manifest: dict) -> None:
    """Everything, with the manifest first and last: where a run is cut off, it still lists what there can be.

    Files of an earlier draw that this one doesn't have are removed. Sheets among them are blank, or
    `refuse_filled` would have stopped the run.
    """
    stems = sheet_stems(rows, annotators)
    names = [
        "failure_samples.csv",
        *(f"{stem}{kind}" for stem in stems for kind in (".csv", ".xlsx")),
        *rendered,
    ]
    stale = sorted(set(earlier_files(folder)) - set(names))
    files.write_json(folder / "manifest.json", {**manifest, "complete": False, "files": names + stale})
    files.write_csv(folder / "failure_samples.csv", list(rows[0]), rows)
    for stem, part in tqdm(stems.items(), desc="sheets", disable=None, leave=False):
        own = [{name: row.get(name, "") for name in sheets.COLUMNS} for row in rows if row["part"] == part]
        sheets.write_csv(folder / f"{stem}.csv", own)
        sheets.write_xlsx(folder / f"{stem}.xlsx", own, part)
    for name, data in rendered.items():
        files.write_bytes(folder / name, data)
    remove(folder, stale)
    files.write_json(folder / "manifest.json", {**manifest, "complete": True, "files": names})


def sheet_stems(rows: list[dict], annotators: list[str]) -> dict[str, str]:
    """Stem of each sheet -> the part that it holds; the shared part once for all and once for each."""
    parts = dict.fromkeys(row["part"] for row in rows)
    copies = {f"assign_{OVERLAP}_{name}": OVERLAP for name in annotators if OVERLAP in parts}
    return {f"assign_{part}": part for part in parts} | copies


def earlier_files(folder: Path) -> list[str]:
    """What an earlier run wrote here, by its manifest; nothing where there is none that can be read."""
    try:
        return list(map(str, files.read_json(folder / "manifest.json")["files"]))
    except (UserError, OSError, KeyError, TypeError):
        return []


def remove(folder: Path, names: list[str]) -> None:
    """Delete files of the folder, and subfolders that become empty by it."""
    paths = [folder / name for name in names if (folder / name).resolve().is_relative_to(folder.resolve())]
    for path in paths:
        path.unlink(missing_ok=True)
    for emptied in {path.parent for path in paths} - {folder}:
        if emptied.is_dir() and not any(emptied.iterdir()):
            emptied.rmdir()


def manifest_of(frozen: cache.Cache, n_failures: int, parts: dict[str, list], settings: dict) -> dict:
    """Where the folder's files come from; `fingerprint` is the cache's, by which step 4 knows it again."""
    modules = {"torch": torch, "numpy": np, "pillow": PIL, "openpyxl": openpyxl}
    versions = {name: module.__version__ for name, module in modules.items()}
    return {
        "fingerprint": frozen.meta.fingerprint,
        "meta_file": shown(frozen.meta_file),
        "settings": settings,
        "captions": len(frozen.txt),
        "images": len(frozen.img),
        "failures": n_failures,
        "drawn": {part: len(drawn) for part, drawn in parts.items()},
        "versions": {"python": platform.python_version(), **versions},
    }


def say_draw(frozen: cache.Cache, n_failures: int, parts: dict[str, list], rows: list[dict]) -> None:
    """What was read, the headline number, and what was drawn."""
    n = len(frozen.txt)
    print(f"Read {shown(frozen.meta_file)}: {len(frozen.img):,} images, {n:,} captions")
    if frozen.meta.bundled_sample:
        print("  the bundled sample: rendered scenes and a tiny CLIP, for trying every step")
    print(f"failures@1 = {n_failures:,} of {n:,} captions ({n_failures / n:.2%})")
    dealt = ", ".join(f"{len(drawn)} {part}" for part, drawn in parts.items())
    shared = sum(row["provably_ambiguous"] for row in rows)
    print(f"Drew {len(rows)} of them: {dealt} ({shared} have the same caption as another image)")


def say_written(folder: Path, annotators: list[str], language: str) -> None:
    """What was written, and what people do with it."""
    where, guide = shown(folder), {"en": "annotation_guide.md", "zh": "annotation_guide_cn.md"}[language]
    letters = "{" + ",".join(annotators) + "}" if len(annotators) > 1 else annotators[0]
    print(f"Wrote {where}/failure_samples.csv and manifest.json")
    print(f"Wrote {where}/assign_*.csv and the same as .xlsx, with pictures in {where}/vis_*/")
    print(f"Wrote {where}/annotate_{letters}.html")
    print(f"Next: give each annotator {guide} and either the page or the sheets with their pictures.")
    print(f"      Put what comes back (assign_page_*.csv, assign_*) into {where}/, then")
    print("      python merge_assignments.py")


@reported
def main() -> None:
    globals().update(vars(override(globals())))
    check_settings(SAMPLE_SIZE, OVERLAP_SIZE, PER_ANNOTATOR, BACKUP_SIZE, ANNOTATORS, LANGUAGE)
    frozen = cache.load(meta.find(CACHE_DIR))
    content, cache_id = frozen.meta, frozen.meta.fingerprint
    folder = meta.own_folder(FAILURE_DIR, content)
    photographs = find_photographs(IMAGE_DIR, content)
    refuse_filled(folder, content.captions)

    seed = content.seed if SEED is None else SEED
    found = ranking.rank(frozen.txt, frozen.img, content.gt_img_index)
    failures = np.flatnonzero(found.rank > 1)
    order = draw(failures, content.caption_ids, seed)
    parts = deal(order, OVERLAP_SIZE, PER_ANNOTATOR, BACKUP_SIZE, ANNOTATORS)
    rows = describe(parts, found, frozen)
    say_draw(frozen, len(failures), parts, rows)

    # All is rendered before anything is written: a photograph that can't be read leaves no half folder.
    texts = page.TEXTS[LANGUAGE]
    rendered = picture_each(rows, photographs, (texts["gt_title"], texts["pred_title"]))
    rendered |= pages(rows, ANNOTATORS, photographs, seed, cache_id, LANGUAGE)
    sizes = {"SAMPLE_SIZE": SAMPLE_SIZE, "OVERLAP_SIZE": OVERLAP_SIZE, "PER_ANNOTATOR": PER_ANNOTATOR}
    sizes |= {"BACKUP_SIZE": BACKUP_SIZE, "ANNOTATORS": ANNOTATORS, "SEED": seed, "LANGUAGE": LANGUAGE}
    write_all(folder, rows, ANNOTATORS, rendered, manifest_of(frozen, len(failures), parts, sizes))
    say_written(folder, ANNOTATORS, LANGUAGE)


if __name__ == "__main__":
    main()
