"""The annotation page in a real browser: by keyboard alone, through crashes, with captions that attack it."""

import contextlib
import csv
import io
import json
import re
from pathlib import Path

import openpyxl
import pytest

from common import files
from common.annotation import page
from common.errors import UserError
from common.labels import retest, same_caption, sheet_reader, sheets, spellings
from common.labels.taxonomy import CATEGORIES
from tests.support.annotating import (
    CAPTIONS,
    current,
    done,
    export,
    items,
    labels,
    load,
    photos,
    press,
    said,
    settle,
    until,
)

playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe isn't installed")

WIDE = ((1280, 720), (1024, 768), (768, 1024))


# ---- without a browser ----


def test_the_same_input_gives_the_same_bytes():
    assert page.html("A", items(), photos(), "1", "en") == page.html("A", items(), photos(), "1", "en")


def test_captions_cannot_end_the_data_block():
    text = page.html("A", items(), photos(), "1", "en").decode("utf-8")
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1]
    assert not set("<>&\u2028\u2029") & set(block)
    assert [item["caption"] for item in json.loads(block)["items"]] == list(CAPTIONS.values())
    assert text.count("<script") == 2 and "window.ran" not in text.replace(block, "")


def test_photographs_share_the_room_that_a_page_has():
    assert page.photo_bytes(100) == 75_000
    assert 2 * 400 * page.photo_bytes(400) * 4 / 3 < page.MAX_BYTES
    with pytest.raises(UserError, match="751 items on one page.*At most 750 fit"):
        page.photo_bytes(751)


def test_a_page_that_grows_too_large_is_refused():
    with pytest.raises(UserError, match="annotator A has 26.7 MB, more than 25"):
        page.html("A", items(), {0: bytes(20_000_000)}, "1", "en")


# ---- labeling ----


