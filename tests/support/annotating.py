"""An annotation page of twenty hostile captions, and what a person does on it by keyboard."""

import io
from pathlib import Path

from PIL import Image

from common.annotation import page

HOSTILE = [
    "<script>window.ran = true</script></script><img src=x onerror='window.ran = true'>",
    '=HYPERLINK("http://example.org","click")',
    "two\nlines, \"quoted\"; 'single' & ampersand\n",
    "一只狗坐在红色的沙发上，旁边有两只猫。",
    "a dog \U0001f436 and a family \U0001f468\u200d\U0001f469\u200d\U0001f467 on a beach",
    "-1 {{ 7 * 7 }} {% raw %} ${window.ran = true} \u2028 \u2029 <!-- -->",
    "\tstarts with a tab",
    "'=quoted already",
    "None",
    "x" * 900,
    " ".join(["a caption that goes on"] * 40),
    "caf\u00e9 \u2013 na\u00efve",
]
CAPTIONS = {3 * k: HOSTILE[k] if k < len(HOSTILE) else f"A photograph of {k} dogs." for k in range(20)}


def items() -> list[page.Item]:
    parts = ("overlap", "own")
    return [page.Item(idx, text, idx % 6, 6 + idx % 4, parts[idx % 2]) for idx, text in CAPTIONS.items()]


def photos() -> dict[int, bytes]:
    made = {}
    for row in range(10):
        data = io.BytesIO()
        size = (96, 96) if row % 2 else (320, 240)
        Image.new("RGB", size, (20 * row, 200 - 15 * row, 90)).save(data, "JPEG")
        made[row] = data.getvalue()
    return made


def press(tab, keys: str) -> None:
    """Press keys as somebody does who looks at each item first."""
    for key in keys.split():
        settle(tab)
        tab.keyboard.press(key)


def press_at_once(tab, keys: str) -> None:
    """Press keys in one moment of the page's clock, however busy the machine is."""
    tab.evaluate("() => { const now = performance.now(); performance.now = () => now; }")
    for key in keys:
        tab.keyboard.press(key)
    tab.evaluate("() => { delete performance.now; }")


def settle(tab) -> None:
    """Wait until the item is on the screen, and let it have been there for long enough."""
    until(tab, "shownAt < Infinity", every=10)
    tab.evaluate("() => { shownAt = tookBackAt = -Infinity; }")


def until(tab, expression: str, every: int = 100) -> None:
    """Wait until something is true. (Playwright's own way needs eval, which the page forbids.)"""
    for _ in range(100):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(every)
    raise AssertionError(f"never came true: {expression}")


def said(tab) -> str:
    return tab.locator("#said").text_content()


def done(tab) -> int:
    return int(
        tab.locator("#bar").get_attribute("value") or tab.evaluate("document.querySelector('#bar').value")
    )


def current(tab) -> int:
    """The idx that is shown."""
    return tab.evaluate("data.items[state.position].idx")


def labels(tab) -> dict:
    return tab.evaluate("state.labels")


def export(tab, folder: Path) -> Path:
    with tab.expect_download() as caught:
        tab.keyboard.press("e")
    path = folder / caught.value.suggested_filename
    caught.value.save_as(path)
    return path


def load(tab, path: Path) -> str:
    """Load a sheet as if it had been chosen after the `l` key; returns what the page says of it."""
    tab.locator("#file").set_input_files(path)
    tab.wait_for_selector("#load_dialog[open]")
    text = tab.locator("#load_dialog").inner_text()
    tab.keyboard.press("Escape")
    return text
