"""Keys on the annotation page as people press them: in haste, twice, one too early, back again.

`Rules` is what guide and help promise, written once more. The page is held to it at each key.
"""

import random

import pytest

from common import files
from common.annotation import page
from common.labels import sheet_reader
from common.labels.taxonomy import AMBIGUOUS, CATEGORIES, SUBTYPES
from tests.support.annotating import (
    CAPTIONS,
    current,
    done,
    export,
    labels,
    press,
    press_at_once,
    said,
    settle,
    until,
)

pytest.importorskip("playwright.sync_api", reason="playwright was not found")

CATEGORY_OF = {label.key: label.name for label in CATEGORIES}
SUBTYPE_OF = {label.key: label.name for label in SUBTYPES}
TITLE_OF = {label.name: label.long_name for label in (*CATEGORIES, *SUBTYPES)}
SEEN = 300  # milliseconds
BLANK = ("", "")
# When each key came, by a clock of this test's own: the item's number changes when another one is shown.
RECORDER = """() => {
  const number = document.getElementById("position");
  window.at = { shown: performance.now(), text: number.textContent };
  new MutationObserver(() => {
    const text = number.textContent;
    if (text !== at.text) Object.assign(at, { shown: performance.now(), text });
  }).observe(number, { childList: true });
  window.addEventListener("keydown", () => {
    at.key = performance.now();
    at.early = justNow(shownAt); at.twice = justNow(tookBackAt);
    at.asked = waiting !== null && justNow(waiting.since);
  }, true);
}"""
SNAPSHOT = """() => ({
  labels: Object.fromEntries(Object.entries(state.labels).map(
    ([idx, label]) => [idx, [label.category, label.ambiguous_subtype]])),
  position: state.position, waits: waiting !== null, early: at.early, twice: at.twice, asked: at.asked,
  seen_for: at.key - at.shown_before, kind: document.getElementById("said").dataset.kind,
  said: document.getElementById("said_text").textContent,
})"""


class Rules:
    """What the guide says that keys do. `press` returns whether the page has to speak up, on yellow."""

    def __init__(self, idx: list[int]):
        self.idx, self.position = idx, 0
        self.labels, self.skipped = dict.fromkeys(idx, BLANK), set()
        self.waiting = None  # "first" or "changed": which label waits for a subtype
        self.past, self.future = [], []

    def press(self, key: str, early: bool, twice: bool, asked: bool) -> bool:
        if key in CATEGORY_OF:
            return self._category(CATEGORY_OF[key], early, asked)
        if key in SUBTYPE_OF:
            return self._subtype(SUBTYPE_OF[key], early)
        if key in ("z", "y"):
            stacks = (self.past, self.future) if key == "z" else (self.future, self.past)
            return twice or self._take_back(*stacks)
        if key == "x":
            return early or (self._here != BLANK and self._change(BLANK))
        if key == "s":
            return early or self._skip()
        if key == "n":
            self._go(self._open())
        elif key == "ArrowLeft" and self.position > 0:
            self._go(self.position - 1)
        elif key == "ArrowRight" and self.position < len(self.idx) - 1:
            self._go(self.position + 1)
        return False

    @property
    def _here(self) -> tuple[str, str]:
        return self.labels[self.idx[self.position]]

    def _go(self, position: int | None) -> None:
        if position is not None:
            self.position, self.waiting = position, None

    def _open(self) -> int | None:
        n = len(self.idx)
        places = [(self.position + 1 + by) % n for by in range(n)]
        places = [place for place in places if self.labels[self.idx[place]] == BLANK]
        fresh = [place for place in places if self.idx[place] not in self.skipped]
        return next(iter(fresh + places), None)

    def _keep(self) -> None:
        idx = self.idx[self.position]
        self.past.append((self.position, idx, self.labels[idx], idx in self.skipped))
        self.future.clear()

    def _change(self, label: tuple[str, str]) -> bool:
        """Label what is shown; the answer is whether there was a label before."""
        self._keep()
        before, idx = self._here, self.idx[self.position]
        self.labels[idx], self.waiting = label, None
        if label != BLANK:
            self.skipped.discard(idx)
        return before != BLANK

    def _category(self, name: str, early: bool, asked: bool) -> bool:
        if self.waiting:
            if asked and name == AMBIGUOUS:
                return False
            self.waiting = None
            self._go(self._open())
            return True
        if early or self._here[0] == name:
            return early
        changed = self._change((name, ""))
        if name == AMBIGUOUS:
            self.waiting = "changed" if changed else "first"
        elif not changed:
            self._go(self._open())
        return changed

    def _subtype(self, name: str, early: bool) -> bool:
        waiting = self.waiting
        if (early and not waiting) or self._here[0] != AMBIGUOUS:
            return True
        if self._here[1] == name:
            return False
        self._change((AMBIGUOUS, name))
        if waiting == "first":
            self._go(self._open())
        return waiting != "first"

    def _skip(self) -> bool:
        if self._here == BLANK:
            self._keep()
            self.skipped.add(self.idx[self.position])
        self._go(self._open())
        return False

    def _take_back(self, source: list, target: list) -> bool:
        if not source:
            return False
        position, idx, label, skipped = source.pop()
        target.append((position, idx, self.labels[idx], idx in self.skipped))
        self.labels[idx] = label
        (self.skipped.add if skipped else self.skipped.discard)(idx)
        self._go(position)
        return True


