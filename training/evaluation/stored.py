"""Stored teacher answers as a ranker."""

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import places_among
from training.evaluation.yardstick import Ranker
from training.knowledge import Answers


def answers_ranker(answers: Answers) -> Ranker:
    """Looks the rankings of `answers` up.

    The ranker raises a KnowledgeError for a row that was never answered.
    """

    def rank(rows: NDArray[np.int64]) -> NDArray[np.integer]:
        rankings: NDArray[np.integer] = answers.rankings[places_among(answers.rows, rows)]
        return rankings

    return rank
