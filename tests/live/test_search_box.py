"""The search box of the page in a real Chromium, used faster than the service answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.live.chromium import needs_chromium
from tests.live.page import Page, hold_next_answer, wait_until_held

if TYPE_CHECKING:
    from tests.live.conftest import Serve

pytestmark = needs_chromium

WRITE = """
  const query = document.getElementById("query");
  query.value = arguments[0];
  query.dispatchEvent(new InputEvent("input"));
"""
PRESS_ENTER = 'query.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));'
# The search for the new words begins later.
RELEASE = "window.release(); setTimeout(arguments[1], 60);"


@pytest.fixture(scope="module")
def url(serve: "Serve", films_bundle: Path) -> Iterator[str]:
    with serve(films_bundle) as url:
        yield url


def test_enter_takes_no_item_that_was_found_for_other_words(
    browser: webdriver.Chrome, url: str
) -> None:
    page = Page(browser, url)
    page.one("#query").send_keys("toy sto")
    page.wait_for("#found li[aria-selected=true]", "Toy Story (1995)")
    browser.execute_script(WRITE + PRESS_ENTER, "heat")
    page.wait_for("#found li[aria-selected=true]", "Heat (1995)")
    page.press(Keys.ENTER)
    page.wait_for("#history .chip-title")
    assert page.texts("#history .chip-title") == ["Heat (1995)"]


def test_an_answer_to_earlier_words_is_not_shown_for_later_ones(
    browser: webdriver.Chrome, url: str
) -> None:
    page = Page(browser, url)
    hold_next_answer(browser, "/v1/items?")
    browser.execute_script(WRITE, "toy sto")
    wait_until_held(browser)
    browser.execute_async_script(WRITE + RELEASE, "heat")
    assert "Toy Story" not in "".join(page.texts("#found li"))