def bursts(draw: random.Random):
    """Keys that belong together: pressed within some ten milliseconds of one another."""
    category, clear = draw.choice("1234567"), draw.choice("234567")
    yield from draw.choices(
        [
            [category],
            [category, category],  # a double tap
            ["1", draw.choice("ud")],
            ["1", "1", draw.choice("ud"), draw.choice("ud")],
            ["1", clear],  # the second was meant for the next item
            [draw.choice("ud")],  # no label yet
            ["1", "ArrowRight"],
            [clear, "z"],
            ["z", "z", draw.choice("yz")],
            ["ArrowLeft", clear],
            ["ArrowLeft"],
            ["x", "z"],
            ["s", "s"],
            ["n", clear],
            ["ArrowLeft", "ArrowLeft", "x"],
        ],
        weights=[6, 4, 3, 2, 4, 2, 1, 2, 2, 2, 3, 1, 1, 1, 1],
    )


def named(label: tuple[str, str]) -> str:
    return ", ".join(TITLE_OF[name] for name in label if name) or "no label"


def check_key(key: str, rules: Rules, before: dict, after: dict) -> None:
    """One key: the page is where the rules say, and what it changed of a label it says loudly."""
    loud = rules.press(key, after["early"], after["twice"], after["asked"])
    found = {int(idx): tuple(label) for idx, label in after["labels"].items()}
    context = f"{key}: {after['said']!r}"
    assert {idx: found.get(idx, BLANK) for idx in rules.idx} == rules.labels, context
    assert (after["position"], after["waits"]) == (rules.position, bool(rules.waiting)), context
    assert (after["kind"] == "warn") == loud, context
    for idx, label in rules.labels.items():
        was = tuple(before["labels"].get(str(idx), BLANK))
        place = rules.idx.index(idx)
        if was in (label, BLANK):
            continue
        if not (before["waits"] and was[0] == label[0]):  # an awaited subtype completes a label
            assert named(was) in after["said"] and named(label) in after["said"], context
            assert f"tem {place + 1}" in after["said"], context
        if place == before["position"] and key not in "zy" and not before["waits"]:
            assert after["seen_for"] >= SEEN, f"{context} after {after['seen_for']} ms"


def test_two_hundred_hasty_keys_follow_the_guide(visit, tmp_path):
    """Double taps, subtypes at the wrong time, undo, going back: what is exported is what was announced."""
    captions = {2 * k: f"A photograph of {k} dogs." for k in range(60)}
    items = [page.Item(idx, text, idx % 6, 6 + idx % 4, page.OWN) for idx, text in captions.items()]
    tab = visit(shown=items)
    settle(tab)
    tab.evaluate(RECORDER)
    draw, rules, pressed, quick = random.Random(4), Rules(list(captions)), 0, 0
    before = tab.evaluate(SNAPSHOT)
    while pressed < 200:
        for burst in bursts(draw):
            for key in burst:
                tab.wait_for_timeout(draw.choice((0, 5, 30)))
                tab.evaluate("() => { at.shown_before = at.shown; }")
                tab.keyboard.press(key)
                after = tab.evaluate(SNAPSHOT)
                check_key(key, rules, before, after)
                quick += after["early"]
                before, pressed = after, pressed + 1
            tab.wait_for_timeout(draw.choice((0, 320, 320)))
    assert quick > 20 and tab.errors == []
    read = sheet_reader.read(export(tab, tmp_path), captions)
    cells = {int(row.cells["idx"]): row.cells for row in read.rows}
    found = {idx: (row["category"], row["ambiguous_subtype"]) for idx, row in cells.items()}
    assert found == rules.labels and sum(label != BLANK for label in found.values()) > 10
    while "Nothing to undo" not in said(tab):
        press(tab, "z")
    assert done(tab) == 0


