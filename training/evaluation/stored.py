"""Turns the stored answers of a teacher into a ranker, so that its metrics can be measured."""

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import indices_among
from training.evaluation.yardstick import Ranker
from training.knowledge import Answers


def answers_ranker(answers: Answers) -> Ranker:
    """Returns a ranker that looks up the teacher's ranking for each dataset row, `[rows, K]`.

    The ranker raises a KnowledgeError for a row without an answer.
    """

    def rank(rows: NDArray[np.int64]) -> NDArray[np.integer]:
        rankings: NDArray[np.integer] = answers.rankings[indices_among(answers.rows, rows)]
        return rankings

    return rank
