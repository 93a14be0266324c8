"""Comparisons of variants by live figures, and the route that answers them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from export.contract.log.live_figures import SCHEMA, LiveFigures, LiveReport, save_report
from service.experiments import comparison
from service.experiments.comparison import content_of
from service.experiments.intervals import proportion
from service.settings import Settings

if TYPE_CHECKING:
    from tests.service.conftest import Connect


def figures(variant: str, impressions: int, clicked: int, **more: Any) -> LiveFigures:
    fields = {"source": "student", "value": 0.0, "value_squares": 0.0, **more}
    return LiveFigures(
        variant, "v", fields["source"], impressions, clicked, 0, fields["value"],
        fields["value_squares"], [0] * 20, 0, 0,
    )  # fmt: skip


def report(*each: LiveFigures) -> LiveReport:
    return LiveReport(SCHEMA, None, 5, each)


def compared(content: Any, metric: str) -> Any:
    (found,) = [each for each in content["comparisons"] if each["metric"] == metric]
    return found


def test_rates_have_anytime_valid_intervals_and_json_has_no_infinity() -> None:
    content = content_of(report(figures("a", 1, 1)), "a")
    (found,) = content["figures"]
    assert found["click_through"] == pytest.approx({"estimate": 1, "low": 1 / 40, "high": 1})
    assert found["value"] == {"estimate": 0, "low": None, "high": None}
    assert found["next_item_hit"] == {"estimate": None, "low": 0, "high": 1}
    json.dumps(content, allow_nan=False)
    assert content["comparisons"] == []


def test_a_variant_whose_interval_excludes_zero_is_ahead() -> None:
    content = content_of(report(figures("a", 10_000, 1_000), figures("b", 10_000, 1_500)), "a")
    found = compared(content, "click_through")
    assert (found["variant"], found["against"], found["ahead"]) == ("b", "a", "b")
    low = proportion(1_500, 10_000, 0.025).low - proportion(1_000, 10_000, 0.025).high
    assert found["difference"]["low"] == pytest.approx(low)
    assert found["impressions_for_a_tenth"] is None
    assert compared(content, "conversion")["ahead"] is None


def test_before_a_difference_shows_the_needed_impressions_are_told() -> None:
    content = content_of(report(figures("a", 100, 10), figures("b", 100, 12)), "a")
    found = compared(content, "click_through")
    assert found["ahead"] is None
    assert 10_000 < found["impressions_for_a_tenth"] < 100_000


def test_sources_and_versions_of_a_variant_are_compared_together() -> None:
    parts = [figures("b", 5_000, 800), figures("b", 5_000, 700, source="popular")]
    split = content_of(report(figures("a", 10_000, 1_000), *parts), "a")
    whole = content_of(report(figures("a", 10_000, 1_000), figures("b", 10_000, 1_500)), "a")
    assert split["comparisons"] == whole["comparisons"]


def test_the_needed_impressions_are_computed_once_for_a_thousand_variants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []

    def needed(rate: float, *_: float) -> int:
        asked.append(rate)
        return 7

    monkeypatch.setattr(comparison, "trials_to_show", needed)
    variants = [figures(f"b{number}", 100, 12) for number in range(999)]
    content = content_of(report(figures("a", 100, 10), *variants), "a")
    of_clicks = [each for each in content["comparisons"] if each["metric"] == "click_through"]
    assert [each["impressions_for_a_tenth"] for each in of_clicks] == [7] * 999
    assert asked == [0.1]  # it depends on the control alone


@pytest.mark.anyio
async def test_the_route_answers_the_file_and_its_changes(
    tmp_path: Path, bundle_path: Path, connect: "Connect"
) -> None:
    path = tmp_path / "experiments.json"
    key = "an admin key of this test"
    settings = Settings(bundle_path=bundle_path, experiments_path=path, admin_key=SecretStr(key))
    async with connect(settings) as client:
        assert (await client.get("/v1/experiments")).status_code == 401
        client.headers["authorization"] = f"Bearer {key}"
        missing = await client.get("/v1/experiments")
        assert (missing.status_code, str(path) in missing.text) == (404, False)
        save_report(report(figures("default", 100, 10)), path)
        first = (await client.get("/v1/experiments")).json()
        assert first["figures"][0]["impressions"] == 100
        save_report(report(figures("default", 1_000, 10), figures("b", 10, 1)), path)
        second = (await client.get("/v1/experiments")).json()
        assert second["figures"][0]["impressions"] == 1_000
        assert len(second["comparisons"]) == 4
        path.write_text("{}")
        assert (await client.get("/v1/experiments")).status_code == 404
