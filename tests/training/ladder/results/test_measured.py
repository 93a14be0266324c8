from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.intervals import Interval
from training.evaluation.yardstick import Evaluation
from training.ladder.results.measured import COLD_BEFORE, NEW, Figures, Measured


def line(row: str, dataset: Dataset, *ranks: list[int], seeds: Sequence[int] = ()) -> Measured:
    """A line with one run for each list of test ranks."""
    rows = dataset.example_rows(Split.TEST)
    runs = [Evaluation(rows, np.array(each)) for each in ranks]
    return Measured(row, {Split.TEST: runs}, train_seconds=1.0, seeds=seeds)


def test_warm_and_cold_targets_have_their_own_figures(tiny_dataset: Dataset) -> None:
    """One test row has item a, which has training interactions; the other has e, which has none."""
    figures = Figures(tiny_dataset, num_draws=100)
    ranker = line("any", tiny_dataset, [1, 3])

    def figure(targets: str, metric: str) -> float:
        return figures.draws(ranker, Split.TEST, targets, metric).figure

    assert [figures.count(Split.TEST, each) for each in ("all", "warm", "cold")] == [2, 1, 1]
    assert (figure("warm", "HR@1"), figure("cold", "HR@1"), figure("all", "HR@1")) == (1, 0, 0.5)
    assert figure("cold", "NDCG@5") == pytest.approx(1 / np.log2(4))


@pytest.mark.parametrize(
    ("held", "new"),
    [(3, False), (2, False), (9, True)],
    ids=["asked for by validation", "read by it", "in another user's history"],
)
def test_a_cold_target_is_new_if_no_validation_example_asks_for_it_or_reads_it(
    tiny_dataset: Dataset, held: int, new: bool
) -> None:
    rows = tiny_dataset.example_rows(Split.TEST)  # a and e
    assert Figures(tiny_dataset, num_draws=1).is_among(NEW, rows).tolist() == [False, True]
    items, splits = tiny_dataset.item_indices.copy(), tiny_dataset.splits.copy()
    items[held] = 5  # e
    splits[2] = Split.HISTORY  # ann's, before the example of validation; not trained on
    met = Figures(replace(tiny_dataset, item_indices=items, splits=splits), num_draws=1)
    assert met.is_among(NEW, rows).tolist() == [False, new]
    assert met.is_among("cold", rows).tolist() == [False, True]


def test_a_ranker_that_answered_a_part_of_the_examples_is_compared_on_that_part(
    tiny_dataset: Dataset,
) -> None:
    figures = Figures(tiny_dataset, num_draws=100)
    whole = line("whole", tiny_dataset, [0, 1])
    second = Evaluation(tiny_dataset.example_rows(Split.TEST)[1:], np.array([2]))
    part = Measured("part", {Split.TEST: [second]}, train_seconds=1.0)
    pair = figures.pair(whole, part, "all", "HR@1")
    assert [each.figure for each in pair] == [1, 0]
    difference = pair[0].minus(pair[1]).interval()
    assert difference == Interval(1, 1, 1, has_few_users=True)  # of one user
    assert figures.draws(whole, Split.TEST, "all", "HR@1").figure == 0.5


def test_parts_of_one_size_have_draws_of_their_own(chain_dataset: Dataset) -> None:
    """Two rows of one user are drawn together, those of two users are not."""
    rows = chain_dataset.example_rows(Split.TRAIN)
    of_one_user, of_two = rows[:2], rows[[0, -1]]

    def spread(figures: Figures, part: NDArray[np.int64]) -> float:
        runs = [Evaluation(part, np.array([1, 0]))]
        ranker = Measured("part", {Split.TRAIN: runs}, train_seconds=1.0)
        return float(figures.draws(ranker, Split.TRAIN, "all", "HR@1", rows=part).drawn.std())

    figures = Figures(chain_dataset, num_draws=100)
    assert spread(figures, of_one_user) == 0
    assert spread(figures, of_two) > 0


