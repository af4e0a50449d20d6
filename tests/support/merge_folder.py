"""A small study for the tests of step 4: a cache's meta file, drawn failures, and sheets to fill in.

Its captions are what a user's dataset can hold: quotes, newlines, words that pandas takes for missing,
first characters that a spreadsheet runs, accents, Chinese, emoji.
"""

import csv
import io
import json
from pathlib import Path

from common import files, records
from common.labels import manifest, sheets
from common.retrieval import meta
from tests.support import running

CAPTIONS = [
    "A man riding a wave on top of a surfboard.",
    'A sign that reads "STOP", seen from below.',
    "Two dogs, one cat; nothing else.",
    "A red bus\non a wet street",
    "  A kitchen with white cabinets  ",
    "None",
    "NA",
    "nan",
    "=SUM(A1:A9) written on a blackboard",
    "- a list that starts with a dash",
    "@home sign above a door",
    "+1 on a jersey",
    "\ta tab before the words",
    "'tis a quote before the words",
    "'=quoted formula",
    "Café crème on a naïve tablecloth",
    "A señor and a Fräulein in Århus",
    "A £5 note beside a 10 € note",
    "一只狗坐在桌子旁边",
    "两个人在吃披萨 and smiling",
    "A face 😀 on a balloon",
    "Is this a question? Yes",
    "A dog",
    "A dog",
    "0042",
    "A tall giraffe",
    "A small boat in the harbour",
    "Three sheep on a hill",
    "A woman holding an umbrella",
    "A clock tower",
    "The same plate of food",
    "A train at a station",
    "A cat sleeping on a laptop",
    "People skiing down a slope",
    "A bowl of oranges",
    "A parked motorcycle",
    "A zebra crossing a road",
    "A bench under a tree",
    "A slice of pizza",
    "A skateboard in the air",
]
N = len(CAPTIONS)
CATEGORIES = ["Ambiguous", "Attribute", "Action", "Count", "Context", "Spatial", "Object"]
# What rater A says of every caption in most tests, subtypes included.
LABELS = {idx: CATEGORIES[idx % 7] for idx in range(N)} | {
    0: ("Ambiguous", "underspecified"),
    7: ("Ambiguous", "nearduplicate"),
}

# What is drawn in most tests: shared items, three people's own, and spare ones.
PARTS = {"overlap": list(range(6)), "A": [6, 7, 8], "B": [9, 10, 11], "C": [12, 13, 14], "backup": [15, 16]}
U, D = ("Ambiguous", "underspecified"), ("Ambiguous", "nearduplicate")


def positive(idx: int) -> int:
    """Row of the image that a caption belongs to: two captions an image."""
    return idx // 2