def test_twenty_items_by_keyboard_alone_across_a_reload(visit, context, tmp_path):
    tab = visit()
    chosen = {}
    for number in range(20):
        if number == 9:
            tab.reload()
            assert done(tab) == 9 and "9" in said(tab)
            tab.keyboard.press("n")
        idx = current(tab)
        label = CATEGORIES[number % 7]
        if label.name == "Ambiguous":
            subtype = ("underspecified", "nearduplicate", "")[number // 7]
            press(tab, label.key + {"underspecified": " u", "nearduplicate": " d", "": " n"}[subtype])
        else:
            subtype = ""
            press(tab, label.key)
        chosen[idx] = (label.name, subtype)
    assert len(chosen) == 20 and done(tab) == 20
    assert "All 20 are labeled" in said(tab)
    press(tab, "Home m")
    tab.keyboard.type('=a note, with 1 2 3 and "quotes"')
    press(tab, "Enter")
    tab.keyboard.type("second line")
    press(tab, "Escape")

    path = export(tab, tmp_path)
    assert path.name == "assign_page_A.csv"
    read = sheet_reader.read(path, CAPTIONS)
    assert read.missing == [] and "utf-8-sig" in read.form
    found = {int(row.cells["idx"]): row.cells for row in read.rows}
    assert {idx: (cells["category"], cells["ambiguous_subtype"]) for idx, cells in found.items()} == chosen
    assert all(same_caption.compare(found[idx]["caption"], text) == "same" for idx, text in CAPTIONS.items())
    assert found[0]["note"] == '=a note, with 1 2 3 and "quotes"\nsecond line'
    assert len({cells["revision"] for cells in found.values()}) == 1
    assert tab.errors == []


def test_captions_come_back_exactly_as_they_were(visit, tmp_path):
    tab = visit()
    rows = list(
        csv.DictReader(io.StringIO(export(tab, tmp_path).read_bytes().decode("utf-8-sig"), newline=""))
    )
    assert list(rows[0]) == [*sheets.COLUMNS, "revision", "seconds"]
    assert {int(row["idx"]): files.unguarded(row["caption"]) for row in rows} == CAPTIONS
    assert not any(row["caption"].startswith(("=", "+", "-", "@", "\t")) for row in rows)
    assert [int(row["gt_img_idx"]) for row in rows] == [idx % 6 for idx in sorted(CAPTIONS)]


def test_captions_show_as_text_and_never_run(visit):
    tab = visit()
    requests = []
    tab.on("request", lambda request: requests.append(request.url))
    for text in CAPTIONS.values():
        assert tab.locator("#caption").text_content() == text
        assert tab.locator("#caption *").count() == 0
        tab.keyboard.press("ArrowRight")
    assert tab.evaluate("window.ran") is None
    assert all(url.startswith(("data:", "blob:", "file:")) for url in requests)
    assert tab.errors == []


def test_the_policy_lets_no_other_script_run(visit):
    tab = visit()
    tab.evaluate(
        """() => { const script = document.createElement("script");
        script.textContent = "window.ran = true"; document.body.append(script); }"""
    )
    assert tab.evaluate("window.ran") is None
    assert any("Content Security Policy" in error for error in tab.errors)


def test_a_subtype_belongs_to_ambiguous(visit):
    tab = visit()
    first = current(tab)
    press(tab, "4 ArrowLeft u")
    assert "press 1 first" in said(tab)
    assert labels(tab)[str(first)]["ambiguous_subtype"] == ""
    press(tab, "1 u ArrowLeft 4")
    assert labels(tab)[str(first)] == {
        "category": "Count",
        "ambiguous_subtype": "",
        "note": "",
        "skipped": False,
    }


def test_skipped_items_come_last(visit):
    tab = visit()
    press(tab, "s s")
    assert current(tab) == 6
    for _ in range(18):
        press(tab, "7")
    assert current(tab) == 0 and done(tab) == 18
    press(tab, "7 7")
    assert done(tab) == 20


def test_undo_takes_back_labels_clears_and_notes(visit):
    tab = visit()
    press(tab, "2 3 z")
    assert current(tab) == 3 and done(tab) == 1
    press(tab, "z")
    assert current(tab) == 0 and done(tab) == 0
    press(tab, "z")
    assert "Nothing to undo" in said(tab)
    press(tab, "5 ArrowLeft x")
    assert done(tab) == 0
    press(tab, "z")
    assert done(tab) == 1
    press(tab, "m")
    tab.keyboard.type("wrong")
    press(tab, "Escape z")
    assert labels(tab)["0"]["note"] == "" and tab.locator("#note").input_value() == ""
    assert done(tab) == 1


def test_a_changed_label_stays_and_a_held_key_labels_one_item(visit):
    tab = visit()
    press(tab, "2 ArrowLeft 3")
    assert current(tab) == 0
    press(tab, "ArrowRight")
    settle(tab)
    tab.keyboard.down("4")
    tab.keyboard.down("4")  # repeats while it is held
    tab.keyboard.down("4")
    tab.keyboard.up("4")
    assert done(tab) == 2


def test_keys_in_a_note_or_switched_off_label_nothing(visit):
    tab = visit()
    press(tab, "m")
    tab.keyboard.type("1234567 nzxe")
    press(tab, "Control+Enter")
    assert done(tab) == 0 and labels(tab)["0"]["note"] == "1234567 nzxe"
    tab.locator("#shortcuts").uncheck()
    press(tab, "4")
    assert done(tab) == 0


def test_a_keyboard_without_latin_letters_works(visit):
    tab = visit()
    settle(tab)
    tab.evaluate(
        """() => { for (const [key, code] of [["&", "Digit1"], ["\u0433", "KeyU"]])
        document.dispatchEvent(new KeyboardEvent("keydown", {key, code, bubbles: true})); }"""
    )
    assert labels(tab)["0"]["ambiguous_subtype"] == "underspecified"


def test_progress_and_time(visit):
    tab = visit()
    press(tab, "2 2 2")
    assert "3 of 20" in tab.locator("#done").text_content()
    assert "shared 2/10, own 1/10" in tab.locator("#parts").text_content()
    until(tab, "state.seconds >= 2")
    assert re.search(r"0:00:0[2-9]", tab.locator("#time").text_content())


def test_photographs_can_be_enlarged_by_key(visit):
    tab = visit()
    press(tab, "g")
    assert tab.locator("#large_dialog").is_visible()
    assert tab.locator("#large_title").text_content() == "Ground truth"
    press(tab, "4")
    assert done(tab) == 0  # no label while the pictures are in the way
    press(tab, "r")
    assert tab.locator("#large_title").text_content() == "Top-1 retrieved"
    press(tab, "r")
    assert not tab.locator("#large_dialog").is_visible()


# ---- what the browser keeps ----


def test_labels_survive_a_closed_tab_and_a_crash(visit, context):
    tab = visit()
    press(tab, "2 3 m")
    tab.keyboard.type("half a no")
    tab.close(run_before_unload=False)
    tab = visit()
    assert done(tab) == 2 and labels(tab)["6"]["note"] == "half a no"
    press(tab, "n 4")
    with tab.expect_event("crash"), contextlib.suppress(playwright.Error):
        tab.goto("chrome://crash")
    assert done(visit()) == 3


def test_pages_of_other_people_or_samples_share_nothing(visit):
    press(visit(), "2 3 4")
    assert done(visit(annotator="B")) == 0
    assert done(visit(sample="2" * 16)) == 0
    assert done(visit(language="zh")) == 3


def test_two_windows_of_one_page_show_the_same(visit):
    one, other = visit(), visit()
    press(one, "2 3")
    until(other, "state.revision === 2")
    assert done(other) == 2 and "another window" in said(other)
    press(other, "n 5")
    until(one, "state.revision === 3")
    assert done(one) == 3


def test_a_browser_that_stores_nothing_is_said(context, visit):
    context.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('full'); }")
    tab = visit()
    press(tab, "2")
    assert "export often" in tab.locator("#trouble").inner_text()
    assert done(tab) == 1


