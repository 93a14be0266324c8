"""The gauges of live figures follow their file, and keep their values while it is damaged."""

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
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
from service.experiments import live_gauges
from service.experiments.comparison import ExperimentFile
from service.experiments.live_gauges import LiveGauges
from tests.service.conftest import PATIENCE_SECONDS

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


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("value", "1e200"),
        ("value", "-1" + 400 * "0"),
        ("value_squares", "1e300"),
        ("value_squares", "-1"),
        ("head_share", 400 * "9"),
        ("head_share", "1.5"),
        ("head_share", "-0.5"),
    ],
)
async def test_with_numbers_out_of_bounds_the_service_starts_and_tells_which(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, new: str
) -> None:
    path = tmp_path / "experiments.json"
    save_report(report(DRIFT), path)
    path.write_text(re.sub(rf'"{name}": [\d.]+', f'"{name}": {new}', path.read_text()))
    async with LiveGauges(ExperimentFile(path), "main").followed() as gauges:
        assert values(gauges) == {}
    assert f"{name} = " in caplog.text
    assert "expected a number, " in caplog.text


@pytest.mark.anyio
async def test_the_largest_numbers_have_gauges(tmp_path: Path) -> None:
    path, count = tmp_path / "experiments.json", 2**53
    both = [
        LiveFigures(name, "v", "student", count, clicked, 0, 1e100, 1e100, [], count, count)
        for name, clicked in (("main", count), ("broken", 1))
    ]
    save_report(LiveReport(SCHEMA, None, count, both, Drift("v", 0, count, 0, count, 1, 1)), path)
    async with LiveGauges(ExperimentFile(path), "main").followed() as gauges:
        assert values(gauges)["click_through/main"] == 1


def test_more_than_1000_figures_are_neither_read_nor_written(tmp_path: Path) -> None:
    path = tmp_path / "experiments.json"
    many = 501 * list(report(None).figures)
    with pytest.raises(ValueError, match="1,002 figures, at most 1,000 are read"):
        save_report(LiveReport(SCHEMA, None, 5, many), path)
    save_report(report(None), path)
    text = path.read_text()
    path.write_text(re.sub(r'"figures": \[', '"figures": [' + 999 * "0, ", text))
    with pytest.raises(BundleError, match=r"figures = .* expected a list of at most 1,000"):
        load_report(path)


@pytest.mark.anyio
async def test_the_start_does_not_wait_for_a_file_that_takes_long_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_read, read = threading.Event(), ExperimentFile.content

    def wait_and_read(self: ExperimentFile, control: str) -> Mapping[str, Any]:
        assert may_read.wait(PATIENCE_SECONDS)
        return read(self, control)

    monkeypatch.setattr(ExperimentFile, "content", wait_and_read)
    monkeypatch.setattr(live_gauges, "_SECONDS_AT_START", 0.01)
    path = tmp_path / "experiments.json"
    save_report(report(DRIFT), path)
    async with LiveGauges(ExperimentFile(path), "main").followed() as gauges:
        assert values(gauges) == {}
        may_read.set()
        with anyio.fail_after(PATIENCE_SECONDS):
            while not values(gauges):
                await anyio.sleep(0.01)
