"""Plans references: LLMs that rank without a student, for comparison with the students.

An LLM ranks in up to three ways. The first is by its answers as a teacher. The second is by the
distance of each title from the last item's title. The third is by the distance from the titles of
the whole history.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from training.data.dataset import Dataset
from training.knowledge import Knowledge, Summary, settings_of_answers
from training.settings.teacher import TITLES_KINDS, TeacherConfig
from training.stage import fingerprint

# Increment when a code change alters the ranks of a reference with unchanged settings.
REFERENCES_VERSION = 1


@dataclass(frozen=True)
class Reference:
    """An LLM that ranks without a student, with its settings.

    Attributes:
        name: kind of the teacher, or the layers of an LLM that embed titles ("first 8 layers").
        config: settings of the LLM.
        decays: values to try for the weight of a title relative to the next newer one.
        dataset: dataset whose held-out examples are ranked.
    """

    name: str
    config: TeacherConfig
    decays: Sequence[float]
    dataset: Dataset

    @property
    def stamp(self) -> str:
        """Hash of everything that decides the ranks; they are stored in `<stamp>.npz`."""
        return fingerprint(
            REFERENCES_VERSION,
            self.name,
            settings_of_answers(self.config),
            list(self.decays),
            self.dataset.fingerprint,
        )


@dataclass(frozen=True)
class Teacher:
    """A teacher that students of the ladder learn from.

    Attributes:
        knowledge: the teacher's knowledge, or a stored summary of it if only stored runs are
            reported.
        reference: the teacher as a ranker without a student.
    """

    knowledge: Knowledge | Summary
    reference: Reference

    @property
    def kind(self) -> str:
        """Kind of the teacher, as in the setting `teacher.kind`."""
        return self.reference.name

    @property
    def ranks_by_last_title(self) -> bool:
        """True if the teacher ranks items by the distance from the last title only.

        The ladder row `TITLES_ROW` has the same ranking without a teacher.
        """
        return self.kind in TITLES_KINDS and not self.knowledge.provenance.get("decay")

    @property
    def tokens(self) -> int:
        """Number of tokens that the LLM read and wrote to make the knowledge."""
        return int(self.knowledge.provenance.get("tokens", 0))

    @property
    def seconds(self) -> float:
        """Time that the LLM took to make the knowledge, in seconds."""
        return float(self.knowledge.provenance.get("seconds", 0))
