"""The settings `[ladder]` of an experiment: students, seeds, trials and bootstrap draws."""

from collections.abc import Mapping
from math import prod
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from training.settings.section import Section, Seeds, each_once
from training.settings.student import StudentKind

LayerCounts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], AfterValidator(each_once)]
Setting = float | int | str | bool
Values = Annotated[tuple[Setting, ...], Field(min_length=1), AfterValidator(each_once)]


def _of_students(grid: Mapping[str, Values]) -> Mapping[str, Values]:
    for name in grid:
        section, _, key = name.partition(".")
        if section not in ("student", "training", "distillation") or not key:
            raise ValueError(
                f"{name!r}: only settings of [student], [training] and [distillation] can be "
                "tried, such as 'training.learning_rate'"
            )
    return grid


Grid = Annotated[Mapping[str, Values], AfterValidator(_of_students)]
"""Maps settings, named `section.key`, to values to try; each combination of values is a trial."""

LISTS_GRID: Grid = {
    "distillation.ranking_weight": (0.1, 0.3),
    "distillation.position_temperature": (1.0, 3.0),
}


class Grids(Section):
    """Grids of settings to try, one per group of ladder rows; all have equally many trials."""

    plain: Grid = Field(
        default={"training.learning_rate": (1e-3, 2e-3), "student.dropout": (0.2, 0.4)},
        description="settings to try for rows without a teacher",
    )
    ranking: Grid = Field(
        default=LISTS_GRID, description="settings to try for rows with ranking lists only"
    )
    embeddings: Grid = Field(
        default={
            "distillation.embedding_weight": (1.0, 2.0),
            "distillation.offset_dropout": (0.1, 0.3),
        },
        description="settings to try for the row with LLM embeddings only",
    )
    method: Grid = Field(
        default=LISTS_GRID, description="settings to try for rows with lists and embeddings"
    )

    @model_validator(mode="after")
    def _every_row_has_the_same_budget(self) -> "Grids":
        sizes = {name: prod(map(len, getattr(self, name).values())) for name in Grids.model_fields}
        if len(set(sizes.values())) > 1:
            raise ValueError(
                f"numbers of trials {sizes}: every grid must have equally many combinations"
            )
        return self


class LadderConfig(Section):
    """Settings of the ladder (`training.ladder`), which adds the method's parts one by one."""

    students: tuple[StudentKind, ...] = Field(
        default=("sasrec", "gru4rec", "caser"),
        min_length=1,
        description="kinds of student to train",
    )
    seeds: Seeds = Field(default=(0, 1, 2), description="seeds of the rows without headline_seeds")
    headline_seeds: Seeds = Field(
        default=(0, 1, 2, 3, 4),
        description="seeds of the rows BCE, CE, CE at its strongest and DLLM2Rec; must include "
        "`seeds`",
    )
    max_epochs: int | None = Field(
        default=None, ge=1, description="training.max_epochs in the ladder; by default unchanged"
    )
    patience: int | None = Field(
        default=None, ge=1, description="training.patience in the ladder; by default unchanged"
    )
    title_layers: LayerCounts = Field(
        default=(),
        description="numbers of layers; each adds a control that ranks by titles, embedded by only "
        "that many first layers of the titles teacher's LLM",
    )
    num_resamples: int = Field(
        default=2_000,
        ge=100,
        le=100_000,
        description="number of bootstrap draws for every interval",
    )
    grids: Grids = Grids()

    @model_validator(mode="after")
    def _rows_share_seeds(self) -> "LadderConfig":
        if lonely := set(self.seeds) - set(self.headline_seeds):
            raise ValueError(
                f"seeds {sorted(lonely)} are missing in headline_seeds, which must include them"
            )
        return self