def test_damaged_storage_is_set_aside(visit):
    tab = visit()
    tab.evaluate(
        "localStorage.setItem(data.storage_key, '{broken'); window.removeEventListener('pagehide', save)"
    )
    tab.reload()
    assert "could not be read" in tab.locator("#trouble").inner_text()
    assert tab.evaluate("localStorage.getItem(data.storage_key + ':damaged')") == "{broken"
    assert done(tab) == 0


def test_leaving_with_labels_that_were_not_exported_asks(context, visit, tmp_path):
    tab = visit()
    tab.locator("#help").click()
    press(tab, "Escape")
    asked = []
    tab.on("dialog", lambda dialog: asked.append(dialog.type))
    tab.reload()
    assert asked == []
    press(tab, "2")
    tab.reload()
    assert asked == ["beforeunload"]
    export(tab, tmp_path)
    tab.reload()
    assert asked == ["beforeunload"]


# ---- time and second answers ----


def test_seconds_of_each_item_are_kept_and_exported(visit, tmp_path):
    """The page's own clock ticks once a second while somebody is there; an undone label took its time too."""
    tab = visit()
    tab.evaluate("() => { for (let n = 0; n < 7; n += 1) tick(); }")
    press(tab, "2")
    tab.evaluate("() => { tick(); tick(); lastActivity = 0; tick(); }")  # the last one: nobody is there
    tab.reload()
    spent = {0: tab.evaluate("state.times['0']"), 3: tab.evaluate("state.times['3']")}
    assert spent[0] >= 7 and spent[3] >= 2
    path = export(tab, tmp_path)
    found = {int(row.cells["idx"]): row.cells["seconds"] for row in sheet_reader.read(path, CAPTIONS).rows}
    assert int(found[0]) >= 7 and found[57] == ""
    elsewhere = visit(sample="2" * 16)
    load(elsewhere, path)
    load(elsewhere, path)
    assert elsewhere.evaluate("state.times['0']") == int(found[0])


