"""Embeds a title as the mean of the vectors of its words, for example those of GloVe."""

from collections.abc import Iterator, Sequence, Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.errors import ConfigError
from training.teacher.titles.words import words_of

Vector = NDArray[np.float32]

LARGEST = float(np.finfo(np.float16).max)  # embeddings are stored in half precision


class WordVectors:
    """Embeds a title as the mean of the vectors of its words; zeros if no word has a vector.

    Args:
        path: a text file with a word and its vector on each line, in GloVe's format. A first line
            with two integers, as in fastText's format, is skipped.

    Raises:
        ConfigError: the file cannot be read, or has no word vector.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _, numbers = next(_lines(path), ("", []))
        if not numbers:
            raise ConfigError(
                f"teacher.word_vectors = {str(path)!r}: has no word vector; each line must be a "
                "word and its numbers"
            )
        self.size = len(numbers)

    @property
    def name(self) -> str:
        """Name of the file of word vectors."""
        return self.path.name

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Implements `TitleEmbedder.embed`; reads the whole file of word vectors.

        Raises:
            ConfigError: the file cannot be read, or the vector of a word is damaged.
        """
        words = list(map(words_of, titles))
        vectors = self._vectors(set().union(*words))
        embeddings = np.zeros((len(titles), self.size), dtype=np.float32)
        for embedding, each in zip(embeddings, words, strict=True):
            if known := [vectors[word] for word in each if word in vectors]:
                embedding[:] = np.mean(known, axis=0)
        return embeddings

    def _vectors(self, words: Set[str]) -> dict[str, Vector]:
        found: dict[str, Vector] = {}
        for number, (word, numbers) in enumerate(_lines(self.path), start=1):
            if word in words and word not in found:
                found[word] = self._vector(f"{self.path}: vector {number}, {word!r}", numbers)
        return found

    def _vector(self, place: str, numbers: Sequence[str]) -> Vector:
        try:
            vector = np.array(numbers, dtype=np.float32)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from None
        if len(vector) != self.size or not (np.abs(vector) <= LARGEST).all():
            raise ConfigError(
                f"{place}: {len(vector)} numbers; expected {self.size} finite ones, like the "
                f"first, of at most {LARGEST:.0f}"
            )
        return vector


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields each word of the file `path` with the numbers of its vector, as strings.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                word, *numbers = line.rstrip().split(" ")
                is_header = number == 0 and len(numbers) == 1 and word.isdecimal()
                if not is_header:
                    yield word, numbers
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"teacher.word_vectors = {str(path)!r}: {error}") from None
