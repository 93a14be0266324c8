"""Rows that fuse a student with a baseline or average seeds, in a ladder on disk."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.ladder.conftest import records, run_ladder
from tests.training.ladder.stored_arrays import stored_arrays
from training.distillation.job import Job
from training.ladder.results.measured import TARGETS
from training.ladder.runs.store import RunFacts

NARROW = ("--students", "caser", "--rows", "CE", "--seeds", "0", "1", "2")
FUSED, ENSEMBLE = "CE fused with kNN", "CE, three seeds"


def figures(config: Path, metric: str = "NDCG@20") -> dict[tuple[str, str], float]:
    """Means over all targets by row and split."""
    return {
        (line["row"], line["split"]): float(line["mean"])
        for line in records(config)
        if (line["targets"], line["metric"]) == (TARGETS[0], metric)
    }


def facts_of_runs(config: Path) -> list[dict[str, Any]]:
    """Facts in the files of stored runs."""
    files = sorted((config.parent / "results" / "runs" / "chain").glob("*.npz"))
    facts = [json.loads(str(stored_arrays(file)["facts"])) for file in files]
    return [each for each in facts if "name" in each]  # a reference has none


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of the trainings that begin, in order."""
    seeds: list[int] = []
    train = Job.train

    def recorded(self: Job, *arguments: object) -> object:
        seeds.append(self.seed)
        return train(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Job, "train", recorded)
    return seeds


def test_a_student_is_fused_with_neighbours_and_seeds_are_averaged(config: Path) -> None:
    assert run_ladder(config, *NARROW, "--mixtures") == 0

    lines = {line["row"]: line for line in records(config)}
    kinds = {row: (lines[row]["kind"], lines[row]["seeds"]) for row in ("CE", FUSED, ENSEMBLE)}
    assert kinds == {"CE": ("student", "3"), FUSED: ("ranker", "3"), ENSEMBLE: ("ensemble", "1")}
    assert {lines[row]["served"] for row in (FUSED, ENSEMBLE)} == {"no"}
    assert {lines[row]["teacher_free"] for row in (FUSED, ENSEMBLE)} == {"yes"}
    # The weights 0 and 1 are tried too, and validation chooses.
    found = figures(config)
    assert found[FUSED, "validation"] >= found["CE", "validation"]
    assert found[FUSED, "validation"] >= found["order-aware kNN", "validation"]
    report = (config.parent / "results" / "chain.md").read_text()
    assert f"| Caser | {FUSED} |  |  | method = " in report


def test_what_the_method_is_worth_beside_neighbours_is_a_part_of_the_report(config: Path) -> None:
    rows = ("--students", "caser", "--rows", "CE", "DLLM2Rec", "--seeds", "0")
    assert run_ladder(config, *rows, "--mixtures") == 0

    taught = "DLLM2Rec fused with kNN"
    free = {line["row"]: line["teacher_free"] for line in records(config)}
    assert (free[FUSED], free[taught]) == ("yes", "no")
    report = (config.parent / "results" / "chain.md").read_text()
    assert f"| the whole method, beside neighbours | {taught} over {FUSED} | " in report


def test_mixtures_are_kept_like_any_run(config: Path, trained: list[int]) -> None:
    run_ladder(config, *NARROW, "--mixtures")
    first = figures(config)
    trained.clear()

    assert run_ladder(config, *NARROW, "--mixtures") == 0
    assert run_ladder(config, *NARROW, "--kept") == 0

    assert trained == []
    assert figures(config) == first


def test_without_the_option_no_student_is_trained_for_a_mixture(
    config: Path, trained: list[int]
) -> None:
    assert run_ladder(config, *NARROW) == 0

    assert sorted(trained) == [0, 1, 2]
    assert not {row for row, _ in figures(config)} & {FUSED, ENSEMBLE}


def test_a_fused_refit_takes_its_weight_over_and_is_reported_beside_its_student(
    config: Path,
) -> None:
    assert run_ladder(config, *NARROW, "--protocol", "both", "--mixtures") == 0

    lines = [line for line in records(config) if line["split"] == "test"]
    protocols = {(line["row"], line["protocol"]) for line in lines}
    assert protocols >= {(row, each) for row in (FUSED, ENSEMBLE) for each in ("train", "refit")}
    stored = [RunFacts(**facts) for facts in facts_of_runs(config)]
    of_fused = [each for each in stored if each.name.startswith(FUSED)]
    chosen = {each.name: each.settings for each in of_fused if each.protocol == "train"}
    taken_over = {each.name: each.settings for each in of_fused if each.protocol == "refit"}
    assert taken_over == chosen
    assert len(chosen) == 3
