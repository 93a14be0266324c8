from dataclasses import replace

import numpy as np
import pytest

from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset

pytestmark = pytest.mark.usefixtures("each_block_size")


def test_a_history_is_the_items_of_the_same_user_before_the_row(tiny_dataset: Dataset) -> None:
    assert tiny_dataset.history(4).tolist() == [1, 2, 3, 4]
    assert tiny_dataset.history(7).tolist() == [2, 3]
    assert tiny_dataset.history(5).tolist() == []


def test_the_first_row_of_a_user_is_no_example(tiny_dataset: Dataset) -> None:
    assert tiny_dataset.example_rows(Split.TRAIN).tolist() == [1, 2, 6, 10]
    assert tiny_dataset.example_rows(Split.TEST).tolist() == [4, 7]


def test_of_many_held_out_examples_some_stand_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.data.dataset._FEWEST_HELD_OUT", 2)
    monkeypatch.setattr("training.data.dataset._MAX_SCORES", 3)  # one item: three examples
    # Of each of eight users, one row to train on, one of validation and one of test; but of the
    # last user, no row of test.
    splits = np.array([Split.TRAIN, Split.VALIDATION, Split.TEST] * 8)[:-1]
    catalog = Catalog(item_ids=("a",), titles=("A",), attributes=({},))
    users, offsets = tuple("abcdefgh"), np.array([0, 3, 6, 9, 12, 15, 18, 21, 23])
    dataset = make_dataset("x", catalog, users, np.ones_like(splits), offsets, splits)

    few, every = dataset.example_rows(Split.TEST), dataset.all_example_rows(Split.TEST)
    assert every.tolist() == [2, 5, 8, 11, 14, 17, 20]
    assert len(few) == 3
    assert few.tolist() == sorted(set(few) & set(every))
    assert dataset.example_rows(Split.TEST).tolist() == few.tolist()
    assert len(dataset.example_rows(Split.VALIDATION)) == 3
    assert dataset.num_examples(Split.VALIDATION) == 8

    monkeypatch.setattr("training.data.dataset._MAX_SCORES", 1)
    assert len(dataset.example_rows(Split.TEST)) == 2
    monkeypatch.setattr("training.data.dataset._MAX_SCORES", 100)
    monkeypatch.setattr("training.data.dataset._MOST_HELD_OUT", 6)
    assert len(dataset.example_rows(Split.TEST)) == 6


def test_train_counts_count_training_interactions_only(tiny_dataset: Dataset) -> None:
    assert tiny_dataset.train_counts().tolist() == [0, 2, 2, 3, 0, 0]


def test_the_fingerprint_ignores_the_name(tiny_dataset: Dataset) -> None:
    assert replace(tiny_dataset, name="other").content_fingerprint() == tiny_dataset.fingerprint


def test_the_fingerprint_is_the_same_on_every_machine(tiny_dataset: Dataset) -> None:
    """A literal, since another fingerprint would orphan all existing knowledge."""
    assert tiny_dataset.fingerprint == "02c5edcbf81cbdcd"


def test_the_fingerprint_ignores_integer_width_and_byte_order() -> None:
    catalog = Catalog(item_ids=("a",), titles=("A",), attributes=({},))

    def fingerprint(integers: str) -> str:
        ones, offsets = np.array([1, 1], dtype=integers), np.array([0, 2], dtype=integers)
        return make_dataset("x", catalog, ("ann",), ones, offsets, ones).fingerprint

    assert fingerprint("<i8") == fingerprint(">i4")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("item_indices", np.array([2, 1, 3, 4, 1, 2, 3, 5, 1, 4, 3])),
        ("splits", np.array([0, 0, 1, 2, 3, 0, 0, 3, 0, 1, 0])),
        ("user_offsets", np.array([0, 5, 7, 11])),
        ("user_ids", ("ann", "bob", "dan")),
    ],
)
def test_any_change_of_content_changes_the_fingerprint(
    tiny_dataset: Dataset, field: str, value: object
) -> None:
    changed = replace(tiny_dataset, **{field: value})  # type: ignore[arg-type]  # by name

    assert changed.content_fingerprint() != tiny_dataset.fingerprint


def test_a_changed_title_changes_the_fingerprint(tiny_dataset: Dataset) -> None:
    titles = ("Aliens (1986)", *tiny_dataset.catalog.titles[1:])
    changed = replace(tiny_dataset, catalog=replace(tiny_dataset.catalog, titles=titles))

    assert changed.content_fingerprint() != tiny_dataset.fingerprint


def test_under_a_refit_held_out_rows_are_training_rows_and_history_rows_stay(
    tiny_dataset: Dataset,
) -> None:
    train, history, test = Split.TRAIN, Split.HISTORY, Split.TEST
    refit, everything = tiny_dataset.under("refit"), tiny_dataset.under("refit-all")

    assert refit.splits.tolist() == [
        *[train] * 4,
        test,
        *(train, train, test),
        *(train, history, train),
    ]
    assert everything.splits.tolist() == [train] * 9 + [history, train]
    assert refit.example_rows(Split.VALIDATION).tolist() == []
    assert refit.train_counts().tolist() == [0, 2, 2, 3, 1, 0]
    assert tiny_dataset.under("train") is tiny_dataset


def test_a_view_has_a_fingerprint_derived_from_that_of_its_dataset(tiny_dataset: Dataset) -> None:
    """Literals, since another fingerprint would orphan all kept refits."""
    views = [tiny_dataset.under(protocol).fingerprint for protocol in ("refit", "refit-all")]
    assert views == ["78b9ed040d22d40f", "8dcf641b9c2b4435"]
    other = replace(tiny_dataset, fingerprint="another")
    assert other.under("refit").fingerprint != views[0]
