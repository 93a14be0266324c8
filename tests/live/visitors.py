"""Visitors of an experiment whose clicks, counted by the programs, a Prometheus observes."""

import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from distilled_recommender.app import main
from export.contract.bundle import load_bundle
from proofs.fixtures.processes.waiting import free_port
from tests.conftest import TIMEOUT_SECONDS
from tests.live.conftest import wait_until_ready

ROOT = Path(__file__).parents[2]
PROMETHEUS = shutil.which("prometheus")
PATIENCE_SECONDS = TIMEOUT_SECONDS
CLICK_THROUGH: Mapping[str, float] = {"plain": 0.1, "better": 0.15}
NEW_ITEMS = 0.02  # share of the events on items that the model does not know
VISITORS_A_ROUND = 60


class Visitors:
    """Visitors of a service with an event log; each is shown a list, and may click in it."""

    def __init__(self, url: str, bundle: Path) -> None:
        items = load_bundle(bundle).items
        self._url = url
        self._item_ids = [item.item_id for item in items]
        self._popularity = [item.popularity for item in items]
        self._chance = random.Random(0)  # noqa: S311 - no secret
        self._number = 0

    def visit(self) -> None:
        """Sends the events and the requests of some visitors."""
        with httpx.Client(base_url=self._url, trust_env=False, timeout=PATIENCE_SECONDS) as client:
            for _ in range(VISITORS_A_ROUND):
                self._number += 1
                self._visit(client, f"visitor-{self._number}")

    def _visit(self, client: httpx.Client, session: str) -> None:
        """Views two items, as often as they were in training, and clicks by the variant."""
        for seen in self._chance.choices(self._item_ids, self._popularity, k=2):
            self._tell(client, session, {"item_id": seen, "event_type": "view"})
        answer = client.post("/v1/recommendations", json={"session_id": session, "k": 5})
        shown = answer.raise_for_status().json()
        if self._chance.random() < CLICK_THROUGH[shown["variant"]]:
            clicked = self._chance.choice(shown["items"])["item_id"]
            event = {"item_id": clicked, "recommendation_id": shown["recommendation_id"]}
            self._tell(client, session, event)
        if self._chance.random() < 2 * NEW_ITEMS:
            self._tell(client, session, {"item_id": "a new film", "event_type": "view"})

    def _tell(self, client: httpx.Client, session: str, event: Mapping[str, str]) -> None:
        client.post(f"/v1/sessions/{session}/events", json=event).raise_for_status()


def count(segments: Path, log: Path, figures: Path, bundle: Path) -> None:
    """Moves the service's events to the log, and counts the live figures, by the programs."""
    assert main(["collect", str(log), "--segments", str(segments), "--once"]) == 0
    counted = ["experiments", str(log), "--output", str(figures), "--bundle", str(bundle)]
    assert main(counted) == 0


@contextmanager
def prometheus(folder: Path, service: str, page: Path) -> Iterator[str]:
    """Runs a Prometheus that scrapes a service and serves `page` as /user; yields its address."""
    shipped = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text("utf-8"))
    target = {"targets": [service.removeprefix("http://")]}
    jobs = [{"job_name": "service", "static_configs": [target]}]
    folder.mkdir()
    settings = folder / "prometheus.yml"
    settings.write_text(yaml.safe_dump({"global": shipped["global"], "scrape_configs": jobs}))
    address = f"127.0.0.1:{free_port()}"
    command = [
        *(str(PROMETHEUS), f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}"),
        *(f"--web.listen-address={address}", f"--web.user-assets={page}", "--log.level=error"),
    ]
    process = subprocess.Popen(command)
    try:
        wait_until_ready(f"http://{address}", process, "/-/ready")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
