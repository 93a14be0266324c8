"""Prompts: an instruction, then one title a line, oldest first.

Every title line ends in a newline. The hidden state of that newline is the LLM's answer to "what
comes next?". Under causal attention, one pass over a window of titles answers all of its prefixes,
each exactly as a prompt of its own would.
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
class PromptBuilder:
    """The instruction and the catalog's titles as tokens, and the prompts made of them.

    Attributes:
        instruction: tokens that every prompt begins with.
        titles: `titles[item_index]` is the line of that item; `titles[0]` is empty.
    """

    instruction: TokenIds
    titles: tuple[TokenIds, ...]

    def prompt(self, history: Sequence[int] | NDArray[np.integer]) -> tuple[TokenIds, TokenIds]:
        """Returns the prompt's tokens and, for each history item, the position of its newline."""
        lines = [self.titles[item_index] for item_index in history]
        ends = np.cumsum([len(self.instruction), *map(len, lines)])[1:] - 1
        return np.concatenate([self.instruction, *lines]), ends


def prompt_builder(tokenizer: PreTrainedTokenizerBase, catalog: Catalog) -> PromptBuilder:
    """Tokenises the instruction and each title of `catalog` once."""
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return PromptBuilder(
        np.concatenate([np.array(start, dtype=np.int64), _tokens(tokenizer, INSTRUCTION)]),
        (np.empty(0, dtype=np.int64), *title_lines(tokenizer, catalog.titles)),
    )


def title_lines(tokenizer: PreTrainedTokenizerBase, titles: Sequence[str]) -> list[TokenIds]:
    """Tokenises titles as lines of a prompt: at most `MAX_TITLE_TOKENS` tokens and a newline."""
    newline = _tokens(tokenizer, "\n")
    return [_title_line(tokenizer, title, newline) for title in titles]


def one_line(title: str) -> str:
    """Removes line breaks from a title: it would read as two items."""
    return " ".join(title.split())


def _title_line(tokenizer: PreTrainedTokenizerBase, title: str, newline: TokenIds) -> TokenIds:
    tokens = _tokens(tokenizer, one_line(title))
    return np.concatenate([tokens[:MAX_TITLE_TOKENS], newline])


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> TokenIds:
    return np.array(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)
