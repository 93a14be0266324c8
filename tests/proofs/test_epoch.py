from pathlib import Path

import pytest

from proofs.epoch import prove
from proofs.epoch.agents import lost_agent
from proofs.search_cost.subject import num_trained
from tests.proofs.scale_table import measured_rows, told_rows
from training.data.storage import load_dataset


def test_an_epoch_of_each_size_has_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proofs.epoch.lost_agent", lambda _: [])

    kept = tmp_path / "kept"
    figures = list(prove(millions=(0.02,), keep=kept, plot=tmp_path / "epoch.png"))

    assert [each.name for each in figures] == [
        f"0.02 million interactions{kind}: {name}"
        for kind in ("", " without a pair bonus")
        for name in (
            "peak resident memory",
            "peak private memory",
            "time",
            "processor time",
            "predicted interactions a second of one core",
        )
    ]
    assert all(each.holds for each in figures)
    assert (tmp_path / "epoch.png").stat().st_size > 0
    assert num_trained(kept) == load_dataset(kept / "dataset").catalog.num_items


def test_a_folder_that_is_there_already_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="is there already"):
        list(prove(millions=(0.02,), keep=tmp_path))


@pytest.mark.slow
def test_the_agent_that_is_left_ends_and_one_process_goes_on_to_the_same_loss() -> None:
    figures = list(lost_agent(seed=1, rows=10_000))

    assert len(figures) == 4
    assert all(each.holds for each in figures)


def test_the_table_of_scale_is_that_of_the_record() -> None:
    rate = "predicted interactions a second of one core"
    assert told_rows("distill") == measured_rows("distill", "epoch", rate, 1, 2)
