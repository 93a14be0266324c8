"""The page of experiments in a real Chromium, on a service whose figures change."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from export.contract.log.live_figures import SCHEMA, Drift, LiveFigures, LiveReport, save_report
from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope
from tests.live.chromium import SCREENSHOTS, needs_chromium
from tests.live.page import PATIENCE_SECONDS, console_messages, loaded_by, resize

if TYPE_CHECKING:
    from tests.live.conftest import Serve

pytestmark = needs_chromium

MADE_AT = 1_767_225_600_000  # 2026-01-01 00:00:00 UTC


def figures(variant: str, impressions: int, clicked: int) -> LiveFigures:
    """Figures of a variant; one list in a hundred was bought from, for 10."""
    bought = impressions // 100
    return LiveFigures(
        variant=variant,
        model_version=f"version-of-{variant}",
        source="student",
        impressions=impressions,
        clicked=clicked,
        converted=bought,
        value=10.0 * bought,
        value_squares=100.0 * bought,
        clicks_by_place=[clicked],
        followed=impressions // 2,
        hits=clicked // 2,
    )


def count(path: Path, impressions: int) -> None:
    """Writes figures of two variants; click-through is 10 % and 15 %."""
    both = [
        figures("default", impressions, impressions // 10),
        figures("llm", impressions, impressions * 15 // 100),
    ]
    drift = Drift("version", MADE_AT, impressions, 2, impressions // 2, 0.6, impressions // 10)
    save_report(LiveReport(SCHEMA, None, MADE_AT, both, drift), path)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("experiments") / "experiments.json"


@pytest.fixture(scope="module")
def url(serve: "Serve", films_bundle: Path, path: Path) -> Iterator[str]:
    with serve(films_bundle, EXPERIMENTS_PATH=str(path)) as url:
        yield f"{url}/static/experiments.html"


def texts(browser: webdriver.Chrome, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
    found: list[str] = browser.execute_script(script, selector)
    return found


def wait_for(browser: webdriver.Chrome, selector: str, text: str) -> None:
    WebDriverWait(browser, PATIENCE_SECONDS).until(
        lambda _: any(text in each for each in texts(browser, selector)),
        f"no {selector} with {text!r}",
    )


def give_key(browser: webdriver.Chrome, key: str) -> None:
    wait_for(browser, "#alarm", "scope")
    browser.find_element("id", "key").send_keys(key)
    browser.find_element("css selector", "#key-form button").click()


def test_the_page_says_how_to_count_and_then_which_variant_is_ahead_and_drift(
    browser: webdriver.Chrome, url: str, path: Path
) -> None:
    browser.get(url)
    wait_for(browser, "#alarm", "run `distilled-recommender experiments`")
    console_messages(browser)  # discards the 404

    count(path, 100)
    browser.get(url)
    wait_for(browser, "#comparisons tr", "not shown yet: a difference of a tenth takes about")
    assert texts(browser, "#figures th") == ["default", "llm"]
    assert texts(browser, "#figures tr:first-child td:nth-child(5)")[0].startswith("10.0 %")
    assert texts(browser, "#read") == ["Counted 01/01/2026, 00:00:00 UTC"]

    count(path, 10_000)
    browser.get(url)
    wait_for(browser, "#comparisons .ahead", "llm is ahead")
    assert texts(browser, "#comparisons tr:first-child td")[:2] == ["Click-through", "+5.0 %"]
    assert texts(browser, "#drift dd") == ["0.0 %", "50.0 %", "60.0 %", "10.0 %"]
    assert not browser.find_element("id", "alarm").is_displayed()
    address = url.removesuffix("/static/experiments.html")
    assert all(each.startswith(address) for each in loaded_by(browser))
    assert console_messages(browser) == []


def test_the_key_of_a_shop_in_the_tab_does_not_keep_an_operator_from_the_figures(
    browser: webdriver.Chrome, serve: "Serve", films_bundle: Path, path: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    shop = create_key(keys, NewKey(frozenset({Scope.READ, Scope.WRITE})))
    admin = create_key(keys, NewKey(frozenset({Scope.ADMIN})))
    count(path, 10_000)
    with serve(films_bundle, EXPERIMENTS_PATH=str(path), KEYS_FILE=str(keys)) as url:
        browser.get(f"{url}/static/theme.js")
        browser.execute_script("sessionStorage.setItem('api-key', arguments[0])", shop)
        browser.get(f"{url}/static/experiments.html")
        give_key(browser, shop)
        wait_for(browser, "#alarm", "this key lacks the scope `admin`")
        give_key(browser, admin)
        wait_for(browser, "#comparisons .ahead", "llm is ahead")
        assert not browser.find_element("id", "key-form").is_displayed()
        browser.find_element("id", "forget-key").click()
        wait_for(browser, "#alarm", "send a key with scope `admin`")
        assert not browser.find_element("id", "report").is_displayed()
        assert browser.execute_script("return sessionStorage.getItem('api-key')") == shop


@pytest.mark.parametrize("width", [360, 1200])
def test_only_the_tables_scroll_sideways(
    browser: webdriver.Chrome, url: str, path: Path, width: int
) -> None:
    count(path, 10_000)
    resize(browser, width, 800)
    browser.get(url)
    wait_for(browser, "#figures th", "llm")
    assert browser.execute_script("return document.documentElement.scrollWidth") == width


@pytest.mark.skipif(not SCREENSHOTS, reason="set SCREENSHOTS=docs to write them")
def test_screenshots_of_experiments_can_be_written(
    browser: webdriver.Chrome, url: str, path: Path
) -> None:
    count(path, 4_000)
    browser.get(url)
    wait_for(browser, "#figures th", "llm")
    resize(browser, 1200, browser.execute_script("return document.body.scrollHeight"))
    assert browser.save_screenshot(f"{SCREENSHOTS}/experiments.png")