def test_a_second_showing_has_a_label_of_its_own(visit, tmp_path):
    """Nothing on the page says which item comes again; the export does."""
    again = [item._replace(repeat=True) for item in items() if item.idx in (3, 9)]
    tab = visit(shown=items() + again)
    press(tab, "2 3")
    assert "22" in tab.locator("#position").text_content()
    tab.evaluate("go(20)")
    assert current(tab) == 3 and not tab.locator("[data-category][aria-pressed=true]").count()
    press(tab, "4")
    assert (labels(tab)["3"]["category"], labels(tab)["3 again"]["category"]) == ("Action", "Count")
    press(tab, "z")
    assert labels(tab)["3 again"]["category"] == "" and labels(tab)["3"]["category"] == "Action"
    tab.evaluate("go(20)")
    press(tab, "4")
    tab.reload()
    assert done(tab) == 3
    path = export(tab, tmp_path)
    rows = [row for row in sheet_reader.read(path, CAPTIONS).rows if row.cells["category"]]
    found = [(row.cells["idx"], row.cells["category"], retest.is_repeat(row)) for row in rows]
    assert found == [("0", "Attribute", False), ("3", "Action", False), ("3", "Count", True)]
    elsewhere = visit(sample="2" * 16, shown=items() + again)
    load(elsewhere, path)
    assert labels(elsewhere)["3 again"]["category"] == "Count" and done(elsewhere) == 3
    assert tab.errors == []


# ---- loading ----


def test_an_export_can_be_loaded_elsewhere_and_undone(visit, browser, context, tmp_path):
    tab = visit()
    press(tab, "2 3 1 d m")
    tab.keyboard.type("-1 note")
    press(tab, "Escape")
    path = export(tab, tmp_path)
    revision = tab.evaluate("state.revision")
    elsewhere = visit(sample="2" * 16)
    text = load(elsewhere, path)
    assert "4 labels or notes taken, 0 of them" in text and "16 rows had no label" in text
    kept = {idx: label for idx, label in labels(tab).items() if label["category"] or label["note"]}
    assert labels(elsewhere) == kept
    assert elsewhere.evaluate("state.revision") > revision  # so the later export wins in step 4
    press(elsewhere, "z")
    assert done(elsewhere) == 0 and labels(elsewhere)["9"]["note"] == ""


def test_the_load_key_opens_the_file_chooser(visit, tmp_path):
    tab = visit()
    path = export(tab, tmp_path)
    for _ in range(5):
        # Chromium opens none in the first moments of a page, so a person's second press is tried as well.
        with contextlib.suppress(playwright.TimeoutError), tab.expect_file_chooser(timeout=2000) as chooser:
            tab.keyboard.press("l")
            chooser.value.set_files(path)
            break
    tab.wait_for_selector("#load_dialog[open]")


