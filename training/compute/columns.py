"""Standardises the columns of embeddings, and reduces them to their principal components."""

import torch
from torch import Tensor

MIN_SPREAD = 1e-6  # standard deviation below which a column counts as constant


def standardised(embeddings: Tensor) -> Tensor:
    """Shifts and scales each column of `[items, size]` to mean 0 and standard deviation 1.

    A constant column becomes zeros.
    """
    deviation, mean = torch.std_mean(embeddings.float(), dim=0, correction=0)
    return (embeddings - mean) / deviation.clamp(min=MIN_SPREAD)


def principal_columns(embeddings: Tensor, max_columns: int) -> Tensor:
    """Returns the matrix that maps centred embeddings to their principal columns.

    Principal columns are the principal components of the standardised columns, largest variance
    first. If there are no more than `max_columns` columns, they are only standardised.

    The matrix is scaled so that mapped embeddings have unit length on average. If they were longer,
    the projected embedding of an item would learn faster than its offset
    (`students/item_table.py`).

    Args:
        embeddings: `[items, size]`.
        max_columns: maximum number of principal columns.

    Returns:
        `[size, columns]`.
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
    # The sign of an eigenvector is arbitrary. Fix it, so that every machine gets the same columns.
    of_one_sign: Tensor = (kept * largest.sign()).float()
    return scale * of_one_sign
