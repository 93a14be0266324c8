from dataclasses import replace

import numpy as np

from training.data.dataset import Dataset, Split
from training.ladder.results.strata import divisions


def names_of_examples(dataset: Dataset, place: int, split: Split) -> list[list[str]]:
    """The strata of each example of a split, in one division."""
    division = list(divisions(dataset))[place]
    return [
        [name for name, chosen in division.strata.items() if chosen[row]]
        for row in dataset.example_rows(split)
    ]


def test_examples_are_divided_by_cold_items_as_target_and_in_the_history(
    tiny_dataset: Dataset,
) -> None:
    """Items d and e are cold: ann reads d before her test row, bob is asked for e."""
    assert names_of_examples(tiny_dataset, 0, Split.TEST) == [
        ["warm target, one as its last item"],
        ["cold target, none in the history"],
    ]
    assert names_of_examples(tiny_dataset, 0, Split.TRAIN) == [
        *[["warm target, none in the history"]] * 3,  # ann's b and c, bob's c
        ["warm target, one as its last item"],  # cay's c, after d
    ]


def test_a_cold_item_of_another_user_is_in_no_history(tiny_dataset: Dataset) -> None:
    """Bob's rows follow ann's d, and cay's follow bob's e."""
    division = next(divisions(tiny_dataset))

    assert not division.strata["warm target, one earlier in the history"].any()
    assert division.strata["warm target, none in the history"][[5, 8]].all()


def test_an_earlier_cold_item_is_told_from_one_that_is_last(chain_dataset: Dataset) -> None:
    splits = chain_dataset.splits.copy()
    splits[chain_dataset.item_indices == 1] = Split.HISTORY  # item 1 is cold now
    division = next(divisions(replace(chain_dataset, splits=splits)))

    # The first user walks from item 1 on: 1 2 3 ...
    assert division.strata["warm target, one as its last item"][1]
    assert division.strata["warm target, one earlier in the history"][2:7].all()


def test_examples_are_divided_by_the_length_of_the_history(tiny_dataset: Dataset) -> None:
    assert names_of_examples(tiny_dataset, 1, Split.TEST) == [["3 to 5 items"], ["1 to 2 items"]]


def test_examples_are_divided_by_the_popularity_of_the_target(tiny_dataset: Dataset) -> None:
    """Item a has two training interactions, item e none."""
    assert names_of_examples(tiny_dataset, 2, Split.TEST) == [
        ["1 to 9 interactions"],
        ["0 interactions"],
    ]


def test_every_example_is_in_one_stratum_of_each_division(chain_dataset: Dataset) -> None:
    rows = chain_dataset.example_rows(Split.TEST)
    for division in divisions(chain_dataset):
        chosen = np.stack([each[rows] for each in division.strata.values()])
        assert (chosen.sum(axis=0) == 1).all()
