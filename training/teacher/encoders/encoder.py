"""`TitleEncoder`, the interface of a model that reads titles: a local LLM or one of two others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.teacher.llm.prompts import one_line
from training.teacher.llm.shards import Shard, ShardedWork

EMPTY_TITLE = "-"  # read in the place of an empty title, which servers refuse


class TitleEncoder(Protocol):
    """Interface of a model that embeds titles, those of a catalog in shards."""

    @property
    def name(self) -> str:
        """Name of the model, for display."""
        ...

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Embeds any titles, `[titles, size]`."""
        ...

    def plan(self, titles: Sequence[str], folder: Path) -> ShardedWork[int]:
        """Plans to embed the titles of a catalog, with shards in the existing folder `folder`.

        The work's batches contain item indices: 1 stands for the first of `titles`. An item whose
        title another one has too may be left out.
        """
        ...


def text_of(title: str, prefix: str) -> str:
    """Returns the text that is read for a title: `prefix`, then the title on one line."""
    return prefix + (one_line(title) or EMPTY_TITLE)


def first_items(titles: Sequence[str]) -> dict[str, int]:
    """Maps each distinct title, on one line, to the index of the first item that has it."""
    first: dict[str, int] = {}
    for item, title in enumerate(titles, start=1):
        first.setdefault(one_line(title), item)
    return first


def copied_to_duplicates(
    embeddings: NDArray[np.float32], titles: Sequence[str]
) -> NDArray[np.float32]:
    """Gives items that were left out, as another has their title, the embedding of the first one.

    `embeddings` is `[1 + titles, size]`, with zeros for items that were left out.
    """
    first = first_items(titles)
    firsts = np.array([0, *(first[one_line(title)] for title in titles)])
    is_left_out: NDArray[np.bool_] = ~np.any(embeddings, axis=1)
    return np.where(is_left_out[:, None], embeddings[firsts], embeddings)


def one_batch_shards(
    batches: Sequence[NDArray[np.int64]],
    items: Sequence[int],
    lengths: NDArray[np.int64],
    folder: Path,
) -> list[Shard[int]]:
    """Makes a shard of each batch, so that a kill loses no finished batch.

    Args:
        batches: indices into `items`, an array for each batch.
        items: item indices.
        lengths: `[items]`, planned number of tokens of each title.
        folder: folder of the shards' files.
    """
    return [
        Shard(
            path=folder / f"titles-{number:05d}.npy",
            batches=[[items[index] for index in batch]],
            batch_tokens=[int(lengths[batch].sum())],
        )
        for number, batch in enumerate(batches)
    ]
