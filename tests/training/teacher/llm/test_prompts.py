import numpy as np
import pytest

from training.data.catalog import Catalog
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.prompts import INSTRUCTION, MAX_TITLE_TOKENS, prompt_builder


def catalog_of(*titles: str) -> Catalog:
    ids = tuple(str(index) for index, _ in enumerate(titles))
    return Catalog(ids, titles, ({},) * len(titles))


def test_a_prompt_is_the_instruction_and_one_title_a_line(
    tiny_language_model: LanguageModel,
) -> None:
    tokenizer = tiny_language_model.tokenizer
    builder = prompt_builder(tokenizer, catalog_of("Alien", "Brazil"))
    tokens, _ = builder.prompt([2, 1])
    assert tokenizer.decode(tokens, skip_special_tokens=True) == f"{INSTRUCTION}Brazil\nAlien\n"


def test_every_title_ends_at_its_newline(tiny_language_model: LanguageModel) -> None:
    tokenizer = tiny_language_model.tokenizer
    builder = prompt_builder(tokenizer, catalog_of("Alien", "Brazil"))
    tokens, ends = builder.prompt([2, 1])
    for end, text in zip(ends, ("Brazil\n", "Brazil\nAlien\n"), strict=True):
        read = tokenizer.decode(tokens[: end + 1], skip_special_tokens=True)
        assert read == INSTRUCTION + text


def test_a_longer_history_starts_with_the_prompt_of_a_shorter_one(
    tiny_language_model: LanguageModel,
) -> None:
    builder = prompt_builder(tiny_language_model.tokenizer, catalog_of("Alien", "Brazil", "Clue"))
    short, _ = builder.prompt([3, 1])
    long, _ = builder.prompt([3, 1, 2])
    np.testing.assert_array_equal(long[: len(short)], short)


def test_a_title_with_a_line_break_stays_one_line(tiny_language_model: LanguageModel) -> None:
    tokenizer = tiny_language_model.tokenizer
    builder = prompt_builder(tokenizer, catalog_of("Alien\n\t Resurrection"))
    assert tokenizer.decode(builder.titles[1]) == "Alien Resurrection\n"


def test_an_endless_title_is_cut_and_still_ends_in_a_newline(
    tiny_language_model: LanguageModel, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = prompt_builder(tiny_language_model.tokenizer, catalog_of("word " * 500, "Alien"))
    assert len(builder.titles[1]) == MAX_TITLE_TOKENS + 1
    assert builder.titles[1][-1] == builder.titles[2][-1]
    assert "1 of 2 titles have 32 tokens or more; the LLM reads the first 32" in (
        capsys.readouterr().out
    )
