import pytest
import torch

from training.compute.columns import principal_columns, standardised


def test_a_column_that_never_varies_standardises_to_zeros() -> None:
    embeddings = torch.tensor([[5.0, 1.0], [5.0, 3.0]])

    assert standardised(embeddings).tolist() == [[0, -1], [0, 1]]


def test_principal_columns_are_the_uncorrelated_combinations_with_most_variance() -> None:
    """Two columns are the same up to scale, a third differs, a fourth is constant."""
    same, other = torch.tensor([3.0, -3.0, 1.0, -1.0]), torch.tensor([1.0, 1.0, -1.0, -1.0])
    embeddings = torch.stack([same, 2 * same + 5, other, torch.full((4,), 7.0)], dim=1)

    columns = principal_columns(embeddings, max_columns=2)
    read = (embeddings - embeddings.mean(dim=0)) @ columns

    assert (read**2).sum(dim=0).tolist() == pytest.approx([4 * 2 / 4, 4 * 1 / 4])
    assert (read[:, 0] @ read[:, 1]).item() == pytest.approx(0, abs=1e-6)
    assert columns[3].tolist() == [0, 0]
