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
import torch
from PIL import Image

import failure
from common import files
from common.annotation import page
from common.errors import UserError
from common.labels import sheet_reader, sheets
from common.retrieval import cache, ranking
from tests.support import coco_600

SIZES = {"sample_size": 20, "overlap_size": 5, "per_annotator": 5, "backup_size": 4}
HOSTILE = [
    "<script>document.title = 'run'</script>",
    '=HYPERLINK("http://example.org","click")',
    "two\nlines, and a \"quote\"; 'single'",
    "caf\u00e9 \u2013 na\u00efve",
]
PARTS = {"overlap": 5, "A": 5, "B": 5, "C": 5, "backup": 4}
STEMS = ["assign_overlap", *(f"assign_{name}" for name in ("A", "B", "C", "backup"))]
STEMS += [f"assign_overlap_{name}" for name in "ABC"]


def write_cache(folder: Path, n_images: int = 40, seed: int = 0) -> Path:
    """A cache of noise photographs and random embeddings, with captions that try to break things."""
    noise = np.random.default_rng(seed)
    torch.manual_seed(seed)
    photos = folder / "photos"
    photos.mkdir(parents=True)
    captions, gt = [], []
    for row in range(n_images):
        pixels = noise.integers(0, 256, (4 + row % 3, 5, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(photos / f"{row:012d}.png")
        for k in range(2):
            hostile = HOSTILE[row % len(HOSTILE)] if k else "photo"
            captions.append(f"{hostile} {row if k else row // 2}")
            gt.append(row)
    img = torch.nn.functional.normalize(torch.randn(n_images, 16), dim=1)
    txt = torch.nn.functional.normalize(img[gt] + 1.2 * torch.randn(len(gt), 16), dim=1)
    content = {
        "seed": 42,
        "num_images": n_images,
        "captions_per_image": 2,
        "model": f"noise-{seed}",
        "revision": "1",
        "processor": "none",
        "dtype": "float32",
        "image_folder": str(photos),
        "bundled_sample": False,
        "fingerprints": {},
        "versions": {},
        "sampled_img_ids": [9000 - row for row in range(n_images)],
        "file_names": [f"{row:012d}.png" for row in range(n_images)],
        "caption_ids": [70000 - 3 * idx for idx in range(len(captions))],
        "captions": captions,
        "gt_img_index": gt,
    }
    return cache.write(folder / "cache", img, txt, content)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory) -> cache.Cache:
    return cache.load(write_cache(tmp_path_factory.mktemp("frozen")))


@pytest.fixture
def run(run_script, frozen, tmp_path):
    """Run step 2 on the noise cache with small sizes: (status, stdout, stderr). Options override them."""

    def run_failure(folder: Path = tmp_path / "out", **options) -> tuple[int, str, str]:
        chosen = {"cache_dir": frozen.meta_file, "failure_dir": folder, **SIZES, **options}
        pairs = [(f"--{name.replace('_', '-')}", value) for name, value in chosen.items()]
        return run_script("failure.py", *(part for pair in pairs for part in pair))

    return run_failure


@pytest.fixture(scope="module")
def written(frozen, tmp_path_factory) -> Path:
    """A folder that step 2 has filled from the noise cache; tests copy it before they change it."""
    import runpy
    import sys

    folder = tmp_path_factory.mktemp("written") / "out"
    options = {"cache_dir": frozen.meta_file, "failure_dir": folder, **SIZES}
    pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in options.items()]
    before, sys.argv = sys.argv, ["failure.py", *(part for pair in pairs for part in pair)]
    try:
        runpy.run_path(failure.__file__, run_name="__main__")
    finally:
        sys.argv = before
    return folder


