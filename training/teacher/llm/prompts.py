"""Prompts: an instruction, then the titles of a history, one per line, oldest first.

Every title ends in a newline. The LLM's hidden state at that newline represents the history up to
this title. With causal attention, it depends only on earlier tokens. So one pass over a prompt with
many titles computes the states of all shorter histories, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from training.cli import say
from training.data.catalog import Catalog

PROMPT_VERSION = "titles-1"  # change when a code change alters prompts for unchanged settings
INSTRUCTION = "Chosen by one person, oldest first. Recommend what comes next.\n"
MAX_TITLE_TOKENS = 32  # maximum number of tokens of a title, without its newline

TokenIds = NDArray[np.int64]


@dataclass(frozen=True)
class PromptBuilder:
    """Builds prompts from the tokens of the instruction and of all titles.

    Attributes:
        instruction: token ids that every prompt begins with.
        titles: token ids of each title with its newline, by item_index; empty for padding.
    """

    instruction: TokenIds
    titles: tuple[TokenIds, ...]

    def prompt(self, history: Sequence[int] | NDArray[np.integer]) -> tuple[TokenIds, TokenIds]:
        """Builds the prompt of a history of item indices, oldest first.

        Returns the token ids of the prompt, and the position of the newline after each title.
        """
        lines = [self.titles[item_index] for item_index in history]
        ends = np.cumsum([len(self.instruction), *map(len, lines)])[1:] - 1
        return np.concatenate([self.instruction, *lines]), ends


def prompt_builder(tokenizer: PreTrainedTokenizerBase, catalog: Catalog) -> PromptBuilder:
    """Makes the prompt builder of a catalog; tokenises the instruction and all titles.

    Says how many titles are as long as what is read of a title, or longer.
    """
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    titles = title_lines(tokenizer, catalog.titles)
    if num_long := sum(len(line) > MAX_TITLE_TOKENS for line in titles):
        say(
            f"{num_long:,} of {len(titles):,} titles have {MAX_TITLE_TOKENS} tokens or more; the "
            f"LLM reads the first {MAX_TITLE_TOKENS}"
        )
    return PromptBuilder(
        np.concatenate([np.array(start, dtype=np.int64), _tokens(tokenizer, INSTRUCTION)]),
        (np.empty(0, dtype=np.int64), *titles),
    )


def title_lines(tokenizer: PreTrainedTokenizerBase, titles: Sequence[str]) -> list[TokenIds]:
    """Tokenises each title as a line of a prompt: at most `MAX_TITLE_TOKENS`, then a newline."""
    newline = _tokens(tokenizer, "\n")
    return [_title_line(tokenizer, title, newline) for title in titles]


def one_line(title: str) -> str:
    """Returns a title on one line, since the LLM would read two lines as two titles.

    Each run of line breaks and other white space becomes one space.
    """
    return " ".join(title.split())


def _title_line(tokenizer: PreTrainedTokenizerBase, title: str, newline: TokenIds) -> TokenIds:
    tokens = _tokens(tokenizer, one_line(title))
    return np.concatenate([tokens[:MAX_TITLE_TOKENS], newline])


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> TokenIds:
    return np.array(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)
