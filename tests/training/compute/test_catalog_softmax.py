import math

import pytest
import torch
from torch import Tensor

from training.compute import catalog_softmax
from training.compute.catalog_softmax import (
    Upweighted,
    dtype_of_products,
    matmul_precision,
    softmax_of_catalog,
)
from training.compute.device import multiplies_halves

# One padding row, then three items; two positions.
TABLE = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
QUERIES = torch.tensor([[1.0, 1.0], [0.5, -2.0]])
SCORES = [[1.0, 2.0, 0.0], [0.5, -4.0, -2.5]]  # by hand, of items 1, 2, 3
SELECTED = torch.tensor([[2, 1], [3, 2]])


def test_the_normaliser_sums_over_real_items_only() -> None:
    expected = [math.log(sum(math.exp(score) for score in row)) for row in SCORES]

    normaliser, _, _ = softmax_of_catalog(QUERIES, TABLE, SELECTED)

    assert normaliser.tolist() == pytest.approx(expected)


def test_selected_scores_and_the_kth_best_score_are_returned_too() -> None:
    _, selected, kth_best = softmax_of_catalog(QUERIES, TABLE, SELECTED, k=2)

    assert selected.tolist() == [[2, 1], [-2.5, -4]]
    assert kth_best.tolist() == [1, -2.5]


@pytest.mark.parametrize("stored_scores", [0, 10_000])
def test_gradients_are_those_of_logsumexp_and_gather(
    monkeypatch: pytest.MonkeyPatch, stored_scores: int
) -> None:
    monkeypatch.setattr(catalog_softmax, "CACHED_SCORES", 0)  # many chunks, the last one short
    leaves, weights, selected = random_problem()

    normaliser, scores, _ = softmax_of_catalog(*leaves, selected, max_stored=stored_scores)
    assert (normaliser.grad_fn.stored is not None) == bool(stored_scores)  # type: ignore[union-attr]  # the context
    fast = torch.autograd.grad(weighted_sum(normaliser, scores, weights), leaves)
    expected = torch.autograd.grad(weighted_sum(*by_logsumexp(*leaves, selected), weights), leaves)

    torch.testing.assert_close(fast, expected)


@pytest.mark.skipif(not multiplies_halves(torch.device("cpu")), reason="no bfloat16 products")
@pytest.mark.parametrize("scale", [1.0, 2.5])  # scores up to 5 and up to 30
def test_in_medium_precision_gradients_have_the_precision_of_bfloat16(scale: float) -> None:
    leaves, weights, selected = random_problem(scale)

    with matmul_precision("medium"):
        assert dtype_of_products(leaves[0]) == torch.bfloat16
        normaliser, scores, _ = softmax_of_catalog(*leaves, selected, k=2)
        fast = torch.autograd.grad(weighted_sum(normaliser, scores, weights), leaves)
    expected = torch.autograd.grad(weighted_sum(*by_logsumexp(*leaves, selected), weights), leaves)

    for actual, due in zip(fast, expected, strict=True):
        assert (actual - due).abs().max() < 0.01 * due.abs().max()


@pytest.mark.parametrize("stored_scores", [0, 10_000])
def test_an_upweighted_item_counts_as_that_many_equal_items(stored_scores: int) -> None:
    (queries, table), weights, selected = random_problem()
    thrice = torch.cat([table, table[6:], table[6:]])  # rows 6 to 8 are items 5 to 7, from 0

    normaliser, scores, _ = softmax_of_catalog(
        queries, table, selected, 0, stored_scores, Upweighted(5, math.log(3))
    )
    fast = torch.autograd.grad(weighted_sum(normaliser, scores, weights), (queries, table))
    due = by_logsumexp(queries, thrice, selected)
    expected = torch.autograd.grad(weighted_sum(*due, weights), (queries, table))

    torch.testing.assert_close((normaliser, scores), due)
    torch.testing.assert_close(fast, expected)


@pytest.mark.parametrize("shift", [200.0, -200.0])
@pytest.mark.parametrize("stored_scores", [0, 10_000])
def test_scores_whose_exponentials_no_float_holds_give_finite_results(
    shift: float, stored_scores: int
) -> None:
    (queries, table), weights, selected = random_problem()
    with torch.no_grad():  # a common column moves all scores of a query by the same number
        queries, table = torch.cat([queries, torch.full((37, 1), shift)], 1), table
        table = torch.cat([table, torch.ones(9, 1)], dim=1)
    leaves = queries.requires_grad_(), table.requires_grad_()

    normaliser, scores, _ = softmax_of_catalog(*leaves, selected, max_stored=stored_scores)
    fast = torch.autograd.grad(weighted_sum(normaliser, scores, weights), leaves)
    due = by_logsumexp(*leaves, selected)
    expected = torch.autograd.grad(weighted_sum(*due, weights), leaves)

    torch.testing.assert_close((normaliser, scores), due)
    torch.testing.assert_close(fast, expected, rtol=1e-4, atol=1e-3)


def random_problem(scale: float = 1.0) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    """Queries and a table, weights of their results, and selected items, one of them twice."""
    torch.manual_seed(0)
    queries, table = ((torch.randn(n, 4) * scale).requires_grad_() for n in (37, 9))
    return (
        (queries, table),
        torch.rand(37, 4),
        torch.cat([torch.randint(1, 9, (36, 3)), torch.tensor([[5, 5, 1]])]),
    )


def by_logsumexp(queries: Tensor, table: Tensor, selected: Tensor) -> tuple[Tensor, Tensor]:
    scores = queries @ table.T
    return torch.logsumexp(scores[:, 1:], dim=1), scores.gather(1, selected)


def weighted_sum(normaliser: Tensor, scores: Tensor, weights: Tensor) -> Tensor:
    return (weights[:, 0] * normaliser).sum() - (weights[:, 1:] * scores).sum()


def test_selected_padding_with_weight_zero_adds_no_gradient() -> None:
    (queries, table), weights, selected = random_problem()
    padded = selected.clone()
    padded[:, -1] = 0
    weights[:, -1] = 0

    normaliser, scores, _ = softmax_of_catalog(queries, table, padded, k=2)
    fast = torch.autograd.grad(weighted_sum(normaliser, scores, weights), (queries, table))
    expected = torch.autograd.grad(
        weighted_sum(*by_logsumexp(queries, table, selected), weights), (queries, table)
    )

    torch.testing.assert_close(fast, expected)
