import numpy as np
import pytest

from training.data.dataset import Dataset, Split
from training.evaluation.shuffled import relative_change, with_shuffled_histories
from training.evaluation.yardstick import Evaluation


def test_histories_have_the_same_items_in_another_order(chain_dataset: Dataset) -> None:
    shuffled = with_shuffled_histories(chain_dataset)
    rows = chain_dataset.example_rows(Split.TEST)

    pairs = [(chain_dataset.history(row).tolist(), shuffled.history(row).tolist()) for row in rows]

    assert all(sorted(before) == sorted(after) for before, after in pairs)
    assert sum(before != after for before, after in pairs) > len(pairs) / 2


def test_a_row_always_has_the_same_order_and_another_seed_another_one(
    chain_dataset: Dataset,
) -> None:
    rows = chain_dataset.example_rows(Split.TEST)

    def orders(seed: int) -> list[list[int]]:
        view = with_shuffled_histories(chain_dataset, seed)
        return [view.history(row).tolist() for row in rows]

    assert orders(0) == orders(0)
    assert orders(0) != orders(1)


def test_everything_but_the_histories_is_as_it_was(chain_dataset: Dataset) -> None:
    view = with_shuffled_histories(chain_dataset)

    assert view.fingerprint == chain_dataset.fingerprint
    assert view.item_indices is chain_dataset.item_indices
    assert view.train_counts().tolist() == chain_dataset.train_counts().tolist()


def test_the_change_is_paired_over_users_and_seeds(tiny_dataset: Dataset) -> None:
    """Rank 1 is an NDCG of 1, rank 3 of 0.5; each user loses half, in both seeds."""
    rows = tiny_dataset.example_rows(Split.TEST)
    before = [Evaluation(rows, np.array([1, 1])), Evaluation(rows, np.array([1, 1]))]
    after = [Evaluation(rows, np.array([3, 3])), Evaluation(rows, np.array([3, 3]))]

    change = relative_change(before, after, tiny_dataset, num_draws=100)

    assert [change.mean, change.low, change.high] == pytest.approx([-0.5] * 3)
