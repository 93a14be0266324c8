"""References: LLMs that rank without a student, which every student is compared with.

An LLM ranks in up to three ways: by its answers as a teacher, by how near a title is to that of
the last item, and by how near it is to the titles of the whole history.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from training.data.dataset import Dataset
from training.knowledge import Knowledge, Summary, settings_of_answers
from training.settings.teacher import TeacherConfig
from training.stage import fingerprint

REFERENCES_VERSION = 1  # raise it when the same LLM would be measured otherwise


@dataclass(frozen=True)
class Reference:
    """An LLM and the settings by which it ranks without a student.

    Attributes:
        name: the kind of the teacher, or which layers of an LLM embed the titles.
        config: settings of the LLM.
        decays: candidates for how much an older title of a history counts.
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
    """A teacher with its knowledge, or with a summary where the knowledge is not on this machine.

    `reference` identifies its ranks in the store.
    """

    knowledge: Knowledge | Summary
    reference: Reference

    @property
    def kind(self) -> str:
        """The teacher's kind, as in `teacher.kind`."""
        return self.reference.name

    @property
    def ranks_by_last_title(self) -> bool:
        """Whether its lists equal those of the control that ranks by the last item's title."""
        return self.kind == "titles" and not self.knowledge.provenance.get("decay")

    @property
    def tokens(self) -> int:
        """How many tokens its LLM read and wrote."""
        return int(self.knowledge.provenance.get("tokens", 0))

    @property
    def seconds(self) -> float:
        """How long its LLM took."""
        return float(self.knowledge.provenance.get("seconds", 0))
