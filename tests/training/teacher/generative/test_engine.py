from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from training.data.catalog import Catalog
from training.errors import ConfigError
from training.settings.teacher import TeacherConfig, WritingConfig
from training.teacher.generative.engine import LocalEngine, left_padded
from training.teacher.llm.language_model import LanguageModel, load_language_model
from training.teacher.llm.prompts import prompt_builder
from training.teacher.llm.title_embeddings import mean_states

TITLES = ("Alien", "Brazil, the long version", "Clue", "Dune: part two of the saga")
HISTORIES = [(1,), (1, 2, 3, 4), (3, 1), (2, 4, 2)]


def engine_of(model: LanguageModel, **writing: object) -> LocalEngine:
    catalog = Catalog(("a", "b", "c", "d"), TITLES, ({},) * 4)
    config = TeacherConfig(kind="generative", writing=WritingConfig.model_validate(writing))
    return LocalEngine(model, prompt_builder(model.tokenizer, catalog), config)


def greedy(engine: LocalEngine, history: Sequence[int], max_new_tokens: int) -> str:
    """Writes greedily without a cache: each token from a pass over all tokens before it."""
    tokens = engine.builder.prompt(history)[0].tolist()
    start = len(tokens)
    for _ in range(max_new_tokens):
        with torch.no_grad():
            scores = engine.model.causal(torch.tensor([tokens])).logits[0, -1]
        if len(tokens) == start:
            scores[[engine.model.tokenizer.eos_token_id, newline(engine)]] = -torch.inf
        tokens.append(int(scores.argmax()))
        if tokens[-1] in (newline(engine), engine.model.tokenizer.eos_token_id):
            break
    text: str = engine.model.tokenizer.decode(tokens[start:], skip_special_tokens=True)
    return text.strip().split("\n")[0].strip()


def newline(engine: LocalEngine) -> int:
    (token,) = engine.model.tokenizer("\n", add_special_tokens=False)["input_ids"]
    return int(token)


def test_histories_of_any_length_are_answered_in_a_batch_as_each_by_itself(
    any_language_model_path: Path,
) -> None:
    engine = engine_of(load_language_model(str(any_language_model_path)), max_new_tokens=12)
    written = engine.write(HISTORIES)
    assert [line.text for line in written] == [greedy(engine, each, 12) for each in HISTORIES]
    assert len({line.text for line in written}) > 1


def test_a_written_title_is_one_line_at_any_length_limit(
    tiny_language_model: LanguageModel,
) -> None:
    engine = engine_of(tiny_language_model, max_new_tokens=60)
    (written,) = engine.write([(1, 2)])
    assert "\n" not in written.text
    assert written.text == greedy(engine, (1, 2), 60)


def test_tokens_count_the_prompt_and_the_written_line_with_its_newline(
    tiny_language_model: LanguageModel,
) -> None:
    engine = engine_of(tiny_language_model, max_new_tokens=3)
    (length,) = engine.prompt_lengths([(1, 2)])
    (written,) = engine.write([(1, 2)])
    assert length == len(engine.builder.prompt((1, 2))[0])
    assert length < written.tokens <= length + 3


def test_more_beams_never_write_a_less_likely_line(tiny_language_model: LanguageModel) -> None:
    one, four = (engine_of(tiny_language_model, num_beams=beams) for beams in (1, 4))
    lines = [engine.write([(1, 2)])[0].text for engine in (one, four)]
    assert likelihood(one, lines[1]) >= likelihood(one, lines[0])


def likelihood(engine: LocalEngine, text: str) -> float:
    """Mean log-probability of the bytes of `text` after the history."""
    prompt = engine.builder.prompt((1, 2))[0].tolist()
    answer = engine.model.tokenizer(text + "\n", add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        scores = engine.model.causal(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
    places = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
    return float(np.mean([scores[at, token] for at, token in zip(places, answer, strict=True)]))


def test_padding_is_on_the_left_and_masked() -> None:
    tokens, mask = left_padded([np.array([5]), np.array([6, 7, 8])])
    assert tokens.tolist() == [[0, 0, 5], [6, 7, 8]]
    assert mask.tolist() == [[0, 0, 1], [1, 1, 1]]


def test_a_title_is_embedded_as_the_mean_of_its_states(tiny_language_model: LanguageModel) -> None:
    engine = engine_of(tiny_language_model)
    lines = list(engine.builder.titles[1:])
    np.testing.assert_allclose(engine.embed(TITLES), mean_states(engine.model, lines), atol=1e-5)


def test_a_prompt_beyond_the_context_of_the_llm_is_refused(
    tiny_language_model: LanguageModel,
) -> None:
    engine = engine_of(tiny_language_model)
    with pytest.raises(
        ConfigError, match=r"teacher\.max_titles: .* reads at most 2048; lower teacher\.max_titles"
    ):
        engine.write([(2, 4) * 100])
