import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.catalog import Catalog
from training.data.dataset import Dataset, make_dataset
from training.teacher.llm.prompts import PromptBuilder
from training.teacher.llm.windows import plan_windows, prompt_batch, prompt_lengths, token_bounded


def dataset_of(*lengths: int) -> Dataset:
    """A user per length, all rows in train, items cycling through three."""
    total = sum(lengths)
    return make_dataset(
        name="lengths",
        catalog=Catalog(("a", "b", "c"), ("A", "B", "C"), ({}, {}, {})),
        user_ids=tuple(f"u{user}" for user in range(len(lengths))),
        item_indices=np.arange(total) % 3 + 1,
        user_offsets=np.concatenate([[0], np.cumsum(lengths)]),
        splits=np.zeros(total, dtype=np.uint8),
    )


def rows_with_history(dataset: Dataset) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.flatnonzero(dataset.position_of_row > 0)


# "A" is [11, 9], "B" is [12, 13, 9], "C" is [9]; 9 is the newline.
BUILDER = PromptBuilder(
    instruction=np.array([1, 2]),
    titles=tuple(np.array(tokens, dtype=np.int64) for tokens in ([], [11, 9], [12, 13, 9], [9])),
)


def test_a_short_history_is_one_window() -> None:
    dataset = dataset_of(4)
    (window,) = plan_windows(dataset, rows_with_history(dataset), max_titles=10, overlap=2)
    assert (window.start, window.stop) == (0, 3)  # the last item is predicted, not read
    np.testing.assert_array_equal(window.targets, [1, 2, 3])


def test_a_long_history_is_cut_with_an_overlap() -> None:
    dataset = dataset_of(9)
    windows = plan_windows(dataset, rows_with_history(dataset), max_titles=4, overlap=1)
    assert [(each.start, each.stop) for each in windows] == [(0, 4), (3, 7), (6, 8)]
    assert [each.targets.tolist() for each in windows] == [[1, 2, 3, 4], [5, 6, 7], [8]]


def test_a_window_never_reads_across_users() -> None:
    dataset = dataset_of(3, 2)
    windows = plan_windows(dataset, rows_with_history(dataset), max_titles=10, overlap=0)
    assert [(each.start, each.stop) for each in windows] == [(0, 2), (3, 4)]


def test_only_the_given_rows_are_predicted_and_nothing_newer_is_read() -> None:
    dataset = dataset_of(9)
    (window,) = plan_windows(dataset, np.array([6]), max_titles=4, overlap=1)
    assert (window.start, window.stop, window.targets.tolist()) == (3, 6, [6])


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    max_titles=st.integers(2, 12),
    data=st.data(),
)
def test_every_row_is_predicted_once_from_more_titles_than_the_overlap(
    lengths: list[int], max_titles: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, max_titles - 1))
    dataset = dataset_of(*lengths)
    rows = rows_with_history(dataset)
    windows = plan_windows(dataset, rows, max_titles, overlap)
    assert sorted(row for each in windows for row in each.targets) == rows.tolist()
    for window in windows:
        assert window.stop - window.start <= max_titles
        for row in window.targets:
            assert row - window.start > min(overlap, dataset.position_of_row[row] - 1)


def test_a_prompt_batch_points_at_the_title_before_each_next_item() -> None:
    dataset = dataset_of(4)  # A B C | A
    windows = plan_windows(dataset, np.array([2, 3]), max_titles=10, overlap=0)
    batch = prompt_batch(dataset, BUILDER, windows)
    np.testing.assert_array_equal(batch.tokens, [[1, 2, 11, 9, 12, 13, 9, 9]])
    np.testing.assert_array_equal(batch.newest.prompt, [0, 0])
    np.testing.assert_array_equal(batch.newest.first, [4, 7])  # the first token of B, of C
    np.testing.assert_array_equal(batch.newest.last, [6, 7])  # the newline of each
    np.testing.assert_array_equal(batch.rows, [2, 3])


def test_prompt_lengths_count_the_instruction_and_each_title_read() -> None:
    dataset = dataset_of(4, 2)
    windows = plan_windows(dataset, rows_with_history(dataset), max_titles=10, overlap=0)
    # A B C read: 2 + 2 + 3 + 1; the second user reads B: 2 + 3
    np.testing.assert_array_equal(prompt_lengths(dataset, BUILDER, windows), [8, 5])


@given(lengths=st.lists(st.integers(1, 50), max_size=40), limit=st.integers(10, 120))
def test_batches_hold_every_prompt_once_within_the_token_limit(
    lengths: list[int], limit: int
) -> None:
    batches = list(token_bounded(np.array(lengths, dtype=np.int64), limit))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        rectangle = len(batch) * max(lengths[index] for index in batch)
        assert rectangle <= limit or len(batch) == 1
