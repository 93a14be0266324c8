"""The settings of one experiment, read from a TOML file; an unknown setting is an error."""

import tomllib
from collections.abc import Mapping, Set
from pathlib import Path
from typing import ClassVar, Literal, get_args

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from training.errors import ConfigError
from training.settings.data import DataConfig as DataConfig
from training.settings.distillation import MAX_COLUMNS as MAX_COLUMNS
from training.settings.distillation import DistillationConfig as DistillationConfig
from training.settings.ladder import LadderConfig
from training.settings.retrain import RetrainConfig
from training.settings.section import Section, Seeds, first_problem
from training.settings.student import StudentConfig
from training.settings.teacher import TeacherConfig, TeacherKind


class TrainingConfig(Section):
    """Settings of training a student.

    The student keeps the weights of the epoch with the best validation NDCG@20.
    """

    ADDED_LATER: ClassVar[Set[str]] = {
        *("trained_candidates", "item_dropout", "random_features", "smoothing"),
        *("packed_windows", "scored_share", "touched_rows", "validation_examples"),
        *("averaged_epochs", "pair_bonus"),
    }
    FORMER_VALUES: ClassVar[Mapping[str, object]] = {"averaged_epochs": 0.0, "pair_bonus": False}

    seeds: Seeds = Field(default=(0, 1, 2), description="seeds; one student is trained per seed")
    batch_size: int = Field(default=64, ge=1, description="number of histories in a step")
    learning_rate: float = Field(default=2e-3, gt=0, description="learning rate of AdamW")
    weight_decay: float = Field(default=0.0, ge=0, description="weight decay of AdamW")
    averaged_epochs: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="number of epochs that a moving average of the weights spans, which is "
        "validated and kept instead of the weights; 0 = no average",
    )
    pair_bonus: bool = Field(
        default=True,
        description="after training, count which items occur near each other, and add a bonus to "
        "the scores of those near the items of a history; validation chooses its settings; "
        "catalogs of more than 262,142 items get none",
    )
    matmul_precision: Literal["highest", "medium"] = Field(
        default="highest",
        description="`medium` computes training scores in bfloat16 on hardware that supports it",
    )
    loss: Literal["cross-entropy", "sampled-cross-entropy", "binary"] = Field(
        default="cross-entropy",
        description="next-item loss; the loss of the teacher's lists has the same form",
    )
    num_negatives: int = Field(
        default=256,
        ge=1,
        le=1_000_000,
        description="number of items sampled in a step, for `sampled-cross-entropy`",
    )
    negative_popularity: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="exponent: items are sampled in proportion to (training interactions + 1) to "
        "this power; 0 = uniformly; for `sampled-cross-entropy`",
    )
    trained_candidates: bool = Field(
        default=False,
        description="compare next items with trained items only; always on with title embeddings",
    )
    item_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of interactions that are drawn in each epoch and left out of it, "
        "neither read nor predicted",
    )
    random_features: bool = Field(
        default=False,
        description="item vectors contain the projection of fixed random features, read as title "
        "embeddings would be; ignored with title embeddings",
    )
    smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        validate_default=True,
        description="share of the next-item loss that is spread evenly over all candidates (label "
        "smoothing); for `cross-entropy`",
    )
    robust_weight: float = Field(
        default=0.0, ge=0, description="weight alpha of the DROS loss; 0 = without this loss"
    )
    robust_temperature: float = Field(
        default=1.0, gt=0, description="temperature beta of the DROS loss"
    )
    scored_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        validate_default=True,
        description="share of the candidates that a step scores, half of them the most popular "
        "ones and half drawn, besides the items of the batch; for `cross-entropy`",
    )
    touched_rows: bool = Field(
        default=False,
        validate_default=True,
        description="a step changes only the item vectors that it reads or scores, so that its "
        "time grows little with the catalog; needs `scored_share` below 1 and one process",
    )
    packed_windows: bool = Field(
        default=False,
        description="compute several short histories in one row of a step, which takes less time; "
        "for SASRec",
    )
    max_epochs: int = Field(default=100, ge=1, description="maximum number of epochs")
    patience: int = Field(
        default=10,
        ge=1,
        description="number of epochs without a better validation NDCG@20 after which training "
        "stops",
    )

    validation_examples: int | None = Field(
        default=None,
        ge=1,
        description="maximum number of validation examples that choose the best epoch, drawn at "
        "random; by default all of them",
    )

    @field_validator("scored_share")
    @classmethod
    def _only_a_full_softmax_is_thinned(cls, share: float, others: ValidationInfo) -> float:
        required = {"loss": "cross-entropy", "smoothing": 0, "robust_weight": 0}
        for name, needed in required.items():
            if share < 1 and (given := others.data.get(name, needed)) != needed:
                raise ValueError(f"{share}: needs {name} = {needed!r}, not {given!r}")
        return share

    @field_validator("touched_rows")
    @classmethod
    def _touched_rows_are_few(cls, touched: bool, others: ValidationInfo) -> bool:
        if not touched:
            return touched
        if others.data.get("scored_share", 0) == 1:
            raise ValueError("needs scored_share < 1, or each step touches every row")
        for name in ("weight_decay", "averaged_epochs"):
            if others.data.get(name):
                raise ValueError(f"needs {name} = 0, which would change every row")
        return touched

    @field_validator("smoothing")
    @classmethod
    def _smoothing_has_all_candidates(cls, smoothing: float, others: ValidationInfo) -> float:
        loss = others.data.get("loss", "cross-entropy")
        if smoothing and loss != "cross-entropy":
            raise ValueError(f"{smoothing}: needs loss = 'cross-entropy', not {loss!r}")
        return smoothing


