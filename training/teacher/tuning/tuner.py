"""Fine-tunes an LLM, all weights or a low-rank adapter; validation chooses the best leg.

A leg is a number of optimiser steps with a validation at the end, after which the state of the
tuning is saved. A killed tuning resumes after its last finished leg. The random numbers of a step
depend only on the number of the step and the seed. So the resumed tuning ends with exactly the
weights of an uninterrupted one.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.compute.tensor_file import read_tensors, write_tensors
from training.errors import ConfigError
from training.progress import ProgressBar
from training.settings.teacher import TeacherConfig
from training.stage import write_stage, write_text
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.windows import Window
from training.teacher.tuning.lora import TrainedWeights
from training.teacher.tuning.schedule import StepPlan

BEST_NAME = "best"
DONE_NAME = "done.json"
LEG_NAME = "leg.safetensors"
MAX_GRADIENT_NORM = 1.0  # to which gradients are clipped


class TuningObjective(Protocol):
    """Interface of a tuning objective: the loss to minimise, and the metric to choose a leg by.

    Attributes:
        lengths: `[windows]`, number of tokens of the prompt of each of `windows`.
    """

    lengths: NDArray[np.int64]

    @property
    def windows(self) -> Sequence[Window]:
        """Prompt windows of the training examples."""
        ...

    @property
    def head(self) -> nn.Module:
        """Module that is trained together with the LLM; it may have no parameters."""
        ...

    def refresh(self) -> None:
        """Recomputes tensors that depend on the LLM's weights; called at the end of each leg."""
        ...

    def loss(self, windows: Sequence[Window]) -> Tensor:
        """Computes the mean loss of the targets of `windows`, a scalar with a gradient."""
        ...

    def validate(self) -> float:
        """Computes the metric that chooses the best leg, on validation examples; higher is better.

        The current weights of the LLM and the head are evaluated.
        """
        ...

    def save(self, folder: Path) -> None:
        """Writes the weights of `head`, if it has any, into `folder`."""
        ...


@dataclass(frozen=True)
class TuningProgress:
    """The progress of a tuning, interrupted runs included.

    Attributes:
        steps: number of optimiser steps taken.
        figures: validation metric of each finished leg; higher is better.
        tokens: number of tokens that the LLM read in these steps.
        seconds: time of all finished legs, validation included.
    """

    steps: int = 0
    figures: tuple[float, ...] = ()
    tokens: int = 0
    seconds: float = 0.0

    @property
    def best_leg(self) -> int:
        """Number of the leg with the best metric, from 1; 0 if no leg has one.

        A leg after which the weights have diverged, so that its metric is NaN, is never the best.
        """
        figures = np.nan_to_num(self.figures, nan=-np.inf, neginf=-np.inf)
        return 1 + int(np.argmax(figures)) if np.isfinite(figures).any() else 0

    def is_over(self, total_steps: int, patience: int) -> bool:
        """Returns whether the tuning must stop.

        It stops after `total_steps` steps, or after `patience` legs without a better metric.
        """
        return self.steps >= total_steps or len(self.figures) - self.best_leg >= patience


def tune(
    model: LanguageModel, objective: TuningObjective, config: TeacherConfig, folder: Path
) -> None:
    """Trains the weights of `model`, in place, and writes those of the best leg into `folder`.

    The head of `objective` is trained and written, too.
    If `folder` has the state of a killed tuning, that tuning is resumed. At the end, the progress
    is written to `done.json`, which marks the tuning as complete.

    Raises:
        ConfigError: the LLM has diverged: no validation has a finite metric.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tuning = _Tuning(model, objective, config)
    progress = tuning.load(folder / LEG_NAME)
    with ProgressBar("tuning", tuning.plan.total_tokens, "token", done=progress.tokens) as bar:
        while not progress.is_over(tuning.plan.total_steps, config.tuner.patience):
            progress = tuning.leg(progress, bar)
            if progress.best_leg == len(progress.figures):
                with write_stage(folder / BEST_NAME, f"leg {progress.best_leg}") as building:
                    tuning.weights.save(building)
                    objective.save(building)
            tuning.save(progress, folder / LEG_NAME)
    if not progress.best_leg:
        raise ConfigError(
            f"teacher.tuner.learning_rate = {config.tuner.learning_rate}: the LLM has diverged "
            "before its first validation, which has no finite figure; lower it"
        )
    write_text(folder / DONE_NAME, json.dumps(asdict(progress), indent=2))
    (folder / LEG_NAME).unlink(missing_ok=True)


class _Tuning:
    """A tuning in progress: the LLM, the head of the objective, and the optimiser of both."""

    def __init__(
        self, model: LanguageModel, objective: TuningObjective, config: TeacherConfig
    ) -> None:
        self._model = model
        self._objective = objective
        self._config = config
        self.weights = TrainedWeights(model, config)
        self.plan = StepPlan(objective.windows, objective.lengths, config)
        self._optimiser = torch.optim.AdamW(
            [
                {"params": self.weights.parameters, "rate": config.tuner.learning_rate},
                {"params": list(objective.head.parameters()), "rate": config.matching_rate},
            ],
            weight_decay=config.tuner.weight_decay,
        )

    def load(self, path: Path) -> TuningProgress:
        """Restores weights, head and optimiser after the last finished leg from the file `path`.

        Returns the progress of the tuning. If the file is missing, nothing is changed, and the
        progress is that of a tuning before its first step.
        """
        progress = TuningProgress()
        if path.exists():
            state = read_tensors(path, self._model.device)
            self.weights.load(state["weights"])
            self._objective.head.load_state_dict(state["head"])
            self._optimiser.load_state_dict(state["optimiser"])
            progress = TuningProgress(**state["progress"])
            self._model.causal.eval()
            self._objective.refresh()
        return progress

    def save(self, progress: TuningProgress, path: Path) -> None:
        """Writes to `path` the state that another process needs to run the next leg."""
        state: dict[str, Any] = {
            "weights": self.weights.state(),
            "head": self._objective.head.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "progress": asdict(progress),
        }
        write_tensors(path, state)

    def leg(self, progress: TuningProgress, bar: ProgressBar) -> TuningProgress:
        """Runs the steps and the validation of the next leg; returns the progress after it.

        `bar` counts tokens, and shows the best and the last validation metric.
        """
        began = time.perf_counter()
        end = min(progress.steps + self._config.tuner.steps_per_leg, self.plan.total_steps)
        tokens = sum(self._step(step, bar) for step in range(progress.steps, end))
        self._model.causal.eval()
        self._objective.head.eval()
        self._objective.refresh()
        figures = (*progress.figures, self._objective.validate())
        bar.show(best=f"{max(figures):.4f}", last=f"{figures[-1]:.4f}")
        seconds = progress.seconds + time.perf_counter() - began
        return TuningProgress(end, figures, progress.tokens + tokens, round(seconds, 1))

    def _step(self, step: int, bar: ProgressBar) -> int:
        torch.manual_seed(self._config.seed * 1_000_003 + step)
        self._model.causal.train()
        self._objective.head.train()
        batches, tokens = self.plan.batches(step), self.plan.tokens(step)
        self._optimiser.zero_grad()
        for windows in batches:
            loss = self._objective.loss(windows) / len(batches)
            loss.backward()  # type: ignore[no-untyped-call]
            bar.advance(tokens / len(batches))
        factor = self.plan.learning_rate_factor(step)
        for group in self._optimiser.param_groups:
            group["lr"] = group["rate"] * factor
            nn.utils.clip_grad_norm_(group["params"], MAX_GRADIENT_NORM)
        self._optimiser.step()
        return tokens
