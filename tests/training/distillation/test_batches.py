from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.distillation.batches import NO_ROW, Batch, TrainingWindows


def predictions(batches: Sequence[Batch]) -> dict[int, list[int]]:
    """Items that are read before each predicted row; fails if a row is predicted twice."""
    read: dict[int, list[int]] = {}
    for batch in batches:
        for items, rows in zip(batch.histories.tolist(), batch.next_rows.tolist(), strict=True):
            for place, row in enumerate(rows):
                if row != NO_ROW:
                    assert row not in read
                    read[row] = [item for item in items[: place + 1] if item]
    return read


@pytest.mark.parametrize("epoch", range(5))
def test_an_epoch_predicts_every_train_row_with_a_history_exactly_once(
    tiny_dataset: Dataset, epoch: int
) -> None:
    windows = TrainingWindows(tiny_dataset, max_history_length=2, batch_size=2)

    predicted = predictions(windows.epoch(seed=0, epoch=epoch))

    assert sorted(predicted) == tiny_dataset.example_rows(Split.TRAIN).tolist()


def test_a_long_enough_window_reads_the_whole_history_with_history_rows(
    tiny_dataset: Dataset,
) -> None:
    windows = TrainingWindows(tiny_dataset, max_history_length=9, batch_size=9)
    first, lengths = windows.cut(np.zeros(3, dtype=np.int64))

    read = predictions([windows.batch(first, lengths)])

    # ann: a b c, bob: b c, cay: a (d, history) c
    assert read == {1: [1], 2: [1, 2], 6: [2], 10: [1, 4]}


def test_a_student_without_titles_reads_no_item_that_only_history_rows_have(
    tiny_dataset: Dataset,
) -> None:
    windows = TrainingWindows(tiny_dataset, 9, 9, tiny_dataset.warm_items())
    first, lengths = windows.cut(np.zeros(3, dtype=np.int64))
    batch = windows.batch(first, lengths)

    # cay: a (d, history) c. Of d there is no TRAIN row, so c is predicted right after a.
    assert predictions([batch]) == {1: [1], 2: [1, 2], 6: [2], 10: [1]}
    assert batch.histories.tolist() == [[1, 2], [0, 2], [0, 1]]
    assert batch.next_items.tolist() == [[2, 3], [0, 3], [0, 3]]


def test_unread_items_take_no_place_in_a_window(tiny_dataset: Dataset) -> None:
    read_before_c = {
        tuple(predictions(windows)[10])
        for epoch in range(8)
        for windows in [
            TrainingWindows(tiny_dataset, 1, 9, tiny_dataset.warm_items()).epoch(0, epoch)
        ]
    }

    assert read_before_c == {(1,)}  # item a, although row d lies between


def test_a_train_row_before_which_nothing_is_read_is_not_predicted(tiny_dataset: Dataset) -> None:
    is_train = np.isin(tiny_dataset.item_indices, (1, 3))
    splits = np.where(is_train, Split.TRAIN, Split.HISTORY).astype(np.uint8)
    without_b = replace(tiny_dataset, splits=splits)

    windows = TrainingWindows(without_b, 9, 9, without_b.warm_items())

    # ann: a c a, bob: c (b before it is not read), cay: a c
    first, lengths = windows.cut(np.zeros(3, dtype=np.int64))
    assert predictions([windows.batch(first, lengths)]) == {2: [1], 4: [1, 3], 10: [1]}


def test_item_dropout_leaves_rows_out_of_an_epoch_as_if_they_were_not_there(
    tiny_dataset: Dataset,
) -> None:
    windows = TrainingWindows(tiny_dataset, 9, 9, item_dropout=0.5)

    epochs = [predictions(windows.epoch(seed=0, epoch=epoch)) for epoch in range(400)]

    # ann: a b c. Row 2 is predicted if it is kept, and at least one of rows 0 and 1 is.
    read_before_c = [each[2] for each in epochs if 2 in each]
    assert {tuple(each) for each in read_before_c} == {(1,), (2,), (1, 2)}
    assert len(read_before_c) / 400 == pytest.approx(0.5 * 0.75, abs=0.05)
    assert sum(1 in each for each in epochs) / 400 == pytest.approx(0.25, abs=0.05)
    assert {row for each in epochs for row in each} == {1, 2, 6, 10}


def test_dropped_rows_depend_on_seed_and_epoch_only(tiny_dataset: Dataset) -> None:
    one, other = (TrainingWindows(tiny_dataset, 9, 9, item_dropout=0.5) for _ in range(2))
    one.epoch(seed=7, epoch=0)

    for epoch in range(20):
        expected = predictions(one.epoch(seed=7, epoch=epoch))
        assert predictions(other.epoch(seed=7, epoch=epoch)) == expected


