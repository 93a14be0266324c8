"""Every route has a cost, and dear requests have more units than cheap ones."""

from typing import cast

import pytest

from export.contract.bundle import Item
from service.access.principal import Scope
from service.admission.costs import (
    ADMIN_KINDS,
    Cost,
    batch_units,
    catalog_units,
    change_units,
    filter_units,
    ranking_units,
    scoring_units,
)
from service.api import costs
from service.api.costs import COSTS, CostError
from service.api.scopes import SCOPES
from service.app import create_app
from service.http.lanes.lane_rules import FastLaneError
from service.ranking.filters import AttributeIndex, Filters
from service.settings import Settings


def test_liveness_readiness_and_metrics_are_free() -> None:
    create_app(Settings())
    free = {name for name, cost in COSTS.items() if cost.kind == "free"}
    assert free == {"GET /healthz", "GET /readyz", "GET /metrics"}


def test_work_of_the_kinds_for_admins_needs_their_scope() -> None:
    scopes = {SCOPES[name] for name, cost in COSTS.items() if cost.kind in ADMIN_KINDS}
    assert scopes == {Scope.ADMIN}


def test_a_route_without_a_cost_keeps_the_application_from_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = {name: cost for name, cost in COSTS.items() if name != "GET /v1/model"}
    monkeypatch.setattr(costs, "COSTS", without)
    with pytest.raises(CostError, match="GET /v1/model"):
        create_app(Settings())


def test_a_lane_of_a_route_that_is_not_light_keeps_the_application_from_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(cast(dict[str, Cost], COSTS), "POST /v1/recommendations", Cost("heavy"))
    with pytest.raises(FastLaneError, match="POST /v1/recommendations is not light work"):
        create_app(Settings())


def test_a_batch_has_half_a_unit_for_each_query_that_fits_into_its_body_and_one_for_each_8_kb() -> (
    None
):
    assert batch_units(30, 0) == 1
    assert batch_units(200, 0) == 1 + 5
    assert batch_units(27_000, 0) == 1 + 32 + 3
    assert batch_units(1 << 20, 0) == 1 + 32 + 128


def test_changes_have_a_unit_for_each_100_that_fit_into_the_body_and_one_for_each_8_kb() -> None:
    assert change_units(31, 0) == 1
    assert change_units(31 * 250, 0) == 1 + 2
    assert change_units(1 << 20, 0) == 1 + 100 + 128  # 10,000 changes at most


def test_what_reads_the_whole_catalog_has_a_unit_for_each_2000_items() -> None:
    assert catalog_units(0, 3_500) == 2
    assert catalog_units(0, 100_000) == 51


def test_scoring_all_items_has_a_unit_for_each_50000_of_them() -> None:
    assert scoring_units(8) == 1
    assert scoring_units(1_000_000) == 21


def test_ranking_by_events_has_a_unit_for_each_500_items_with_events_and_is_light_for_few() -> None:
    assert ranking_units(499, 100_000) == 0
    assert ranking_units(1_500, 1_000_000) == 3 + 2


def test_filters_cost_by_the_places_of_their_masks() -> None:
    items = [Item(str(n), "", attributes={"sort": ["odd" if n % 2 else "even"]}) for n in range(9)]
    filters = Filters(AttributeIndex.of_items(enumerate(items, start=1)), mask_length=10)
    # Two masks of 10 places, 4 odd items and 5 even ones; no item is of the sort "none".
    allow, deny = {"sort": ["odd", "odd", "none"]}, {"sort": ["even"]}
    assert filters.num_steps(allow, deny) == 20 + 4 + 5
    assert [filter_units(29), filter_units(199_999), filter_units(400_000)] == [0, 0, 2]
