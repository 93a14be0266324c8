"""Embeds titles with a causal LM on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.prompts import title_lines
from training.teacher.llm.shards import ShardedWork
from training.teacher.llm.title_embeddings import lines_work, mean_states


@dataclass(frozen=True)
class LocalEncoder:
    """Embeds titles as the mean of a local LLM's states over their tokens; a `TitleEncoder`.

    Attributes:
        model: the LLM.
        tokens_per_batch: maximum number of tokens in a batch, padding included.
    """

    model: LanguageModel
    tokens_per_batch: int

    @property
    def name(self) -> str:
        """Name of the LLM."""
        return self.model.name

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Embeds titles, `[titles, hidden]`, all in one batch."""
        return mean_states(self.model, title_lines(self.model.tokenizer, titles))

    def plan(self, titles: Sequence[str], folder: Path) -> ShardedWork[int]:
        """Implements `TitleEncoder.plan`; no item is left out."""
        lines = title_lines(self.model.tokenizer, titles)
        return lines_work(self.model, lines, self.tokens_per_batch, folder)
