"""The folders of one experiment, and where its teacher's knowledge is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.settings.experiment import Experiment
from training.settings.teacher import FIXED_SETTINGS, TeacherKind


@dataclass(frozen=True)
class Workplace:
    """The folders of one experiment, `work/<name>`; each is the output of one stage."""

    folder: Path

    @property
    def dataset(self) -> Path:
        """Written by `training.prepare`."""
        return self.folder / "dataset"

    @property
    def reading(self) -> Path:
        """Shards of an LLM's reading, kept by `training.teach` so that it can be resumed."""
        return self.folder / "reading"

    @property
    def tuned(self) -> Path:
        """LLMs that `training.teach` tuned, and where a killed tuning goes on."""
        return self.folder / "tuned"

    @property
    def knowledge(self) -> Path:
        """Written by `training.teach` with a retrieval teacher."""
        return self.folder / "knowledge"

    @property
    def generative_knowledge(self) -> Path:
        """Written by `training.teach` with a generative teacher."""
        return self.folder / "knowledge-generative"

    @property
    def titles_knowledge(self) -> Path:
        """Written by `training.teach` with a teacher that reads titles alone."""
        return self.folder / "knowledge-titles"

    @property
    def checkpoints(self) -> Path:
        """Written by `training.distill`."""
        return self.folder / "checkpoints"

    @property
    def ladder(self) -> Path:
        """States of what `training.ladder` trains."""
        return self.folder / "ladder"

    @property
    def results(self) -> Path:
        """Written by `training.evaluate`."""
        return self.folder / "results"

    @property
    def baselines(self) -> Path:
        """Ranks of the tuned baselines, kept by `training.evaluate` for the export."""
        return self.folder / "baselines"

    @property
    def bundle(self) -> Path:
        """Written by the export."""
        return self.folder / "bundle"


def knowledge_folder(experiment: Experiment, workplace: Workplace) -> Path:
    """Where the experiment's teacher knowledge is: the one it names, else the workplace's own."""
    if experiment.knowledge:
        return experiment.knowledge
    folders: Mapping[TeacherKind, Path] = {
        "retrieval": workplace.knowledge,
        "generative": workplace.generative_knowledge,
        "titles": workplace.titles_knowledge,
    }
    return folders[experiment.teacher.kind]


def with_teacher(experiment: Experiment, kind: TeacherKind | None) -> Experiment:
    """The experiment with a teacher of that kind: the one it describes, else its own as that kind.

    The knowledge it names is its own teacher's.
    """
    if kind is None or kind == experiment.teacher.kind:
        return experiment
    others = dict(experiment.other_teachers)
    teacher = others.pop(kind, None)
    if teacher is None:
        teacher = experiment.teacher.model_copy(update={"kind": kind, **FIXED_SETTINGS[kind]})
    update = {"teacher": teacher, "other_teachers": others, "knowledge": None}
    return experiment.model_copy(update=update)
