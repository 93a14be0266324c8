"""The one configuration of the offline road: a TOML file per experiment, closed and frozen."""

import tomllib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from training.errors import ConfigError
from training.settings.section import Section, each_once, without_passwords
from training.settings.teacher import FIXED_SETTINGS, TeacherConfig, TeacherKind

MAX_COLUMNS = 128  # of an LLM's embedding

StudentKind = Literal["sasrec", "gru4rec", "caser"]
Seeds = Annotated[tuple[int, ...], AfterValidator(each_once)]
LayerCounts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], AfterValidator(each_once)]


class DataConfig(Section):
    """Where interactions and titles come from and how they are split."""

    source: Literal["movielens", "tables"]
    interactions: Path | None = None
    items: Path | None = None
    missing_titles: Literal["refuse", "placeholder"] = Field(
        default="refuse", description="`placeholder` reads as `Untitled item <item_id>`"
    )
    min_interactions: int = Field(
        default=5, ge=1, description="k of the k-core filter, 1 = off; data with a split skips it"
    )
    split: Literal["time", "leave-one-out"] = Field(
        default="time", description="for data that brings no `split` column"
    )
    validation_share: float = Field(default=0.1, gt=0, lt=0.5)
    test_share: float = Field(default=0.1, gt=0, lt=0.5)


class StudentConfig(Section):
    """The sequential student's shape; one section serves all kinds, each reads what it has."""

    kind: StudentKind = "sasrec"
    max_history_length: int = Field(default=50, ge=1)
    hidden_size: int = Field(default=64, ge=2)
    num_layers: int = Field(default=2, ge=1, description="of SASRec and GRU4Rec")
    num_heads: int = Field(default=2, ge=1, description="of SASRec")
    feed_forward_factor: int = Field(default=1, ge=1, description="SASRec: inner / hidden size")
    convolution_window: int = Field(default=5, ge=1, description="newest items that Caser sees")
    horizontal_filters: int = Field(default=16, ge=1, description="of Caser, per height")
    vertical_filters: int = Field(default=4, ge=1, description="of Caser")
    dropout: float = Field(default=0.2, ge=0, lt=1)

    @field_validator("num_heads")
    @classmethod
    def _heads_share_the_hidden_size(cls, num_heads: int, others: ValidationInfo) -> int:
        hidden_size = others.data.get("hidden_size", num_heads)
        if hidden_size % num_heads:
            raise ValueError(f"does not divide hidden_size = {hidden_size}")
        return num_heads


class TrainingConfig(Section):
    """How a student is trained; validation NDCG@20 picks the epoch."""

    seeds: Seeds = (0, 1, 2)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    matmul_precision: Literal["highest", "medium"] = Field(
        default="highest", description="`medium`: scores in bfloat16 where it is quicker"
    )
    loss: Literal["cross-entropy", "sampled-cross-entropy", "binary"] = Field(
        default="cross-entropy", description="of the next item; the teacher's lists follow it"
    )
    num_negatives: int = Field(default=256, ge=1, description="of the sampled cross-entropy")
    negative_popularity: float = Field(
        default=0.5, ge=0, le=1, description="drawn by train count ** this; 0 = uniformly"
    )
    robust_weight: float = Field(default=0.0, ge=0, description="alpha of DROS; 0 = without")
    robust_temperature: float = Field(default=1.0, gt=0, description="beta of DROS")
    max_epochs: int = Field(default=30, ge=1)
    patience: int = Field(default=3, ge=1, description="epochs without a better validation figure")


class DistillationConfig(Section):
    """What the teacher adds (DLLM2Rec): ranking lists and item embeddings."""

    ranking_weight: float = Field(default=0.5, ge=0, le=1, description="share of the list loss")
    list_length: int = Field(default=10, ge=1)
    weight_form: Literal["paper", "reference-code"] = "paper"
    position: bool = Field(default=True, description="weigh by place in the list, eq. 6")
    confidence: bool = Field(default=False, description="weigh by the teacher's distance, eq. 7")
    consistency: bool = Field(default=False, description="weigh by the student's agreement, eq. 8")
    gamma_position: float = Field(default=0.3, gt=0, description="of eq. 10, while it is on")
    gamma_confidence: float = Field(default=0.5, gt=0, description="of eq. 10, while it is on")
    gamma_consistency: float = Field(default=0.1, gt=0, description="of eq. 10, while it is on")
    position_temperature: float = Field(default=1.0, gt=0, description="beta of paper eq. 6")
    confidence_temperature: float | None = Field(
        default=None,
        gt=0,
        description="by default the median next-item distance; 1 in the reference code's form",
    )
    list_negative: bool = Field(
        default=False, description="the reference code's negative term, under the binary loss"
    )
    embeddings: bool = True
    embedding_weight: float = Field(default=1.0, ge=0)
    embedding_columns: int = Field(
        default=MAX_COLUMNS,
        ge=1,
        description="principal columns of the LLM's embeddings that are read",
    )
    offset: bool = Field(default=True, description="an item's own vector beside the LLM's view")
    offset_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="share of items that a step sees by title alone"
    )
    cold_bonus: bool = Field(
        default=False, description="untouched items get a place, which validation tells"
    )
    cold_price: float = Field(
        default=0.005, ge=0, description="share of warm validation NDCG@20 that it may cost"
    )

    @field_validator("offset")
    @classmethod
    def _an_item_has_a_vector(cls, offset: bool, others: ValidationInfo) -> bool:
        if not offset and not others.data.get("embeddings", True):
            raise ValueError("without embeddings an item is its offset alone")
        return offset


Setting = float | int | str | bool
Grid = Mapping[str, tuple[Setting, ...]]
"""Values to try of some settings, `section.key`; every combination of them is a trial."""

