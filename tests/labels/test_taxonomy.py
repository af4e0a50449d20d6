"""Guides, page and taxonomy say the same: names, keys, definitions, the rule for which label wins."""

import html
import importlib.util
import re
import string

import pytest

from common.annotation import page
from common.labels import spellings, taxonomy
from tests.support import PROJECT

GUIDES = {"en": PROJECT / "annotation_guide.md", "zh": PROJECT / "annotation_guide_cn.md"}
LABELS = (*taxonomy.CATEGORIES, *taxonomy.SUBTYPES)
MARKS = {"en": ("**Use when**", "**Don't use when**"), "zh": ("**适用：**", "**不适用：**")}


def sections(language: str) -> dict[str, str]:
    """Heading -> text of each part of a guide about one label."""
    parts = re.split(r"^(#{2,3}) (.*)$", GUIDES[language].read_text(encoding="utf-8"), flags=re.M)
    return {
        heading: text for mark, heading, text in zip(*[iter(parts[1:])] * 3, strict=True) if mark == "###"
    }


def section(label: taxonomy.Label, language: str) -> tuple[str, str]:
    found = [(h, text) for h, text in sections(language).items() if re.match(rf"{label.name}\b", h)]
    assert len(found) == 1, f"{label.name}: {len(found)} sections"
    return found[0]


def rows(text: str, columns: int) -> list[list[str]]:
    """Cells of the Markdown tables that have so many columns, without their headers."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines if len(line) == columns]
    rulers = {number for number, line in enumerate(cells) if set("".join(line)) <= set("- ")}
    return [line for number, line in enumerate(cells) if number not in rulers and number + 1 not in rulers]


def test_keys_do_not_clash():
    keys = [label.key for label in LABELS] + [key.cap for _, key in page.ACTIONS] + ["m", "g", "r", "h"]
    assert len(set(keys)) == len(keys)
    assert [label.key for label in taxonomy.CATEGORIES] == list("1234567")


def test_precedence_orders_the_clear_categories():
    assert sorted(taxonomy.PRECEDENCE) == sorted(taxonomy.CLEAR_NAMES)


def test_definitions_are_short_and_all_there():
    for label in LABELS:
        assert 20 < len(label.definition) <= 110 and label.definition.endswith(".")
        assert 8 < len(label.chinese_definition) <= 50 and label.chinese_definition.endswith("。")


@pytest.mark.parametrize("language", GUIDES)
@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.name)
def test_guide_explains_each_label_in_the_taxonomys_words(label, language):
    heading, text = section(label, language)
    assert label.long_name in heading and re.search(rf"[ （(](key|按键) {label.key}[)）]", heading)
    if language == "zh":
        assert label.chinese_name in heading
    assert [line[2:] for line in text.splitlines() if line.startswith("> ")] == [label.meaning(language)]
    examples = rows(text, 3)
    assert len(examples) == 2
    assert {example[-1] for example in examples} == {label.name}
    if label in taxonomy.CATEGORIES:
        assert all(mark in text for mark in MARKS[language])


@pytest.mark.parametrize("language", GUIDES)
def test_guide_gives_the_precedence_and_follows_it(language):
    text = GUIDES[language].read_text(encoding="utf-8")
    assert f"**{' → '.join(taxonomy.PRECEDENCE)}**" in text
    reasons = [(label, why) for _, _, label, why in rows(text, 4)]
    assert len(reasons) >= 10
    for label, why in reasons:
        assert label in taxonomy.CATEGORY_NAMES
        named = [name for name in taxonomy.CLEAR_NAMES if re.search(rf"\b{name}\b", why, re.ASCII)]
        if len(named) == 2:
            assert label == min(named, key=taxonomy.PRECEDENCE.index), why


def test_both_guides_hold_the_same_examples():
    def examples(language):
        text = GUIDES[language].read_text(encoding="utf-8")
        found = rows(text, 3) + rows(text, 4)
        return [(re.sub(r"（.*?）", "", row[0]), row[2]) for row in found]

    assert examples("en") == examples("zh")
    assert len(examples("en")) > 30


@pytest.mark.parametrize("language", GUIDES)
def test_guide_names_the_pages_keys_and_files(language):
    text = GUIDES[language].read_text(encoding="utf-8")
    for _, key in page.ACTIONS:
        assert f"`{key.cap}`" in text
    for name in ("annotate_A.html", page.export_name("A"), "assign_overlap_A.csv", "assign_A.csv"):
        assert name in text


@pytest.mark.parametrize("language", taxonomy.LANGUAGES)
def test_page_shows_each_label_in_the_taxonomys_words(language):
    text = html.unescape(page.html("A", [], {}, "0", language).decode("utf-8"))
    visible = text[: text.index('<script type="application/json"')]
    for label in LABELS:
        assert label.title(language) in visible and label.meaning(language) in visible
        assert f"<kbd>{label.key}</kbd> {label.title(language)}" in visible
    titles = {label.name: label.title(language) for label in taxonomy.CATEGORIES}
    assert {"en": ", ", "zh": "、"}[language].join(titles[name] for name in taxonomy.PRECEDENCE) in visible


def test_page_texts_are_complete_in_both_languages():
    def fields(value):
        return {name for _, name, _, _ in string.Formatter().parse(value) if name}

    english, chinese = page.TEXTS["en"], page.TEXTS["zh"]
    assert list(english) == list(chinese)
    for name, text in english.items():
        pairs = zip(text, chinese[name], strict=True) if name == "rules" else [(text, chinese[name])]
        for one, other in pairs:
            assert one and other and fields(one) == fields(other), name


def test_every_name_of_a_label_is_read_back():
    for label in taxonomy.CATEGORIES:
        names = (label.name, label.long_name, label.chinese_name)
        assert {spellings.category(name) for name in names} == {label.name}
    for label in taxonomy.SUBTYPES:
        names = (label.name, label.long_name, label.chinese_name)
        assert {spellings.subtype(name) for name in names} == {label.name}


def test_the_samples_true_labels_follow_the_guides_rule():
    path = PROJECT / "data" / "sample" / "world.py"
    spec = importlib.util.spec_from_file_location("sample_world", path)
    world = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(world)
    assert tuple(world.PRECEDENCE) == taxonomy.PRECEDENCE
    assert sorted(world.CATEGORIES) == sorted(taxonomy.CATEGORY_NAMES)
