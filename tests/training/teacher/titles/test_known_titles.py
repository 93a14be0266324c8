"""With `teach --reuse`, the LLM reads a title once, whatever catalogs it is in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.data.catalog import Catalog
from training.data.dataset import Dataset
from training.errors import KnowledgeError
from training.settings.teacher import TeacherConfig
from training.teacher.encoders.local import LocalEncoder
from training.teacher.llm.language_model import LanguageModel
from training.teacher.titles.known_titles import embed_new_titles
from training.teacher.titles.teach import embed_catalog

CONFIG = TeacherConfig(kind="titles")


@pytest.fixture
def encoder(tiny_language_model: LanguageModel) -> LocalEncoder:
    return LocalEncoder(tiny_language_model, CONFIG.tokens_per_batch)


def with_titles(dataset: Dataset, *titles: str) -> Dataset:
    catalog = Catalog(titles, titles, ({},) * len(titles))
    return replace(dataset, catalog=catalog, fingerprint="-".join(titles))


def test_only_new_titles_are_read(
    tmp_path: Path, tiny_dataset: Dataset, encoder: LocalEncoder
) -> None:
    first = with_titles(tiny_dataset, "Alien", "Brazil")
    second = with_titles(tiny_dataset, "Clue", "Brazil", "Alien")

    before, cost = embed_new_titles(first, CONFIG, tmp_path, encoder)
    after, cost_of_new = embed_new_titles(second, CONFIG, tmp_path, encoder)
    again, no_cost = embed_new_titles(second, CONFIG, tmp_path, encoder)
    _, cost_of_all = embed_catalog(second, CONFIG, tmp_path, encoder)

    np.testing.assert_array_equal(after[[3, 2]], before[[1, 2]])
    np.testing.assert_array_equal(again, after)
    assert cost.tokens + cost_of_new.tokens == cost_of_all.tokens
    assert no_cost.tokens == 0
    assert not after[0].any()


def test_embeddings_are_those_of_the_whole_catalog_but_for_rounding(
    tmp_path: Path, tiny_dataset: Dataset, encoder: LocalEncoder
) -> None:
    embed_new_titles(with_titles(tiny_dataset, "Alien"), CONFIG, tmp_path, encoder)
    dataset = with_titles(tiny_dataset, "Alien", "The Brazil of 1985", "Clue")

    kept, _ = embed_new_titles(dataset, CONFIG, tmp_path, encoder)
    whole, _ = embed_catalog(dataset, CONFIG, tmp_path, encoder)

    np.testing.assert_allclose(kept, whole, atol=2e-3)


def test_a_kill_while_known_titles_are_replaced_loses_none(
    tmp_path: Path, tiny_dataset: Dataset, encoder: LocalEncoder
) -> None:
    dataset = with_titles(tiny_dataset, "Alien")
    embed_new_titles(dataset, CONFIG, tmp_path, encoder)
    (kept,) = tmp_path.glob("known-*")
    kept.rename(kept.with_name(f".{kept.name}.replaced"))  # as between the two renames

    _, cost = embed_new_titles(dataset, CONFIG, tmp_path, encoder)

    assert cost.tokens == 0


def test_damaged_embeddings_are_an_error_that_says_what_to_do(
    tmp_path: Path, tiny_dataset: Dataset, encoder: LocalEncoder
) -> None:
    dataset = with_titles(tiny_dataset, "Alien")
    embed_new_titles(dataset, CONFIG, tmp_path, encoder)
    (kept,) = tmp_path.glob("known-*")
    (kept / "titles.json").write_text("[")

    with pytest.raises(KnowledgeError, match=r"damaged .*; delete it, and all titles are read"):
        embed_new_titles(dataset, CONFIG, tmp_path, encoder)