@pytest.fixture
def out(written, tmp_path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(written, tmp_path / "out"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def csv_rows(path: Path) -> list[dict]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


# ---- the draw ----


def test_draw_hangs_on_each_caption_alone():
    caption_ids = list(range(500, 900))
    failures = np.arange(0, 400, 2)
    order = failure.draw(failures, caption_ids, 42)
    assert sorted(order) == failures.tolist()
    assert failure.draw(failures[::-1], caption_ids, 42) == order
    without = failure.draw(np.delete(failures, [3, 77]), caption_ids, 42)
    gone = set(failures[[3, 77]].tolist())
    assert without == [idx for idx in order if idx not in gone]
    assert failure.draw(failures, caption_ids, 43) != order


def test_draw_is_the_one_that_is_documented():
    """By hand: sha256 of "42:7", "42:8", "42:9" begin 7e..., 7a..., b1..."""
    import hashlib

    digests = {n: hashlib.sha256(f"42:{n}".encode()).hexdigest() for n in (7, 8, 9)}
    assert failure.draw(np.array([0, 1, 2]), [7, 8, 9], 42) == sorted(
        range(3), key=lambda idx: digests[7 + idx]
    )


def test_deal_goes_from_the_front():
    parts = failure.deal(list(range(100)), 3, 2, 4, ["A", "B"])
    assert parts == {"overlap": [0, 1, 2], "A": [3, 4], "B": [5, 6], "backup": [7, 8, 9, 10]}
    assert failure.deal(list(range(9)), 0, 2, 0, ["A"]) == {"A": [0, 1]}


def test_deal_says_how_many_failures_there_are():
    with pytest.raises(UserError, match=r"8 \+ 4 = 12 failures are to be drawn, but there are 11"):
        failure.deal(list(range(11)), 4, 2, 4, ["A", "B"])


@pytest.mark.parametrize("noise", [1e-7, 1e-2])
def test_last_bits_move_one_row_a_flipped_failure(noise):
    """Scores disturbed as another machine would: compare the draw with the one from the undisturbed."""
    torch.manual_seed(3)
    img = torch.nn.functional.normalize(torch.randn(300, 24), dim=1)
    gt = np.repeat(np.arange(300), 5)
    txt = torch.nn.functional.normalize(img[gt] + 1.1 * torch.randn(1500, 24), dim=1)
    caption_ids = list(range(10_000, 11_500))

    def drawn(texts):
        failures = np.flatnonzero(ranking.rank(texts, img, gt).rank > 1)
        order = failure.draw(failures, caption_ids, 42)
        return set(failures.tolist()), failure.deal(order, 50, 50, 40, ["A", "B", "C"])

    failures, parts = drawn(txt)
    disturbed = torch.nn.functional.normalize(txt + noise * torch.randn_like(txt), dim=1)
    failures_2, parts_2 = drawn(disturbed)
    flipped = len(failures ^ failures_2)
    assert noise < 1e-2 or flipped > 3, "the disturbance flips nothing, so the test shows nothing"
    everything, everything_2 = (set().union(*each.values()) for each in (parts, parts_2))
    assert len(everything - everything_2) <= flipped
    for part in parts:
        # A flip moves one row in and one out at each boundary behind it, and comes or goes itself.
        assert len(set(parts[part]) - set(parts_2[part])) <= flipped


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_size": 21}, "SAMPLE_SIZE = 21, but .* = 5 + 5 x 3 = 20: make the two equal"),
        ({"per_annotator": -5}, "PER_ANNOTATOR = -5: should be 0 or more"),
        ({"sample_size": 0, "overlap_size": 0, "per_annotator": 0}, "SAMPLE_SIZE = 0: should be 1 or more"),
        ({"annotators": "A,a,B"}, "ANNOTATORS = A,a,B: should be different"),
        ({"annotators": "A,B,page"}, "none of them backup, overlap, page"),
        ({"annotators": "A,B,x/y"}, "letters and digits"),
        ({"language": "fr"}, "LANGUAGE = fr: should be en or zh"),
        ({"backup_size": 4000}, "20 + 4000 = 4020 failures are to be drawn, but there are"),
        ({"image_dir": "/nowhere"}, "/nowhere/.*isn't there: .*--image-dir"),
        ({"cache_dir": "/nowhere"}, "holds no cache: run `python main.py` first"),
        ({"sample_size": 3005, "per_annotator": 1000}, "1005 items on one page.*At most 750 fit"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(run, tmp_path, options, message):
    status, _, error = run(**options)
    assert status == 1
    assert re.search(message.replace("+", r"\+").replace("(", r"\("), error), error
    assert "Traceback" not in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


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
        assert set(item) == {"idx", "caption", "gt", "pred", "part"}


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


def test_pages_hold_shared_and_own_items_in_an_order_of_their_own(written):
    orders = {}
    sheet = {stem: [int(row["idx"]) for row in csv_rows(written / f"{stem}.csv")] for stem in STEMS}
    for name in "ABC":
        data = page_data(written / f"annotate_{name}.html")
        orders[name] = [item["idx"] for item in data["items"]]
        assert sorted(orders[name]) == sorted(sheet["assign_overlap"] + sheet[f"assign_{name}"])
        assert {str(item[side]) for item in data["items"] for side in ("gt", "pred")} == set(data["photos"])
    shared = set(sheet["assign_overlap"])
    assert len({tuple(idx for idx in order if idx in shared) for order in orders.values()}) == 3


def test_it_says_what_it_read_and_did(run, frozen):
    status, said, error = run()
    assert status == 0, error
    n = int((ranking.rank(frozen.txt, frozen.img, frozen.meta.gt_img_index).rank > 1).sum())
    assert f"failures@1 = {n} of 80 captions ({n / 80:.2%})" in said
    assert "5 overlap, 5 A, 5 B, 5 C, 4 backup" in said
    assert "annotation_guide.md" in said and said.strip().endswith("python merge_assignments.py")


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
    sheets.write_csv(path, [row | {"revision": 3} for row in rows], ("revision",))


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
    assert name in error and "nothing was written" in error
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


def test_another_draw_removes_what_an_earlier_one_left_and_nothing_else(run, out):
    (out / "mine.txt").write_text("keep")
    (out / "vis_A" / "mine.jpg").write_text("keep")
    assert run(out, annotators="X,Y,Z", seed=7)[0] == 0
    found = set(contents(out))
    assert {"mine.txt", str(Path("vis_A") / "mine.jpg")} <= found
    assert not [name for name in found if re.search(r"_[ABC]\.|vis_[BC]|vis_A.fail", name)]
    assert not (out / "vis_B").exists()
    manifest = json.loads((out / "manifest.json").read_bytes())
    assert set(manifest["files"]) == found - {"manifest.json", "mine.txt", str(Path("vis_A") / "mine.jpg")}


def test_a_run_that_is_cut_off_leaves_a_manifest_that_lists_its_files(run, out, monkeypatch):
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


def test_other_photographs_than_those_encoded_are_refused(frozen, tmp_path):
    content = json.loads(json.dumps(frozen.meta))
    content["fingerprints"]["images"] = "0" * 64
    with pytest.raises(UserError, match="other photographs than those that were encoded"):
        failure.find_photographs(None, content)
    assert failure.find_photographs(None, frozen.meta) == Path(frozen.meta.image_folder)


def test_a_character_without_a_font_is_one_line(run, monkeypatch, tmp_path):
    from common.annotation import fonts

    monkeypatch.setattr(fonts, "_font_of", lambda character: None)
    status, _, error = run()
    assert status == 1 and "no installed font has" in error and "apt-get install" in error
    assert not (tmp_path / "out").exists()


# ---- real input ----


@pytest.mark.slow
def test_600_real_photographs(coco_dir, run_script, tmp_path):
    meta_file = coco_600.write_cache(coco_dir, tmp_path / "cache")
    status, said, error = run_script(
        "failure.py", "--cache-dir", tmp_path / "cache", "--failure-dir", tmp_path / "out"
    )
    assert status == 0, error
    assert "failures@1 = 2,228 of 3,000 captions (74.27%)" in said
    check_sheets(tmp_path / "out", cache.load(meta_file))
    assert all(path.stat().st_size < 150_000 for path in tmp_path.rglob("fail_*.jpg"))
    assert all(path.stat().st_size < 25_000_000 for path in tmp_path.rglob("annotate_*.html"))
    assert len(list(tmp_path.rglob("fail_*.jpg"))) == 240


@pytest.mark.slow
def test_the_bundled_sample_with_the_default_settings(sample_cache, run_script, tmp_path):
    status, _, error = run_script(
        "failure.py", "--cache-dir", sample_cache.meta_file, "--failure-dir", tmp_path
    )
    assert status == 0, error
    check_sheets(tmp_path / "sample", sample_cache)


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
