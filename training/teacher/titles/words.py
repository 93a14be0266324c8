"""Words of titles, and the TitleEmbedder protocol: embeds titles by words, without an LLM."""

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\w+")


class TitleEmbedder(Protocol):
    """Embeds titles, those of a catalog and new ones alike."""

    @property
    def name(self) -> str:
        """Name of the method or model, for people."""
        ...

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Embeds titles, `[titles, size]`."""
        ...


def words_of(title: str) -> list[str]:
    """Returns the words of a title in their order: letters and digits, in lower case."""
    return WORD.findall(title.casefold())
