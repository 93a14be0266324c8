"""Objectives of fine-tuning: the LLM learns to match the next title (retrieval) or to write it."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.compute.device import multiplies_halves
from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import SELECTION_METRIC
from training.progress import ProgressBar
from training.settings.teacher import TeacherConfig
from training.teacher.budget import newest_first, tuning_validation_rows
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.pooling import pooled
from training.teacher.llm.prompts import PromptBuilder, TokenIds, prompt_builder
from training.teacher.llm.states import States, as_stored
from training.teacher.llm.title_embeddings import embed_titles
from training.teacher.llm.windows import (
    Window,
    plan_windows,
    prompt_batch,
    prompt_lengths,
    token_bounded,
)
from training.teacher.matcher import Matcher, matcher_distances, save_matcher
from training.teacher.top_k import teacher_metrics

SAMPLE_BATCHES = 4  # maximum number of batches whose states the matcher is standardised by


class TuningExamples:
    """The training and validation examples of an LLM's fine-tuning, with the LLM that reads them.

    Attributes:
        model: the LLM.
        dataset: the dataset.
        config: settings of the teacher.
        builder: builds prompts.
        windows: prompt windows of the training examples.
        lengths: `[windows]`, number of tokens of the prompt of each of `windows`.
        validation_rows: dataset rows of the validation examples, ascending.
        validation_windows: prompt windows of the validation examples.
        autocast: context in which the LLM computes in bfloat16, if the settings ask for it and the
            device has fast bfloat16.
    """

    def __init__(self, model: LanguageModel, dataset: Dataset, config: TeacherConfig) -> None:
        self.model = model
        self.dataset = dataset
        self.config = config
        self.builder: PromptBuilder = prompt_builder(model.tokenizer, dataset.catalog)
        train = newest_first(dataset, dataset.example_rows(Split.TRAIN))
        self.windows = self._windows(np.sort(train[: config.tuner.budget_sequences]))
        self.lengths = self.lengths_of(self.windows)
        self.validation_rows = tuning_validation_rows(dataset, config)
        self.validation_windows = self._windows(self.validation_rows)
        longest = max(self.lengths.max(), self.lengths_of(self.validation_windows).max())
        model.refuse_too_long(int(longest))
        self.autocast = partial(
            torch.autocast,
            model.device.type,
            torch.bfloat16,
            enabled=config.precision == "bfloat16" and multiplies_halves(model.device),
        )

    def batches(self, windows: Sequence[Window]) -> list[list[Window]]:
        """Groups prompt windows of similar length into batches, shortest windows first.

        A batch has at most `config.tuner.tokens_per_batch` tokens, padding included. A longer
        window is a batch of its own.
        """
        bounded = token_bounded(self.lengths_of(windows), self.config.tuner.tokens_per_batch)
        return [[windows[index] for index in batch] for batch in bounded]

    def lengths_of(self, windows: Sequence[Window]) -> NDArray[np.int64]:
        """Counts the tokens of the prompt of each prompt window, `[windows]`.

        For a generative teacher, the title of the window's last target is part of the prompt, since
        the LLM learns to write it.
        """
        lengths = prompt_lengths(self.dataset, self.builder, windows)
        if self.config.kind == "generative":
            last = self.dataset.item_indices[[window.stop for window in windows]]
            lengths += np.array([len(self.builder.titles[item]) for item in last])
        return lengths

    def _windows(self, rows: NDArray[np.int64]) -> list[Window]:
        return plan_windows(self.dataset, rows, self.config.max_titles, self.config.overlap)


class MatchingObjective:
    """Tuning objective of a retrieval teacher: cross-entropy of the next item over all items.

    A matcher scores items by the LLM's state of a history and the LLM's title embeddings. The
    matcher is trained together with the LLM. Title embeddings are computed again only at the end of
    each leg, before its validation.

    Attributes:
        windows: prompt windows of the training examples.
        lengths: `[windows]`, number of tokens of the prompt of each of `windows`.
        head: the matcher.
    """

    def __init__(self, examples: TuningExamples) -> None:
        """Makes an untrained matcher.

        The matcher's inputs are standardised by the mean and standard deviation of all title
        embeddings and of a sample of states. The LLM computes these before tuning.
        """
        self._examples = examples
        self.windows, self.lengths = examples.windows, examples.lengths
        # Batches are in order of length, so that every n-th batch is a fair sample.
        batches = examples.batches(self.windows)
        sample = batches[:: -(-len(batches) // SAMPLE_BATCHES)]
        states = torch.cat([self._states(windows)[0].cpu() for windows in sample])
        config = examples.config
        matcher = Matcher(states, self._titles(), config.projection_size, config.dropout)
        self.head = matcher.to(examples.model.device)

    def refresh(self) -> None:
        """Embeds the titles again, with the current weights of the LLM."""
        self.head.title_embeddings = self._titles().to(self._examples.model.device)

    def loss(self, windows: Sequence[Window]) -> Tensor:
        """Computes the mean cross-entropy of the targets of `windows` over all items, a scalar.

        A gradient flows to the LLM and to the matcher.
        """
        states, next_items = self._states_with_gradient(windows)
        return self.head.loss(states, next_items)

    @torch.inference_mode()
    def validate(self) -> float:
        """Computes NDCG@20 on the validation examples, ranked by the LLM and the matcher."""
        examples = self._examples
        rows, states = [], []
        for windows in _validation_batches(examples):
            rows.append(np.concatenate([window.targets for window in windows]))
            states.append(as_stored(self._states(windows)[0]))
        order = np.argsort(np.concatenate(rows))
        encoded = States(np.concatenate(rows)[order], np.concatenate(states)[order])
        matcher = self.head.cpu()
        distances = matcher_distances(matcher, encoded)
        metrics = teacher_metrics(distances, examples.dataset, examples.validation_rows)
        self.head = matcher.to(examples.model.device)
        return metrics[SELECTION_METRIC]

    def save(self, folder: Path) -> None:
        """Writes the matcher into `folder`."""
        save_matcher(self.head, folder)

    @torch.inference_mode()
    def _states(self, windows: Sequence[Window]) -> tuple[Tensor, Tensor]:
        return self._states_with_gradient(windows)

    def _states_with_gradient(self, windows: Sequence[Window]) -> tuple[Tensor, Tensor]:
        examples = self._examples
        batch = prompt_batch(examples.dataset, examples.builder, windows)
        with examples.autocast():
            states = examples.model.hidden_states(torch.from_numpy(batch.tokens))
        chosen = pooled(states, batch.newest, examples.config.pooling).float()
        next_items = torch.from_numpy(examples.dataset.item_indices[batch.rows].astype(np.int64))
        return chosen, next_items.to(chosen.device)

    def _titles(self) -> Tensor:
        examples = self._examples
        with examples.autocast():
            titles = embed_titles(
                examples.model, examples.builder, examples.config.tokens_per_batch
            )
        return torch.from_numpy(titles)


class ResponseObjective:
    """Tuning objective of a generative teacher: cross-entropy of the tokens of next titles.

    Other tokens of the prompts have no loss.

    Attributes:
        windows: prompt windows of the training examples.
        lengths: `[windows]`, number of tokens of the prompt of each of `windows`.
        head: module without parameters, since only the LLM is trained.
    """

    def __init__(self, examples: TuningExamples) -> None:
        self._examples = examples
        self.windows, self.lengths = examples.windows, examples.lengths
        self.head = nn.Identity()

    def refresh(self) -> None:
        """Does nothing, since this objective keeps no tensor that depends on the LLM's weights."""

    def loss(self, windows: Sequence[Window]) -> Tensor:
        """Computes the mean cross-entropy over the tokens of the titles of all targets, a scalar.

        The targets are those of `windows`. A gradient flows to the LLM.
        """
        examples = self._examples
        tokens, is_response = response_batch(examples.dataset, examples.builder, windows)
        is_target = torch.from_numpy(is_response[:, 1:]).to(examples.model.device)
        inputs = torch.from_numpy(tokens).to(examples.model.device)
        with examples.autocast():
            scores = examples.model.causal(input_ids=inputs, use_cache=False).logits
        return functional.cross_entropy(scores[:, :-1][is_target].float(), inputs[:, 1:][is_target])

    @torch.inference_mode()
    def validate(self) -> float:
        """Computes the mean loss of the validation batches, negated, so that higher is better."""
        batches = _validation_batches(self._examples)
        return -float(np.mean([self.loss(windows).item() for windows in batches]))

    def save(self, folder: Path) -> None:
        """Does nothing, since this objective trains no weights except those of the LLM."""


