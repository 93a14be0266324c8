"""The rows of the ladder that train a student, and the pairs of rows that show a part's gain.

A row is named as in `docs/results/<data>.csv`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from training.distillation.variants import VARIANTS
from training.errors import ConfigError
from training.evaluation.row_names import (
    BCE_ROW,
    CE_ROW,
    COLD_ROW,
    DISTILLED_ROW,
    EMBEDDINGS_ROW,
    RANKING_ROW,
    RD_ROW,
    TITLE_LISTS_ROW,
    TRAINING_OF_ROW,
)
from training.settings.experiment import Experiment

GridName = Literal["plain", "ranking", "embeddings", "method"]
NEIGHBOURS_ROW = "VMIS-kNN"  # a ranker without a student
TITLES_ROW = "control title neighbours"  # of the last item, without a student
HISTORY_TITLES_ROW = "control title neighbours of the history"  # of all items, without a student
HEADLINES = (BCE_ROW, CE_ROW, DISTILLED_ROW)


@dataclass(frozen=True)
class LadderRow:
    """The training of a row.

    Attributes:
        variant: the parts of the method, by their name in `VARIANTS`.
        loss: of the next item, `training.loss`; None is the experiment's loss.
        grid: the settings to tune; a row without a grid takes the settings that `DLLM2Rec` chose.
        times_the_epochs: multiplies epochs and patience. With one negative a position a student
            learns slowly, and a row that is stopped too early is no baseline.
        every_teacher: whether each teacher trains it, not only the first.
    """

    variant: str
    loss: str | None = None
    grid: GridName | None = None
    times_the_epochs: int = 1
    every_teacher: bool = False

    @property
    def needs_teacher(self) -> bool:
        """Whether any part comes from the teacher."""
        return VARIANTS[self.variant].needs_teacher


_SPECIAL_ROWS: Mapping[str, LadderRow] = {
    BCE_ROW: LadderRow(*TRAINING_OF_ROW[BCE_ROW], grid="plain", times_the_epochs=3),
    CE_ROW: LadderRow(*TRAINING_OF_ROW[CE_ROW], grid="plain"),
    RD_ROW: LadderRow(*TRAINING_OF_ROW[RD_ROW], grid="ranking"),
    EMBEDDINGS_ROW: LadderRow(*TRAINING_OF_ROW[EMBEDDINGS_ROW], grid="embeddings"),
    RANKING_ROW: LadderRow(*TRAINING_OF_ROW[RANKING_ROW], grid="ranking", every_teacher=True),
    DISTILLED_ROW: LadderRow(*TRAINING_OF_ROW[DISTILLED_ROW], grid="method", every_teacher=True),
    COLD_ROW: LadderRow(*TRAINING_OF_ROW[COLD_ROW], every_teacher=True),
}
ROWS: Mapping[str, LadderRow] = {
    name: _SPECIAL_ROWS.get(name, LadderRow(*training))
    for name, training in TRAINING_OF_ROW.items()
}

STEPS: Mapping[str, tuple[str, str]] = {
    "cross-entropy for the binary loss": (CE_ROW, BCE_ROW),
    "plain ranking distillation": (RD_ROW, CE_ROW),
    "the three weights, over plain ranking distillation": (RANKING_ROW, RD_ROW),
    "lists, without embeddings": (RANKING_ROW, CE_ROW),
    "embeddings, without lists": (EMBEDDINGS_ROW, CE_ROW),
    "lists, beside embeddings": (DISTILLED_ROW, EMBEDDINGS_ROW),
    "embeddings, beside lists": (DISTILLED_ROW, RANKING_ROW),
    "the position weight": (DISTILLED_ROW, "DLLM2Rec without position"),
    "the confidence weight": (DISTILLED_ROW, "DLLM2Rec without confidence"),
    "the consistency weight": (DISTILLED_ROW, "DLLM2Rec without consistency"),
    "the offset": (DISTILLED_ROW, "DLLM2Rec without offset"),
    "the bonus of cold items": (COLD_ROW, DISTILLED_ROW),
    "the teacher's lists, over shuffled ones": (DISTILLED_ROW, "control shuffled lists"),
    "the teacher's lists, over title neighbours": (DISTILLED_ROW, TITLE_LISTS_ROW),
    "the LLM's embeddings, over shuffled ones": (DISTILLED_ROW, "control shuffled embeddings"),
    "the whole method": (DISTILLED_ROW, CE_ROW),
    "the whole method, over the binary loss": (DISTILLED_ROW, BCE_ROW),
}
"""By the name of a part: the row that has the part, and the row that lacks it."""


def settings_of(experiment: Experiment, row: LadderRow, student: str) -> Experiment:
    """`experiment` with a row's student, loss and epochs, and every part of the method on.

    Parts are set whatever `experiment` says, so that two rows differ only in the parts that their
    variants switch. The bonus for cold items is off.
    """
    parts = ("position", "confidence", "consistency", "embeddings", "offset")
    ladder, training = experiment.ladder, experiment.training
    max_epochs = ladder.max_epochs or training.max_epochs
    patience = ladder.patience or training.patience
    return with_settings(
        experiment,
        {
            "student.kind": student,
            "training.loss": row.loss or training.loss,
            "training.max_epochs": row.times_the_epochs * max_epochs,
            "training.patience": row.times_the_epochs * patience,
            **{f"distillation.{part}": True for part in parts},
            "distillation.cold_bonus": False,
        },
    )


def with_settings(experiment: Experiment, settings: Mapping[str, object]) -> Experiment:
    """`experiment` with some settings, named `section.key`, replaced and validated.

    Raises:
        ConfigError: there is no such setting, or its value is not allowed.
    """
    content = experiment.model_dump()
    for name, value in settings.items():
        section, _, key = name.partition(".")
        content.setdefault(section, {})[key] = value
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{experiment.name}: {error}") from None
