"""The configuration of one experiment: a TOML file, closed and frozen."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from training.errors import ConfigError
from training.settings.ladder import LadderConfig
from training.settings.section import Section, Seeds, without_passwords
from training.settings.student import StudentConfig
from training.settings.teacher import FIXED_SETTINGS, TeacherConfig, TeacherKind

MAX_COLUMNS = 128  # of an LLM's embedding


class DataConfig(Section):
    """Source of interactions and titles, and their split into training and held-out rows."""

    source: Literal["movielens", "tables"] = Field(
        description="`tables` reads the files below; `movielens` comes with a Python package"
    )
    interactions: Path | None = Field(
        default=None, description="CSV or Parquet file, for `tables` only"
    )
    items: Path | None = Field(
        default=None, description="CSV or Parquet file of ids and titles, for `tables` only"
    )
    missing_titles: Literal["refuse", "placeholder"] = Field(
        default="refuse",
        description="for an item without a title: an error, or the title `Untitled item <item_id>`",
    )
    min_interactions: int = Field(
        default=5,
        ge=1,
        description="k of the k-core filter: users and items with fewer interactions are left out; "
        "1 = no filter; ignored for data with a `split` column",
    )
    split: Literal["time", "leave-one-out"] = Field(
        default="time",
        description="by two moments for all users, or each user's last two interactions; ignored "
        "for data with a `split` column",
    )
    validation_share: float = Field(
        default=0.1, gt=0, lt=0.5, description="share of interactions, for a split by time"
    )
    test_share: float = Field(
        default=0.1, gt=0, lt=0.5, description="share of interactions, for a split by time"
    )


class TrainingConfig(Section):
    """Settings of training a student; validation NDCG@20 picks the epoch."""

    seeds: Seeds = Field(default=(0, 1, 2), description="one student is trained for each")
    batch_size: int = Field(default=64, ge=1, description="histories in a step")
    learning_rate: float = Field(default=1e-3, gt=0, description="of AdamW")
    weight_decay: float = Field(default=0.0, ge=0, description="of AdamW")
    matmul_precision: Literal["highest", "medium"] = Field(
        default="highest",
        description="`medium` computes training scores in bfloat16 on hardware that supports it",
    )
    loss: Literal["cross-entropy", "sampled-cross-entropy", "binary"] = Field(
        default="cross-entropy",
        description="loss of the next item; the teacher's lists use the same loss",
    )
    num_negatives: int = Field(
        default=256, ge=1, description="items sampled in a step, for `sampled-cross-entropy`"
    )
    negative_popularity: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="items are sampled in proportion to (training interactions + 1) to this "
        "power; 0 = uniformly; for `sampled-cross-entropy`",
    )
    robust_weight: float = Field(
        default=0.0, ge=0, description="weight alpha of the DROS loss; 0 = without it"
    )
    robust_temperature: float = Field(default=1.0, gt=0, description="beta of the DROS loss")
    max_epochs: int = Field(default=30, ge=1, description="training stops after so many epochs")
    patience: int = Field(
        default=3, ge=1, description="training stops after so many epochs without a better NDCG@20"
    )


class DistillationConfig(Section):
    """Settings of distillation (DLLM2Rec): ranking lists and item embeddings of the teacher."""

    ranking_weight: float = Field(
        default=0.5, ge=0, le=1, description="share of the list loss in the total; 0 = no lists"
    )
    list_length: int = Field(
        default=10, ge=1, description="K: places of the teacher's list that are used"
    )
    weight_form: Literal["paper", "reference-code"] = Field(
        default="paper", description="how the weights of a list are combined, see docs/method.md"
    )
    position: bool = Field(default=True, description="weigh by place in the list, eq. 6")
    confidence: bool = Field(default=False, description="weigh by the teacher's distance, eq. 7")
    consistency: bool = Field(
        default=False, description="weigh by agreement with the student's own top K, eq. 8"
    )
    gamma_position: float = Field(
        default=0.3, gt=0, description="weight of `position` in eq. 10, if that is on"
    )
    gamma_confidence: float = Field(
        default=0.5, gt=0, description="weight of `confidence` in eq. 10, if that is on"
    )
    gamma_consistency: float = Field(
        default=0.1, gt=0, description="weight of `consistency` in eq. 10, if that is on"
    )
    position_temperature: float = Field(default=1.0, gt=0, description="beta of paper eq. 6")
    confidence_temperature: float | None = Field(
        default=None,
        gt=0,
        description="temperature of eq. 7; by default the median distance of next items, or 1 for "
        "weight_form = 'reference-code'",
    )
    list_negative: bool = Field(
        default=False,
        description="add the reference code's negative term to the list loss; needs "
        "training.loss = 'binary'",
    )
    embeddings: bool = Field(default=True, description="item vectors read the LLM's embeddings")
    embedding_weight: float = Field(
        default=1.0, ge=0, description="factor of the projected embedding in an item vector"
    )
    embedding_columns: int = Field(
        default=MAX_COLUMNS,
        ge=1,
        description="number of principal columns of the LLM's embeddings that are read",
    )
    offset: bool = Field(
        default=True, description="item vectors have a learned part beside the LLM's embedding"
    )
    offset_dropout: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="share of items that a training step sees without their offset",
    )
    cold_bonus: bool = Field(
        default=False,
        description="after training, place items that it did not touch, fitted on validation",
    )
    cold_price: float = Field(
        default=0.005,
        ge=0,
        description="share of warm validation NDCG@20 that placing cold items may cost",
    )

    @field_validator("offset")
    @classmethod
    def _an_item_has_a_vector(cls, offset: bool, others: ValidationInfo) -> bool:
        if not offset and not others.data.get("embeddings", True):
            raise ValueError(
                "false needs embeddings = true: without them an item vector is only its offset"
            )
        return offset


class Experiment(Section):
    """All settings of one dataset's pipeline, from interactions to a bundle."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description="folder of the results, `work/<name>`; by default the name of the file",
    )
    knowledge: Path | None = Field(
        default=None, description="folder of existing teacher knowledge to learn from"
    )
    data: DataConfig
    teacher: TeacherConfig = TeacherConfig()
    other_teachers: Mapping[TeacherKind, TeacherConfig] = Field(
        default={},
        description="teachers of other kinds, for `--kind` and the ladder; a setting that is not "
        "given is as in [teacher]",
    )
    student: StudentConfig = StudentConfig()
    training: TrainingConfig = TrainingConfig()
    distillation: DistillationConfig = DistillationConfig()
    ladder: LadderConfig = LadderConfig()

    @field_validator("other_teachers", mode="before")
    @classmethod
    def _missing_settings_are_as_in_teacher(cls, given: object, others: ValidationInfo) -> object:
        teacher = others.data.get("teacher")
        if not isinstance(given, Mapping) or teacher is None:
            return given
        if teacher.kind in given:
            raise ValueError(f"{teacher.kind!r} is the kind of [teacher] itself")
        as_kind = {
            kind: {**teacher.model_dump(), "kind": kind, **fixed}
            for kind, fixed in FIXED_SETTINGS.items()
        }
        return {kind: _overlaid(as_kind.get(kind, {}), each) for kind, each in given.items()}

    @field_validator("other_teachers")
    @classmethod
    def _kinds_match_their_keys(
        cls, teachers: Mapping[TeacherKind, TeacherConfig]
    ) -> Mapping[TeacherKind, TeacherConfig]:
        for kind, teacher in teachers.items():
            if teacher.kind != kind:
                raise ValueError(f"{kind}.kind = {teacher.kind!r}")
        return teachers

    @field_validator("distillation")
    @classmethod
    def _lists_fit_the_loss_and_the_teachers(
        cls, distillation: DistillationConfig, others: ValidationInfo
    ) -> DistillationConfig:
        training, teacher = others.data.get("training"), others.data.get("teacher")
        if distillation.list_negative and training and training.loss != "binary":
            raise ValueError(f"list_negative needs training.loss = 'binary', not {training.loss!r}")
        lengths = {"teacher": teacher.list_length} if teacher else {}
        for kind, other in others.data.get("other_teachers", {}).items():
            lengths[f"other_teachers.{kind}"] = other.list_length
        for name, length in lengths.items():
            if distillation.list_length > length:
                raise ValueError(
                    f"list_length = {distillation.list_length} is more than "
                    f"{name}.list_length = {length}"
                )
        return distillation


def _overlaid(settings: Mapping[str, object], given: object) -> object:
    """`settings` with the `given` ones replaced, in nested sections too."""
    if not isinstance(given, Mapping):
        return given
    nested = {
        name: _overlaid(section, given[name])
        for name, section in settings.items()
        if isinstance(section, Mapping) and name in given
    }
    return {**settings, **given, **nested}


def load_experiment(path: Path) -> Experiment:
    """Reads one experiment file.

    Raises:
        ConfigError: the file is missing, is not TOML, or has an unknown or unusable setting.
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