def test_a_batch_is_built_when_it_is_read(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch of many windows would not fit into memory."""
    windows = TrainingWindows(tiny_dataset, max_history_length=1, batch_size=2)
    epoch = windows.epoch(seed=0, epoch=0)
    whole = predictions(epoch)
    built: list[int] = []
    build = windows.batch

    def counted(first: NDArray[np.int64], lengths: NDArray[np.int64]) -> Batch:
        built.append(len(first))
        return build(first, lengths)

    monkeypatch.setattr(windows, "batch", counted)

    last = epoch[-1]

    assert built == [len(last.histories)]
    assert predictions(epoch[:2]) | predictions(epoch[2:]) == whole
    with pytest.raises(IndexError):
        epoch[len(epoch)]


def test_held_out_items_are_neither_read_nor_predicted(tiny_dataset: Dataset) -> None:
    windows = TrainingWindows(tiny_dataset, max_history_length=3, batch_size=4)
    held_out = {3, 4, 7}

    for batch in windows.epoch(seed=1, epoch=0):
        assert not held_out & set(batch.next_rows.flatten().tolist())
        assert 5 not in batch.histories  # item e occurs in bob's test row only


def test_next_items_are_the_items_of_the_next_rows(tiny_dataset: Dataset) -> None:
    for batch in TrainingWindows(tiny_dataset, 2, 2).epoch(seed=0, epoch=0):
        predicted = batch.next_rows != NO_ROW
        rows = batch.next_rows[predicted].numpy()

        assert batch.next_items[predicted].tolist() == tiny_dataset.item_indices[rows].tolist()
        assert not batch.next_items[~predicted].any()


def test_windows_are_padded_on_the_left(tiny_dataset: Dataset) -> None:
    windows = TrainingWindows(tiny_dataset, max_history_length=9, batch_size=9)
    first, lengths = windows.cut(np.zeros(3, dtype=np.int64))

    assert windows.batch(first, lengths).histories.tolist() == [[1, 2], [0, 2], [1, 4]]


def test_epochs_differ_and_the_same_epoch_of_a_seed_is_the_same(tiny_dataset: Dataset) -> None:
    windows = TrainingWindows(tiny_dataset, max_history_length=2, batch_size=1)

    def shape(seed: int, epoch: int) -> list[list[list[int]]]:
        return [batch.next_rows.tolist() for batch in windows.epoch(seed, epoch)]

    assert shape(seed=3, epoch=1) == shape(seed=3, epoch=1)
    assert len(Counter(str(shape(seed=3, epoch=epoch)) for epoch in range(8))) > 1
    assert len(Counter(str(shape(seed=seed, epoch=1)) for seed in range(8))) > 1


def test_a_batch_is_split_by_length_and_each_part_has_its_own_padding(
    tiny_dataset: Dataset,
) -> None:
    windows = TrainingWindows(tiny_dataset, max_history_length=9, batch_size=9)
    batch = windows.batch(*windows.cut(np.zeros(3, dtype=np.int64)))

    short, long = batch.by_length(2)  # of [1, 2], [2], [1, 4]

    assert short.histories.tolist() == [[0, 2], [1, 2]]
    assert long.histories.tolist() == [[1, 4]]
    assert next(iter(batch.by_length(3))).histories.tolist() == [[2]]
    assert len(list(batch.by_length(9))) == 3
    assert predictions([short, long]) == predictions([batch])
    panels = [short, long]
    assert [each.next_items[each.is_predicted].tolist() for each in panels] == [[3, 2, 3], [3]]


def test_a_packed_batch_predicts_the_same_items_after_the_same_histories_in_fewer_rows(
    tiny_dataset: Dataset,
) -> None:
    windows = TrainingWindows(tiny_dataset, max_history_length=9, batch_size=9)
    first, lengths = windows.cut(np.zeros(3, dtype=np.int64))
    batch = windows.batch(np.tile(first, 2), np.tile(lengths, 2))  # [1, 2], [2], [1, 4], twice

    packed = batch.packed()

    # The longest first, each into the fullest row that has room for it.
    assert packed.histories.tolist() == [[1, 2], [1, 4], [1, 2], [1, 4], [2, 2]]
    assert packed.windows is not None
    assert packed.windows.tolist() == [[1, 1], [3, 3], [4, 4], [6, 6], [2, 5]]
    assert packed.next_items.tolist() == [[2, 3], [0, 3], [2, 3], [0, 3], [3, 3]]
    assert packed.next_rows.tolist() == [[1, 2], [-1, 10], [1, 2], [-1, 10], [6, 6]]


def test_a_row_that_no_window_fills_is_padded_behind_its_windows() -> None:
    histories = torch.tensor([[0, 0, 0, 5], [0, 6, 7, 8], [0, 0, 3, 4]])
    batch = Batch(histories, histories + 1, histories + 2)

    packed = batch.packed()

    assert packed.histories.tolist() == [[6, 7, 8, 5], [3, 4, 0, 0]]
    assert packed.next_items.tolist() == [[7, 8, 9, 6], [4, 5, 0, 0]]
    assert packed.next_rows.tolist() == [[8, 9, 10, 7], [5, 6, NO_ROW, NO_ROW]]
    assert packed.windows is not None
    assert packed.windows.tolist() == [[2, 2, 2, 1], [3, 3, 0, 0]]
