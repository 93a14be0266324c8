"""The page in a real Chromium with a real service, used by mouse and by keyboard."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope
from tests.live.chromium import SCREENSHOTS, needs_chromium
from tests.live.page import (
    PATIENCE_SECONDS,
    Page,
    console_messages,
    loaded_by,
    prefer,
    prompt,
    read,
    resize,
    session_of,
)

if TYPE_CHECKING:
    from tests.conftest import RedisServer
    from tests.live.conftest import Serve

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def url(serve: "Serve", films_bundle: Path, teacher_url: str) -> Iterator[str]:
    # A busy machine may take longer than the default deadline; no test here is about it.
    with serve(films_bundle, TEACHER_URL=teacher_url, TEACHER_DEADLINE_SECONDS="30") as url:
        yield url


@pytest.fixture(scope="module")
def url_without_teacher(serve: "Serve", films_bundle: Path) -> Iterator[str]:
    with serve(films_bundle) as url:
        yield url


def test_a_visitor_searches_compares_sees_reasons_and_is_forgotten(
    browser: webdriver.Chrome, url: str
) -> None:
    page = Page(browser, url)
    page.add("toy sto", "Toy Story (1995)")
    page.add("aliens", "Aliens (1986)")
    page.wait_for_comparison()
    assert len(page.all("#student .row")) == len(page.all("#teacher .row")) == 10
    assert page.one("#overlap").text.endswith("of 10")
    assert page.one("#teacher-time").text.endswith("s")
    assert page.one("#teacher-note").text == "It wrote: “Action, Adventure, Horror, Sci-Fi”"
    assert "Give both the same history" in page.one("#opening").text

    ActionChains(browser).move_to_element(page.one("#student .row-what")).perform()
    reason = page.one("#student .row-because")
    assert reason.is_displayed()
    assert reason.text.startswith("because of ")
    assert page.all("#history .chip.drove")

    session_url = f"{url}/v1/sessions/{session_of(page)}"
    assert read(session_url).json()["history"] == ["1", "1200"]
    page.one("#forget").click()
    page.wait_until_gone("#history .chip")
    assert read(session_url).status_code == 404


def test_everything_can_be_done_by_keyboard(browser: webdriver.Chrome, url: str) -> None:
    page = Page(browser, url)
    page.tab_to("#query")
    page.press("matrix")
    page.wait_for("#found li[aria-selected=true]", "The Matrix (1999)")
    page.press(Keys.ENTER)
    page.wait_for_comparison()
    page.tab_to("#student .row-what")
    assert page.one("#student .row-because").text == "because of The Matrix (1999)"
    added = page.one("#student .row-title").text
    page.press(Keys.TAB, Keys.ENTER)
    page.wait_for("#history .chip-title", added)
    page.wait_for_comparison()
    assert browser.switch_to.active_element == page.one(
        "#student .row-add"
    )  # the focus stays at its position
    page.press(Keys.SHIFT + Keys.TAB)
    page.tab_to("#forget")
    page.press(Keys.ENTER)
    page.wait_until_gone("#history .chip")
    page.wait_for("[role=status]", "Forgotten")


def test_a_history_is_shown_again_after_a_reload(browser: webdriver.Chrome, url: str) -> None:
    page = Page(browser, url)
    page.load_an_example()
    page.wait_for_comparison()
    titles = page.texts("#history .chip-title")
    page = Page(browser, url)
    page.wait_for_comparison()
    assert page.texts("#history .chip-title") == titles
    assert len(titles) > 1


def test_an_item_can_be_removed_from_the_history(browser: webdriver.Chrome, url: str) -> None:
    page = Page(browser, url)
    page.add("toy sto", "Toy Story (1995)")
    page.add("heat", "Heat (1995)")
    page.one("#history .chip-remove").click()
    page.wait_for("#history-note", "session")
    page.wait_for("[role=status]", "Toy Story (1995) removed.")
    assert page.texts("#history .chip-title") == ["Heat (1995)"]
    assert read(f"{url}/v1/sessions/{session_of(page)}").json()["history"] == ["6"]


def test_without_a_teacher_the_page_says_how_to_connect_one(
    browser: webdriver.Chrome, url_without_teacher: str
) -> None:
    page = Page(browser, url_without_teacher)
    page.wait_for("#teacher-note", "no teacher is connected")
    page.add("toy sto", "Toy Story (1995)")
    page.wait_for("#teacher-note", "TEACHER_URL")
    assert len(page.all("#student .row")) == 10
    assert not page.all("#teacher .row")
    assert "compare" not in page.one("#opening").text


def test_an_empty_history_offers_an_example_only_if_there_is_one(
    browser: webdriver.Chrome, serve: "Serve", films_bundle: Path, url_without_teacher: str
) -> None:
    page = Page(browser, url_without_teacher)
    page.wait_for("#history-note", "Search for a title that you know, or load an example.")
    with serve(films_bundle, EXAMPLES="off") as url:
        page = Page(browser, url)
        page.wait_for("#served", "250 items")
        page.wait_for("#history-note", "Search for a title that you know.")
        assert not page.one("#example").is_displayed()


def test_without_a_history_the_page_says_that_the_teacher_needs_one(
    browser: webdriver.Chrome, url: str
) -> None:
    page = Page(browser, url)
    page.wait_for("#teacher-note", "The teacher needs a history: add a title.")
    assert not page.all("#teacher .row")


def test_an_item_that_could_not_be_stored_is_not_shown_as_stored(
    browser: webdriver.Chrome, serve: "Serve", films_bundle: Path, mortal_redis: "RedisServer"
) -> None:
    with serve(films_bundle, REDIS_URL=mortal_redis.url) as url:
        page = Page(browser, url)
        page.add("toy sto", "Toy Story (1995)")
        mortal_redis.kill()
        page.one("#query").send_keys("heat")
        page.wait_for("#found li[aria-selected=true]", "Heat (1995)")
        page.press(Keys.ENTER)
        page.wait_for("#alarm", "cannot keep this now")
        assert page.texts("#history .chip-title") == ["Toy Story (1995)"]


def test_the_page_loads_from_the_service_only_and_logs_no_error(
    browser: webdriver.Chrome, url: str
) -> None:
    console_messages(browser)  # discards those of earlier tests
    page = Page(browser, url)
    page.add("toy sto", "Toy Story (1995)")
    page.wait_for_comparison()
    assert all(each.startswith(url) for each in loaded_by(browser))
    assert console_messages(browser) == []


def test_the_docs_show_every_route_and_load_from_the_service_only(
    browser: webdriver.Chrome, url: str
) -> None:
    browser.get(f"{url}/docs")
    paths = read(f"{url}/openapi.json").json()["paths"].values()
    WebDriverWait(browser, PATIENCE_SECONDS).until(
        lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".opblock")) == sum(map(len, paths))
    )
    assert all(each.startswith(url) for each in loaded_by(browser))


def test_the_theme_follows_the_system_until_the_visitor_chooses_one(
    browser: webdriver.Chrome, url: str
) -> None:
    script = "return getComputedStyle(document.body).backgroundColor"
    page = Page(browser, url)
    light = browser.execute_script(script)
    prefer(browser, "dark")
    dark = browser.execute_script(script)
    assert light != dark
    page.one("#theme").click()
    assert browser.execute_script(script) == light
    Page(browser, url)
    assert browser.execute_script(script) == light


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_nothing_is_wider_than_the_screen(browser: webdriver.Chrome, url: str, width: int) -> None:
    resize(browser, width, 800)
    page = Page(browser, url)
    page.load_an_example()
    page.wait_for_comparison()
    assert browser.execute_script("return document.documentElement.scrollWidth") == width


def test_a_service_that_needs_a_key_is_used_with_one_that_the_page_asks_for_once(
    browser: webdriver.Chrome, serve: "Serve", films_bundle: Path, tmp_path: Path
) -> None:
    key = create_key(tmp_path / "keys", NewKey(frozenset({Scope.READ, Scope.WRITE})))
    with serve(films_bundle, KEYS_FILE=str(tmp_path / "keys")) as url:
        browser.get(url)
        asked = prompt(browser)
        asked.send_keys("nobody.wrong")
        asked.accept()
        asked = prompt(browser)
        asked.send_keys(f"{key}\u200b")  # as copied from a chat
        asked.accept()
        asked = prompt(browser)
        assert "the character U+200B, which cannot be sent: copy the key again" in asked.text
        asked.send_keys(key)
        asked.accept()
        page = Page(browser, url)
        page.add("toy sto", "Toy Story (1995)")
        assert key not in browser.current_url
        page.wait_for("#teacher[aria-busy=false]")
        assert page.one("#teacher-note").text == "No comparison: this key lacks the scope teacher."
        assert not page.one("#alarm").is_displayed()


def test_a_visitor_without_a_key_uses_what_is_open_and_reads_that_the_teacher_is_not(
    browser: webdriver.Chrome, serve: "Serve", films_bundle: Path, tmp_path: Path
) -> None:
    create_key(tmp_path / "keys", NewKey(frozenset({Scope.TEACHER})))
    settings = {"KEYS_FILE": str(tmp_path / "keys"), "ALLOW_ANONYMOUS": "read,write"}
    with serve(films_bundle, **settings) as url:
        browser.get(url)
        prompt(browser).dismiss()
        WebDriverWait(browser, PATIENCE_SECONDS).until(
            expected_conditions.text_to_be_present_in_element(
                (By.ID, "teacher-note"), "No comparison: send a key with scope teacher"
            )
        )
        assert not browser.find_element(By.ID, "alarm").is_displayed()
        assert len(browser.find_elements(By.CSS_SELECTOR, "#student .row")) == 10


def test_without_a_key_the_page_shows_what_is_missing(
    browser: webdriver.Chrome, serve: "Serve", films_bundle: Path, tmp_path: Path
) -> None:
    create_key(tmp_path / "keys", NewKey(frozenset({Scope.READ})))
    with serve(films_bundle, KEYS_FILE=str(tmp_path / "keys")) as url:
        browser.get(url)
        prompt(browser).dismiss()
        alarm = WebDriverWait(browser, PATIENCE_SECONDS).until(
            expected_conditions.visibility_of_element_located((By.ID, "alarm"))
        )
        assert "send a key with scope" in alarm.text


@pytest.mark.skipif(not SCREENSHOTS, reason="set SCREENSHOTS=docs to write them")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screenshots_can_be_written(
    browser: webdriver.Chrome, serve: "Serve", films_bundle: Path, teacher_url: str, scheme: str
) -> None:
    bundle = Path(os.environ.get("SCREENSHOTS_BUNDLE", films_bundle))
    teacher = os.environ.get("SCREENSHOTS_TEACHER_URL", teacher_url)
    prefer(browser, scheme)
    with serve(bundle, TEACHER_URL=teacher) as url:
        page = Page(browser, url)
        for words, title in (("toy sto", "Toy Story (1995)"), ("matrix 1999", "The Matrix (1999)")):
            page.add(words, title)
        page.add("aliens 1986", "Aliens (1986)")
        page.wait_for_comparison()
        browser.execute_script("document.activeElement.blur()")
        ActionChains(browser).move_to_element(page.all("#student .row-what")[1]).perform()
        resize(browser, 1200, browser.execute_script("return document.body.scrollHeight"))
        assert browser.save_screenshot(f"{SCREENSHOTS}/page-{scheme}.png")
