"""Tuning the LLM, whole or by a low-rank adapter; validation picks the leg.

A leg is some optimiser steps and then a validation. What the next leg needs is on disk when one
ends, and every step seeds its own randomness, so a killed tuning goes on from its last leg to the
weights that it would have had.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Never, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from training.settings.teacher import TeacherConfig
from training.stage import whole_file, write_stage, write_text
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.windows import Window
from training.teacher.tuning.lora import TrainedWeights
from training.teacher.tuning.schedule import StepPlan

BEST_NAME = "best"
DONE_NAME = "done.json"
LEG_NAME = "leg.pt"
MAX_GRADIENT_NORM = 1.0


class TuningObjective(Protocol):
    """What a step makes smaller, and what a leg is judged by.

    Attributes:
        lengths: `[windows]`, tokens of each.
    """

    lengths: NDArray[np.int64]

    @property
    def windows(self) -> Sequence[Window]:
        """What is trained on."""
        ...

    @property
    def head(self) -> nn.Module:
        """What learns beside the LLM; it may have no parameters."""
        ...

    def refresh(self) -> None:
        """Looks at the LLM anew, after a leg has changed its weights."""
        ...

    def loss(self, windows: Sequence[Window]) -> Tensor:
        """Mean over the examples that the windows answer."""
        ...

    def figure(self) -> float:
        """On validation; higher is better."""
        ...

    def save(self, folder: Path) -> None:
        """Writes what belongs beside the LLM's weights."""
        ...


@dataclass(frozen=True)
class TuningProgress:
    """How far a tuning is; `figures` has one a leg, `tokens` and `seconds` are what it took."""

    steps: int = 0
    figures: tuple[float, ...] = ()
    tokens: int = 0
    seconds: float = 0.0

    @property
    def best_leg(self) -> int:
        """From 1; 0 before the first."""
        return 1 + int(np.argmax(self.figures)) if self.figures else 0

    def is_over(self, total_steps: int, patience: int) -> bool:
        """Whether all steps are done or validation has not got better for `patience` legs."""
        return self.steps >= total_steps or len(self.figures) - self.best_leg >= patience


def tune(
    model: LanguageModel, objective: TuningObjective, config: TeacherConfig, folder: Path
) -> None:
    """Leaves the weights of the best leg and `done.json` in `folder`; goes on after a kill."""
    folder.mkdir(parents=True, exist_ok=True)
    tuning = _Tuning(model, objective, config)
    progress = tuning.load(folder / LEG_NAME)
    with tqdm(
        total=tuning.plan.total_tokens,
        initial=progress.tokens,
        desc="tuning",
        unit="token",
        unit_scale=True,
    ) as bar:
        while not progress.is_over(tuning.plan.total_steps, config.tuner.patience):
            progress = tuning.leg(progress, bar)
            if progress.best_leg == len(progress.figures):
                with write_stage(folder / BEST_NAME, f"leg {progress.best_leg}") as building:
                    tuning.weights.save(building)
                    objective.save(building)
            tuning.save(progress, folder / LEG_NAME)
    write_text(folder / DONE_NAME, json.dumps(asdict(progress), indent=2))
    (folder / LEG_NAME).unlink(missing_ok=True)


class _Tuning:
    """An LLM, a head and their optimiser between two steps."""

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
        """What the last whole leg left, or a new beginning."""
        progress = TuningProgress()
        if path.exists():
            state = torch.load(path, map_location=self._model.device, weights_only=True)
            self.weights.load(state["weights"])
            self._objective.head.load_state_dict(state["head"])
            self._optimiser.load_state_dict(state["optimiser"])
            progress = TuningProgress(**state["progress"])
            self._model.causal.eval()
            self._objective.refresh()
        return progress

    def save(self, progress: TuningProgress, path: Path) -> None:
        """Writes all that the next leg needs."""
        state: dict[str, Any] = {
            "weights": self.weights.state(),
            "head": self._objective.head.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "progress": asdict(progress),
        }
        with whole_file(path) as file:
            torch.save(state, file)

    def leg(self, progress: TuningProgress, bar: "tqdm[Never]") -> TuningProgress:
        """Some steps and a validation."""
        began = time.perf_counter()
        end = min(progress.steps + self._config.tuner.steps_per_leg, self.plan.total_steps)
        tokens = sum(self._step(step, bar) for step in range(progress.steps, end))
        self._model.causal.eval()
        self._objective.head.eval()
        self._objective.refresh()
        figures = (*progress.figures, self._objective.figure())
        bar.set_postfix(best=f"{max(figures):.4f}", last=f"{figures[-1]:.4f}")
        seconds = progress.seconds + time.perf_counter() - began
        return TuningProgress(end, figures, progress.tokens + tokens, round(seconds, 1))

    def _step(self, step: int, bar: "tqdm[Never]") -> int:
        torch.manual_seed(self._config.seed * 1_000_003 + step)
        self._model.causal.train()
        self._objective.head.train()
        batches = self.plan.batches(step)
        self._optimiser.zero_grad()
        for windows in batches:
            loss = self._objective.loss(windows) / len(batches)
            loss.backward()  # type: ignore[no-untyped-call]
        factor = self.plan.learning_rate_factor(step)
        for group in self._optimiser.param_groups:
            group["lr"] = group["rate"] * factor
            nn.utils.clip_grad_norm_(group["params"], MAX_GRADIENT_NORM)
        self._optimiser.step()
        tokens = self.plan.tokens(step)
        bar.update(tokens)
        return tokens
