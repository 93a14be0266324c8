"""The items that compete in a step, of a catalog of ten items of which 8 and 10 are untrained."""

import math

import numpy as np
import pytest
import torch

from training.distillation.losses.candidates import Candidates, next_item_candidates
from training.distillation.losses.thinned_catalog import ThinnedCatalog

# Padding, then items 1 to 10. By popularity: 3, 5, 1, 2, 4, 6, 7, 9.
COUNTS = np.array([0, 7, 6, 9, 5, 8, 4, 3, 0, 2, 0])


@pytest.fixture
def candidates() -> Candidates:
    return next_item_candidates(COUNTS, only_trained=True)


def test_popular_items_and_those_of_the_batch_always_compete_and_others_are_drawn(
    candidates: Candidates,
) -> None:
    thinned = ThinnedCatalog(candidates, share=0.5)  # two popular ones and two drawn of six

    for _ in range(20):
        step = thinned.draw(torch.tensor([[0, 6], [6, 9]]))

        certain, drawn = step.rows[1:5].tolist(), step.rows[5:].tolist()
        assert certain == [3, 5, 6, 9]
        assert set(drawn) <= {1, 2, 4, 7}
        assert len(drawn) <= 2
        assert step.drawn.begin == 4
        assert step.drawn.log_weight == pytest.approx(math.log(3))


def test_an_item_of_the_batch_that_is_no_candidate_is_looked_up_but_does_not_compete(
    candidates: Candidates,
) -> None:
    step = ThinnedCatalog(candidates, share=0.25).draw(torch.tensor([8, 1]))
    table = torch.arange(len(step.rows))[:, None]

    assert step.rows[:4].tolist() == [0, 8, 1, 3]
    assert step.index_of_row[[0, 8, 1, 3, 10]].tolist() == [0, 1, 2, 3, 0]
    assert step.competing(table)[1:3, 0].tolist() == [2, 3]
    assert step.competing_rows(torch.tensor([0, 8, 1, 3, 10])).tolist() == [0, 0, 1, 2, 0]


def test_each_candidate_counts_once_in_the_mean_of_many_draws(candidates: Candidates) -> None:
    torch.manual_seed(0)
    thinned = ThinnedCatalog(candidates, share=0.6)  # three popular ones and two drawn of five
    steps = [thinned.draw(torch.tensor([9])) for _ in range(4_000)]

    counts = torch.zeros(11)
    for step in steps:
        weights = torch.ones(len(step.rows))
        weights[1 + step.num_certain :] = 2.5
        counts.index_add_(0, step.rows, weights)
    assert (counts / len(steps)).tolist()[1:] == pytest.approx(
        [1, 1, 1, 1, 1, 1, 1, 0, 1, 0], abs=0.07
    )


def test_drawn_items_are_spread_over_all_popularities(candidates: Candidates) -> None:
    thinned = ThinnedCatalog(candidates, share=0.5)

    draws = {tuple(thinned.draw(torch.tensor([0])).rows[3:].tolist()) for _ in range(200)}

    # One of the more popular half of those left, 1, 2 and 4, and one of 6, 7 and 9.
    assert draws == {(a, b) for a in (1, 2, 4) for b in (6, 7, 9)}


def test_every_item_of_a_catalog_of_millions_can_be_drawn(candidates: Candidates) -> None:
    """As a float32, each place above 16,777,216 is even."""
    torch.manual_seed(0)
    thinned = ThinnedCatalog(candidates, share=0.5)
    thinned.others = torch.arange(20_000_000, dtype=torch.int32)

    last = {int(thinned._drawn()[-1]) for _ in range(200)}

    assert {place % 2 for place in last if place > 2**24} == {0, 1}


def test_a_share_so_small_that_nothing_is_drawn_leaves_the_popular_items(
    candidates: Candidates,
) -> None:
    step = ThinnedCatalog(candidates, share=0.01).draw(torch.tensor([2]))

    assert step.rows.tolist() == [0, 2, 3]
    assert step.drawn == (2, 0.0)
