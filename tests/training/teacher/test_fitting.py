import numpy as np

from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import SELECTION_METRIC
from training.teacher.config import TeacherConfig
from training.teacher.fitting import fit_matcher
from training.teacher.reading import States


def test_a_matcher_learns_which_title_follows_a_state(chain_dataset: Dataset) -> None:
    splits = (Split.TRAIN, Split.VALIDATION)
    rows = np.sort(np.concatenate([chain_dataset.example_rows(split) for split in splits]))
    vectors = np.random.default_rng(0).standard_normal((13, 16)).astype(np.float32)
    # A state that knows the last item only: enough on a ring.
    states = vectors[chain_dataset.item_indices[rows - 1]].astype(np.float16)
    config = TeacherConfig(epochs=40, batch_size=32, projection_size=8, patience=40)
    fit = fit_matcher(chain_dataset, States(rows, states), vectors, config)
    assert fit.validation[SELECTION_METRIC] > 0.95
    assert fit.best_epoch >= 1
