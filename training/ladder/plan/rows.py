"""The rows of the ladder that train a student, and the steps between rows that show a part's worth.

A row is named as in `docs/results/<data>.csv`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from training.distillation.variants import VARIANTS
from training.errors import ConfigError
from training.settings.experiment import Experiment

GridName = Literal["plain", "ranking", "embeddings", "method"]
DISTILLED_ROW = "DLLM2Rec"
COLD_ROW = "DLLM2Rec with cold bonus"
PLAIN_ROW = "CE"
TITLE_LISTS_ROW = "control title-neighbour lists"
PAPERS_BASELINE = "BCE"
NEIGHBOURS_ROW = "VMIS-kNN"  # ranks without a student
TITLES_ROW = "control title neighbours"  # of the last item; ranks without a student
HISTORY_TITLES_ROW = "control title neighbours of the history"  # likewise
HEADLINES = (PAPERS_BASELINE, PLAIN_ROW, DISTILLED_ROW)


@dataclass(frozen=True)
class LadderRow:
    """What is trained.

    Attributes:
        variant: the parts of the method, by their name in `VARIANTS`.
        loss: of the next item, `training.loss`; the experiment's where None.
        grid: what is tuned; a row without takes over what `DLLM2Rec` chose.
        times_the_epochs: multiplies epochs and patience; one negative a position teaches little,
            and a row that is stopped too early is no baseline.
        every_teacher: trained with each teacher there is, not only with the first.
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


ROWS: Mapping[str, LadderRow] = {
    PAPERS_BASELINE: LadderRow("plain", loss="binary", grid="plain", times_the_epochs=3),
    PLAIN_ROW: LadderRow("plain", loss="cross-entropy", grid="plain"),
    "RD": LadderRow("rd", grid="ranking"),
    "embeddings only": LadderRow("embeddings-only", grid="embeddings"),
    "ranking only": LadderRow("ranking-only", grid="ranking", every_teacher=True),
    DISTILLED_ROW: LadderRow("distilled", grid="method", every_teacher=True),
    "DLLM2Rec without position": LadderRow("without-position"),
    "DLLM2Rec without confidence": LadderRow("without-confidence"),
    "DLLM2Rec without consistency": LadderRow("without-consistency"),
    "DLLM2Rec without offset": LadderRow("without-offset"),
    COLD_ROW: LadderRow("with-cold-bonus", every_teacher=True),
    "control shuffled lists": LadderRow("control-shuffled"),
    TITLE_LISTS_ROW: LadderRow("control-title-neighbours"),
    "control shuffled embeddings": LadderRow("control-shuffled-embeddings"),
}

STEPS: Mapping[str, tuple[str, str]] = {
    "cross-entropy for the binary loss": (PLAIN_ROW, PAPERS_BASELINE),
    "plain ranking distillation": ("RD", PLAIN_ROW),
    "the three weights, over plain ranking distillation": ("ranking only", "RD"),
    "lists, without embeddings": ("ranking only", PLAIN_ROW),
    "embeddings, without lists": ("embeddings only", PLAIN_ROW),
    "lists, beside embeddings": (DISTILLED_ROW, "embeddings only"),
    "embeddings, beside lists": (DISTILLED_ROW, "ranking only"),
    "the position weight": (DISTILLED_ROW, "DLLM2Rec without position"),
    "the confidence weight": (DISTILLED_ROW, "DLLM2Rec without confidence"),
    "the consistency weight": (DISTILLED_ROW, "DLLM2Rec without consistency"),
    "the offset": (DISTILLED_ROW, "DLLM2Rec without offset"),
    "the bonus of cold items": (COLD_ROW, DISTILLED_ROW),
    "the teacher's lists, over shuffled ones": (DISTILLED_ROW, "control shuffled lists"),
    "the teacher's lists, over title neighbours": (DISTILLED_ROW, TITLE_LISTS_ROW),
    "the LLM's embeddings, over shuffled ones": (DISTILLED_ROW, "control shuffled embeddings"),
    "the whole method": (DISTILLED_ROW, PLAIN_ROW),
    "the whole method, over the binary loss": (DISTILLED_ROW, PAPERS_BASELINE),
}
"""Each a part's name, with the row that has it and the row that has not."""


def row_name(variant: str, loss: str) -> str:
    """The row that a variant trained with `loss` belongs to; its own name and loss else."""
    for name, row in ROWS.items():
        if row.variant == variant and row.loss in (None, loss):
            return name
    return f"{variant}, {loss}"


def settings_of(experiment: Experiment, row: LadderRow, student: str) -> Experiment:
    """`experiment` with the student, the loss, all parts of the method, no bonus for cold items.

    Whatever `experiment` says: what a variant switches is as it has to be in all others.
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
    """`experiment` with some of its settings, `section.key`, replaced and checked.

    Raises:
        ConfigError: there is no such setting, or it cannot have that value.
    """
    content = experiment.model_dump()
    for name, value in settings.items():
        section, _, key = name.partition(".")
        content.setdefault(section, {})[key] = value
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{experiment.name}: {error}") from None