def hand_filled(path: Path, rows: list[list], delimiter=";", encoding="cp1252") -> Path:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_a_hand_filled_sheet_is_read_but_for_its_bad_rows(visit, tmp_path, encoding):
    tab = visit()
    press(tab, "2")  # idx 0 is Attribute; the sheet says Count
    rows = [["Note", "IDX", "caption", "Category", "subtype"]]
    rows += [["", 0, CAPTIONS[0], " counting / plurality ", ""]]
    rows += [["eh", 33, CAPTIONS[33], "ambiguous", "near duplicate"]]
    rows += [["", 39, CAPTIONS[39], "", ""], ["", 36, "another caption", "Count", ""]]
    rows += [["", 42, CAPTIONS[42], "Counterfeit", ""], ["", 45, CAPTIONS[45], "Count", "underspecified"]]
    rows += [["", 46, "not on this page", "Count", ""], ["", 48, CAPTIONS[48], "Ambiguous", "whatever"]]
    rows += [["", 51, CAPTIONS[51], "Count", ""], ["", 51, CAPTIONS[51], "Object", ""]]
    rows += [["", 21, CAPTIONS[21], "Object", ""], ["", 3, files.guarded(CAPTIONS[3]), "Object", ""]]
    text = load(tab, hand_filled(tmp_path / "assign_A.csv", rows, encoding=encoding))
    assert "5 labels or notes taken, 1 of them in place of another" in text
    assert "6 rows were refused" in text
    for row, reason in {
        5: "idx 36 has another caption",
        6: "idx 42: unknown category “Counterfeit”",
        7: "idx 45: a subtype next to a category that is not Ambiguous",
        8: "idx 46 is not on this page",
        9: "idx 48: unknown subtype “whatever”",
        11: "idx 51 stands twice",
    }.items():
        assert f"row {row}: {reason}" in text
    found = {idx: label["category"] for idx, label in labels(tab).items() if label["category"]}
    assert found == {"0": "Count", "33": "Ambiguous", "51": "Count", "21": "Object", "3": "Object"}
    assert labels(tab)["33"]["ambiguous_subtype"] == "nearduplicate" and labels(tab)["33"]["note"] == "eh"
    press(tab, "z")
    assert {idx for idx, label in labels(tab).items() if label["category"]} == {"0"}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("assign_page_B.csv", b"idx,caption,category\n", "annotator B's"),
        ("assign_overlap_C (1).csv", b"idx,caption,category\n", "annotator C's"),
        ("assign_A.csv", b"PK\x03\x04...", "Save the sheet as CSV"),
        ("assign_A.csv", b"a,b\n1,2\n", "This is no sheet"),
        ("assign_A.csv", b"", "This is no sheet"),
    ],
)
def test_files_that_are_not_this_persons_sheet_are_refused(visit, tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    tab = visit()
    assert message in load(tab, tmp_path / name)
    assert labels(tab) == {} and tab.errors == []


def test_page_and_reader_take_the_same_spellings(visit):
    tab = visit()
    spelled = [
        *spellings.CATEGORY_TABLE,
        "Near-Duplicate",
        " near_duplicate ",
        "Action/Interaction",
        "COUNT.",
    ]
    spelled += [
        "\u201cObject\u201d",
        "\uff23\uff4f\uff55\uff4e\uff54",
        "Spa\u00adtial",
        "Count!",
        "",
        "\u3000",
        "a\u200bb",
    ]
    assert tab.evaluate("(texts) => texts.map(squeezed)", spelled) == list(map(spellings.squeezed, spelled))
    guards = ["=a", "'=a", "''=a", "'tis", "a", "", "\t", "-", "@x", " =1"]
    # Numbers run nothing; dates, versions and two signs are none.
    guards += ["+1", "-0.5", "-2e3", "+.5", "-1.", "+\u0661", "-1e", "+1-1", "--1", "'+1", "-1 ", "+1\n", "+"]
    assert tab.evaluate("(texts) => texts.map(guarded)", guards) == list(map(files.guarded, guards))
    guards += [f"'{text}" for text in guards]
    assert tab.evaluate("(texts) => texts.map(unguarded)", guards) == list(map(files.unguarded, guards))


def test_labels_by_page_csv_and_workbook_end_up_equal(visit, tmp_path):
    tab = visit()
    wanted = {}
    for number, idx in enumerate(CAPTIONS):
        label = CATEGORIES[(3 * number) % 7]
        subtype = "underspecified" if label.name == "Ambiguous" else ""
        press(tab, label.key + (" u" if subtype else ""))
        wanted[idx] = (label.name, subtype)
    rows = [
        {
            "idx": item.idx,
            "caption": item.caption,
            "gt_img_idx": item.gt,
            "pred_img_idx": item.pred,
            "category": wanted[item.idx][0],
            "ambiguous_subtype": wanted[item.idx][1],
        }
        for item in items()
    ]
    sheets.write_csv(tmp_path / "assign_A.csv", rows)
    sheets.write_xlsx(tmp_path / "assign_A.xlsx", [{**row, "category": ""} for row in rows], "A")
    book = openpyxl.load_workbook(tmp_path / "assign_A.xlsx")
    for number, row in enumerate(rows, start=2):
        book.worksheets[0].cell(number, 5).value = row["category"]
    book.save(tmp_path / "assign_A.xlsx")
    for path in (export(tab, tmp_path), tmp_path / "assign_A.csv", tmp_path / "assign_A.xlsx"):
        read = sheet_reader.read(path, CAPTIONS).rows
        found = {
            int(row.cells["idx"]): (row.cells["category"], row.cells["ambiguous_subtype"]) for row in read
        }
        assert found == wanted, path.name


# ---- for everybody ----


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("size", WIDE, ids=lambda size: f"{size[0]}x{size[1]}")
def test_nothing_scrolls_sideways(visit, language, size):
    tab = visit(language=language)
    tab.set_viewport_size({"width": size[0], "height": size[1]})
    for number in range(len(CAPTIONS)):
        width = tab.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1], f"item {number}"
        box = tab.locator("#gt_photo").bounding_box()
        assert box["height"] >= 200 and box["width"] >= 200
        tab.keyboard.press("ArrowRight")


