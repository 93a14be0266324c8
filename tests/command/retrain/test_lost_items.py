"""A retraining refuses a challenger that would lack items which the shop still has."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distilled_recommender.app import main
from distilled_recommender.retrain import program
from distilled_recommender.retrain.runs import Run, RunTable
from export.contract.bundles_folder import publish
from tests.command.retrain.conftest import HOUR, Shop, now_ms
from tests.service.conftest import RING
from tests.training.event_log import event, write

CLICKED = RING[:-2]


class Taught(BaseException):
    """Ends a run where the teacher would begin."""


@pytest.fixture
def shop(empty_shop: Shop, save_bundle_with: Callable[..., Path]) -> Shop:
    """A shop whose champion serves the whole ring, and whose visitors click all but two items."""
    begin = now_ms() - HOUR
    rows = [
        event(f"s{number}", CLICKED[(number + place) % len(CLICKED)], begin + 6 * number + place)
        for number in range(120)
        for place in range(6)
    ]
    write(empty_shop.log, "event", rows)
    publish(save_bundle_with(), empty_shop.bundles)
    return empty_shop


def retrain(shop: Shop) -> Run:
    assert main(["retrain", *shop.arguments]) == 0
    return RunTable(shop.work / "retrain").read()[-1]


def reaches_the_teacher(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> bool:
    def teach(*_: object) -> None:
        raise Taught

    monkeypatch.setattr(program, "teach", teach)
    try:
        main(["retrain", *shop.arguments])
    except Taught:
        return True
    return False


def test_a_challenger_without_items_that_are_served_and_sold_is_refused_before_it_is_taught(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write_config(min_interactions=5)
    champion = shop.active
    monkeypatch.delattr(program, "teach")

    run = retrain(shop)

    assert (run.decision, run.champion, run.bundle) == ("refused", champion, None)
    assert run.reason.startswith("the challenger would lack 2 of the 8 items that the champion")
    assert f"{shop.folder / 'items.csv'} has them: {RING[-2]!r}, {RING[-1]!r};" in run.reason
    assert "data.min_interactions = 5 leaves them out: set it to 1" in run.reason
    assert "retrain.may_lose_items = true" in run.reason
    assert shop.active == champion


def test_with_every_item_in_the_catalog_nothing_is_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reaches_the_teacher(shop, monkeypatch)


def test_a_loss_that_the_experiment_accepts_is_no_reason_to_refuse(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write_config(min_interactions=5, retrain="may_lose_items = true")

    assert reaches_the_teacher(shop, monkeypatch)


def test_items_that_the_shop_has_removed_from_its_table_are_not_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write_config(min_interactions=5)
    rows = "".join(f"{item_id},Item {item_id}\n" for item_id in CLICKED)
    (shop.folder / "items.csv").write_text(f"item_id,title\n{rows}")

    assert reaches_the_teacher(shop, monkeypatch)