class Experiment(Section):
    """All settings of one experiment, from the interactions of a dataset to the exported bundle."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description="name of the experiment and of its folder, `work/<name>`; by default the name "
        "of the file",
    )
    knowledge: Path | None = Field(
        default=None,
        description="folder of the teacher's knowledge; by default a folder in `work/<name>`",
    )
    data: DataConfig
    teacher: TeacherConfig = TeacherConfig()
    other_teachers: Mapping[TeacherKind, TeacherConfig] = Field(
        default={},
        description="settings of teachers of other kinds, for `--kind` and the ladder; a setting "
        "that is not given has its value from [teacher]",
    )
    student: StudentConfig = StudentConfig()
    training: TrainingConfig = TrainingConfig()
    distillation: DistillationConfig = Field(default=DistillationConfig(), validate_default=True)
    ladder: LadderConfig = LadderConfig()
    retrain: RetrainConfig = RetrainConfig()

    @field_validator("other_teachers", mode="before")
    @classmethod
    def _missing_settings_are_as_in_teacher(cls, given: object, others: ValidationInfo) -> object:
        teacher = others.data.get("teacher")
        if not isinstance(given, Mapping) or teacher is None:
            return given
        if teacher.kind in given:
            raise ValueError(
                f"{teacher.kind!r} is the kind of [teacher]; set it there and not in "
                f"[other_teachers.{teacher.kind}]"
            )
        as_kind = {kind: teacher.settings_as(kind) for kind in get_args(TeacherKind)}
        return {kind: _overlaid(as_kind.get(kind, {}), each) for kind, each in given.items()}

    @field_validator("other_teachers")
    @classmethod
    def _kinds_match_their_keys(
        cls, teachers: Mapping[TeacherKind, TeacherConfig]
    ) -> Mapping[TeacherKind, TeacherConfig]:
        for kind, teacher in teachers.items():
            if teacher.kind != kind:
                raise ValueError(
                    f"other_teachers.{kind}.kind = {teacher.kind!r}: must be {kind!r}, like its "
                    "section"
                )
        return teachers

    @field_validator("distillation")
    @classmethod
    def _lists_fit_the_loss_and_the_teachers(
        cls, distillation: DistillationConfig, others: ValidationInfo
    ) -> DistillationConfig:
        training, teacher = others.data.get("training"), others.data.get("teacher")
        if distillation.list_negative and training and training.loss != "binary":
            raise ValueError(f"list_negative needs training.loss = 'binary', not {training.loss!r}")
        if distillation.list_loss == "distribution" and training:
            _refuse_a_loss_without_probabilities(training.loss)
        lengths = {"teacher": teacher.list_length} if teacher else {}
        for kind, other in others.data.get("other_teachers", {}).items():
            lengths[f"other_teachers.{kind}"] = other.list_length
        for name, length in lengths.items():
            if distillation.list_length > length:
                raise ValueError(
                    f"list_length = {distillation.list_length}: must be at most {length}, the "
                    f"value of {name}.list_length"
                )
        return distillation


def _refuse_a_loss_without_probabilities(loss: str) -> None:
    if loss != "cross-entropy":
        raise ValueError(
            f"list_loss = 'distribution' needs training.loss = 'cross-entropy', not {loss!r}"
        )


def _overlaid(settings: Mapping[str, object], given: object) -> object:
    """Merges two nested mappings into a new one, section by section.

    If both have a key, the value in `given` is taken, unless both values are mappings, which are
    merged. A `given` that is not a mapping is returned as it is; pydantic then refuses it.
    """
    if not isinstance(given, Mapping):
        return given
    nested = {
        name: _overlaid(section, given[name])
        for name, section in settings.items()
        if isinstance(section, Mapping) and name in given
    }
    return {**settings, **given, **nested}


def load_experiment(path: Path) -> Experiment:
    """Reads and validates one experiment file, in TOML.

    Raises:
        ConfigError: the file is missing or is not TOML, or a setting is unknown or not allowed.
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
        raise ConfigError(f"{path}: {first_problem(error)}") from None
