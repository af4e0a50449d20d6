"""Step 2 as a whole: what is drawn, what the sheets say, and that people's work is never touched."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image

from common import files
from common.annotation import page
from common.labels import sheet_reader, sheets
from common.retrieval import cache, ranking
from tests.support import coco_600, noise_cache, running
from tests.support.running import without_folders

SIZES = {"sample_size": 20, "overlap_size": 5, "per_annotator": 5, "backup_size": 4}
PARTS = {"overlap": 5, "A": 5, "B": 5, "C": 5, "backup": 4}
STEMS = ["assign_overlap", *(f"assign_{name}" for name in ("A", "B", "C", "backup"))]
STEMS += [f"assign_overlap_{name}" for name in "ABC"]


@pytest.fixture(scope="module")
def frozen(tmp_path_factory) -> cache.Cache:
    return cache.load(noise_cache.write(tmp_path_factory.mktemp("frozen")))


def options_for(frozen: cache.Cache, folder: Path, **options) -> list:
    """Options of step 2 on the noise cache with small sizes; those that are named override them."""
    chosen = {"cache_dir": frozen.meta_file, "failure_dir": folder, **SIZES, **options}
    pairs = [(f"--{name.replace('_', '-')}", value) for name, value in chosen.items()]
    return [part for pair in pairs for part in pair]


@pytest.fixture
def run(frozen, tmp_path):
    """Run step 2 on the noise cache: exit status, standard output, standard error."""

    def run_failure(folder: Path = tmp_path / "out", **options) -> running.Run:
        return running.run("failure.py", *options_for(frozen, folder, **options))

    return run_failure


@pytest.fixture(scope="module")
def written(frozen, tmp_path_factory) -> Path:
    """A folder that step 2 has filled from the noise cache; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("written") / "out"
    running.done("failure.py", *options_for(frozen, folder))
    return folder


