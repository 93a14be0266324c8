"""Columns of embeddings: standardising them, and their principal combinations."""

import torch
from torch import Tensor

MIN_SPREAD = 1e-6  # of a column that varies


def standardised(embeddings: Tensor) -> Tensor:
    """Shifts and scales each column of `[items, size]` to mean 0 and standard deviation 1."""
    deviation, mean = torch.std_mean(embeddings.float(), dim=0, correction=0)
    return (embeddings - mean) / deviation.clamp(min=MIN_SPREAD)


def principal_columns(embeddings: Tensor, max_columns: int) -> Tensor:
    """The map from centred embeddings to their principal columns, `[size, at most max_columns]`.

    Each column is standardised; the combinations with the largest variance are kept. Mapped items
    have unit length on average, so that a gradient step moves `g(z)` no faster than it moves `b`.
    """
    size = embeddings.shape[1]
    spread = embeddings.std(dim=0, correction=0)[:, None]
    scale: Tensor = (spread > MIN_SPREAD) / spread.clamp(min=MIN_SPREAD) / size**0.5
    if size <= max_columns:
        return torch.diag(scale[:, 0])
    columns = standardised(embeddings).double()
    _, directions = torch.linalg.eigh(columns.T @ columns)  # ascending
    kept = directions.flip(-1)[:, :max_columns]
    largest = kept.gather(0, kept.abs().argmax(dim=0, keepdim=True))
    # An eigenvector's sign is arbitrary: fixed, so that every machine gets the same columns.
    of_one_sign: Tensor = (kept * largest.sign()).float()
    return scale * of_one_sign