# ---- each rule by itself ----


def test_a_key_after_ambiguous_moves_on_and_labels_nothing(visit):
    """Announced, and the Ambiguous label stays; the item that is then in view takes the next key."""
    tab = visit()
    press(tab, "1 4")
    assert labels(tab)["0"]["category"] == AMBIGUOUS and current(tab) == 3 and done(tab) == 1
    assert "Item 1 stays Ambiguous" in said(tab) and "4 labeled nothing" in said(tab)
    assert tab.locator("#said").get_attribute("data-kind") == "warn"
    press(tab, "4")
    assert labels(tab)["3"]["category"] == "Count"


def test_the_page_shows_that_it_waits_for_a_subtype(visit):
    tab = visit()
    press(tab, "1")
    assert "waiting" in tab.locator("#subtypes").get_attribute("class")
    assert "u / d for the subtype" in said(tab) and current(tab) == 0
    press(tab, "d")
    assert "waiting" not in (tab.locator("#subtypes").get_attribute("class") or "")
    assert labels(tab)["0"]["ambiguous_subtype"] == "nearduplicate" and current(tab) == 3


@pytest.mark.parametrize("key", ["u", "d"])
def test_a_subtype_without_ambiguous_says_why_it_does_nothing(visit, key):
    tab = visit()
    press(tab, key)
    assert done(tab) == 0 and current(tab) == 0
    assert "Nothing was labeled" in said(tab) and "press 1 first" in said(tab)


@pytest.mark.parametrize("keys", ["44", "1uu", "ss", "4x", "47", "4s"])
def test_a_second_tap_does_nothing_to_the_next_item(visit, keys):
    tab = visit()
    settle(tab)
    press_at_once(tab, keys)
    assert done(tab) == (0 if keys == "ss" else 1) and current(tab) == 3
    assert "item 2 has only just appeared" in said(tab)
    assert not tab.evaluate("state.labels[3]?.category || state.labels[3]?.skipped")


def test_a_double_click_labels_one_item(visit):
    tab = visit()
    settle(tab)
    tab.locator("[data-category=Count]").dblclick()
    assert done(tab) == 1 and current(tab) == 3


def test_a_changed_label_is_announced_undone_and_redone(visit):
    tab = visit()
    press(tab, "2 ArrowLeft 4")
    assert "Item 1 CHANGED: Attribute Binding → Counting / Plurality" in said(tab)
    press(tab, "x")
    assert "Item 1 CHANGED: Counting / Plurality → no label" in said(tab)
    press(tab, "z")
    assert "Undone. Item 1: no label → Counting / Plurality" in said(tab)
    press(tab, "z")
    assert labels(tab)["0"]["category"] == "Attribute"
    press(tab, "y")
    assert "Done again. Item 1: Attribute Binding → Counting / Plurality" in said(tab)
    press(tab, "1")
    assert "Counting / Plurality → Ambiguous" in said(tab) and "u / d" in said(tab)
    press(tab, "u")
    assert "Ambiguous → Ambiguous, Underspecified caption" in said(tab) and current(tab) == 0
    press(tab, "y")
    assert "Nothing to do again" in said(tab)


def test_without_moving_on_no_label_is_lost_either(visit):
    tab = visit()
    tab.locator("#advance").uncheck()
    press(tab, "1 4")
    assert labels(tab)["0"]["category"] == AMBIGUOUS and "4 changed nothing" in said(tab)
    press(tab, "4")
    assert "CHANGED: Ambiguous → Counting" in said(tab) and current(tab) == 0


# ---- the view ----


def test_the_position_is_one_of_all(visit):
    tab = visit()
    press(tab, "ArrowRight ArrowRight")
    assert tab.locator("#position").text_content() == "item 3 of 20"


