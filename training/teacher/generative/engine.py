"""Writing: the LLM goes on with a history and so writes the title that it expects next.

The prompt is the one that a retrieval teacher reads: a line of instruction, then one title a line.
The next line is the answer, so a title is at once the response to those before it and part of the
prompt for those after it.
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

from training.settings.teacher import TeacherConfig
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.prompts import Phrasebook, TokenIds, title_lines
from training.teacher.llm.title_embeddings import embed_lines

History = tuple[int, ...]
"""Item indices as a prompt has them, oldest first."""


@dataclass(frozen=True)
class Written:
    """One line of text, without its end, and the tokens read and written for it."""

    text: str
    tokens: int


class Engine(Protocol):
    """An LLM as a generative teacher needs it, on this machine or behind a server."""

    @property
    def name(self) -> str:
        """Of the model."""
        ...

    def prompt_lengths(self, histories: Sequence[History]) -> NDArray[np.int64]:
        """Tokens in the prompt of each history, or nearly."""
        ...

    def write(self, histories: Sequence[History]) -> list[Written]:
        """The title that comes next, for each history of one batch."""
        ...

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """How the LLM sees titles, `[titles, size]`."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """A causal LM on this machine."""

    model: LanguageModel
    book: Phrasebook
    config: TeacherConfig

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model.name

    def prompt_lengths(self, histories: Sequence[History]) -> NDArray[np.int64]:
        """Tokens in the prompt of each history."""
        titles = np.array([len(title) for title in self.book.titles])
        lengths = [titles[list(history)].sum() for history in histories]
        return np.array(lengths, dtype=np.int64) + len(self.book.instruction)

    @torch.inference_mode()
    def write(self, histories: Sequence[History]) -> list[Written]:
        """The title that comes next, greedily or by beam search."""
        prompts = [self.book.prompt(history)[0] for history in histories]
        tokens, mask = left_padded(prompts)
        self.model.refuse_longer_than_it_reads(tokens.shape[1] + self.config.writing.max_new_tokens)
        device = self.model.device
        answers = self.model.causal.generate(
            tokens.to(device), attention_mask=mask.to(device), generation_config=self._generation
        )[:, tokens.shape[1] :].cpu()
        return [self._written(prompt, line) for prompt, line in zip(prompts, answers, strict=True)]

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """The mean of the LLM's states over the line of each title."""
        lines = title_lines(self.model.tokenizer, titles)
        return embed_lines(self.model, lines, self.config.tokens_per_batch)

    @cached_property
    def _line_ends(self) -> list[int]:
        # Many vocabularies have tokens that hold a line break among other characters.
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
            min_new_tokens=1,  # an empty line is no answer
            eos_token_id=self._line_ends,
            pad_token_id=self._line_ends[0],
        )

    def _written(self, prompt: TokenIds, answer: Tensor) -> Written:
        is_end = torch.isin(answer, torch.tensor(self._line_ends))
        length = int(is_end.int().argmax()) + 1 if is_end.any() else len(answer)
        text = self.model.tokenizer.decode(answer[:length], skip_special_tokens=True)
        return Written(text.strip().split("\n")[0].strip(), len(prompt) + length)


def left_padded(prompts: Sequence[TokenIds]) -> tuple[Tensor, Tensor]:
    """Prompts that all end in the last column, and a mask of their own tokens: `[prompts, tokens]`.

    Generation goes on at the right, so padding has to stand on the left, where the mask and the
    positions counted by it keep it from changing anything.
    """
    tokens = torch.zeros(len(prompts), max(len(prompt) for prompt in prompts), dtype=torch.int64)
    mask = torch.zeros_like(tokens)
    for line, its_mask, prompt in zip(tokens, mask, prompts, strict=True):
        line[len(line) - len(prompt) :] = torch.from_numpy(prompt)
        its_mask[len(line) - len(prompt) :] = 1
    return tokens, mask
