"""The folders of an experiment, and the choice of its teacher."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.settings.experiment import Experiment, load_experiment
from training.settings.teacher import FIXED_SETTINGS, TeacherKind


@dataclass(frozen=True)
class Workplace:
    """The folders of an experiment, below `work/<name>`; each is written by one stage."""

    folder: Path

    @property
    def dataset(self) -> Path:
        """Written by `training.prepare`."""
        return self.folder / "dataset"

    @property
    def reading(self) -> Path:
        """Shards of LLM states, written by `training.teach` so that it can be resumed."""
        return self.folder / "reading"

    @property
    def tuned(self) -> Path:
        """LLMs tuned by `training.teach`, and the states that a killed tuning resumes from."""
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
        """Written by `training.teach` with a titles teacher."""
        return self.folder / "knowledge-titles"

    @property
    def checkpoints(self) -> Path:
        """Written by `training.distill`."""
        return self.folder / "checkpoints"

    @property
    def ladder(self) -> Path:
        """Training states of `training.ladder`."""
        return self.folder / "ladder"

    @property
    def results(self) -> Path:
        """Written by `training.evaluate`."""
        return self.folder / "results"

    @property
    def baselines(self) -> Path:
        """Ranks of the tuned baselines, written by `training.evaluate` for the export."""
        return self.folder / "baselines"

    @property
    def bundle(self) -> Path:
        """Written by `export`."""
        return self.folder / "bundle"


def open_experiment(config: Path, work: Path) -> tuple[Experiment, Workplace]:
    """Reads an experiment file; its folders are those of its name in `work`.

    Raises:
        ConfigError: the file is missing, is no TOML, or has an unknown or unusable setting.
    """
    experiment = load_experiment(config)
    return experiment, Workplace(work / experiment.name)


def knowledge_folder(experiment: Experiment, workplace: Workplace) -> Path:
    """Folder of the teacher's knowledge: the experiment's setting, else one of the workplace."""
    if experiment.knowledge:
        return experiment.knowledge
    folders: Mapping[TeacherKind, Path] = {
        "retrieval": workplace.knowledge,
        "generative": workplace.generative_knowledge,
        "titles": workplace.titles_knowledge,
    }
    return folders[experiment.teacher.kind]


def with_teacher(experiment: Experiment, kind: TeacherKind | None) -> Experiment:
    """The experiment with a teacher of the given kind; None changes nothing.

    The settings are those of `[other_teachers.KIND]`, or else those of `[teacher]`. The setting
    `knowledge` is cleared, since it belongs to the teacher in `[teacher]`.
    """
    if kind is None or kind == experiment.teacher.kind:
        return experiment
    others = dict(experiment.other_teachers)
    teacher = others.pop(kind, None)
    if teacher is None:
        teacher = experiment.teacher.model_copy(update={"kind": kind, **FIXED_SETTINGS[kind]})
    update = {"teacher": teacher, "other_teachers": others, "knowledge": None}
    return experiment.model_copy(update=update)
