from pathlib import Path

from proofs.fixtures.data.tables import write_tables
from proofs.fixtures.processes.program_cost import PREPARE, run_program
from proofs.prepare import prove
from tests.proofs.scale_table import measured_rows, told_rows
from training.data.dataset import Split
from training.data.storage import load_dataset


def test_the_memory_of_prepare_is_measured_on_a_dataset_of_the_size_that_was_asked(
    tmp_path: Path,
) -> None:
    """20,000 random interactions of at most 1,000 users and 400 items; a fifth is held out."""
    cost = run_program(PREPARE, write_tables(tmp_path, 20_000, seed=1), tmp_path / "work")
    dataset = load_dataset(tmp_path / "work" / "large" / "dataset")

    assert 0.05 < cost.private_gib < cost.peak_gib < 1
    assert cost.cpu_seconds > 0
    assert 19_000 < len(dataset.item_indices) <= 20_000
    assert 0.19 < (dataset.splits >= Split.VALIDATION).mean() < 0.21


def test_each_size_has_its_figures_and_is_plotted(tmp_path: Path) -> None:
    figures = list(prove(millions=(0.002,), plot=tmp_path / "prepare.png"))

    assert [each.name for each in figures] == [
        f"0.002 million interactions: {name}"
        for name in (
            "peak resident memory",
            "peak private memory",
            "time",
            "processor time",
            "interactions a second of one core",
        )
    ]
    assert all(each.holds for each in figures)
    assert (tmp_path / "prepare.png").stat().st_size > 0


def test_the_table_of_scale_is_that_of_the_record() -> None:
    rate = "interactions a second of one core"
    assert told_rows("prepare") == measured_rows("prepare", "prepare", rate, 2, 3)
