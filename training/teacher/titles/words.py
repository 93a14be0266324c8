"""The words of titles, and `TitleEmbedder`, the interface of a method that embeds titles."""

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\w+")


class TitleEmbedder(Protocol):
    """Interface of a method that embeds any title, also one that the catalog does not have."""

    @property
    def name(self) -> str:
        """Name of the method or model, for display."""
        ...

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Embeds titles, `[titles, size]`."""
        ...


def words_of(title: str) -> list[str]:
    """Returns the words of a title in order, in lower case.

    A word is a sequence of letters, digits and underscores.
    """
    return WORD.findall(title.casefold())
