"""Embeddings of titles by their words."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from training.errors import ConfigError
from training.teacher.titles.tf_idf import TfIdf, right_singular_vectors
from training.teacher.titles.word_vectors import WordVectors
from training.teacher.titles.words import words_of

TITLES = ("Red Dwarf", "red  RED fox!", "Blue Fox 2")
VECTORS = "red 1 0\nfox 0 2\nthe 5 5\nblue 3 4\nred 9 9\n"


def test_words_are_letters_and_digits_in_lower_case() -> None:
    assert words_of("Élan: The Film's 2nd-Best (1985)") == [
        *("élan", "the", "film", "s", "2nd", "best", "1985")
    ]


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("ゼルダの伝説 2", ["ゼル", "ルダ", "ダの", "の伝", "伝説", "2"]),
        ("茶 DVD版", ["茶", "dvd", "版"]),
        ("เกม x", ["เก", "กม", "x"]),
    ],
)
def test_without_spaces_between_words_pairs_of_characters_are_words(
    title: str, words: list[str]
) -> None:
    assert words_of(title) == words


def test_a_rare_word_weighs_more_and_a_title_has_unit_length() -> None:
    """`red` and `fox` are in two of three titles, `dwarf`, `blue` and `2` in one."""
    common, rare = math.log(4 / 3) + 1, math.log(4 / 2) + 1
    embedder = TfIdf(TITLES, size=5)

    weights = embedder.weights(TITLES).to_dense()

    columns = {word: weights[:, place].tolist() for word, place in embedder.column_of.items()}
    first, second = math.hypot(common, rare), math.hypot(2 * common, common)
    third = math.hypot(rare, common, rare)
    assert columns == {
        "2": pytest.approx([0, 0, rare / third]),
        "blue": pytest.approx([0, 0, rare / third]),
        "dwarf": pytest.approx([rare / first, 0, 0]),
        "fox": pytest.approx([0, common / second, common / third]),
        "red": pytest.approx([common / first, 2 * common / second, 0]),
    }


def test_titles_without_any_word_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"none of the 2 titles has a word, such as '!!!'"):
        TfIdf(("!!!", "…"), size=2)


def test_embeddings_keep_all_products_of_titles_if_there_are_enough_columns() -> None:
    embedder = TfIdf(TITLES, size=9)
    exact = embedder.weights(TITLES).to_dense()

    embeddings = embedder.embed(TITLES)

    assert embeddings.shape == (3, 3)
    np.testing.assert_allclose(embeddings @ embeddings.T, exact @ exact.T, atol=1e-6)


def test_a_new_title_is_embedded_by_its_known_words() -> None:
    embedder = TfIdf(TITLES, size=2)

    embeddings = embedder.embed(["fox, 2 (blue)", "2 blue fox unknown", "unknown"])

    assert embeddings[0].tolist() == embeddings[1].tolist()
    np.testing.assert_allclose(embeddings[0], embedder.embed(TITLES)[2], atol=1e-6)
    assert not embeddings[2].any()


def test_singular_vectors_are_those_of_an_exact_decomposition() -> None:
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(60, 40, generator=generator, dtype=torch.float64)
    matrix *= 0.9 ** torch.arange(40)

    vectors = right_singular_vectors(matrix.to_sparse(), 5)

    exact = torch.linalg.svd(matrix).Vh[:5].T
    torch.testing.assert_close((vectors * exact).sum(dim=0).abs(), torch.ones(5).double())
    assert vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True)).gt(0).all()
    assert torch.equal(vectors, right_singular_vectors(matrix.to_sparse(), 5))


@pytest.mark.parametrize("header", ["", "5 2\n"])
def test_a_title_is_the_mean_of_the_vectors_of_its_known_words(tmp_path: Path, header: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(header + VECTORS)

    embeddings = WordVectors(path).embed(["Red Fox", "red red fox", "The Unknown", "Nothing"])

    expected = np.array([[0.5, 1], [2 / 3, 2 / 3], [5, 5], [0, 0]])
    np.testing.assert_allclose(embeddings, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("fox 1", "vector 2, 'fox': 1 numbers; expected 2 finite ones"),
        ("fox 1 nan", "vector 2, 'fox': 2 numbers; expected 2 finite ones"),
        ("fox 1 1e6", "vector 2, 'fox': 2 numbers; .* of at most 65504"),
        ("fox 1 x", "vector 2, 'fox': could not convert string to float: 'x'"),
    ],
)
def test_a_damaged_vector_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(f"red 1 0\n{line}\n")

    with pytest.raises(ConfigError, match=problem):
        WordVectors(path).embed(["red fox"])


def test_a_missing_or_empty_file_of_vectors_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"teacher.word_vectors = .*none.txt"):
        WordVectors(tmp_path / "none.txt")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ConfigError, match=r"empty.txt.*has no word vector"):
        WordVectors(tmp_path / "empty.txt")