def test_definitions_fold_after_ten_labels_and_stay_as_chosen(visit):
    tab = visit()
    compact = "document.body.classList.contains('compact')"
    press(tab, "2 " * 9)
    assert not tab.evaluate(compact)
    press(tab, "2")
    assert tab.evaluate(compact) and "c shows them again" in said(tab)
    tab.reload()
    assert tab.evaluate(compact) and tab.locator("#compact").is_checked()
    press(tab, "c 2 2")
    tab.reload()
    assert not tab.evaluate(compact)  # chosen, whatever has been labeled since
    tab.locator("#compact").check()
    assert tab.evaluate(compact)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_compact_gives_the_pictures_most_of_a_laptop(visit, language):
    """At least 60 % of 1366 x 650, with a caption of two lines and a warning as well."""
    two_lines = "A caption that takes more than one line since somebody wrote all of what could be seen " * 2
    tab = visit(
        language=language,
        shown=[page.Item(0, "A dog.", 0, 6, "own"), page.Item(3, two_lines[:150], 1, 7, "own")],
    )
    tab.set_viewport_size({"width": 1366, "height": 650})
    press(tab, "c")
    for keys in ("1", "4"):
        press(tab, keys)
        for side in ("gt", "pred"):
            assert tab.locator(f"#{side}").bounding_box()["height"] >= 0.6 * 650
        assert tab.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_on_a_phone_what_happened_stays_in_sight(visit):
    tab = visit()
    tab.set_viewport_size({"width": 390, "height": 844})
    settle(tab)
    tab.locator("[data-category=Ambiguous]").click()
    tab.locator("[data-category=Count]").click()
    box = tab.locator("#said_text").bounding_box()
    assert "stays Ambiguous" in said(tab) and box["y"] + box["height"] <= 844
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("caption", "direction"),
    [
        ("כלב גדול עומד כאן 3.", "rtl"),
        ("كلب كبير يقف هنا.", "rtl"),
        ("3 کتاب روی میز است.", "rtl"),
        ("A dog named כלב.", "ltr"),
        ("一只狗。", "ltr"),
    ],
)
def test_a_caption_runs_in_its_own_direction(visit, caption, direction):
    tab = visit(shown=[page.Item(0, caption, 0, 6, page.OWN)])
    assert tab.evaluate("getComputedStyle(document.getElementById('caption')).direction") == direction
    press(tab, "m")
    tab.keyboard.type(caption)
    assert tab.locator("#note").evaluate("(note) => getComputedStyle(note).direction") == direction


# ---- pages of before ----


def test_what_an_older_page_kept_is_restored(visit):
    """Its storage has the same key and form; it knew nothing of redo or of the compact view."""
    tab = visit()
    kept = """{"revision":14,"exported":3,"seconds":62,"position":1,"labels":{
      "0":{"category":"Ambiguous","ambiguous_subtype":"","note":"=x","skipped":false},
      "3":{"category":"Count","ambiguous_subtype":"","note":"","skipped":false},
      "6":{"category":"","ambiguous_subtype":"","note":"","skipped":true}}}"""
    tab.evaluate(
        "(kept) => { window.removeEventListener('pagehide', save);"
        " localStorage.setItem('annotate:' + '1'.repeat(16) + ':A', kept); }",
        kept,
    )
    tab.reload()
    assert done(tab) == 2 and current(tab) == 3 and "Restored 2 labels" in said(tab)
    assert labels(tab)["0"]["note"] == "=x" and labels(tab)["6"]["skipped"]
    press(tab, "n")
    assert current(tab) == 9


def test_an_older_export_is_read_as_before(visit, tmp_path):
    """It guarded numbers, too; both the page and step 4's reader take that off."""
    path = tmp_path / "assign_page_A.csv"
    rows = ["idx,caption,gt_img_idx,pred_img_idx,category,ambiguous_subtype,note,revision"]
    rows += [f"33,{CAPTIONS[33]},3,9,Count,,'+1,7", f"36,{CAPTIONS[36]},0,6,Ambiguous,nearduplicate,'-0.5,7"]
    path.write_bytes(("\ufeff" + "\n".join(rows) + "\n").encode())
    found = {int(row.cells["idx"]): row.cells["note"] for row in sheet_reader.read(path, CAPTIONS).rows}
    assert found == {33: "+1", 36: "-0.5"}
    tab = visit()
    tab.locator("#file").set_input_files(path)
    until(tab, "document.getElementById('load_dialog').open")
    assert labels(tab)["33"] == {"category": "Count", "ambiguous_subtype": "", "note": "+1", "skipped": False}
    tab.keyboard.press("Escape")
    text = export(tab, tmp_path).read_text(encoding="utf-8-sig")
    assert ",Count,,+1,8" in text and files.guarded("+1") == "+1"