def test_an_item_fits_one_screen_under_a_large_caption(visit):
    tab = visit()
    press(tab, "End")
    assert tab.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
    assert tab.locator("#gt_photo").bounding_box()["height"] > 300
    size = "parseFloat(getComputedStyle(document.querySelector('{}')).fontSize)"
    assert tab.evaluate(size.format("#caption")) >= 2 * tab.evaluate(size.format(".meaning"))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("keys", ["", "1 u", "?", "g"], ids=["plain", "labelled", "help", "enlarged"])
def test_no_serious_accessibility_violation(visit, language, keys):
    tab = visit(language=language)
    press(tab, keys)
    found = axe.Axe().run(tab).response["violations"]
    serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
    assert serious == [], json.dumps(found, indent=1)[:3000]


def test_every_control_is_reached_by_tab_with_a_visible_focus(visit):
    tab = visit()
    every = "[...document.querySelectorAll('button, textarea, input')]"
    controls = tab.evaluate(f"{every}.filter((each) => each.checkVisibility()).length")
    reached = set()
    for _ in range(controls):
        tab.keyboard.press("Tab")
        focused = tab.evaluate(
            """() => { const at = document.activeElement; const style = getComputedStyle(at);
            return [at.id + (at.dataset.category ?? "") + (at.dataset.subtype ?? ""), style.outlineStyle,
                    parseFloat(style.outlineWidth)]; }"""
        )
        reached.add(focused[0])
        assert focused[1] != "none" and focused[2] >= 2, focused
    assert len(reached) == controls >= 20


def test_screen_readers_hear_the_item_and_the_state(visit):
    tab = visit()
    press(tab, "End")
    text = said(tab)
    assert "Item 20 of 20" in text and CAPTIONS[57] in text
    press(tab, "4 End")
    button = tab.get_by_role("button", name=re.compile("Counting"))
    assert button.get_attribute("aria-pressed") == "true"
    for name in ("Caption", "Pictures"):
        assert tab.get_by_role("region", name=name).count() == 1
    for alt in ("Ground truth: the image", "The image that the model ranked first"):
        assert tab.get_by_alt_text(re.compile(alt)).count() == 1
    assert tab.evaluate("document.documentElement.lang") == "en"


def test_captions_carry_their_own_language(visit):
    tab = visit(language="zh")
    press(tab, "End")
    assert tab.locator("#caption").get_attribute("lang") == "en"
    press(tab, "Home ArrowRight ArrowRight ArrowRight")
    assert tab.locator("#caption").get_attribute("lang") == "zh-CN"
