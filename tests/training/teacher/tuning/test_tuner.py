from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.slow_log import LONGEST_SILENCE_SECONDS, slow_log
from tests.training.teacher.conftest import layers_that_take
from training.data.dataset import Dataset
from training.errors import ConfigError, KnowledgeError
from training.settings.teacher import TeacherConfig
from training.teacher.llm.language_model import LanguageModel, load_language_model
from training.teacher.llm.prompts import PromptBuilder
from training.teacher.llm.windows import Window
from training.teacher.tuning import tuned_model, tuner
from training.teacher.tuning.objectives import TuningExamples, response_batch
from training.teacher.tuning.tuned_model import language_model, load_tuned, tune_if_configured
from training.teacher.tuning.tuner import DONE_NAME, TuningProgress

Settings = Callable[..., TeacherConfig]


@pytest.fixture
def settings(tiny_language_model_path: Path) -> Settings:
    """Settings of about ten steps in legs of three."""

    def of(kind: str, method: str, model: Path = tiny_language_model_path, **tuner: Any) -> Any:
        shape = {"max_titles": 4, "overlap": 1, "projection_size": 8}
        sizes = {
            "tokens_per_batch": 512,
            "epochs": 1.5,
            "steps_per_leg": 3,
            "learning_rate": 3e-3,
            "warmup_steps": 1,
        }
        return TeacherConfig.model_validate(
            {
                **shape,
                "kind": kind,
                "model": str(model),
                "tuning": method,
                "precision": "float32",
                "matching_rate": 1e-2,
                "tuner": sizes | tuner,
            }
        )

    return of


KINDS = pytest.mark.parametrize("kind", ["retrieval", "generative"])
METHODS = pytest.mark.parametrize("method", ["lora", "full"])


def figures(config: TeacherConfig, dataset: Dataset, folder: Path) -> list[float]:
    tune_if_configured(dataset, config, folder)
    costs = load_tuned(dataset, config, folder).costs["tuning"]
    found: list[float] = costs["figures"]
    return found


@KINDS
@METHODS
def test_tuning_learns_an_obvious_pattern(
    settings: Settings, chain_dataset: Dataset, tmp_path: Path, kind: str, method: str
) -> None:
    config = settings(kind, method, epochs=8, steps_per_leg=8, patience=9)
    first, *others = figures(config, chain_dataset, tmp_path)
    assert max(others) > first + 0.02


@KINDS
@METHODS
def test_any_architecture_is_tuned_saved_and_loaded(
    settings: Settings,
    chain_dataset: Dataset,
    tmp_path: Path,
    any_language_model_path: Path,
    kind: str,
    method: str,
) -> None:
    config = settings(kind, method, any_language_model_path, epochs=0.2)
    tune_if_configured(chain_dataset, config, tmp_path)
    tuned = load_tuned(chain_dataset, config, tmp_path)
    tokens = torch.arange(2, 12)[None]
    with torch.inference_mode():
        before = load_language_model(config.model).hidden_states(tokens)
        assert not torch.allclose(tuned.model.hidden_states(tokens), before, atol=1e-4)
    assert tuned.weights


def test_lengths_count_the_last_title_for_a_generative_teacher_only(
    settings: Settings, chain_dataset: Dataset, tiny_language_model: LanguageModel
) -> None:
    lengths = {
        kind: TuningExamples(
            tiny_language_model, chain_dataset, settings(kind, "full")
        ).lengths.min()
        for kind in ("retrieval", "generative")
    }
    assert lengths["generative"] == lengths["retrieval"] + len("Item 1\n")


def weights_of(model: LanguageModel) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = model.causal.state_dict()
    return state