@pytest.fixture
def out(written, tmp_path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(written, tmp_path / "out"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def csv_rows(path: Path) -> list[dict]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def test_items_are_repeated_on_pages_alone(run, written, tmp_path):
    """Half of five own items is two. Sheets are as they were, and so are their pictures."""
    status, said, _ = run(tmp_path / "out", repeat=2)
    assert status == 0 and "12 items, about 7 minutes" in said
    for path in sorted(written.glob("assign_*.csv")):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    for name in "ABC":
        text = (tmp_path / "out" / f"annotate_{name}.html").read_text(encoding="utf-8")
        data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
        assert sum(item["repeat"] for item in data["items"]) == 2 and len(data["items"]) == 12
    assert json.loads((tmp_path / "out" / "manifest.json").read_bytes())["settings"]["REPEAT"] == 2
    assert "REPEAT" not in json.loads((written / "manifest.json").read_bytes())["settings"]
    status, _, err = run(tmp_path / "more", repeat=3)
    assert status == 2 and "REPEAT = 3: should be 0 to 2, half of PER_ANNOTATOR" in err


def test_a_plan_draws_and_writes_nothing(run, tmp_path):
    status, said, _ = run(tmp_path / "out", plan=True)
    assert status == 0 and not (tmp_path / "out").exists()
    assert said.startswith("Plan: 20 labels of ") and "Next: python failure.py" in said
    assert "Sampled" not in said and len(said.splitlines()) == 7
    status, _, err = run(tmp_path / "out", plan=True, backup_size=100_000)
    assert status == 1 and "failures are to be drawn, but there are" in err


def test_without_torch_it_writes_the_same_bytes(frozen, written, tmp_path):
    """From the ranks that step 1 froze; where an earlier version left none, one line says what to do."""
    again = running.apart("failure.py", *options_for(frozen, tmp_path / "out"), without=("torch",))
    assert (again.status, again.err) == (0, "")
    assert contents(tmp_path / "out") == contents(written)
    earlier = Path(shutil.copytree(frozen.meta_file.parent, tmp_path / "earlier"))
    for path in earlier.glob("ranks_*"):
        path.unlink()
    options = options_for(frozen, tmp_path / "other", cache_dir=earlier)
    status, _, error = running.apart("failure.py", *options, without=("torch",))
    assert status == 1 and error.count("\n") == 1 and not (tmp_path / "other").exists()
    assert "needs a package that is not installed here (torch): run `python main.py" in error


# ---- settings ----


def refused(run, folder: Path, options: dict, message: str) -> int:
    """Run with options that don't fit: one line, nothing written. Returns the exit status."""
    status, _, error = run(folder, **options)
    assert re.search(message.replace("+", r"\+").replace("(", r"\("), error), error
    assert "Traceback" not in error and error.count("\n") == 1
    assert not folder.exists()
    return status


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_size": 21}, "SAMPLE_SIZE = 21, but .* = 5 + 5 x 3 = 20: make the two equal"),
        ({"per_annotator": -5}, "PER_ANNOTATOR = -5: should be 0 or more"),
        ({"sample_size": 0, "overlap_size": 0, "per_annotator": 0}, "SAMPLE_SIZE = 0: should be 1 or more"),
        ({"annotators": "A,a,B"}, "ANNOTATORS = A,a,B: should be different"),
        ({"annotators": "A,B,page"}, "none of them backup, overlap, page"),
        ({"annotators": "A,B,x/y"}, "letters and digits"),
        ({"annotators": ","}, "ANNOTATORS = : should be different"),
        ({"language": "fr"}, "LANGUAGE = fr: should be of en, zh"),
        ({"sample_size": 3005, "per_annotator": 1000}, "1005 items on one page.*At most 750 fit"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_read(run, tmp_path, options, message):
    """Exit status 2, though there is no cache to read."""
    options = {"cache_dir": "/nowhere", **options}
    assert refused(run, tmp_path / "out", options, message) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backup_size": 4000}, "20 + 4000 = 4020 failures are to be drawn, but there are"),
        ({"image_dir": "/nowhere"}, "/nowhere/.* was not found: .*--image-dir"),
        ({"cache_dir": "/nowhere"}, "holds no cache: run `python main.py --cache-dir /nowhere"),
    ],
)
def test_inputs_that_do_not_fit_are_one_line(run, tmp_path, options, message):
    assert refused(run, tmp_path / "out", options, message) == 1


# ---- what is written ----


def test_everything_is_there_and_the_manifest_lists_it(written, frozen):
    found = contents(written)
    manifest = json.loads(found.pop("manifest.json"))
    assert sorted(manifest["files"]) == sorted(found)
    assert manifest["fingerprint"] == frozen.meta.fingerprint and manifest["complete"]
    assert manifest["drawn"] == PARTS
    assert manifest["settings"]["SEED"] == 42
    expected = {f"{stem}{kind}" for stem in STEMS for kind in (".csv", ".xlsx")}
    expected |= {f"annotate_{name}.html" for name in "ABC"} | {"failure_samples.csv"}
    pictures = {name for name in found if name.startswith("vis_")}
    assert set(found) - pictures == expected
    counts = {part: sum(name.startswith(f"vis_{part}/") for name in pictures) for part in PARTS}
    assert counts == PARTS


def check_sheets(folder: Path, frozen: cache.Cache) -> None:
    """Every row of every sheet against the embeddings themselves, and the sheets against one another."""
    img, txt = frozen.img.double().numpy(), frozen.txt.double().numpy()
    samples = {int(row["idx"]): row for row in csv_rows(folder / "failure_samples.csv")}
    seen = {}
    for path in sorted(folder.glob("assign_*.csv")):
        rows = csv_rows(path)
        assert list(rows[0]) == sheets.COLUMNS
        for row in rows:
            idx, gt, pred = int(row["idx"]), int(row["gt_img_idx"]), int(row["pred_img_idx"])
            scores = (img @ txt[idx]).astype(np.float32)
            assert int(scores.argmax()) == pred != gt == frozen.meta.gt_img_index[idx]
            assert files.unguarded(row["caption"]) == frozen.meta.captions[idx]
            assert row["category"] == row["ambiguous_subtype"] == row["note"] == ""
            assert samples[idx]["gt_rank"] == str(int((scores >= scores[gt]).sum()))
            assert float(samples[idx]["margin"]) == pytest.approx(scores[pred] - scores[gt], abs=2e-6)
            assert samples[idx]["gt_file_name"] == frozen.meta.file_names[gt]
            assert int(samples[idx]["caption_id"]) == frozen.meta.caption_ids[idx]
            assert (folder / sheets.picture_path(samples[idx]["part"], idx)).is_file()
        seen[path.stem] = [int(row["idx"]) for row in rows]
        book = openpyxl.load_workbook(path.with_suffix(".xlsx")).worksheets[0]
        values = [list(row) for row in book.iter_rows(min_row=2, values_only=True)]
        assert [row[0] for row in values] == seen[path.stem]
        assert [row[1] for row in values] == [frozen.meta.captions[idx] for idx in seen[path.stem]]
    own = [stem for stem in seen if not stem.startswith("assign_overlap_")]
    together = [idx for stem in own for idx in seen[stem]]
    assert len(together) == len(set(together)) and set(together) == set(samples)
    for stem, rows in seen.items():
        if stem.startswith("assign_overlap_"):
            assert rows == seen["assign_overlap"]


def test_every_row_of_every_sheet_agrees_with_the_embeddings(written, frozen):
    check_sheets(written, frozen)


def test_sheets_hold_nothing_that_could_sway_a_label(written):
    for path in written.glob("assign_*.csv"):
        assert path.read_bytes().startswith(
            b"\xef\xbb\xbfidx,caption,gt_img_idx,pred_img_idx,category,ambiguous_subtype,note\n"
        )
    for item in page_data(written / "annotate_A.html")["items"]:
        assert set(item) == {"idx", "caption", "gt", "pred", "part", "repeat"} and not item["repeat"]


def page_data(path: Path) -> dict:
    """The data block of a page."""
    block = r'<script type="application/json" id="data">(.*?)</script>'
    return json.loads(re.search(block, path.read_text(encoding="utf-8"), re.S)[1])


def test_pictures_are_jpegs_of_the_promised_size(written):
    for path in written.glob("vis_*/*.jpg"):
        assert path.stat().st_size < 150_000
        with Image.open(path) as picture:
            assert picture.format == "JPEG" and picture.width == 1200


def test_provably_ambiguous_captions_are_marked(written, frozen):
    for row in csv_rows(written / "failure_samples.csv"):
        same = frozen.meta.captions.count(frozen.meta.captions[int(row["idx"])])
        assert row["provably_ambiguous"] == str(same > 1)


def test_a_page_holds_shared_and_own_items_in_its_own_order(written):
    orders = {}
    sheet = {stem: [int(row["idx"]) for row in csv_rows(written / f"{stem}.csv")] for stem in STEMS}
    for name in "ABC":
        data = page_data(written / f"annotate_{name}.html")
        orders[name] = [item["idx"] for item in data["items"]]
        assert sorted(orders[name]) == sorted(sheet["assign_overlap"] + sheet[f"assign_{name}"])
        assert {str(item[side]) for item in data["items"] for side in ("gt", "pred")} == set(data["photos"])
    shared = set(sheet["assign_overlap"])
    assert len({tuple(idx for idx in order if idx in shared) for order in orders.values()}) == 3


def test_it_says_what_it_read_and_did(run, frozen, tmp_path):
    status, said, error = run()
    assert status == 0, error
    n = int((ranking.rank(frozen.txt, frozen.img, frozen.gt).rank > 1).sum())
    assert f"failures@1 = {n} of 80 captions ({n / 80:.2%})" in said
    assert "Sampled 24 failures: 5 for everyone, 5 each for A, B, C, 4 backups\n" in said
    ambiguous = [row["provably_ambiguous"] for row in csv_rows(tmp_path / "out" / "failure_samples.csv")]
    assert f"  with a caption that another image also has: {ambiguous.count('True')}\n" in said
    assert "annotation_guide.md" in said and without_folders(said).strip().endswith(
        "python merge_assignments.py"
    )


def test_chinese_pages_and_pictures(run, tmp_path):
    status, said, error = run(language="zh")
    if "no installed font" in error:
        pytest.skip("no Chinese font is installed")
    assert status == 0, error
    assert "annotation_guide_cn.md" in said
    text = (tmp_path / "out" / "annotate_A.html").read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in text and page.TEXTS["zh"]["gt_title"] in text


def test_parts_of_size_zero_are_left_out(run, tmp_path):
    options = {"sample_size": 6, "overlap_size": 0, "per_annotator": 2, "backup_size": 0}
    assert run(**options)[0] == 0
    names = {path.name for path in (tmp_path / "out").glob("assign_*.csv")}
    assert names == {"assign_A.csv", "assign_B.csv", "assign_C.csv"}


# ---- reruns ----


def test_a_rerun_writes_the_same_bytes(run, out):
    before = contents(out)
    assert run(out)[0] == 0
    assert contents(out) == before


def fill_csv(path: Path, column: str, value: str) -> None:
    rows = csv_rows(path)
    rows[1][column] = value
    sheets.write_csv(path, [{**row, "caption": files.unguarded(row["caption"])} for row in rows])


def fill_xlsx(path: Path) -> None:
    book = openpyxl.load_workbook(path)
    book.worksheets[0]["E3"] = "Count"
    book.save(path)


def export_from_page(path: Path) -> None:
    rows = csv_rows(path.with_name("assign_A.csv"))
    rows[0]["category"] = "Object"
    filled = [{**row, "caption": files.unguarded(row["caption"]), "revision": 3} for row in rows]
    files.write_csv(path, [*sheets.COLUMNS, "revision"], filled)


def adjudicate(path: Path) -> None:
    path.write_text(
        "idx,caption,A,B,final_category,final_subtype\n3,a dog,Count,Object,Count,\n", encoding="utf-8-sig"
    )


FILLED = {
    "assign_A.csv": lambda path: fill_csv(path, "category", "Count"),
    "assign_overlap_B.csv": lambda path: fill_csv(path, "ambiguous_subtype", "underspecified"),
    "assign_backup.csv": lambda path: fill_csv(path, "note", "the left image is damaged"),
    "assign_C.xlsx": fill_xlsx,
    "assign_page_A.csv": export_from_page,
    "assign_page_B (1).csv": export_from_page,
    "adjudicate.csv": adjudicate,
    "assign_B.csv": lambda path: path.write_bytes(b"\x00\x01 not a sheet"),
    "~$assign_A.xlsx": lambda path: path.write_bytes(b"owner"),
}


@pytest.mark.parametrize("name", FILLED)
@pytest.mark.parametrize("options", [{}, {"seed": 7, "annotators": "X,Y,Z"}], ids=["same", "other draw"])
def test_what_people_filled_in_survives_every_rerun(run, out, name, options):
    FILLED[name](out / name)
    before = contents(out)
    status, said, error = run(out, **options)
    assert status == 1 and "failures@1" not in said
    assert name in error and "already contains labels or notes, so nothing was written" in error
    assert contents(out) == before


def test_all_filled_sheets_are_listed_with_what_they_hold(run, out):
    fill_csv(out / "assign_A.csv", "category", "Count")
    fill_xlsx(out / "assign_C.xlsx")
    fill_csv(out / "assign_B.csv", "note", "hm")
    _, _, error = run(out)
    for line in ("assign_A.csv: 1 labels", "assign_C.xlsx: 1 labels", "assign_B.csv: 1 notes"):
        assert line in error
    assert "merge_assignments.py" in error and "--failure-dir" in error


def test_blank_sheets_that_a_spreadsheet_saved_are_refreshed(run, out):
    before = contents(out)
    saved = (out / "assign_A.csv").read_bytes().decode("utf-8-sig").replace("\u2013", "-")
    rows = list(csv.reader(io.StringIO(saved, newline="")))
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=";").writerows(rows)
    (out / "assign_A.csv").write_bytes(text.getvalue().encode("cp1252"))
    assert run(out)[0] == 0
    assert contents(out) == before


