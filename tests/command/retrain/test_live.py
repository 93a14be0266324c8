"""A running service serves what a retraining publishes, and no student of shuffled histories."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import httpx
import pytest

from distilled_recommender.app import main
from distilled_recommender.retrain.runs import Run, RunTable
from export.contract.bundles_folder import LINK_NAME, publish
from tests.command.retrain.conftest import HOUR, Shop, now_ms
from tests.service.conftest import PATIENCE_SECONDS, served


@dataclass
class Visitor:
    """Asks a service again and again; keeps the status, the version and the best item of each."""

    url: str
    answers: list[tuple[int, str, str]] = field(default_factory=list)
    is_leaving: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Asks until the visitor leaves; a request without an answer counts as status 0."""
        with httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS) as client:
            while not self.is_leaving.wait(0.005):
                self.answers.append(_answer(client))

    def wait_for(self, version: str) -> None:
        """Waits until an answer is of `version`."""
        for _ in range(PATIENCE_SECONDS * 100):
            if self.answers and self.answers[-1][1] == version:
                return
            self.is_leaving.wait(0.01)
        raise TimeoutError(f"no answer of {version}")


def _answer(client: httpx.Client) -> tuple[int, str, str]:
    try:
        response = client.post("/v1/recommendations", json={"history": ["c"], "k": 3})
    except httpx.TransportError:
        return 0, "", ""
    if not response.is_success:
        return response.status_code, "", ""
    answer = response.json()
    return response.status_code, answer["model_version"], answer["items"][0]["item_id"]


@contextmanager
def visited(shop: Shop) -> Iterator[Visitor]:
    """Runs a service on the shop's active bundle, with a visitor, until the block ends."""
    paths = {"bundle_path": shop.bundles / LINK_NAME, "items_path": shop.folder / "items.jsonl"}
    with served(**paths, bundles_poll_seconds=0.2) as url:
        visitor = Visitor(url)
        thread = threading.Thread(target=visitor.ask)
        thread.start()
        try:
            yield visitor
        finally:
            visitor.is_leaving.set()
            thread.join()


def retrain(shop: Shop) -> Run:
    assert main(["retrain", *shop.arguments]) == 0
    return RunTable(shop.work / "retrain").read()[-1]


@pytest.mark.slow
def test_a_running_service_swaps_to_what_is_published_without_a_failed_request(
    shop: Shop, save_bundle_with: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shop.visit(60, now_ms() - HOUR)
    backwards = publish(save_bundle_with(scale=-1), shop.bundles).bundle
    with visited(shop) as visitor:
        run = retrain(shop)
        assert run.decision == "published", run.reason
        assert run.bundle is not None
        visitor.wait_for(run.bundle)

    # After c, the champion ranks the last item of the way ahead first, and what is published d.
    served_in_turn = [key for key, _ in groupby(visitor.answers)]
    assert served_in_turn == [(200, backwards, "b"), (200, run.bundle, "d")]
    assert run.seconds > 0
    assert f"{run.seconds / 60:.1f} minutes, 0 teacher tokens" in capsys.readouterr().out


@pytest.mark.slow
def test_a_challenger_that_was_trained_on_shuffled_histories_is_refused(
    empty_shop: Shop, save_bundle_with: Callable[..., Path]
) -> None:
    chance = random.Random(0)  # noqa: S311 - no secret
    empty_shop.visit(110, now_ms() - 5 * HOUR, shuffled=chance)
    empty_shop.visit(15, now_ms() - HOUR)
    champion = publish(save_bundle_with(), empty_shop.bundles).bundle

    run = retrain(empty_shop)

    assert (run.decision, run.champion, run.bundle) == ("worse", champion, None)
    assert "worse than the champion" in run.reason
    assert empty_shop.active == champion
