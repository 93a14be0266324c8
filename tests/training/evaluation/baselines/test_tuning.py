"""Tuning on the validation examples, with a progress bar."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.baselines import tuning
from training.evaluation.baselines.session_neighbours import tuned_session_neighbours
from training.evaluation.baselines.tuning import best_on_validation, tuned
from training.evaluation.yardstick import Scorer
from training.progress import ProgressBar


class RecordedBar(ProgressBar):
    """A bar that records its total, and its advances."""

    bars: list["RecordedBar"] = []  # noqa: RUF012, reset by the fixture

    def __init__(self, label: str, total: float, unit: str) -> None:
        super().__init__(label, total, unit, shown=False)
        self.total = total
        self.advances: list[float] = []
        self.bars.append(self)

    def advance(self, units: float = 1) -> None:
        self.advances.append(units)


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[RecordedBar]:
    monkeypatch.setattr(RecordedBar, "bars", [])
    monkeypatch.setattr(tuning, "ProgressBar", RecordedBar)
    return RecordedBar.bars


def steps_ahead(dataset: Dataset, steps: int) -> Scorer:
    """A scorer for the ring of twelve items that prefers the item `steps` after the last one."""

    def score(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        scores = np.zeros((len(rows), dataset.catalog.num_rows), dtype=np.float32)
        ahead = (dataset.item_indices[rows - 1] + steps - 1) % 12 + 1
        scores[np.arange(len(rows)), ahead] = 1
        return scores

    return score


def test_the_candidate_with_the_best_validation_ndcg_is_chosen(chain_dataset: Dataset) -> None:
    def scorer_of(steps: int) -> Scorer:
        return steps_ahead(chain_dataset, steps)

    assert best_on_validation((2, 1, 3), scorer_of, chain_dataset, "steps") == 1


def test_of_equal_candidates_the_first_is_chosen(chain_dataset: Dataset) -> None:
    candidates = ("a", "b")
    chosen = best_on_validation(
        candidates, lambda _: steps_ahead(chain_dataset, 1), chain_dataset, "equals"
    )

    assert chosen == "a"


def test_tuning_of_vmis_knn_fills_its_bar_with_every_settings_it_may_try(
    chain_dataset: Dataset, bars: list[RecordedBar], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.evaluation.yardstick.BATCH_SIZE", 10)

    tuned_session_neighbours(chain_dataset)

    num_tries = 1 + 2 * (2 + 2 + 2)  # three fields of three values, in two rounds
    num_examples = len(chain_dataset.example_rows(Split.VALIDATION))
    assert [bar.total for bar in bars] == [num_tries * num_examples]
    assert sum(bars[0].advances) == num_tries * num_examples


@dataclass(frozen=True)
class Steps:
    """Settings of a ranker that is right at one step ahead without an error."""

    ahead: int = 3
    errors: int = 0


def tuned_steps(dataset: Dataset, max_examples: int = 2_000) -> tuple[Steps, list[Steps]]:
    """Tunes `Steps`; returns what was chosen, and what was measured."""
    measured: list[Steps] = []

    def scorer_of(steps: Steps) -> Scorer:
        measured.append(steps)
        return steps_ahead(dataset, steps.ahead + steps.errors)

    options = {"ahead": (1, 3), "errors": (0, 2)}
    return tuned(Steps(), options, scorer_of, dataset, "steps", max_examples), measured


def test_settings_are_searched_one_field_at_a_time_and_measured_once(
    chain_dataset: Dataset,
) -> None:
    chosen, measured = tuned_steps(chain_dataset)

    assert chosen == Steps(1, 0)
    assert measured == [Steps(3, 0), Steps(1, 0), Steps(1, 2)]


def test_a_search_ranks_a_bounded_part_of_the_examples(
    chain_dataset: Dataset, bars: list[RecordedBar]
) -> None:
    tuned_steps(chain_dataset, max_examples=11)

    assert bars[0].total == (1 + 2 * 2) * 10  # every third of 30 examples