def _validation_batches(examples: TuningExamples) -> Iterator[list[Window]]:
    """Yields the prompt windows of the validation examples in batches, with a progress bar."""
    batches = examples.batches(examples.validation_windows)
    batch_tokens = [int(examples.lengths_of(batch).sum()) for batch in batches]
    with ProgressBar("validating", sum(batch_tokens), "token") as bar:
        for batch, tokens in zip(batches, batch_tokens, strict=True):
            with examples.model.reporting_layers(bar.advance, tokens):
                yield batch


def response_batch(
    dataset: Dataset, builder: PromptBuilder, windows: Sequence[Window]
) -> tuple[TokenIds, NDArray[np.bool_]]:
    """Builds a prompt for each prompt window, with the title of its last target at the end.

    Returns:
        Token ids, padded on the right; and a mask of the tokens that have a loss: the titles of
        targets with their newlines. Both are `[windows, tokens]`.
    """
    prompts = [builder.prompt(dataset.item_indices[each.start : each.stop + 1]) for each in windows]
    tokens = np.zeros((len(prompts), max(len(text) for text, _ in prompts)), dtype=np.int64)
    is_response = np.zeros(tokens.shape, dtype=np.bool_)
    for row, marks, (text, ends), window in zip(tokens, is_response, prompts, windows, strict=True):
        row[: len(text)] = text
        for position in window.targets - window.start:
            marks[ends[position - 1] + 1 : ends[position] + 1] = True
    return tokens, is_response
