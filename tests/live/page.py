"""The page as a person uses it, in a browser."""

import httpx
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.alert import Alert
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

from tests.conftest import TIMEOUT_SECONDS

PATIENCE_SECONDS = TIMEOUT_SECONDS


class Page:
    """The page as a person uses it."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser = browser
        self.url = url
        browser.get(url)
        self.wait_for("#student .row")

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        texts: list[str] = self.browser.execute_script(script, selector)
        return texts

    def wait_for(self, selector: str, text: str = "") -> None:
        """Waits for an element that contains `text`."""
        WebDriverWait(self.browser, PATIENCE_SECONDS).until(
            lambda _: any(text in each for each in self.texts(selector)),
            f"no {selector} with {text!r}",
        )

    def wait_until_gone(self, selector: str) -> None:
        WebDriverWait(self.browser, PATIENCE_SECONDS).until(lambda _: not self.all(selector))

    def press(self, *keys: str) -> None:
        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    def tab_to(self, selector: str) -> None:
        """Presses Tab until an element of `selector` has the focus."""
        for _ in range(80):
            if self.browser.switch_to.active_element in self.all(selector):
                return
            self.press(Keys.TAB)
        raise AssertionError(f"Tab does not reach {selector}")

    def add(self, words: str, title: str) -> None:
        """Searches for `words` and adds the first result, which is `title`."""
        self.one("#query").send_keys(words)
        self.wait_for("#found li[aria-selected=true]", title)
        self.press(Keys.ENTER)
        self.wait_for("#history .chip-title", title)

    def load_an_example(self) -> None:
        """Waits for the button, which is hidden until the examples have arrived, and clicks it."""
        button = self.one("#example")
        WebDriverWait(self.browser, PATIENCE_SECONDS).until(lambda _: button.is_displayed())
        button.click()

    def wait_for_comparison(self) -> None:
        self.wait_for("#teacher[aria-busy=false] .row")


def resize(browser: webdriver.Chrome, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(browser: webdriver.Chrome, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def read(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=PATIENCE_SECONDS)


def console_messages(browser: webdriver.Chrome) -> list[str]:
    """The messages in the console since the last call."""
    entries = browser.execute("getLog", {"type": "browser"})["value"]
    return [entry["message"] for entry in entries]


def loaded_by(browser: webdriver.Chrome) -> list[str]:
    """The addresses of all resources that the page has loaded."""
    script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    addresses: list[str] = browser.execute_script(script)
    assert addresses
    return addresses


def session_of(page: Page) -> str:
    session_id: str = page.browser.execute_script("return localStorage.getItem('session')")
    return session_id


def prompt(browser: webdriver.Chrome) -> Alert:
    """Waits for the page to ask for a key."""
    return WebDriverWait(browser, PATIENCE_SECONDS).until(expected_conditions.alert_is_present())


HOLD = """
  const answers = window.fetch;
  const released = new Promise((release) => { window.release = release; });
  window.isHeld = false;
  let isNext = true;
  window.fetch = async (address, init) => {
    if (!isNext || !address.includes(arguments[0])) return answers(address, init);
    isNext = false;
    const answer = await answers(address, { ...init, signal: null });
    window.isHeld = true;
    await released;
    return answer;
  };
"""


def hold_next_answer(browser: webdriver.Chrome, part_of_address: str) -> None:
    """Keeps the next answer to such an address from the page until it calls `release()`."""
    # An arrow function has no `arguments` of its own: these are those of the script.
    browser.execute_script(HOLD, part_of_address)


def wait_until_held(browser: webdriver.Chrome) -> None:
    WebDriverWait(browser, PATIENCE_SECONDS).until(
        lambda _: browser.execute_script("return window.isHeld")
    )
