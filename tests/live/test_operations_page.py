"""The page of operations in a real Chromium, on a service with keys."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
from selenium import webdriver

from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope
from tests.live.chromium import SCREENSHOTS, needs_chromium
from tests.live.page import (
    console_messages,
    hold_next_answer,
    loaded_by,
    resize,
    wait_until_held,
)
from tests.live.test_experiments_page import count, give_key, texts, wait_for

if TYPE_CHECKING:
    from tests.live.conftest import Serve

pytestmark = needs_chromium


class Operated(NamedTuple):
    """A service with keys: its address, and the keys of a shop and of its operator."""

    url: str
    shop: str
    admin: str

    @property
    def page(self) -> str:
        return f"{self.url}/static/operations.html"

    def post(self, path: str, **body: object) -> int:
        header = {"Authorization": f"Bearer {self.shop}"}
        answer = httpx.post(f"{self.url}{path}", json=body, headers=header, trust_env=False)
        return answer.status_code


@pytest.fixture(scope="module")
def service(
    serve: "Serve", films_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operated]:
    folder = tmp_path_factory.mktemp("operations")
    keys, experiments = folder / "keys.json", folder / "experiments.json"
    shop = create_key(keys, NewKey(frozenset({Scope.READ, Scope.WRITE})))
    admin = create_key(keys, NewKey(frozenset({Scope.ADMIN})))
    count(experiments, 10_000)
    settings = {"KEYS_FILE": str(keys), "EXPERIMENTS_PATH": str(experiments)}
    with serve(films_bundle, **settings) as url:
        yield Operated(url, shop, admin)


@pytest.fixture
def page(browser: webdriver.Chrome, service: Operated) -> Iterator[webdriver.Chrome]:
    """The page in a browser that has no key, which then forgets the one that it got."""
    browser.get(service.page)
    browser.execute_script("sessionStorage.clear()")
    browser.get(service.page)
    yield browser
    browser.execute_script("sessionStorage.clear()")


def cells(page: webdriver.Chrome, table: str, row: str) -> list[str]:
    """The cells of the row that begins with `row`."""
    script = """
      const rows = [...document.querySelectorAll(`#${arguments[0]} tr`)];
      const found = rows.find((each) => each.firstElementChild.textContent === arguments[1]);
      return [...(found?.querySelectorAll("td") ?? [])].map((each) => each.textContent)
    """
    found: list[str] = page.execute_script(script, table, row)
    return found


def unnamed_controls(page: webdriver.Chrome) -> list[str]:
    """The kinds of the visible controls to which assistive technology gives no name."""
    controls = page.find_elements("css selector", "input, button, a")
    return [each.tag_name for each in controls if each.is_displayed() and not each.accessible_name]


def test_an_operator_sees_what_is_served_and_how_it_goes(
    page: webdriver.Chrome, service: Operated
) -> None:
    for item in ("1", "260", "1196"):
        assert service.post("/v1/sessions/ann/events?k=3", item_id=item) == 200
    assert service.post("/v1/recommendations", history=["1"], k=0) == 422
    give_key(page, service.admin)
    wait_for(page, "#variants th", "default")
    assert cells(page, "variants", "default")[1] == "bundle"
    assert cells(page, "variants", "default")[-1] == "served"
    assert cells(page, "routes", "POST /v1/sessions/{session_id}/events")[0] == "3"
    assert cells(page, "routes", "POST /v1/recommendations")[4] == "1"
    assert cells(page, "refusals", "too much light work (busy)")[0] == "0"
    shop = service.shop.partition(".")[0]
    assert cells(page, "keys", shop)[0] == "3"
    assert cells(page, "keys", shop)[-1] == "1"
    assert texts(page, "#health dd")[:3] == ["ready", "reachable", "working"]
    assert texts(page, "#items dd") == ["250", "0", "0"]
    assert "llm against default, click through: llm is ahead" in texts(page, "#results li")


def test_rates_and_percentiles_are_those_of_the_last_seconds(
    page: webdriver.Chrome, service: Operated
) -> None:
    give_key(page, service.admin)
    wait_for(page, "#variants th", "default")
    service.post("/v1/recommendations", history=["1"])
    wait_for(page, "#median", "ms")
    assert texts(page, "#rate") != ["0.0"]


def test_percentiles_leave_out_refusals(page: webdriver.Chrome) -> None:
    """Nine refusals in 0 s and one answer in 10 to 20 ms, whose middle is taken."""
    script = """
      const [route, counts, done] = arguments;
      const samples = counts.map(([status, le, value]) =>
        ({ name: "recommender_request_seconds_bucket", labels: { route, status, le }, value }));
      import("/static/samples.js").then(({ Samples }) =>
        done(new Samples(samples).percentileOfAnswers(0.5, (labels) => labels.route === "/v1")));
    """
    ends = ("0.01", "0.02", "+Inf")
    counts = [("429", end, 8) for end in ends] + [("503", end, 1) for end in ends]
    answered = [("200", "0.01", 0), ("200", "0.02", 1), ("200", "+Inf", 1)]

    assert page.execute_async_script(script, "/v1", counts + answered) == pytest.approx(0.015)
    assert page.execute_async_script(script, "/v1", counts) is None
    assert page.execute_async_script(script, "/other", answered) is None


def test_the_key_is_kept_in_the_tab_only_and_can_be_forgotten(
    page: webdriver.Chrome, service: Operated
) -> None:
    give_key(page, service.shop)
    wait_for(page, "#alarm", "this key lacks the scope `admin`")
    assert not page.find_element("id", "figures").is_displayed()
    give_key(page, service.admin)
    wait_for(page, "#variants th", "default")
    assert not page.find_element("id", "key-form").is_displayed()
    stored = page.execute_script("return JSON.stringify([{...localStorage}, document.cookie])")
    assert service.admin not in stored + page.current_url
    page.find_element("id", "forget-key").click()
    wait_for(page, "#alarm", "send a key with scope `admin`")
    assert page.find_element("id", "key-form").is_displayed()
    assert not page.find_element("id", "figures").is_displayed()
    assert page.execute_script("return sessionStorage.length") == 0


def test_an_answer_that_comes_after_the_key_is_forgotten_is_not_shown(
    page: webdriver.Chrome, service: Operated
) -> None:
    give_key(page, service.admin)
    wait_for(page, "#variants th", "default")
    hold_next_answer(page, "/v1/operations")
    wait_until_held(page)
    page.find_element("id", "forget-key").click()
    wait_for(page, "#alarm", "send a key with scope `admin`")
    page.execute_async_script("release(); setTimeout(arguments[0], 500)")
    assert not page.find_element("id", "figures").is_displayed()
    assert page.find_element("id", "key-form").is_displayed()


def test_a_key_that_cannot_be_sent_is_refused_by_the_form_and_not_kept(
    page: webdriver.Chrome, service: Operated
) -> None:
    give_key(page, f"{service.admin}\u200b")
    wait_for(page, "#alarm", "the character U+200B, which cannot be sent: copy the key again")
    assert page.execute_script("return sessionStorage.length") == 0
    page.find_element("id", "key").send_keys(service.admin)
    page.find_element("css selector", "#key-form button").click()
    wait_for(page, "#variants th", "default")


def test_the_page_loads_from_the_service_only_and_each_control_has_a_name(
    page: webdriver.Chrome, service: Operated
) -> None:
    console_messages(page)  # discards those of earlier tests
    wait_for(page, "#alarm", "scope")
    assert unnamed_controls(page) == []
    give_key(page, service.admin)
    wait_for(page, "#variants th", "default")
    assert all(each.startswith(service.url) for each in loaded_by(page))
    unexpected = [each for each in console_messages(page) if " 401 " not in each]
    assert unexpected == []
    assert unnamed_controls(page) == []
    unscoped = "return document.querySelectorAll('th:not([scope])').length"
    assert page.execute_script(unscoped) == 0


@pytest.mark.parametrize("width", [360, 1200])
def test_only_the_tables_scroll_sideways(
    page: webdriver.Chrome, service: Operated, width: int
) -> None:
    resize(page, width, 800)
    give_key(page, service.admin)
    wait_for(page, "#variants th", "default")
    assert page.execute_script("return document.documentElement.scrollWidth") == width


@pytest.mark.skipif(not SCREENSHOTS, reason="set SCREENSHOTS=docs to write them")
def test_screenshots_of_operations_can_be_written(
    browser: webdriver.Chrome, serve: "Serve", films_bundle: Path, tmp_path: Path
) -> None:
    bundle = Path(os.environ.get("SCREENSHOTS_BUNDLE", films_bundle))
    keys, experiments = tmp_path / "keys.json", tmp_path / "experiments.json"
    shop = create_key(keys, NewKey(frozenset({Scope.READ, Scope.WRITE})))
    admin = create_key(keys, NewKey(frozenset({Scope.ADMIN})))
    count(experiments, 10_000)
    settings = {"KEYS_FILE": str(keys), "EXPERIMENTS_PATH": str(experiments)}
    with serve(bundle, **settings, ITEMS_PATH=str(tmp_path / "items.jsonl")) as url:
        service = Operated(url, shop, admin)
        browser.get(service.page)
        give_key(browser, admin)
        wait_for(browser, "#variants th", "default")
        for visitor in range(300):
            service.post(f"/v1/sessions/{visitor}/events?k=10", item_id="260")
            service.post("/v1/recommendations", history=["1", "260"])
        wait_for(browser, "#median", "ms")
        resize(browser, 1200, browser.execute_script("return document.body.scrollHeight"))
        assert browser.save_screenshot(f"{SCREENSHOTS}/operations.png")
