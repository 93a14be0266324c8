"""Stored teacher answers as a ranker."""

import numpy as np
from numpy.typing import NDArray

from training.errors import KnowledgeError
from training.evaluation.yardstick import Ranker
from training.teacher.knowledge import Answers


def answers_ranker(answers: Answers) -> Ranker:
    """Looks the rankings of `answers` up.

    The ranker raises a KnowledgeError for a row that was never answered.
    """

    def rank(rows: NDArray[np.int64]) -> NDArray[np.integer]:
        lines = np.searchsorted(answers.rows, rows)
        known = answers.rows[np.minimum(lines, len(answers.rows) - 1)] == rows
        if not known.all():
            raise KnowledgeError(f"row {rows[~known][0]}: the teacher has no answer for it")
        rankings: NDArray[np.integer] = answers.rankings[lines]
        return rankings

    return rank
