"""What every offline program shares: its options, its folders, and how it reports an error.

A program is `main(arguments) -> int`, which hands its stage to `run`:

    def main(arguments: Sequence[str] | None = None) -> int:
        return run(teach, program_parser("training.teach", "Ask the teacher."), arguments)
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from training.config import Experiment, load_experiment
from training.errors import ConfigError, TrainingError
from training.section import each_once
from training.teacher.config import FIXED_SETTINGS, TeacherKind

USER_ERROR = 2


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


def distinct_seeds(asked: Sequence[int] | None) -> tuple[int, ...]:
    """The seeds of an option; none where it was not given.

    Raises:
        ConfigError: one is there twice, and would be trained and counted twice.
    """
    try:
        return each_once(tuple(asked or ()))
    except ValueError as error:
        raise ConfigError(f"seeds {error}") from None


Stage = Callable[[Experiment, Workplace, Namespace], None]


def program_parser(module: str, description: str) -> ArgumentParser:
    """The options of every program; a program adds its own before it calls `run`."""
    parser = ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("config", type=Path, help="the experiment, e.g. configs/movielens.toml")
    parser.add_argument(
        "--work", type=Path, default=Path("work"), help="folder of all results (default: work)"
    )
    return parser


def teacher_parser(module: str, description: str) -> ArgumentParser:
    """The options of a program that runs a teacher; `with_teacher` heeds `--kind`."""
    parser = program_parser(module, description)
    kinds = get_args(TeacherKind)
    parser.add_argument("--kind", choices=kinds, help="of teacher (default: teacher.kind)")
    return parser


def run(stage: Stage, parser: ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Runs `stage` on the experiment that the options name; returns the exit code.

    A TrainingError becomes one line on stderr and exit code 2.
    """
    options = parser.parse_args(arguments)
    try:
        experiment = load_experiment(options.config)
        stage(experiment, Workplace(options.work / experiment.name), options)
    except TrainingError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return USER_ERROR
    return 0


def say(line: str) -> None:
    """Tells the person at the terminal; of several processes of torchrun, the first speaks."""
    if os.environ.get("RANK", "0") != "0":
        return
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
