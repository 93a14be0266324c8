"""Recognises knowledge that was made again on another machine.

Machines round differently, so the same teacher gives embeddings that differ in their last digits,
and other hashes. Runs that were stored with the first knowledge are still runs of this teacher.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.cli import say
from training.data.dataset import HELD_OUT
from training.knowledge import Summary
from training.ladder.plan.references import Teacher
from training.ladder.runs.measure_references import measured_rankings
from training.ladder.runs.store import RunStore
from training.ladder.runs.teacher_ranks import ReferenceRanking, load_reference

MAX_DIFFERING = 0.02
"""Largest share of held-out ranks that rounding changes; 0.005 to 0.009 were seen."""


def as_stored(teacher: Teacher, store: RunStore) -> Teacher:
    """Returns a teacher whose knowledge has the stored hashes if it is the same but for rounding.

    Settings and dataset are the same, or there would be no stored ranks. The number of lists must
    be the same, and so must all held-out ranks but `MAX_DIFFERING` of them, of the teacher's
    answers as of its title embeddings. Any other teacher is returned as it is.

    Raises:
        ResultError: the stored file is damaged.
    """
    knowledge = teacher.knowledge
    if isinstance(knowledge, Summary) or not store.has(teacher.reference):
        return teacher
    stored = load_reference(teacher.reference, store)
    summary = stored.summary
    if summary is None or summary.content_hash == knowledge.content_hash:
        return teacher
    if summary.num_lists != knowledge.num_lists:
        return teacher
    share = _differing(measured_rankings(teacher, knowledge), stored.rankings)
    if share > MAX_DIFFERING:
        return teacher
    say(
        f"the {teacher.kind} teacher was made again: {share:.2%} of its held-out ranks differ from "
        "the stored ones, which is rounding; stored runs are used"
    )
    return replace(teacher, knowledge=replace(knowledge, stands_for=summary))


def _differing(present: Sequence[ReferenceRanking], stored: Sequence[ReferenceRanking]) -> float:
    """Returns the largest share of ranks that differ, of all rankings and splits; at most 1."""
    if [each.row for each in present] != [each.row for each in stored]:
        return 1.0
    shares = [0.0]
    for one, other in zip(present, stored, strict=True):
        for split in HELD_OUT:
            first, second = one.evaluations[split], other.evaluations[split]
            if not np.array_equal(first.rows, second.rows):
                return 1.0
            shares.append(float(np.mean(first.ranks != second.ranks)) if len(first.rows) else 0.0)
    return max(shares)
