"""A headless Chromium, which the tests of pages drive."""

import os
import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.conftest import TIMEOUT_SECONDS
from tests.live.page import prefer, resize

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync"
)
# A folder to write pictures to; SCREENSHOTS_BUNDLE and SCREENSHOTS_TEACHER_URL choose others.
SCREENSHOTS = os.environ.get("SCREENSHOTS")

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no `chromium` and `chromedriver` on the PATH (Debian: chromium, chromium-driver)",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, Service(DRIVER))
    browser.set_page_load_timeout(TIMEOUT_SECONDS)
    browser.set_script_timeout(TIMEOUT_SECONDS)
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """A browser with a light color scheme and no stored session."""
    resize(chromium, 1200, 900)
    prefer(chromium, "light")
    yield chromium
    chromium.execute_script("localStorage.clear()")
