"""The dashboard's row on learning: drawn by Grafana's own components from a real Prometheus."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.live.chromium import SCREENSHOTS, needs_chromium
from tests.live.page import PATIENCE_SECONDS, console_messages, resize
from tests.live.test_typescript_client import NODE, needs_node
from tests.live.visitors import CLICK_THROUGH, PROMETHEUS, ROOT, Visitors, count, prometheus

if TYPE_CHECKING:
    from tests.live.conftest import Serve

PAGE = Path(__file__).parent / "grafana_panels"
DASHBOARD = ROOT / "docker/grafana/dashboards/recommender.json"
SHOWN_SECONDS = 300
PAUSE_SECONDS = 2
WIDTH = 1200
MARGIN = 8


class Observed(NamedTuple):
    """A Prometheus that serves the page: its address, and the shown time in seconds."""

    url: str
    begin: float
    end: float

    def page(self, row: str, mode: str) -> str:
        shown = {"row": row, "mode": mode, "width": WIDTH, "begin": self.begin, "end": self.end}
        return f"{self.url}/user/index.html?{urlencode(shown)}"


def panels() -> list[dict[str, Any]]:
    every: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [panel for panel in every if panel["type"] != "row"]


def checked(*shown: dict[str, Any]) -> str:
    """Returns the page's error message for panels; empty if it can draw all of them."""
    program = f"""
      import {{ check }} from {json.dumps(str(PAGE / "known.js"))};
      try {{ {json.dumps(shown)}.forEach(check); }} catch (error) {{ console.log(error.message); }}
    """
    command = [str(NODE), "--input-type=module", "--eval", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@needs_node
def test_the_page_draws_every_panel_of_the_dashboard() -> None:
    assert len(panels()) >= 20
    assert checked(*panels()) == ""


@needs_node
@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"type": "stat"}, "type stat, but timeseries"),
        ({"transformations": []}, "transformations of panel, but "),
        ({"targets": [{"refId": "A", "expr": "up"}]}, "a query without legendFormat"),
    ],
)
def test_the_page_refuses_a_panel_that_it_does_not_draw(
    change: dict[str, object], refused: str
) -> None:
    panel = panels()[0]
    assert checked(panel | change).startswith(
        f'panel "{panel["title"]}": the page does not draw {refused}'
    )


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The built page with the dashboard's file, as Prometheus serves it."""
    if not (PAGE / "node_modules/ready").exists():
        pytest.skip("no panels of Grafana; `make pictures` installs them")
    folder = tmp_path / "page"
    subprocess.run([str(NODE), "build.mjs", str(folder)], cwd=PAGE, check=True)
    shutil.copy(DASHBOARD, folder / "dashboard.json")
    return folder


@pytest.fixture
def observed(page: Path, serve: "Serve", films_bundle: Path, tmp_path: Path) -> Iterator[Observed]:
    """Lets visitors come to a service until Prometheus has seen them for SHOWN_SECONDS."""
    bundle = Path(os.environ.get("SCREENSHOTS_BUNDLE", films_bundle))
    figures, segments = tmp_path / "experiments.json", tmp_path / "segments"
    settings = {
        "VARIANTS": ", ".join(f"{variant}={bundle}:1" for variant in CLICK_THROUGH),
        "EVENT_LOG": "on",
        "EVENT_LOG_PATH": str(segments),
        "EXPERIMENTS_PATH": str(figures),
        "SESSION_SECRET": "a secret of the tests, 32 characters",
    }
    with (
        serve(bundle, **settings) as service,
        prometheus(tmp_path / "prometheus", service, page) as url,
    ):
        visitors = Visitors(service, bundle)
        begin = time.time()
        while time.time() < begin + SHOWN_SECONDS:
            visitors.visit()
            count(segments, tmp_path / "log", figures, bundle)
            time.sleep(PAUSE_SECONDS)
        yield Observed(url, begin, time.time())


@needs_chromium
@needs_node
@pytest.mark.skipif(not SCREENSHOTS, reason="set SCREENSHOTS=docs to write them")
@pytest.mark.skipif(not PROMETHEUS, reason="no `prometheus` on the PATH (Debian: prometheus)")
def test_screenshots_of_the_row_on_learning_can_be_written(
    browser: webdriver.Chrome, observed: Observed
) -> None:
    resize(browser, WIDTH + 2 * MARGIN, 400)
    browser.get(observed.page("Learning", "light"))
    root = browser.find_element(By.ID, "root")
    WebDriverWait(browser, PATIENCE_SECONDS).until(
        lambda _: len(root.find_elements(By.TAG_NAME, "canvas")) == 3, root.text
    )
    assert console_messages(browser) == []
    assert root.screenshot(f"{SCREENSHOTS}/grafana.png")