def predicted(idx: int) -> int:
    """Row of the image that was retrieved in its place."""
    return (idx // 2 + 7) % (N // 2)


def write_cache(folder: Path, captions: list[str] | None = None, **changes) -> Path:
    """A cache's meta file, without tensors: step 4 never opens them."""
    captions = CAPTIONS if captions is None else captions
    content = {
        "seed": 42,
        "num_images": len(captions) // 2,
        "captions_per_image": 2,
        "model": "tiny",
        "revision": None,
        "processor": "none",
        "dtype": "float32",
        "image_folder": "nowhere",
        "bundled_sample": False,
        "fingerprints": {"rows": "", "img": "a" * 64, "txt": "b" * 64},
        "versions": {},
        "sampled_img_ids": [1000 + row for row in range(len(captions) // 2)],
        "file_names": [f"{row:012d}.jpg" for row in range(len(captions) // 2)],
        "caption_ids": list(range(len(captions))),
        "captions": captions,
        "gt_img_index": [positive(idx) for idx in range(len(captions))],
    } | changes
    rows = meta.rows_fingerprint(records.parse(content, meta.Meta, "meta_20_tiny.json", ""))
    content["fingerprints"] |= {"rows": rows}
    path = folder / "meta_20_tiny.json"
    files.write_json(path, content)
    return path


def write_samples(folder: Path, parts: dict[str, list[int]], captions: list[str] | None = None) -> None:
    """failure_samples.csv, with the columns that step 4 reads and some that it doesn't."""
    captions = CAPTIONS if captions is None else captions
    columns = ["order", "part", "idx", "caption_id", "caption", "gt_img_idx", "pred_img_idx", "gt_rank"]
    rows = [
        {"part": part, "gt_rank": 2, "caption_id": idx} | item(idx) | {"caption": captions[idx]}
        for part, drawn in parts.items()
        for idx in drawn
    ]
    files.write_csv(folder / "failure_samples.csv", columns, rows)


def write_manifest(folder: Path, cache: str, failures: int) -> None:
    """manifest.json of a folder that was drawn from `failures` failures of the cache with a fingerprint."""
    names = {"SAMPLE_SIZE": 17, "OVERLAP_SIZE": 6, "PER_ANNOTATOR": 3, "BACKUP_SIZE": 2}
    design = manifest.Design(**names, ANNOTATORS=["A", "B", "C"], SEED=7, LANGUAGE="en")
    made = {"fingerprint": cache, "meta_file": "cache/meta_20_tiny.json", "settings": design}
    sizes = {"captions": N, "images": N // 2, "failures": failures, "drawn": {}}
    content = manifest.Manifest(**made, **sizes, versions={}, complete=True, files=[])
    records.write(folder / manifest.NAME, content)


def write_sheet(path: Path, rows: list[dict]) -> None:
    """A filled sheet or, where rows have a revision, a page's export."""
    of_pages = [name for name in ("revision", "seconds", "repeat") if any(name in row for row in rows)]
    columns = [*sheets.COLUMNS, *of_pages]
    files.write_csv(path, columns, [{name: row.get(name, "") for name in columns} for row in rows])


def item(idx: int) -> dict:
    """The cells of a blank sheet's row."""
    return {
        "idx": idx,
        "caption": CAPTIONS[idx],
        "gt_img_idx": positive(idx),
        "pred_img_idx": predicted(idx),
    }


def filled(labels: dict[int, str | tuple[str, str]], **cells) -> list[dict]:
    """Rows of a sheet: idx -> category, or (category, subtype)."""
    rows = []
    for idx, of in labels.items():
        category, subtype = (of, "") if isinstance(of, str) else of
        rows.append(item(idx) | {"category": category, "ambiguous_subtype": subtype} | cells)
    return rows


def csv_text(rows: list[dict], columns: list[str] = sheets.COLUMNS, delimiter: str = ",", **how) -> str:
    """A sheet as a spreadsheet saves it: quoted where need be, captions as `sheets.write_csv` guards them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=how.pop("lineterminator", "\r\n"), **how)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([files.guarded(str(row.get(column, ""))) for column in columns])
    return text.getvalue()


def table(path: Path) -> list[dict]:
    """Rows of a CSV that step 4 wrote, cells as they are in the file."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, rows: list[dict]) -> None:
    """Rows of `table` as a spreadsheet saves them."""
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def clean(folder: Path) -> dict[int, str | tuple[str, str]]:
    """annotations_clean.csv as idx -> category, or (category, subtype)."""
    return {
        int(row["idx"]): (row["category"], row["ambiguous_subtype"])
        if row["ambiguous_subtype"]
        else row["category"]
        for row in table(folder / "annotations_clean.csv")
    }


def problems(folder: Path) -> list[tuple[str, str, str, str]]:
    """problems.csv as (file, row, column, value)."""
    return [(row["file"], row["row"], row["column"], row["value"]) for row in table(folder / "problems.csv")]


def merge(root: Path, *options) -> running.Run:
    """Run step 4 on root/cache and root/failures."""
    folders = ["--cache-dir", root / "cache", "--failure-dir", root / "failures"]
    return running.run("merge_assignments.py", *folders, *options)


class Folder:
    """A study whose sheets a test fills in and merges."""

    def __init__(self, root: Path):
        self.root, self.path = root, root / "failures"
        write_cache(root / "cache")
        write_samples(self.path, PARTS)

    def fill(self, name: str, labels: dict, **cells) -> None:
        rows = filled(labels, **cells)
        if name.endswith(".xlsx"):
            sheets.write_xlsx(self.path / name, rows, "A")
        else:
            write_sheet(self.path / f"{name}.csv", rows)

    def disputed(self) -> "Folder":
        """Two raters who differ on items 1 and 4 of the overlap, and a picture of one of them."""
        self.fill("assign_overlap_A", {0: "Count", 1: U, 2: "Object", 3: "Action", 4: "Spatial"})
        self.fill("assign_overlap_B", {0: "Count", 1: "Object", 2: "Object", 3: "Action", 4: "Context"})
        (self.path / "vis_overlap").mkdir()
        (self.path / "vis_overlap" / "fail_1.jpg").write_bytes(b"")
        return self

    def merge(self, *options) -> running.Run:
        return merge(self.root, "--bootstrap-rounds", 50, *options)

    def merged(self, *options) -> str:
        status, out, err = self.merge(*options)
        assert (status, err) == (0, "")
        return out

    def table(self, name: str) -> list[dict]:
        return table(self.path / name)

    def clean(self) -> dict:
        return clean(self.path)

    def decided(self) -> dict[int, str]:
        return {int(row["idx"]): row["decided"] for row in self.table("annotations_clean.csv")}

    def edit(self, name: str, idx: int, /, **cells) -> None:
        """Fill in cells of a row as a person would, in a file that step 4 wrote."""
        rows = self.table(name)
        for row in rows:
            if row["idx"] == str(idx):
                row.update(cells)
        write_table(self.path / name, [dict.fromkeys(rows[0] | cells, "") | row for row in rows])

    def snapshot(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.path.glob("*.*")}

    def report(self) -> dict:
        """agreement.json."""
        return json.loads((self.path / "agreement.json").read_text(encoding="utf-8"))
