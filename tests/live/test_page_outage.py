"""The page in a real Chromium, where the service does not store what the visitor adds."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.live.chromium import needs_chromium
from tests.live.page import Page

if TYPE_CHECKING:
    from tests.conftest import RedisServer
    from tests.live.conftest import Serve

pytestmark = needs_chromium

NOTE_EVENTS = """
  const answers = window.fetch;
  window.sent = [];
  window.fetch = (address, init) => {
    if (address.endsWith("/events")) window.sent.push(init.body);
    return answers(address, init);
  };
"""


def choose(page: Page, words: str, title: str) -> None:
    page.one("#query").send_keys(words)
    page.wait_for("#found li[aria-selected=true]", title)
    page.press(Keys.ENTER)


def test_an_item_whose_event_waits_on_the_disk_of_the_service_is_added(
    browser: webdriver.Chrome,
    serve: "Serve",
    films_bundle: Path,
    mortal_redis: "RedisServer",
    tmp_path: Path,
) -> None:
    journal = {"STORE_OUTAGE": "journal", "JOURNAL_PATH": str(tmp_path / "journal")}
    with serve(films_bundle, REDIS_URL=mortal_redis.url, **journal) as url:
        page = Page(browser, url)
        mortal_redis.kill()
        choose(page, "heat", "Heat (1995)")
        page.wait_for("#history .chip-title", "Heat (1995)")
        page.wait_for("[role=status]", "Heat (1995) added.")
        assert not page.one("#alarm").is_displayed()


def test_a_second_try_of_the_visitor_has_the_event_id_of_the_first(
    browser: webdriver.Chrome, serve: "Serve", films_bundle: Path, mortal_redis: "RedisServer"
) -> None:
    with serve(films_bundle, REDIS_URL=mortal_redis.url) as url:
        page = Page(browser, url)
        browser.execute_script(NOTE_EVENTS)
        mortal_redis.kill()
        for _ in range(2):
            choose(page, "heat", "Heat (1995)")
            page.wait_for("#alarm", "cannot keep this now. Try it again.")
            browser.execute_script("document.getElementById('alarm').textContent = ''")
        sent = [json.loads(each) for each in browser.execute_script("return window.sent")]
    assert len(sent) == 2
    assert sent[0] == sent[1]


def test_the_visitor_is_not_told_to_repeat_what_the_settings_leave_out(
    browser: webdriver.Chrome, serve: "Serve", films_bundle: Path
) -> None:
    with serve(films_bundle, EVENT_TYPES="click,buy", HISTORY_EVENT_TYPES="buy") as url:
        page = Page(browser, url)
        choose(page, "heat", "Heat (1995)")
        page.wait_for("#alarm", "keeps no events of this page in histories")
        assert not page.all("#history .chip")