def test_another_draw_removes_only_what_an_earlier_one_left(run, out):
    (out / "mine.txt").write_text("keep")
    (out / "vis_A" / "mine.jpg").write_text("keep")
    assert run(out, annotators="X,Y,Z", seed=7)[0] == 0
    found = set(contents(out))
    assert {"mine.txt", str(Path("vis_A") / "mine.jpg")} <= found
    assert not [name for name in found if re.search(r"_[ABC]\.|vis_[BC]|vis_A.fail", name)]
    assert not (out / "vis_B").exists()
    manifest = json.loads((out / "manifest.json").read_bytes())
    assert set(manifest["files"]) == found - {"manifest.json", "mine.txt", str(Path("vis_A") / "mine.jpg")}


def test_an_interrupted_run_leaves_a_manifest_of_its_files(run, out, monkeypatch):
    before = contents(out)
    real = sheets.write_xlsx

    def breaks(path, rows, part):
        if path.name == "assign_Y.xlsx":
            raise KeyboardInterrupt
        real(path, rows, part)

    monkeypatch.setattr(sheets, "write_xlsx", breaks)
    status, _, error = run(out, annotators="X,Y,Z")
    assert status == 130 and "stopped" in error
    monkeypatch.setattr(sheets, "write_xlsx", real)
    assert (out / "assign_X.csv").is_file()
    assert run(out)[0] == 0  # back to A, B, C
    assert contents(out) == before