def test_a_pair_sees_the_same_draws(chain_dataset: Dataset) -> None:
    figures = Figures(chain_dataset, num_draws=100)
    rows = chain_dataset.example_rows(Split.TEST)
    ranks = [Evaluation(rows, np.arange(len(rows)) % 3)]
    part = [Evaluation(each.rows[::2], each.ranks[::2]) for each in ranks]
    lines = [Measured(str(runs), {Split.TEST: runs}, train_seconds=1.0) for runs in (ranks, part)]
    more, less = figures.pair(lines[0], lines[1], "all", "HR@1")
    assert more.drawn.std() > 0
    np.testing.assert_array_equal(more.minus(less).drawn, 0)


def test_two_lines_are_compared_over_the_seeds_that_both_have(tiny_dataset: Dataset) -> None:
    figures = Figures(tiny_dataset, num_draws=100)
    three = line("three", tiny_dataset, [1, 1], [1, 0], [0, 0], seeds=(0, 1, 2))
    two = line("two", tiny_dataset, [1, 1], [0, 0], seeds=(1, 3))
    seedless = line("seedless", tiny_dataset, [0, 1])
    another = line("another", tiny_dataset, [0, 1], seeds=(4,))

    def figures_of(first: Measured, second: Measured) -> list[float]:
        return [each.figure for each in figures.pair(first, second, "all", "HR@1")]

    assert figures_of(three, two) == [0.5, 1]  # seed 1 only
    assert figures_of(three, seedless) == [0.5, 0.5]
    with pytest.raises(ValueError, match="no seed of"):
        figures_of(three, another)


def test_targets_of_a_refit_are_cold_if_neither_training_nor_validation_has_their_item(
    tiny_dataset: Dataset,
) -> None:
    """Ann's d is of validation: asked for in test, it was cold and is warm to a refit."""
    items = tiny_dataset.item_indices.copy()
    items[4] = 4  # ann takes d again, in test; bob's e stays cold
    figures = Figures(replace(tiny_dataset, item_indices=items), num_draws=1)
    rows = tiny_dataset.example_rows(Split.TEST)

    assert figures.is_among("cold", rows).tolist() == [True, True]
    assert figures.is_among("cold", rows, "refit").tolist() == [False, True]
    assert figures.is_among(COLD_BEFORE, rows, "refit").tolist() == [True, True]
    assert figures.count(Split.TEST, "warm", "refit") == 1


def test_a_refit_and_another_line_are_compared_on_the_targets_of_the_refit(
    tiny_dataset: Dataset,
) -> None:
    """Rank 1 on what only a refit calls warm is no hit on the targets that are cold to it."""
    items = tiny_dataset.item_indices.copy()
    items[4] = 4
    dataset = replace(tiny_dataset, item_indices=items)
    ranked = {Split.TEST: [Evaluation(dataset.example_rows(Split.TEST), np.array([1, 0]))]}
    before = Measured("CE", ranked, 1.0, student="SASRec")
    refitted = replace(before, protocol="refit")

    pair = Figures(dataset, num_draws=1).pair(refitted, before, "cold", "HR@1")

    assert [each.interval().mean for each in pair] == [0, 0]


@pytest.mark.parametrize(
    ("teacher", "is_free"),
    [("", True), ("tf-idf", True), ("word-vectors", True), ("titles", False), ("retrieval", False)],
)
def test_a_line_is_teacher_free_if_no_llm_taught_it(teacher: str, *, is_free: bool) -> None:
    assert Measured("any", {}, train_seconds=1.0, teacher=teacher).is_teacher_free == is_free


def test_a_fusion_without_titles_needs_no_llm_unless_its_student_reads_titles() -> None:
    def is_free(row: str) -> bool:
        return Measured(row, {}, 1.0, teacher="fusion-without-titles").is_teacher_free

    assert is_free("teacher fusion-without-titles")
    assert is_free("distributions only")
    assert not is_free("DLLM2Rec with distributions")
    assert not is_free("embeddings only")
    assert not is_free("DLLM2Rec, three seeds")
    assert not is_free("DLLM2Rec fused with kNN")
