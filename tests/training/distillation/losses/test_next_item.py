import math

import numpy as np
import pytest
import torch

from training.distillation.losses.next_item import (
    BinaryLoss,
    FullSoftmax,
    SampledSoftmax,
    log_others,
    other_items,
    score_and_loss,
)
from training.settings.experiment import TrainingConfig

# One padding row, then three items; two positions.
TABLE = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
QUERIES = torch.tensor([[1.0, 1.0], [0.5, -2.0]])
SCORES = [[1.0, 2.0, 0.0], [0.5, -4.0, -2.5]]  # by hand, of items 1, 2, 3
NEXT_ITEMS = torch.tensor([2, 3])
RANKINGS = torch.tensor([[2, 1], [3, 2]])
COUNTS = np.array([0, 3, 0, 8])


def log_softmax(position: int, item: int) -> float:
    """By plain Python, over the real items."""
    total = sum(math.exp(score) for score in SCORES[position])
    return SCORES[position][item - 1] - math.log(total)


def log_sigmoid(value: float) -> float:
    return -math.log(1 + math.exp(-value))


def test_by_default_losses_are_cross_entropy_over_the_whole_catalog() -> None:
    items = torch.cat([NEXT_ITEMS[:, None], RANKINGS], dim=1)

    scores, loss_of_batch = score_and_loss(TrainingConfig(), COUNTS)(QUERIES, TABLE, items)

    of_next = loss_of_batch.of_next_items(scores[:, 0]).tolist()
    of_lists = loss_of_batch.of_lists(scores[:, 1:]).tolist()

    assert isinstance(loss_of_batch, FullSoftmax)
    assert of_next == pytest.approx([-log_softmax(0, 2), -log_softmax(1, 3)])
    for position, items in enumerate(RANKINGS.tolist()):
        expected = [-log_softmax(position, item) for item in items]
        assert of_lists[position] == pytest.approx(expected)


@pytest.mark.parametrize("loss", ["cross-entropy", "sampled-cross-entropy", "binary"])
def test_every_loss_scores_the_given_items(loss: str) -> None:
    items = torch.tensor([[2, 1], [3, 2]])

    scores, _ = score_and_loss(TrainingConfig.model_validate({"loss": loss}), COUNTS)(
        QUERIES, TABLE, items
    )

    assert scores.tolist() == [[2, 1], [-2.5, -4]]


def test_a_sampled_item_is_weighted_by_its_inverse_probability() -> None:
    drawn, chances = torch.tensor([1, 3, 3]), torch.tensor([0.25, 0.5, 0.5])

    others = log_others(QUERIES, TABLE, NEXT_ITEMS, drawn, chances)

    first = math.exp(1) / 0.75 + 2 * math.exp(0) / 1.5
    second = math.exp(0.5) / 0.75  # item 3 is the next item here and does not count
    assert others.tolist() == pytest.approx([math.log(first), math.log(second)])


def test_the_sampled_sum_is_unbiased() -> None:
    torch.manual_seed(0)
    chances = torch.tensor([0.2, 0.3, 0.5])
    drawn = torch.multinomial(chances, 200_000, replacement=True)

    others = log_others(QUERIES, TABLE, NEXT_ITEMS, drawn + 1, chances[drawn])

    exact = [math.log(math.exp(1) + math.exp(0)), math.log(math.exp(0.5) + math.exp(-4))]
    assert others.tolist() == pytest.approx(exact, abs=0.01)


def test_if_every_draw_is_the_next_item_the_loss_is_zero() -> None:
    others = log_others(QUERIES[:1], TABLE, NEXT_ITEMS[:1], torch.tensor([2]), torch.ones(1))

    assert SampledSoftmax(others).of_next_items(torch.tensor([2.0])).tolist() == [0]


def test_sampled_losses_are_cross_entropy_against_the_others() -> None:
    loss_of_batch = SampledSoftmax(log_others=torch.tensor([0.3, -1.0]))

    of_next = loss_of_batch.of_next_items(torch.tensor([2.0, -2.5])).tolist()
    of_lists = loss_of_batch.of_lists(torch.tensor([[2.0, 1.0], [-2.5, -4.0]])).tolist()

    def by_hand(score: float, log_others: float) -> float:
        return -math.log(math.exp(score) / (math.exp(score) + math.exp(log_others)))

    assert of_next == pytest.approx([by_hand(2, 0.3), by_hand(-2.5, -1)])
    assert of_lists[0] == pytest.approx([by_hand(2, 0.3), by_hand(1, 0.3)])
    assert of_lists[1] == pytest.approx([by_hand(-2.5, -1), by_hand(-4, -1)])


def test_items_are_drawn_by_popularity_untrained_ones_included() -> None:
    torch.manual_seed(0)
    config = TrainingConfig(
        loss="sampled-cross-entropy", num_negatives=100_000, negative_popularity=0.5
    )
    one_hot = torch.eye(4)[:, 1:] * 50  # an item scores 50 with its own query, else 0

    _, loss_of_batch = score_and_loss(config, COUNTS)(
        torch.zeros(1, 3), one_hot, torch.tensor([[2]])
    )

    # Counts 3, 0, 8 and one each: chances 2/6, 1/6, 3/6; corrected, two others of score 0.
    assert isinstance(loss_of_batch, SampledSoftmax)
    assert loss_of_batch.log_others.item() == pytest.approx(math.log(2), abs=0.02)


def test_the_binary_loss_has_one_negative_and_a_list_of_positives() -> None:
    loss_of_batch = BinaryLoss(negatives=torch.tensor([0.7]), with_lists=False)

    of_next = loss_of_batch.of_next_items(torch.tensor([2.0])).item()
    of_list = loss_of_batch.of_lists(torch.tensor([[2.0, -1.0]])).tolist()[0]

    assert of_next == pytest.approx(-log_sigmoid(2) - math.log(1 - 1 / (1 + math.exp(-0.7))))
    assert of_list == pytest.approx([-log_sigmoid(2), -log_sigmoid(-1)])


def test_with_lists_each_listed_item_has_the_reference_codes_negative_term() -> None:
    loss_of_batch = BinaryLoss(negatives=torch.tensor([0.7]), with_lists=True)

    of_list = loss_of_batch.of_lists(torch.tensor([[2.0, -1.0]])).tolist()[0]

    negative = -log_sigmoid(1 - 0.7)
    assert of_list == pytest.approx([-log_sigmoid(2) + negative, -log_sigmoid(-1) + negative])


def test_the_binary_loss_is_finite_for_scores_of_any_size() -> None:
    loss_of_batch = BinaryLoss(negatives=torch.tensor([1e4]), with_lists=True)

    assert loss_of_batch.of_next_items(torch.tensor([-1e4])).item() == pytest.approx(2e4)


def test_a_negative_is_any_item_but_the_next_one() -> None:
    torch.manual_seed(0)
    items = torch.arange(1, 4).repeat(300)

    drawn = other_items(items, num_rows=4)

    pairs = zip(items.tolist(), drawn.tolist(), strict=True)
    assert set(pairs) == {(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)}
    assert [(drawn == item).float().mean().item() for item in (1, 2, 3)] == pytest.approx(
        [1 / 3] * 3, abs=0.05
    )
