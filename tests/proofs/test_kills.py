"""A short form of `python -m proofs kills`."""

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proofs.kills import Road, kill_figures, prove


def test_a_prepare_that_was_killed_completes_in_the_next_run_with_the_same_files() -> None:
    figures = list(prove(kills=1, seed=3, stages=("prepare",)))
    assert len(figures) == 2
    assert all(each.holds for each in figures)


@dataclass(frozen=True)
class EndingRoad(Road):
    """A road whose runs end before they are killed, all but those of the given numbers."""

    killed: tuple[int, ...]
    times: list[float] = field(default_factory=list)

    def finish(self, stage: str) -> float:  # noqa: ARG002 - as a road has it
        """Pretends that the stage took a second."""
        return 1.0

    def kill(self, stage: str, seconds: float) -> bool:  # noqa: ARG002 - as a road has it
        """Counts the run."""
        self.times.append(seconds)
        return len(self.times) in self.killed


@pytest.mark.parametrize(
    ("killed", "num_runs", "holds"), [((1, 2), 2, True), ((3, 6), 6, True), ((3,), 6, False)]
)
def test_a_run_that_ends_before_it_is_killed_is_no_kill(
    tmp_path: Path, killed: tuple[int, ...], num_runs: int, holds: bool
) -> None:
    (tmp_path / "road").mkdir()
    road = EndingRoad(tmp_path / "road", killed)
    figures = list(kill_figures(road, "publish", 2, random.Random(0)))  # noqa: S311 - no secret
    assert len(road.times) == num_runs
    assert figures[0].value == len(killed)
    assert figures[0].holds == holds
