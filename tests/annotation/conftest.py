"""A person's browser, and pages in it."""

import pytest

from common.annotation import page
from tests.support.annotating import items, photos


@pytest.fixture
def context(browser):
    """One person's browser: what it stores is gone afterwards."""
    opened = browser.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True)
    yield opened
    opened.close()


@pytest.fixture
def visit(context, tmp_path):
    """Open a page in this person's browser, written for an annotator and a sample, with items."""

    def open_page(annotator: str = "A", sample: str = "1" * 16, language: str = "en", shown=None):
        path = tmp_path / f"annotate_{annotator}_{sample}_{language}.html"
        path.write_bytes(page.html(annotator, shown or items(), photos(), sample, language))
        tab = context.new_page()
        tab.errors = []
        tab.on("pageerror", lambda error: tab.errors.append(str(error)))
        tab.on("console", lambda message: message.type == "error" and tab.errors.append(message.text))
        tab.on("dialog", lambda dialog: dialog.accept())
        tab.goto(path.as_uri())
        return tab

    return open_page