LISTS_GRID: Grid = {
    "distillation.ranking_weight": (0.1, 0.3),
    "distillation.position_temperature": (1.0, 3.0),
}


class Grids(Section):
    """What each tuned row of the ladder may choose from: as many trials for one as for another."""

    plain: Grid = Field(
        default={"training.learning_rate": (1e-3, 2e-3), "student.dropout": (0.2, 0.4)},
        description="rows without a teacher",
    )
    ranking: Grid = Field(default=LISTS_GRID, description="rows with lists alone")
    embeddings: Grid = Field(
        default={
            "distillation.embedding_weight": (1.0, 2.0),
            "distillation.offset_dropout": (0.1, 0.3),
        },
        description="the row with embeddings alone",
    )
    method: Grid = Field(default=LISTS_GRID, description="rows with both")

    @model_validator(mode="after")
    def _every_row_has_the_same_budget(self) -> "Grids":
        sizes = {name: prod(map(len, getattr(self, name).values())) for name in Grids.model_fields}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"every grid needs as many trials as the others, not {sizes}")
        return self


class LadderConfig(Section):
    """How `training.ladder` compares the method with its parts and with its rivals."""

    students: tuple[StudentKind, ...] = Field(default=("sasrec", "gru4rec", "caser"), min_length=1)
    seeds: Seeds = Field(default=(0, 1, 2), min_length=1)
    headline_seeds: Seeds = Field(
        default=(0, 1, 2, 3, 4), min_length=1, description="of the rows BCE, CE and DLLM2Rec"
    )
    max_epochs: int | None = Field(
        default=None, ge=1, description="in place of training.max_epochs: who compares waits longer"
    )
    patience: int | None = Field(default=None, ge=1, description="in place of training.patience")
    title_layers: LayerCounts = Field(
        default=(),
        description="controls beside the teachers' own: the nearest titles as the first so many "
        "layers see them, of the LLM that a teacher of kind titles has",
    )
    num_resamples: int = Field(default=2_000, ge=100, description="draws of the bootstrap")
    grids: Grids = Grids()

    @model_validator(mode="after")
    def _rows_share_seeds(self) -> "LadderConfig":
        if lonely := set(self.seeds) - set(self.headline_seeds):
            raise ValueError(f"seeds {sorted(lonely)} are not among headline_seeds")
        return self


class Experiment(Section):
    """Everything one data set's road needs, from interactions to a bundle."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    knowledge: Path | None = Field(default=None, description="ready-made knowledge to use")
    data: DataConfig
    teacher: TeacherConfig = TeacherConfig()
    other_teachers: Mapping[TeacherKind, TeacherConfig] = Field(
        default={},
        description="by kind, for `--kind` and the ladder: what such a teacher has otherwise than "
        "[teacher]",
    )
    student: StudentConfig = StudentConfig()
    training: TrainingConfig = TrainingConfig()
    distillation: DistillationConfig = DistillationConfig()
    ladder: LadderConfig = LadderConfig()

    @field_validator("other_teachers", mode="before")
    @classmethod
    def _the_rest_is_as_in_teacher(cls, given: object, others: ValidationInfo) -> object:
        teacher = others.data.get("teacher")
        if not isinstance(given, Mapping) or teacher is None:
            return given
        if teacher.kind in given:
            raise ValueError(f"{teacher.kind!r} is the kind of [teacher] itself")
        as_kind = {
            kind: {**teacher.model_dump(), "kind": kind, **fixed}
            for kind, fixed in FIXED_SETTINGS.items()
        }
        return {kind: _laid_over(as_kind.get(kind, {}), each) for kind, each in given.items()}

    @field_validator("other_teachers")
    @classmethod
    def _each_is_of_its_kind(
        cls, teachers: Mapping[TeacherKind, TeacherConfig]
    ) -> Mapping[TeacherKind, TeacherConfig]:
        for kind, teacher in teachers.items():
            if teacher.kind != kind:
                raise ValueError(f"{kind}.kind = {teacher.kind!r}")
        return teachers

    @field_validator("distillation")
    @classmethod
    def _the_method_goes_with_loss_and_teacher(
        cls, distillation: DistillationConfig, others: ValidationInfo
    ) -> DistillationConfig:
        training, teacher = others.data.get("training"), others.data.get("teacher")
        if distillation.list_negative and training and training.loss != "binary":
            raise ValueError(f"list_negative needs training.loss = 'binary', not {training.loss!r}")
        lists = {"teacher": teacher.list_length} if teacher else {}
        for kind, other in others.data.get("other_teachers", {}).items():
            lists[f"other_teachers.{kind}"] = other.list_length
        for name, length in lists.items():
            if distillation.list_length > length:
                raise ValueError(
                    f"list_length = {distillation.list_length} is more than "
                    f"{name}.list_length = {length}"
                )
        return distillation


def _laid_over(settings: Mapping[str, object], given: object) -> object:
    """`settings` with those of them that are `given` in their place, in sections within too."""
    if not isinstance(given, Mapping):
        return given
    within = {
        name: _laid_over(section, given[name])
        for name, section in settings.items()
        if isinstance(section, Mapping) and name in given
    }
    return {**settings, **given, **within}


def load_experiment(path: Path) -> Experiment:
    """Reads one experiment file.

    Raises:
        ConfigError: the file is missing, is no TOML, or has an unknown or unusable setting.
    """
    try:
        settings = {"name": path.stem} | tomllib.loads(path.read_text(encoding="utf-8"))
        return Experiment.model_validate(settings)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such experiment file") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_problem(error)}") from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    return without_passwords(f"{key} = {problem['input']!r}: {problem['msg']}")
