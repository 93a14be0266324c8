"""How LLMs ranked without a student, kept beside the runs: `runs/<data>/<stamp>.npz`, one an LLM.

A report is made again from these, to the last digit, where nobody has what the LLMs answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import HELD_OUT, Dataset, Split
from training.evaluation.rank_files import RankFile, split_key
from training.evaluation.yardstick import Evaluation
from training.knowledge import Knowledge, Summary, settings_of_answers
from training.ladder.results.measured import Measured
from training.ladder.runs.store import RunStore
from training.settings.teacher import TeacherConfig
from training.stage import fingerprint

REFERENCES_VERSION = 1  # raise it when the same LLM would be measured otherwise
NOT_ASKED = 255  # in place of a rank


@dataclass(frozen=True)
class Reference:
    """An LLM that ranks without a student: by its answers, and by titles alone as it sees them.

    Attributes:
        name: the kind of the teacher, or which layers see the titles.
        config: its settings.
        decays: of titles of a history, to choose from.
    """

    name: str
    config: TeacherConfig
    decays: Sequence[float]
    dataset: Dataset

    @property
    def stamp(self) -> str:
        """The fingerprint of the settings that decide its ranks."""
        return fingerprint(
            REFERENCES_VERSION,
            self.name,
            settings_of_answers(self.config),
            list(self.decays),
            self.dataset.fingerprint,
        )


@dataclass(frozen=True)
class Teacher:
    """What a teacher knows, or what is told of it where it is not here.

    `reference` is how it ranked, on the shelf or to be.
    """

    knowledge: Knowledge | Summary
    reference: Reference

    @property
    def kind(self) -> str:
        """Of the teacher."""
        return self.reference.name

    @property
    def asks_the_last_title(self) -> bool:
        """Whether its lists are those that the control of title neighbours would have."""
        return self.kind == "titles" and not self.knowledge.provenance.get("decay")

    @property
    def tokens(self) -> int:
        """How many tokens its LLM read and wrote."""
        return int(self.knowledge.provenance.get("tokens", 0))

    @property
    def seconds(self) -> float:
        """How long that took."""
        return float(self.knowledge.provenance.get("seconds", 0))


@dataclass(frozen=True)
class KeptReference:
    """What is kept of a reference.

    Attributes:
        summary: of a teacher's knowledge; None of titles alone.
        lines: how it ranked.
    """

    summary: Summary | None
    lines: Sequence[Measured]


def keep_reference(reference: Reference, kept: KeptReference, shelf: RunStore) -> None:
    """Writes it, in place of what was kept of an LLM with these settings."""
    told = [
        {name: getattr(line, name) for name in ("row", "train_seconds", "teacher_tokens")}
        for line in kept.lines
    ]
    summary = asdict(kept.summary) if kept.summary else None
    ranks = {
        _name(place, split): _padded(line.evaluations[split][0], reference.dataset, split)
        for place, line in enumerate(kept.lines)
        for split in HELD_OUT
    }
    shelf.file(reference).save({"summary": summary, "lines": told}, ranks)


def kept_reference(reference: Reference, shelf: RunStore) -> KeptReference:
    """Reads it.

    Raises:
        ResultError: its file is damaged.
    """
    file = shelf.file(reference)
    facts: Mapping[str, Any] = file.facts()
    try:
        summary = Summary(**facts["summary"]) if facts["summary"] else None
        lines = [
            Measured(
                evaluations={split: [_asked(file, place, split)] for split in HELD_OUT},
                teacher=reference.name,
                **told,
            )
            for place, told in enumerate(facts["lines"])
        ]
    except (KeyError, TypeError) as error:
        raise file.damaged() from error
    return KeptReference(summary, lines)


def _name(place: int, split: Split) -> str:
    return f"{split_key(split)}-{place}"


def _padded(evaluation: Evaluation, dataset: Dataset, split: Split) -> NDArray[np.uint8]:
    rows = dataset.example_rows(split)
    ranks = np.full(len(rows), NOT_ASKED, dtype=np.uint8)
    ranks[np.searchsorted(rows, evaluation.rows)] = evaluation.ranks
    return ranks


def _asked(file: RankFile, place: int, split: Split) -> Evaluation:
    ranks = file.ranks(_name(place, split), split)
    is_asked = ranks != NOT_ASKED
    return Evaluation(file.dataset.example_rows(split)[is_asked], ranks[is_asked])
