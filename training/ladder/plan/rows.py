"""The rows of the ladder that train a student, and the pairs of rows that show a part's gain.

Rows are named as in `docs/results/<data>.csv`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import ValidationError

from training.distillation.variants import TRAINING_PARTS, VARIANTS
from training.errors import ConfigError
from training.evaluation.row_names import (
    BCE_ROW,
    BONUSES_ROW,
    CE_ROW,
    COLD_ROW,
    DISTILLED_ROW,
    DISTRIBUTIONS_ONLY_ROW,
    DISTRIBUTIONS_ROW,
    EMBEDDINGS_ROW,
    PAIRS_ROW,
    PLAIN_PAIRS_ROW,
    RANKING_ROW,
    RD_ROW,
    STRONGEST_ROW,
    TITLE_LISTS_ROW,
    TRAINING_OF_ROW,
    RowTraining,
    fused_row,
)
from training.settings.experiment import Experiment, TrainingConfig
from training.settings.section import first_problem
from training.settings.teacher import FUSION_KINDS

GridName = Literal["plain", "ranking", "embeddings", "method"]
# Rows of rankers without a student: three baselines, titles near the last item's title, and titles
# near those of the whole history.
NEIGHBOURS_ROW = "VMIS-kNN"
ORDERED_ROW = "order-aware kNN"
ITEM_ROW = "order-aware item kNN"
TITLES_ROW = "control title neighbours"
HISTORY_TITLES_ROW = "control title neighbours of the history"
# Rows that are trained with `ladder.headline_seeds`.
HEADLINES = (BCE_ROW, CE_ROW, STRONGEST_ROW, DISTILLED_ROW)


@dataclass(frozen=True)
class LadderRow:
    """A row of the ladder that trains a student.

    Attributes:
        variant: name of the method variant, a key of `VARIANTS`.
        loss: next-item loss, a value of `training.loss`; None stands for the experiment's loss.
        grid: name of the grid of settings to tune; None stands for the settings that validation
            chose for the row DLLM2Rec, or for the row CE if this row has no teacher.
        times_the_epochs: factor for the maximum number of epochs and the patience. It is above 1
            for the row BCE, whose student learns slowly from one negative per position. A training
            that stops too early would make this row too weak.
        every_teacher: whether each teacher has a cell in this row, not only the first one.
    """

    variant: str
    loss: str | None = None
    grid: GridName | None = None
    times_the_epochs: int = 1
    every_teacher: bool = False

    @property
    def needs_teacher(self) -> bool:
        """True if any part of the variant uses the teacher's knowledge."""
        return VARIANTS[self.variant].needs_teacher

    @property
    def scores_all(self) -> bool:
        """True if the row's loss needs the scores of all candidates, so that none are left out."""
        has_other_loss = self.loss not in (None, "cross-entropy")
        return has_other_loss or "smoothing" in VARIANTS[self.variant].training

    def can_be_taught_by(self, kind: str) -> bool:
        """Returns whether teachers of `kind` have the knowledge that the row learns from.

        Fusion teachers can teach every row. Teachers of another kind can teach all rows except
        those that learn distributions.
        """
        learns_distributions = VARIANTS[self.variant].list_loss == "distribution"
        return kind in FUSION_KINDS or not learns_distributions


def _plain_or_ablation(training: RowTraining) -> LadderRow:
    """Makes a row with the variant and loss of `training`.

    A row without a teacher is tuned with the grid `plain`, like the row CE. A row with a teacher
    takes the settings that validation chose for the row DLLM2Rec.
    """
    row = LadderRow(*training)
    return row if row.needs_teacher else replace(row, grid="plain")


_SPECIAL_ROWS: Mapping[str, LadderRow] = {
    BCE_ROW: LadderRow(*TRAINING_OF_ROW[BCE_ROW], grid="plain", times_the_epochs=3),
    CE_ROW: LadderRow(*TRAINING_OF_ROW[CE_ROW], grid="plain"),
    RD_ROW: LadderRow(*TRAINING_OF_ROW[RD_ROW], grid="ranking"),
    PLAIN_PAIRS_ROW: LadderRow(*TRAINING_OF_ROW[PLAIN_PAIRS_ROW]),
    EMBEDDINGS_ROW: LadderRow(
        *TRAINING_OF_ROW[EMBEDDINGS_ROW], grid="embeddings", every_teacher=True
    ),
    RANKING_ROW: LadderRow(*TRAINING_OF_ROW[RANKING_ROW], grid="ranking", every_teacher=True),
    DISTILLED_ROW: LadderRow(*TRAINING_OF_ROW[DISTILLED_ROW], grid="method", every_teacher=True),
    **{
        row: LadderRow(*TRAINING_OF_ROW[row], every_teacher=True)
        for row in (COLD_ROW, PAIRS_ROW, BONUSES_ROW, DISTRIBUTIONS_ROW, DISTRIBUTIONS_ONLY_ROW)
    },
}
ROWS: Mapping[str, LadderRow] = {
    name: _SPECIAL_ROWS.get(name, _plain_or_ablation(training))
    for name, training in TRAINING_OF_ROW.items()
}

