"""What the LLM reads: a line that says what follows, then one title a line, oldest first.

Every title line ends in a newline whose hidden state is the teacher's answer to "what next?".
Under causal attention one pass over a window of titles therefore answers all of its prefixes,
each exactly as if it had been asked alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from training.data.catalog import Catalog

PROMPT_VERSION = "titles-1"
INSTRUCTION = "Chosen by one person, oldest first. Recommend what comes next.\n"
MAX_TITLE_TOKENS = 32

TokenIds = NDArray[np.int64]


@dataclass(frozen=True)
class Phrasebook:
    """The catalog in tokens: `titles[item_index]` is that item's line, `titles[0]` is empty."""

    instruction: TokenIds
    titles: tuple[TokenIds, ...]

    def prompt(self, history: Sequence[int] | NDArray[np.integer]) -> tuple[TokenIds, TokenIds]:
        """Returns the prompt's tokens and, per history item, the position of its newline."""
        lines = [self.titles[item_index] for item_index in history]
        ends = np.cumsum([len(self.instruction), *map(len, lines)])[1:] - 1
        return np.concatenate([self.instruction, *lines]), ends


def phrasebook(tokenizer: PreTrainedTokenizerBase, catalog: Catalog) -> Phrasebook:
    """Tokenises the instruction and each title once."""
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return Phrasebook(
        np.concatenate([np.array(start, dtype=np.int64), _tokens(tokenizer, INSTRUCTION)]),
        (np.empty(0, dtype=np.int64), *title_lines(tokenizer, catalog.titles)),
    )


def title_lines(tokenizer: PreTrainedTokenizerBase, titles: Sequence[str]) -> list[TokenIds]:
    """Each title as the line that stands for it in a prompt."""
    newline = _tokens(tokenizer, "\n")
    return [_title_line(tokenizer, title, newline) for title in titles]


def one_line(title: str) -> str:
    """A title without line breaks, which would read as two items."""
    return " ".join(title.split())


def _title_line(tokenizer: PreTrainedTokenizerBase, title: str, newline: TokenIds) -> TokenIds:
    tokens = _tokens(tokenizer, one_line(title))
    return np.concatenate([tokens[:MAX_TITLE_TOKENS], newline])


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> TokenIds:
    return np.array(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)
