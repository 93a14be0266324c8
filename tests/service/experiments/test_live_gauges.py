"""The gauges of live figures follow their file, and keep their values while it is damaged."""

from pathlib import Path

import pytest

from export.contract.log.live_figures import (
    SCHEMA,
    Drift,
    LiveFigures,
    LiveReport,
    load_report,
    save_report,
)
from export.contract.records import BundleError
from service.experiments.comparison import ExperimentFile
from service.experiments.live_gauges import LiveGauges

DRIFT = Drift("v", 0, events=200, unknown=50, head=60, head_share=0.5, busiest=10)


def report(drift: Drift | None) -> LiveReport:
    """Figures of a control with 10 % of click-through, and of a variant with none."""
    both = [
        LiveFigures(name, "v", "student", 1_000, clicked, 0, 0.0, 0.0, [clicked], 0, 0)
        for name, clicked in (("main", 100), ("broken", 0))
    ]
    return LiveReport(SCHEMA, None, 5_000, both, drift)


def values(gauges: LiveGauges) -> dict[str, float]:
    """Values of all samples by name, with the first label value behind it."""
    return {
        "/".join([sample.name.removeprefix("recommender_live_"), *list(sample.labels.values())[:1]])
        + (f"/{sample.labels['metric']}" if "metric" in sample.labels else ""): sample.value
        for family in gauges
        for sample in family.samples
    }


@pytest.mark.anyio
async def test_gauges_appear_with_the_file_and_outlive_its_damage(tmp_path: Path) -> None:
    path = tmp_path / "experiments.json"
    gauges = LiveGauges(ExperimentFile(path), "main")
    async with gauges.followed():
        assert values(gauges) == {}
        save_report(report(DRIFT), path)
        await gauges.refresh()
        found = values(gauges)
        path.write_text("{}")
        await gauges.refresh()
        assert values(gauges) == found

    assert found["counted_timestamp_seconds"] == 5
    assert found["unknown_items"] == 50 / 200
    assert found["head"] == 60 / 150  # of the events on items that the model has
    assert found["head_in_training"] == 0.5
    assert found["busiest_session"] == 10 / 200
    assert found["click_through/main"] == 0.1
    assert found["variant_behind/broken/click_through"] == 1
    assert found["variant_behind/broken/conversion"] == 0


@pytest.mark.anyio
async def test_without_events_there_are_no_shares(tmp_path: Path) -> None:
    path = tmp_path / "experiments.json"
    save_report(report(Drift("v", 0, 0, 0, 0, 0.5, 0)), path)
    async with LiveGauges(ExperimentFile(path), "main").followed() as gauges:
        found = values(gauges)

    assert found["events"] == 0
    assert {"unknown_items", "head", "busiest_session"} & found.keys() == set()


@pytest.mark.parametrize("drift", [None, DRIFT])
def test_a_report_with_and_without_drift_is_read_as_it_was_written(
    tmp_path: Path, drift: Drift | None
) -> None:
    save_report(report(drift), tmp_path / "experiments.json")

    assert load_report(tmp_path / "experiments.json") == report(drift)


def test_more_events_of_a_kind_than_events_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "experiments.json"
    save_report(report(Drift("v", 0, 1, 1, 1, 0.5, 1)), path)

    with pytest.raises(BundleError, match="more events of a kind than events"):
        load_report(path)