STEPS: Mapping[str, tuple[str, str]] = {
    "cross-entropy for the binary loss": (CE_ROW, BCE_ROW),
    "candidates that are trained, without a teacher": ("CE with trained candidates", CE_ROW),
    "item dropout, without a teacher": ("CE with item dropout", CE_ROW),
    "random features, without a teacher": ("CE with random features", CE_ROW),
    "smoothing, without a teacher": ("CE with smoothing", CE_ROW),
    "all of these four": (STRONGEST_ROW, CE_ROW),
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
    "the bonus of item pairs": (PAIRS_ROW, DISTILLED_ROW),
    "the bonus of item pairs, without a teacher": (PLAIN_PAIRS_ROW, CE_ROW),
    "the bonus of cold items, beside that of item pairs": (BONUSES_ROW, PAIRS_ROW),
    "distributions, in place of ranking lists": (DISTRIBUTIONS_ROW, DISTILLED_ROW),
    "distributions, beside embeddings": (DISTRIBUTIONS_ROW, EMBEDDINGS_ROW),
    "distributions, without embeddings": (DISTRIBUTIONS_ONLY_ROW, CE_ROW),
    "the teacher's lists, over shuffled ones": (DISTILLED_ROW, "control shuffled lists"),
    "the teacher's lists, over title neighbours": (DISTILLED_ROW, TITLE_LISTS_ROW),
    "the LLM's embeddings, over shuffled ones": (DISTILLED_ROW, "control shuffled embeddings"),
    "the whole method": (DISTILLED_ROW, CE_ROW),
    "the whole method, over the strongest CE": (DISTILLED_ROW, STRONGEST_ROW),
    "the whole method, over the binary loss": (DISTILLED_ROW, BCE_ROW),
    "the whole method, beside item pairs": (PAIRS_ROW, PLAIN_PAIRS_ROW),
    "the whole method and both bonuses, beside item pairs": (BONUSES_ROW, PLAIN_PAIRS_ROW),
    "the whole method, beside neighbours": (fused_row(DISTILLED_ROW), fused_row(CE_ROW)),
}
"""Maps the name of a part to the row with the part and the row without it."""


def settings_of(
    experiment: Experiment, row: LadderRow, student: str, trial: Mapping[str, object] | None = None
) -> Experiment:
    """Returns the settings of a row's student, to which the row's variant is not yet applied.

    Sets the kind of student, the loss and the epochs, and switches on all parts of distillation.
    The variant later switches some of these parts off. The experiment's own switches are ignored,
    so that two rows differ only in their variants. The cold bonus and the parts of training that a
    variant can switch on (`TRAINING_PARTS`) are off. A variant that needs one of them switches it
    on. A row that `scores_all` has neither `training.scored_share` nor `training.touched_rows`.

    Args:
        experiment: settings of the ladder.
        row: the row.
        student: kind of the student.
        trial: settings to try, by name, as in `with_settings`; None for none.

    Raises:
        ConfigError: `trial` has a setting that the row sets, one that does not exist, or a value
            that is not allowed.
    """
    of_row, tried = _settings_of_row(experiment, row, student), trial or {}
    for name in tried:
        if name in of_row:
            raise ConfigError(
                f"{experiment.name}: ladder.grids has {name}, which a row of the ladder sets "
                "itself, so that it is what it is named for; remove it from the grids"
            )
    return with_settings(experiment, {**of_row, **tried})


def _settings_of_row(experiment: Experiment, row: LadderRow, student: str) -> dict[str, object]:
    parts = ("position", "confidence", "consistency", "embeddings", "offset")
    ladder, training = experiment.ladder, experiment.training
    fields = TrainingConfig.model_fields
    max_epochs = ladder.max_epochs or training.max_epochs
    patience = ladder.patience or training.patience
    off = (*TRAINING_PARTS, *(("scored_share", "touched_rows") if row.scores_all else ()))
    return {
        "student.kind": student,
        "training.loss": row.loss or training.loss,
        "training.max_epochs": row.times_the_epochs * max_epochs,
        "training.patience": row.times_the_epochs * patience,
        **{f"distillation.{part}": True for part in parts},
        "distillation.cold_bonus": False,
        "distillation.list_loss": "ranking",
        **{f"training.{setting}": fields[setting].default for setting in off},
        "training.pair_bonus": False,  # which is on by default
    }


def with_settings(experiment: Experiment, settings: Mapping[str, object]) -> Experiment:
    """Returns a validated copy of `experiment` in which the values in `settings` are replaced.

    `settings` maps names of the form `section.key` to new values.

    Raises:
        ConfigError: a setting does not exist, or its value is not allowed.
    """
    content = experiment.model_dump()
    for name, value in settings.items():
        section, _, key = name.partition(".")
        content.setdefault(section, {})[key] = value
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{experiment.name}: {first_problem(error)}") from None
