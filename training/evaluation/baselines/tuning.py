"""Tunes a baseline: chooses the settings with the best NDCG@20 on the validation examples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import SELECTION_METRIC, Scorer, evaluate, ranker_of
from training.progress import ProgressBar, counting

Candidate = TypeVar("Candidate")
# Number of examples that `tuned` ranks per candidate, unless told otherwise, at most.
MAX_EXAMPLES = 2_000
ROUNDS = 2


def best_on_validation(
    candidates: Sequence[Candidate],
    scorer_of: Callable[[Candidate], Scorer],
    dataset: Dataset,
    label: str,
) -> Candidate:
    """Returns the candidate with the highest validation NDCG@20; in case of a tie, the first one.

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


def tuned(
    start: Candidate,
    options: Mapping[str, Sequence[object]],
    scorer_of: Callable[[Candidate], Scorer],
    dataset: Dataset,
    label: str,
    max_examples: int = MAX_EXAMPLES,
) -> Candidate:
    """Chooses settings by NDCG@20 on validation examples, one field at a time (coordinate search).

    Each field of `options` in turn takes its best value while the other fields are fixed; it keeps
    its value in case of a tie. All fields are searched `ROUNDS` times. Each combination of values
    is measured only once.

    Args:
        start: settings to start from, a frozen dataclass; each value is one of `options`.
        options: values to try, by field.
        scorer_of: function that makes the scorer of settings.
        dataset: dataset whose validation examples are ranked.
        label: name of the work on the progress bar.
        max_examples: maximum number of validation examples to rank per candidate, evenly spaced;
            limits the cost of the search.

    Returns:
        The best settings.
    """
    rows = _some(dataset.example_rows(Split.VALIDATION), max_examples)
    num_tries = ROUNDS * sum(len(values) - 1 for values in options.values()) + 1
    measured: dict[Candidate, float] = {}
    with ProgressBar(label, num_tries * len(rows), "example") as bar:

        def figure(settings: Candidate) -> float:
            if settings not in measured:
                ranker = counting(ranker_of(scorer_of(settings), dataset), bar)
                measured[settings] = evaluate(ranker, dataset, rows).metrics[SELECTION_METRIC]
            return measured[settings]

        best: Any = start
        for name, values in [*options.items()] * ROUNDS:
            others = (replace(best, **{name: value}) for value in values)
            best = max(best, *others, key=figure)
        bar.advance((num_tries - len(measured)) * len(rows))  # settings tried again
    return best  # type: ignore[no-any-return]


def _some(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Selects at most `most` of `rows`, evenly spaced."""
    return rows[:: -(-len(rows) // most)]
