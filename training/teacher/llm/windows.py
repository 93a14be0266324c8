"""Prompt windows: parts of each user's interactions, each short enough for one prompt.

Windows may overlap, but the next item of each example is predicted in exactly one of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.teacher.llm.pooling import Spans
from training.teacher.llm.prompts import PromptBuilder, TokenIds


@dataclass(frozen=True)
class Window:
    """A prompt window: consecutive rows of one user whose titles form one prompt.

    Attributes:
        start: dataset row of the first title of the prompt.
        stop: dataset row after that of the last title of the prompt.
        targets: dataset rows that are predicted from the prompt, ascending. Each target is
            predicted from the LLM's state after the title of the row before it.
    """

    start: int
    stop: int
    targets: NDArray[np.int64]


def plan_windows(
    dataset: Dataset, rows: NDArray[np.int64], max_titles: int, overlap: int
) -> list[Window]:
    """Plans the prompt windows that predict each of `rows` once.

    Args:
        dataset: the dataset.
        rows: dataset rows to predict, ascending.
        max_titles: maximum number of titles in a prompt.
        overlap: number of titles that a window repeats from the user's window before it. So each
            row is predicted from more than `overlap` titles, if its history is that long.
    """
    users = dataset.user_of_row[rows]
    starts = dataset.user_offsets[users] + first_title(
        dataset.position_of_row[rows], max_titles, overlap
    )
    breaks = np.flatnonzero(np.diff(starts)) + 1
    groups = np.split(np.arange(len(rows)), breaks) if len(rows) else []
    return [
        Window(
            start=int(starts[group[0]]),
            stop=int(rows[group[-1]]),
            targets=rows[group],
        )
        for group in groups
    ]


def first_title(
    history_lengths: NDArray[np.int64], max_titles: int, overlap: int
) -> NDArray[np.int64]:
    """Returns, for each history, the position of the first title that its prompt shows.

    Positions are counted in the history, from 0. The result is `[histories]`.

    Args:
        history_lengths: `[histories]`, number of items of each history.
        max_titles: maximum number of titles in a prompt.
        overlap: number of titles that a prompt window repeats from the window before it.
    """
    # Window 0 is for histories of up to max_titles items, each later window for histories that are
    # up to a stride longer.
    stride = max_titles - overlap
    window_numbers = np.maximum(0, -((max_titles - history_lengths) // stride))
    return window_numbers * stride


def prompt_lengths(
    dataset: Dataset, builder: PromptBuilder, windows: Sequence[Window]
) -> NDArray[np.int64]:
    """Counts the tokens of the prompt of each prompt window, `[windows]`."""
    title_lengths = np.array([len(title) for title in builder.titles])
    running = np.concatenate([[0], np.cumsum(title_lengths[dataset.item_indices])])
    starts = np.array([window.start for window in windows], dtype=np.int64)
    stops = np.array([window.stop for window in windows], dtype=np.int64)
    lengths: NDArray[np.int64] = running[stops] - running[starts] + len(builder.instruction)
    return lengths


def token_bounded(lengths: NDArray[np.int64], tokens_per_batch: int) -> Iterator[NDArray[np.int64]]:
    """Groups prompts of similar length into batches of bounded size; yields indices of prompts.

    Args:
        lengths: `[prompts]`, number of tokens of each prompt.
        tokens_per_batch: maximum number of tokens in a batch, padding included. A longer prompt is
            a batch of its own.
    """
    batch: list[int] = []
    for index in np.argsort(lengths, kind="stable"):
        # Lengths ascend, so this prompt is the longest of its batch.
        if batch and (len(batch) + 1) * lengths[index] > tokens_per_batch:
            yield np.array(batch)
            batch = []
        batch.append(int(index))
    if batch:
        yield np.array(batch)


@dataclass(frozen=True)
class PromptBatch:
    """The prompts of several prompt windows as one batch, padded on the right.

    Attributes:
        tokens: `[windows, tokens]`, token ids. No mask is needed: with causal attention, padding on
            the right does not change the states of titles.
        newest: token positions of the title before each target, `[targets]`.
        rows: `[targets]`, dataset rows that are predicted.
    """

    tokens: TokenIds
    newest: Spans
    rows: NDArray[np.int64]


def prompt_batch(
    dataset: Dataset, builder: PromptBuilder, windows: Sequence[Window]
) -> PromptBatch:
    """Builds the prompts of `windows` as one batch, padded on the right."""
    prompts = [builder.prompt(dataset.item_indices[each.start : each.stop]) for each in windows]
    tokens = np.zeros((len(prompts), max(len(text) for text, _ in prompts)), dtype=np.int64)
    for row, (text, _) in zip(tokens, prompts, strict=True):
        row[: len(text)] = text
    ends_of_newest = [
        ends[window.targets - window.start - 1]
        for (_, ends), window in zip(prompts, windows, strict=True)
    ]
    counts = [len(window.targets) for window in windows]
    rows = np.concatenate([window.targets for window in windows])
    last = np.concatenate(ends_of_newest)
    title_lengths = np.array([len(title) for title in builder.titles])
    return PromptBatch(
        tokens=tokens,
        newest=Spans(
            prompt=np.repeat(np.arange(len(windows)), counts),
            first=last + 1 - title_lengths[dataset.item_indices[rows - 1]],
            last=last,
        ),
        rows=rows,
    )
