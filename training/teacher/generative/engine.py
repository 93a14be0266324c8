"""Engines of a generative teacher: LLMs that write the next title after a history.

The prompt is the same as for a retrieval teacher: an instruction, then one title per line. The LLM
continues the prompt, and the line that it writes is the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import GenerationConfig

from training.progress import Advance, ignore_progress
from training.settings.teacher import TeacherConfig
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.prompts import PromptBuilder, TokenIds, title_lines
from training.teacher.llm.title_embeddings import embed_lines

History = tuple[int, ...]
"""Item indices of the titles in a prompt, oldest first."""


@dataclass(frozen=True)
class WrittenTitle:
    """A title that the LLM wrote.

    Attributes:
        text: the written line, without its newline.
        tokens: number of tokens that the LLM read and wrote for this title.
    """

    text: str
    tokens: int


class Engine(Protocol):
    """Interface to the LLM of a generative teacher, on this machine or on a server.

    Methods call `advance` with the share of their work that was done since the last call.
    """

    @property
    def name(self) -> str:
        """Name of the LLM."""
        ...

    def prompt_lengths(self, histories: Sequence[History]) -> NDArray[np.int64]:
        """Counts or estimates the tokens in the prompt of each history, `[histories]`."""
        ...

    def write(
        self, histories: Sequence[History], advance: Advance = ignore_progress
    ) -> list[WrittenTitle]:
        """Lets the LLM write the next title after each history, all histories in one batch.

        Returns one title per history, in the same order.
        """
        ...

    def embed(
        self, titles: Sequence[str], advance: Advance = ignore_progress
    ) -> NDArray[np.float32]:
        """Computes the LLM's embeddings of titles, `[titles, size]`."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """A causal LM on this machine; implements `Engine`.

    Attributes:
        model: the LM.
        builder: builds prompts from histories.
        config: settings of the teacher.
    """

    model: LanguageModel
    builder: PromptBuilder
    config: TeacherConfig

    @property
    def name(self) -> str:
        """Name of the LM."""
        return self.model.name

    def prompt_lengths(self, histories: Sequence[History]) -> NDArray[np.int64]:
        """Counts the tokens in the prompt of each history, `[histories]`."""
        titles = np.array([len(title) for title in self.builder.titles])
        lengths = [titles[list(history)].sum() for history in histories]
        return np.array(lengths, dtype=np.int64) + len(self.builder.instruction)

    @torch.inference_mode()
    def write(
        self, histories: Sequence[History], advance: Advance = ignore_progress
    ) -> list[WrittenTitle]:
        """Lets the LM write the next title after each history, greedily or by beam search.

        `advance` is called with the share of `writing.max_new_tokens` written since its last call.

        Raises:
            ConfigError: a prompt with the written title could be longer than the LM's context.
        """
        prompts = [self.builder.prompt(history)[0] for history in histories]
        tokens, mask = left_padded(prompts)
        max_new_tokens = self.config.writing.max_new_tokens
        self.model.refuse_too_long(tokens.shape[1] + max_new_tokens)
        device = self.model.device
        with self.model.reporting_layers(advance, 1 / max_new_tokens):
            answers = self.model.causal.generate(
                tokens.to(device),
                attention_mask=mask.to(device),
                generation_config=self._generation,
            )[:, tokens.shape[1] :].cpu()
        return [self._written(prompt, line) for prompt, line in zip(prompts, answers, strict=True)]

    def embed(
        self, titles: Sequence[str], advance: Advance = ignore_progress
    ) -> NDArray[np.float32]:
        """Embeds each title as the mean of the LM's states over its tokens, `[titles, hidden]`.

        `advance` is called with the share of all tokens that was read since its last call.
        """
        lines = title_lines(self.model.tokenizer, titles)
        total = sum(map(len, lines))
        return embed_lines(
            self.model,
            lines,
            self.config.tokens_per_batch,
            lambda tokens: advance(tokens / total),
        )

    @cached_property
    def _newline_tokens(self) -> list[int]:
        # A vocabulary may have many tokens that contain a line break, beside the newline itself.
        tokenizer = self.model.tokenizer
        texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
        ends = {token for token, text in enumerate(texts) if "\n" in text}
        return sorted(ends | {tokenizer.eos_token_id} - {None})

    @cached_property
    def _generation(self) -> GenerationConfig:
        writing = self.config.writing
        return GenerationConfig(
            do_sample=False,
            num_beams=writing.num_beams,
            max_new_tokens=writing.max_new_tokens,
            min_new_tokens=1,  # an empty line is not a title
            eos_token_id=self._newline_tokens,
            pad_token_id=self._newline_tokens[0],
        )

    def _written(self, prompt: TokenIds, answer: Tensor) -> WrittenTitle:
        is_end = torch.isin(answer, torch.tensor(self._newline_tokens))
        length = int(is_end.int().argmax()) + 1 if is_end.any() else len(answer)
        text = self.model.tokenizer.decode(answer[:length], skip_special_tokens=True)
        return WrittenTitle(text.strip().split("\n")[0].strip(), len(prompt) + length)


def left_padded(prompts: Sequence[TokenIds]) -> tuple[Tensor, Tensor]:
    """Pads prompts on the left, since generation appends tokens on the right.

    Returns token ids and attention mask, `[prompts, tokens]` each. The LM ignores masked tokens and
    derives positions from the mask. So padding does not change the text that the LM writes.
    """
    tokens = torch.zeros(len(prompts), max(len(prompt) for prompt in prompts), dtype=torch.int64)
    mask = torch.zeros_like(tokens)
    for row, mask_row, prompt in zip(tokens, mask, prompts, strict=True):
        row[len(row) - len(prompt) :] = torch.from_numpy(prompt)
        mask_row[len(row) - len(prompt) :] = 1
    return tokens, mask
