"""Names the folders of an experiment, and selects one of its teachers."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from training.errors import ConfigError
from training.settings.experiment import Experiment, load_experiment
from training.settings.section import first_problem
from training.settings.teacher import TeacherConfig, TeacherKind


@dataclass(frozen=True)
class Workplace:
    """Paths of the folders of one experiment, all of them in `folder`; none has to exist.

    Attributes:
        folder: folder of the experiment, `work/<name>`.
    """

    folder: Path

    @property
    def dataset(self) -> Path:
        """Folder of the dataset, which `training.prepare` writes."""
        return self.folder / "dataset"

    @property
    def reading(self) -> Path:
        """Folder of the LLM states that `training.teach` has computed, so that it can resume."""
        return self.folder / "reading"

    @property
    def tuned(self) -> Path:
        """Folder of tuned LLMs and of unfinished tunings, which `training.teach` writes."""
        return self.folder / "tuned"

    def knowledge_of(self, kind: TeacherKind) -> Path:
        """Returns the folder of the knowledge of a kind of teacher, which `training.teach` writes.

        That of a retrieval teacher has no kind in its name: folders of experiments have it so.
        """
        return self.folder / ("knowledge" if kind == "retrieval" else f"knowledge-{kind}")

    @property
    def checkpoints(self) -> Path:
        """Folder of the trained students, which `training.distill` writes: one sub-folder each."""
        return self.folder / "checkpoints"

    @property
    def refits(self) -> Path:
        """Folder of refits, which `training.distill --refit` writes, one sub-folder per student."""
        return self.folder / "refits"

    @property
    def ladder(self) -> Path:
        """Folder of the training states that runs of `training.ladder` resume from."""
        return self.folder / "ladder"

    @property
    def results(self) -> Path:
        """Folder of the table of results and the verdict, which `training.evaluate` writes."""
        return self.folder / "results"

    @property
    def baselines(self) -> Path:
        """Folder of the baselines' ranks, which `training.evaluate` writes and `export` reads."""
        return self.folder / "baselines"

    @property
    def bundle(self) -> Path:
        """Folder of the exported bundle, which `export` writes."""
        return self.folder / "bundle"


def open_experiment(config: Path, work: Path) -> tuple[Experiment, Workplace]:
    """Reads an experiment file; returns its settings, and its folders in `work/<name>`.

    Raises:
        ConfigError: the file is missing or is not TOML, or a setting is unknown or not allowed.
    """
    experiment = load_experiment(config)
    return experiment, Workplace(work / experiment.name)


def knowledge_folder(experiment: Experiment, workplace: Workplace) -> Path:
    """Returns the folder of the knowledge of the experiment's teacher.

    This is the folder that the setting `knowledge` names. If the setting is absent, it is the
    workplace's folder for the kind of teacher.
    """
    return experiment.knowledge or workplace.knowledge_of(experiment.teacher.kind)


def with_teacher(experiment: Experiment, kind: TeacherKind | None) -> Experiment:
    """Returns the experiment with a teacher of the given kind; None keeps its own teacher.

    The settings of the new teacher are those of `[other_teachers.KIND]`. Without that section they
    are those of `[teacher]`, except the kind and the settings that the kind fixes. The setting
    `knowledge` is cleared, since it names the knowledge of the experiment's own teacher.

    Raises:
        ConfigError: there is no such section, and this kind cannot have the settings of [teacher].
    """
    if kind is None or kind == experiment.teacher.kind:
        return experiment
    others = dict(experiment.other_teachers)
    teacher = others.pop(kind, None)
    update = {
        "teacher": teacher or _teacher_as(kind, experiment.teacher),
        "other_teachers": others,
        "knowledge": None,
    }
    return experiment.model_copy(update=update)


def _teacher_as(kind: TeacherKind, teacher: TeacherConfig) -> TeacherConfig:
    try:
        return TeacherConfig.model_validate(teacher.settings_as(kind))
    except ValidationError as error:
        raise ConfigError(
            f"teacher of kind {kind!r}: teacher.{first_problem(error)}; give it settings of its "
            f"own in [other_teachers.{kind}]"
        ) from None
