import math

import pytest
import torch
from torch import Tensor

from training.compute import catalog_softmax
from training.compute.catalog_softmax import (
    dtype_of_products,
    matmul_precision,
    softmax_of_catalog,
)
from training.compute.device import multiplies_halves

# One padding row, then three items; two positions.
TABLE = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
QUERIES = torch.tensor([[1.0, 1.0], [0.5, -2.0]])
SCORES = [[1.0, 2.0, 0.0], [0.5, -4.0, -2.5]]  # by hand, of items 1, 2, 3
WANTED = torch.tensor([[2, 1], [3, 2]])


def test_the_normaliser_sums_over_real_items_only() -> None:
    expected = [math.log(sum(math.exp(score) for score in row)) for row in SCORES]

    normaliser, _, _ = softmax_of_catalog(QUERIES, TABLE, WANTED)

    assert normaliser.tolist() == pytest.approx(expected)


def test_the_wanted_scores_and_the_kth_best_come_with_the_normaliser() -> None:
    _, wanted, kth_best = softmax_of_catalog(QUERIES, TABLE, WANTED, k=2)

    assert wanted.tolist() == [[2, 1], [-2.5, -4]]
    assert kth_best.tolist() == [1, -2.5]


@pytest.mark.parametrize("kept_scores", [0, 10_000])
def test_normaliser_and_scores_have_the_gradients_of_plain_ones(
    monkeypatch: pytest.MonkeyPatch, kept_scores: int
) -> None:
    monkeypatch.setattr(catalog_softmax, "CACHED_SCORES", 0)  # many chunks, the last one short
    leaves, weights, wanted = random_problem()

    normaliser, scores, _ = softmax_of_catalog(*leaves, wanted, most_kept=kept_scores)
    assert (normaliser.grad_fn.kept is not None) == bool(kept_scores)  # type: ignore[union-attr]  # of its context
    fast = torch.autograd.grad(weighed(normaliser, scores, weights), leaves)
    plain = torch.autograd.grad(weighed(*plainly(*leaves, wanted), weights), leaves)

    torch.testing.assert_close(fast, plain)


@pytest.mark.skipif(not multiplies_halves(torch.device("cpu")), reason="multiplies no halves")
@pytest.mark.parametrize("scale", [1.0, 2.5])  # scores up to 5 and up to 30
def test_in_medium_precision_gradients_are_right_to_the_precision_of_a_half(scale: float) -> None:
    leaves, weights, wanted = random_problem(scale)

    with matmul_precision("medium"):
        assert dtype_of_products(leaves[0]) == torch.bfloat16
        normaliser, scores, _ = softmax_of_catalog(*leaves, wanted, k=2)
        fast = torch.autograd.grad(weighed(normaliser, scores, weights), leaves)
    plain = torch.autograd.grad(weighed(*plainly(*leaves, wanted), weights), leaves)

    for actual, expected in zip(fast, plain, strict=True):
        assert (actual - expected).abs().max() < 0.01 * expected.abs().max()


def random_problem(scale: float = 1.0) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    """Queries and a table, what their results weigh, and the items wanted; one of them twice."""
    torch.manual_seed(0)
    queries, table = ((torch.randn(n, 4) * scale).requires_grad_() for n in (37, 9))
    return (
        (queries, table),
        torch.rand(37, 4),
        torch.cat([torch.randint(1, 9, (36, 3)), torch.tensor([[5, 5, 1]])]),
    )


def plainly(queries: Tensor, table: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    scores = queries @ table.T
    return torch.logsumexp(scores[:, 1:], dim=1), scores.gather(1, wanted)


def weighed(normaliser: Tensor, scores: Tensor, weights: Tensor) -> Tensor:
    return (weights[:, 0] * normaliser).sum() - (weights[:, 1:] * scores).sum()


def test_an_item_that_is_wanted_in_place_of_padding_learns_nothing_if_it_weighs_nothing() -> None:
    (queries, table), weights, wanted = random_problem()
    padded = wanted.clone()
    padded[:, -1] = 0
    weights[:, -1] = 0

    normaliser, scores, _ = softmax_of_catalog(queries, table, padded, k=2)
    fast = torch.autograd.grad(weighed(normaliser, scores, weights), (queries, table))
    plain = torch.autograd.grad(
        weighed(*plainly(queries, table, wanted), weights), (queries, table)
    )

    torch.testing.assert_close(fast, plain)
