from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from training.compute.tensor_file import read_tensors
from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import SELECTION_METRIC
from training.progress import Advance
from training.settings.teacher import TeacherConfig
from training.teacher.llm.shards import Cost
from training.teacher.llm.states import States
from training.teacher.retrieval.fit_matcher import Fit, Fitter, fit_matcher
from training.teacher.retrieval.states import EncodedDataset

CONFIG = TeacherConfig(epochs=4, batch_size=32, projection_size=8, patience=40)


@pytest.fixture
def encoded(chain_dataset: Dataset, tmp_path: Path) -> EncodedDataset:
    """States that encode the last item only, which suffices on a ring."""
    splits = (Split.TRAIN, Split.VALIDATION)
    rows = np.sort(np.concatenate([chain_dataset.example_rows(split) for split in splits]))
    vectors = np.random.default_rng(0).standard_normal((13, 16)).astype(np.float32)
    states = vectors[chain_dataset.item_indices[rows - 1]].astype(np.float16)
    return EncodedDataset(States(rows, states), vectors, Cost(0, 0.0), tmp_path)


def weights_of(fit: Fit) -> Mapping[str, Tensor]:
    """Weights of the best epoch."""
    return fit.matcher.state_dict()


def last_weights(folder: Path) -> Mapping[str, Tensor]:
    """Weights of the last epoch, best or not."""
    (path,) = folder.glob("fit-*.safetensors")
    weights: Mapping[str, Tensor] = read_tensors(path)["matcher"]
    return weights


def are_equal(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(weights[name], others[name]) for name in weights)


def test_a_matcher_learns_which_title_follows_a_state(
    chain_dataset: Dataset, encoded: EncodedDataset
) -> None:
    config = CONFIG.model_copy(update={"epochs": 40})
    fit = fit_matcher(chain_dataset, encoded, config)
    assert fit.validation[SELECTION_METRIC] > 0.95
    assert fit.best_epoch >= 1


def test_a_killed_fit_resumes_to_the_same_weights(
    chain_dataset: Dataset, encoded: EncodedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, epochs = Fitter.fit_epoch, 0

    def killed_in_the_third(fitter: Fitter, advance: Advance) -> None:
        nonlocal epochs
        epochs += 1
        real(fitter, advance)
        if epochs == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Fitter, "fit_epoch", killed_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        fit_matcher(chain_dataset, encoded, CONFIG)
    resumed = fit_matcher(chain_dataset, encoded, CONFIG)
    assert epochs == 5  # two before the kill, the killed one, and that one again with the last
    last_of_resumed = last_weights(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    assert are_equal(weights_of(resumed), weights_of(fit_matcher(chain_dataset, encoded, CONFIG)))
    assert are_equal(last_of_resumed, last_weights(tmp_path))


def test_a_fit_of_more_epochs_resumes_one_of_fewer_and_not_the_reverse(
    chain_dataset: Dataset, encoded: EncodedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fitted = Fitter.fit_epoch, []

    def counted(fitter: Fitter, advance: Advance) -> None:
        real(fitter, advance)
        fitted.append(fitter.epoch)

    monkeypatch.setattr(Fitter, "fit_epoch", counted)
    two, four = (CONFIG.model_copy(update={"epochs": epochs}) for epochs in (2, 4))
    for config in (two, four, four, two):
        fit_matcher(chain_dataset, encoded, config)
    assert fitted == [1, 2, 3, 4, 1, 2]


def test_other_settings_do_not_resume_a_fit(
    chain_dataset: Dataset, encoded: EncodedDataset
) -> None:
    fit = fit_matcher(chain_dataset, encoded, CONFIG)
    other = fit_matcher(chain_dataset, encoded, CONFIG.model_copy(update={"seed": 1}))
    assert not are_equal(weights_of(fit), weights_of(other))
