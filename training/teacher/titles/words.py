"""The words of titles, and `TitleEmbedder`, the interface of a method that embeds titles."""

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# Characters of scripts without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|(?:(?![{_UNSPACED}])\w)+")


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

    A word is a sequence of letters, digits and underscores. In scripts that have no spaces between
    words, it is each pair of neighbouring characters, or a character that stands alone.
    """
    return [word for match in _WORD.finditer(title.casefold()) for word in _words_in(match)]


def _words_in(match: re.Match[str]) -> list[str]:
    text = match.group()
    if not match["unspaced"] or len(text) == 1:
        return [text]
    return [text[start : start + 2] for start in range(len(text) - 1)]
