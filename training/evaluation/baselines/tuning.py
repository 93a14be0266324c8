"""Tunes a baseline: chooses the settings with the best NDCG@20 on the validation examples."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import SELECTION_METRIC, Scorer, evaluate, ranker_of
from training.progress import ProgressBar, counting

Candidate = TypeVar("Candidate")


def best_on_validation(
    candidates: Sequence[Candidate],
    scorer_of: Callable[[Candidate], Scorer],
    dataset: Dataset,
    label: str,
) -> Candidate:
    """Returns the candidate with the highest validation NDCG@20, the first one in case of a tie.

    Args:
        candidates: settings to choose from.
        scorer_of: function that makes the scorer of a candidate.
        dataset: dataset whose validation examples are ranked.
        label: name of the work on the progress bar.
    """
    rows = dataset.example_rows(Split.VALIDATION)
    with ProgressBar(label, len(candidates) * len(rows), "example") as bar:

        def figure(candidate: Candidate) -> float:
            ranker = counting(ranker_of(scorer_of(candidate), dataset), bar)
            return evaluate(ranker, dataset, rows).metrics[SELECTION_METRIC]

        return max(candidates, key=figure)
