"""Stores the ranks of references, one file per LLM, with a summary of the teacher's knowledge.

From these files a report can be regenerated exactly, on a machine without the LLMs' answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import HELD_OUT, Dataset, Split
from training.evaluation.rank_files import RankFile, split_key
from training.evaluation.yardstick import Evaluation
from training.knowledge import Summary
from training.ladder.plan.references import Reference
from training.ladder.runs.store import RunStore

NOT_ASKED = 255  # replaces the rank of an example that the LLM has not answered


@dataclass(frozen=True)
class ReferenceRanking:
    """The ranks that a reference gives in one of its ways of ranking: one line of a report.

    Attributes:
        row: name of the row.
        evaluations: ranks by split, on the examples that the reference answered.
        train_seconds: seconds that the LLM took to answer; 0 for rankings by titles.
        teacher_tokens: tokens that the LLM read and wrote; 0 for rankings by titles.
    """

    row: str
    evaluations: Mapping[Split, Evaluation]
    train_seconds: float = 0.0
    teacher_tokens: int = 0


@dataclass(frozen=True)
class StoredReference:
    """The content of the file in which the ranks of a reference are stored.

    Attributes:
        summary: summary of a teacher's knowledge; None if the LLM only embedded titles.
        rankings: rankings of the reference, one per way to rank.
    """

    summary: Summary | None
    rankings: Sequence[ReferenceRanking]


def save_reference(reference: Reference, content: StoredReference, store: RunStore) -> None:
    """Writes the rankings of a reference to its file in `store`; replaces an earlier file."""
    lines = [
        {name: getattr(each, name) for name in ("row", "train_seconds", "teacher_tokens")}
        for each in content.rankings
    ]
    summary = asdict(content.summary) if content.summary else None
    ranks = {
        _array_name(place, split): _padded(each.evaluations[split], reference.dataset, split)
        for place, each in enumerate(content.rankings)
        for split in HELD_OUT
    }
    store.file(reference).save({"summary": summary, "lines": lines}, ranks)


def load_reference(reference: Reference, store: RunStore) -> StoredReference:
    """Reads the rankings of a reference from its file in `store`.

    Raises:
        ResultError: the file is missing or damaged.
    """
    file = store.file(reference)
    facts: Mapping[str, Any] = file.facts()
    try:
        summary = Summary(**facts["summary"]) if facts["summary"] else None
        rankings = [
            ReferenceRanking(
                evaluations={split: _answered(file, place, split) for split in HELD_OUT}, **line
            )
            for place, line in enumerate(facts["lines"])
        ]
    except (KeyError, TypeError) as error:
        raise file.damaged() from error
    return StoredReference(summary, rankings)


def _array_name(place: int, split: Split) -> str:
    return f"{split_key(split)}-{place}"


def _padded(evaluation: Evaluation, dataset: Dataset, split: Split) -> NDArray[np.uint8]:
    """Returns the rank of each example of `split`, `[examples]`.

    Where `evaluation` has no rank, the entry is `NOT_ASKED` (255).
    """
    rows = dataset.example_rows(split)
    ranks = np.full(len(rows), NOT_ASKED, dtype=np.uint8)
    ranks[np.searchsorted(rows, evaluation.rows)] = evaluation.ranks
    return ranks


def _answered(file: RankFile, place: int, split: Split) -> Evaluation:
    ranks = file.ranks(_array_name(place, split), split)
    is_answered = ranks != NOT_ASKED
    return Evaluation(file.dataset.example_rows(split)[is_answered], ranks[is_answered])
