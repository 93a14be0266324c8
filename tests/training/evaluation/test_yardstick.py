import math

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import evaluate, ranker_of, seen_items


def favouring(*items: int) -> NDArray[np.float32]:
    """Scores of six catalog rows, `items` first in this order."""
    scores = np.zeros(6, dtype=np.float32)
    scores[list(items)] = np.arange(len(items), 0, -1)
    return scores


def test_padding_and_seen_items_are_left_out_and_the_list_is_filled_with_padding(
    tiny_dataset: Dataset,
) -> None:
    rank = ranker_of(
        lambda rows: np.tile(favouring(0, 2, 5, 4, 1, 3), (len(rows), 1)), tiny_dataset
    )

    # Before row 3 ann saw a b c; before row 7 bob saw b c.
    assert rank(np.array([3, 7])).tolist() == [[5, 4, 0, 0, 0], [5, 4, 1, 0, 0]]


def test_an_item_whose_score_is_not_finite_is_not_recommended(tiny_dataset: Dataset) -> None:
    scores = np.array([0, 0, 0, 0, np.nan, np.nan], dtype=np.float32)
    rank = ranker_of(lambda rows: np.tile(scores, (len(rows), 1)), tiny_dataset)

    assert evaluate(rank, tiny_dataset, np.array([3, 7])).ranks.tolist() == [0, 0]


def test_seen_items_are_those_of_the_same_user_before_the_row(tiny_dataset: Dataset) -> None:
    seen = seen_items(tiny_dataset, np.array([2, 6, 8]))

    assert [np.flatnonzero(line).tolist() for line in seen] == [[1, 2], [2], []]


def test_metrics_are_means_over_the_examples(tiny_dataset: Dataset) -> None:
    rank = ranker_of(lambda rows: np.tile(favouring(4, 5), (len(rows), 1)), tiny_dataset)

    # Row 3 (item d) is ranked first, row 7 (item e) second, row 4 (item a again) cannot be.
    evaluation = evaluate(rank, tiny_dataset, np.array([3, 7, 4]))

    assert evaluation.ranks.tolist() == [1, 2, 0]
    assert evaluation.metrics["HR@1"] == pytest.approx(1 / 3)
    assert evaluation.metrics["HR@20"] == pytest.approx(2 / 3)
    assert evaluation.metrics["NDCG@5"] == pytest.approx((1 + 1 / math.log2(3)) / 3)


def test_a_ranker_that_returns_a_seen_item_is_refused(tiny_dataset: Dataset) -> None:
    with pytest.raises(
        ValueError, match="row 3: the ranker returned item 2, which is in the history"
    ):
        evaluate(lambda rows: np.array([[5, 2]] * len(rows)), tiny_dataset, np.array([3]))


def test_evaluating_no_example_is_refused(tiny_dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="'tiny': no examples"):
        evaluate(lambda rows: rows[:, None], tiny_dataset, np.array([], dtype=np.int64))


def test_the_result_does_not_depend_on_the_batch_size(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank = ranker_of(lambda rows: np.tile(favouring(4, 5), (len(rows), 1)), tiny_dataset)
    rows = tiny_dataset.example_rows(Split.TEST)
    whole = evaluate(rank, tiny_dataset, rows)

    monkeypatch.setattr("training.evaluation.yardstick.BATCH_SIZE", 1)

    assert evaluate(rank, tiny_dataset, rows).ranks.tolist() == whole.ranks.tolist()