def test_a_manifest_cannot_name_files_outside_the_folder(run, out):
    outside = out.parent / "precious.txt"
    outside.write_text("keep")
    manifest = json.loads((out / "manifest.json").read_bytes())
    manifest["files"] += ["../precious.txt", str(outside)]
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert run(out)[0] == 0
    assert outside.read_text() == "keep"


# ---- photographs ----


def test_all_bad_photographs_are_named_and_nothing_is_written(run, frozen, tmp_path):
    photos = Path(shutil.copytree(frozen.meta.image_folder, tmp_path / "photos"))
    for name in frozen.meta.file_names:
        data = (photos / name).read_bytes()
        (photos / name).write_bytes(data[: len(data) // 2])
    (photos / frozen.meta.file_names[0]).unlink()
    status, _, error = run(image_dir=photos)
    assert status == 1 and "Traceback" not in error
    assert "photographs in" in error and len(re.findall(r"\.png", error)) >= 20
    assert not (tmp_path / "out").exists()


def test_a_character_without_a_font_is_one_line(run, monkeypatch, tmp_path):
    from common.annotation import fonts

    monkeypatch.setattr(fonts, "_font_of", lambda character: None)
    status, _, error = run()
    assert status == 1 and "no installed font has" in error and "apt-get install" in error
    assert not (tmp_path / "out").exists()


# ---- real input ----


@pytest.mark.slow
def test_600_real_photographs(coco_dir, tmp_path):
    meta_file = coco_600.write_cache(coco_dir, tmp_path / "cache")
    said = running.done("failure.py", "--cache-dir", tmp_path / "cache", "--failure-dir", tmp_path / "out")
    assert "failures@1 = 2,228 of 3,000 captions (74.27%)" in said
    check_sheets(tmp_path / "out", cache.load(meta_file))
    assert all(path.stat().st_size < 150_000 for path in tmp_path.rglob("fail_*.jpg"))
    assert all(path.stat().st_size < 25_000_000 for path in tmp_path.rglob("annotate_*.html"))
    assert len(list(tmp_path.rglob("fail_*.jpg"))) == 240


def test_the_bundled_sample_with_the_default_settings(sample_drawn, sample_cache):
    check_sheets(sample_drawn.failures, sample_cache)


def test_labels_by_csv_and_workbook_end_up_equal(out, frozen):
    captions = dict(enumerate(frozen.meta.captions))
    fill_csv(out / "assign_A.csv", "category", "Count")
    fill_xlsx(out / "assign_A.xlsx")
    labels = [
        [(row.cells["idx"], row.cells["category"]) for row in sheet_reader.read(out / name, captions).rows]
        for name in ("assign_A.csv", "assign_A.xlsx")
    ]
    assert labels[0] == labels[1]
    assert labels[0][1][1] == "Count"
