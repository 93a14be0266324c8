"""Schedule of an LLM's fine-tuning: batches and learning rate of each optimiser step."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.settings.teacher import TeacherConfig
from training.teacher.llm.windows import Window, token_bounded


class StepPlan:
    """Plans the batches and the learning rate of every optimiser step of a tuning.

    Each epoch uses every prompt window once, in a new random order. A batch holds windows of
    similar length. The batches of a step depend only on the number of the step and the seed. So a
    resumed tuning takes the same steps as an uninterrupted one.

    Attributes:
        total_steps: number of steps of the tuning.
    """

    def __init__(
        self, windows: Sequence[Window], lengths: NDArray[np.int64], config: TeacherConfig
    ) -> None:
        """Computes the number of steps; the batches of a step are planned when it begins.

        Args:
            windows: prompt windows of the training examples.
            lengths: `[windows]`, number of tokens of the prompt of each of `windows`.
            config: settings of the teacher.
        """
        self._windows = windows
        self._lengths = lengths
        self._config = config
        self._batches_of = lru_cache(maxsize=1)(self._epoch)
        self._steps_per_epoch = math.ceil(len(self._epoch(0)) / config.tuner.batches_per_step)
        self.total_steps = max(1, round(config.tuner.epochs * self._steps_per_epoch))

    @property
    def total_tokens(self) -> int:
        """Number of tokens that all steps read; an estimate if `tuner.epochs` is fractional."""
        return round(self.total_steps / self._steps_per_epoch * int(self._lengths.sum()))

    def batches(self, step: int) -> list[list[Window]]:
        """Returns the batches of step `step`, whose gradients are averaged; the first step is 0."""
        return [[self._windows[index] for index in batch] for batch in self._step(step)]

    def tokens(self, step: int) -> int:
        """Counts the tokens of the batches of step `step`."""
        return sum(int(self._lengths[batch].sum()) for batch in self._step(step))

    def learning_rate_factor(self, step: int) -> float:
        """Returns the learning rate of step `step` as a share of the maximum, in (0, 1].

        It rises linearly during warm-up, then falls linearly. It would reach 0 one step after the
        last step. Steps are numbered from 0.
        """
        warmup = min(self._config.tuner.warmup_steps, self.total_steps)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return (self.total_steps - step) / (self.total_steps - warmup)

    def _step(self, step: int) -> list[NDArray[np.int64]]:
        epoch, position = divmod(step, self._steps_per_epoch)
        size = self._config.tuner.batches_per_step
        return self._batches_of(epoch)[position * size : (position + 1) * size]

    def _epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        random = np.random.default_rng((self._config.seed, epoch))
        order = random.permutation(len(self._windows))
        batches = [
            order[batch]
            for batch in token_bounded(self._lengths[order], self._config.tuner.tokens_per_batch)
        ]
        return [batches[index] for index in random.permutation(len(batches))]