@KINDS
@METHODS
def test_a_killed_tuning_resumes_to_the_same_weights(
    settings: Settings,
    chain_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    method: str,
) -> None:
    config = settings(kind, method)
    tune_if_configured(chain_dataset, config, tmp_path / "whole")
    real, calls = tuner._Tuning._step, 0

    def killed_in_the_second_leg(self: Any, *arguments: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(tuner._Tuning, "_step", killed_in_the_second_leg)
    with pytest.raises(KeyboardInterrupt):
        tune_if_configured(chain_dataset, config, tmp_path / "killed")
    tune_if_configured(chain_dataset, config, tmp_path / "killed")

    whole, resumed = (load_tuned(chain_dataset, config, tmp_path / name) for name in NAMES)
    assert resumed.weights == whole.weights
    assert resumed.costs["tuning"]["figures"] == whole.costs["tuning"]["figures"]
    assert calls > whole.costs["tuning"]["steps"]  # the leg that was killed was begun again


NAMES = ("whole", "killed")


@KINDS
def test_a_log_of_slow_tuning_is_never_silent_for_longer_than_five_seconds(
    settings: Settings,
    chain_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    log = slow_log(monkeypatch)

    with ExitStack() as slow:

        def slow_model(config: TeacherConfig, precision: str) -> LanguageModel:
            model = language_model(config, precision)
            slow.enter_context(layers_that_take(model, 0.2, log))
            return model

        monkeypatch.setattr(tuned_model, "language_model", slow_model)
        tune_if_configured(
            chain_dataset, settings(kind, "lora", epochs=6, steps_per_leg=12), tmp_path
        )

    [first_line, *_] = [seconds for seconds, line in log.lines if line.startswith("tuning")]
    assert log.seconds > 2 * LONGEST_SILENCE_SECONDS
    assert log.longest_silence(since=first_line) <= LONGEST_SILENCE_SECONDS


def test_an_adapter_does_not_change_the_model_on_disk(
    settings: Settings, chain_dataset: Dataset, tmp_path: Path, tiny_language_model: LanguageModel
) -> None:
    before = weights_of(load_language_model(tiny_language_model.name))
    tune_if_configured(chain_dataset, settings("generative", "lora", epochs=0.2), tmp_path)
    after = weights_of(load_language_model(tiny_language_model.name))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_tuned_llm_is_not_tuned_again(
    settings: Settings, chain_dataset: Dataset, tmp_path: Path
) -> None:
    config = settings("generative", "lora", epochs=0.2)
    tune_if_configured(chain_dataset, config, tmp_path)
    (done,) = tmp_path.glob(f"*/{DONE_NAME}")
    before = done.stat().st_mtime_ns
    tune_if_configured(chain_dataset, config, tmp_path)
    assert done.stat().st_mtime_ns == before


def test_missing_tuned_weights_are_refused(
    settings: Settings, chain_dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(KnowledgeError, match=r"no tuned LLM; make it with .* CONFIG --again`"):
        load_tuned(chain_dataset, settings("generative", "lora"), tmp_path)


def test_tuning_is_over_when_validation_stops_improving() -> None:
    progress = TuningProgress(steps=50, figures=(0.1, 0.3, 0.2, 0.25))
    assert progress.best_leg == 2
    assert progress.is_over(total_steps=100, patience=2)
    assert not progress.is_over(total_steps=100, patience=3)
    assert replace(progress, steps=100).is_over(total_steps=100, patience=3)


def test_a_leg_after_which_the_llm_has_diverged_is_never_the_best() -> None:
    nan = float("nan")
    assert TuningProgress(figures=(-2.5, -2.0, nan)).best_leg == 2
    assert TuningProgress(figures=(nan, nan)).best_leg == 0


def test_a_tuning_that_diverges_at_once_is_refused_by_its_rate(
    settings: Settings, chain_dataset: Dataset, tmp_path: Path
) -> None:
    config = settings("generative", "full", learning_rate=1e30, patience=1)
    with pytest.raises(ConfigError, match=r"teacher\.tuner\.learning_rate = 1e\+30: .* diverged"):
        tune_if_configured(chain_dataset, config, tmp_path)


# "A" is [11, 9], "B" is [12, 13, 9], "C" is [14, 9]; 9 is the newline.
BUILDER = PromptBuilder(
    instruction=np.array([1, 2]),
    titles=tuple(np.array(each, dtype=np.int64) for each in ([], [11, 9], [12, 13, 9], [14, 9])),
)


def test_only_the_titles_to_write_have_a_loss(tiny_dataset: Dataset) -> None:
    # ann: A B C, of which C (row 2) is to be written; bob: B C, C (row 6)
    windows = [Window(0, 2, np.array([2])), Window(5, 6, np.array([6]))]
    tokens, is_response = response_batch(tiny_dataset, BUILDER, windows)
    assert tokens.tolist() == [[1, 2, 11, 9, 12, 13, 9, 14, 9], [1, 2, 12, 13, 9, 14, 9, 0, 0]]
    assert [np.flatnonzero(line).tolist() for line in is_response] == [[7, 8], [5, 6]]
