"""The one configuration of the offline road: a TOML file per experiment, closed and frozen."""

import tomllib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from training.errors import ConfigError

REMOTE_PREFIX = "openai:"

TeacherKind = Literal["retrieval", "generative", "titles"]
StudentKind = Literal["sasrec", "gru4rec", "caser"]


class Section(BaseModel):
    """A group of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class TunerConfig(Section):
    """How the LLM itself is tuned before it is asked; a leg ends in a validation, which picks."""

    learning_rate: float = Field(default=1e-4, gt=0)
    warmup_steps: int = Field(default=20, ge=0, description="then linearly down to 0")
    weight_decay: float = Field(default=0.01, ge=0)
    epochs: float = Field(default=3.0, gt=0, description="at most, over the training histories")
    tokens_per_batch: int = Field(default=4_096, ge=512, description="bounds memory")
    batches_per_step: int = Field(default=1, ge=1)
    steps_per_leg: int = Field(default=100, ge=1, description="between two validations")
    patience: int = Field(default=3, ge=1, description="legs without a better validation figure")
    budget_sequences: int | None = Field(default=None, ge=1, description="examples tuned on")
    validation_examples: int = Field(default=2_000, ge=1, description="that a leg is judged by")
    rank: int = Field(default=8, ge=1, description="of LoRA")
    alpha: float = Field(default=16, gt=0, description="of LoRA")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="of LoRA")


class WritingConfig(Section):
    """How the generative teacher writes a title and grounds it in the catalog."""

    num_beams: int = Field(default=1, ge=1, description="1 = greedy; the best beam is grounded")
    max_new_tokens: int = Field(default=32, ge=1)
    inject_popularity: bool = Field(default=False, description="its exponent by validation")
    inject_transitions: bool = Field(
        default=False, description="what followed the last item in training; likewise"
    )


class EndpointConfig(Section):
    """The OpenAI-compatible server behind `model = "openai:NAME"`; a key is in OPENAI_API_KEY."""

    base_url: str = Field(default="http://127.0.0.1:8080/v1", pattern=r"^https?://")
    api: Literal["completions", "chat"] = "completions"
    embedding_model: str | None = Field(default=None, description="by default the same model")
    embedding_url: str | None = Field(default=None, description="by default base_url")
    concurrency: int = Field(default=8, ge=1, description="requests under way at once")
    timeout_seconds: float = Field(default=60.0, gt=0)
    retries: int = Field(default=4, ge=0, description="of a request that may succeed later")


class TeacherConfig(Section):
    """The LLM teacher: which model, how it is tuned, what it is asked."""

    kind: TeacherKind = Field(
        default="retrieval",
        description="reads a history and matches, or writes the next title; or reads titles alone, "
        "in minutes, and answers with those nearest to a history's",
    )
    model: str = Field(
        default="smollm2",
        description="`smollm2`, a Hugging Face model path, or `openai:NAME` behind an endpoint",
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    tuning: Literal["none", "lora", "full"] = Field(
        default="none", validate_default=True, description="of the LLM itself"
    )
    max_titles: int = Field(default=50, ge=1, description="titles a prompt may hold")
    overlap: int = Field(
        default=10,
        ge=0,
        validate_default=True,
        description="titles a prompt repeats of the one before; fewer than max_titles",
    )
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    tokens_per_batch: int = Field(default=4_096, ge=512)
    projection_size: int = Field(default=256, ge=8)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    batch_size: int = Field(default=1_024, ge=1)
    matching_rate: float = Field(default=1e-3, gt=0, description="learning rate of the matcher")
    weight_decay: float = Field(default=0.01, ge=0)
    epochs: int = Field(default=40, ge=1, description="at most; validation picks")
    patience: int = Field(default=4, ge=1)
    list_length: int = Field(default=10, ge=1, description="K of the ranking lists for training")
    budget_sequences: int | None = Field(
        default=None, ge=1, description="training examples answered, the newest of each user first"
    )
    budget_tokens: int | None = Field(default=None, ge=1, description="read for those examples")
    title_decays: tuple[float, ...] = Field(
        default=(0.0, 0.3, 0.5),
        min_length=1,
        description="of titles alone: what a title weighs by the one after it; validation picks",
    )
    seed: int = 0
    tuner: TunerConfig = TunerConfig()
    writing: WritingConfig = WritingConfig()
    endpoint: EndpointConfig = EndpointConfig()

    @field_validator("overlap")
    @classmethod
    def _a_prompt_goes_on(cls, overlap: int, others: ValidationInfo) -> int:
        max_titles = others.data.get("max_titles", overlap + 1)
        if overlap >= max_titles:
            raise ValueError(f"{overlap} is not less than max_titles = {max_titles}")
        return overlap

    @field_validator("budget_tokens")
    @classmethod
    def _titles_cost_the_same_for_any_examples(
        cls, budget: int | None, others: ValidationInfo
    ) -> int | None:
        if budget is not None and others.data.get("kind") == "titles":
            raise ValueError("kind = 'titles' reads no histories: budget_sequences alone bounds it")
        return budget

    @field_validator("title_decays")
    @classmethod
    def _a_decay_is_a_share(cls, decays: tuple[float, ...]) -> tuple[float, ...]:
        for decay in decays:
            if not 0 <= decay <= 1:
                raise ValueError(f"{decay} is not between 0 and 1")
        return decays

    @field_validator("tuning")
    @classmethod
    def _only_what_can_be_tuned_is_tuned(cls, tuning: str, others: ValidationInfo) -> str:
        model, kind = others.data.get("model", ""), others.data.get("kind")
        if model.startswith(REMOTE_PREFIX) and (kind, tuning) != ("generative", "none"):
            raise ValueError(f"{model!r} is asked with kind = 'generative', tuning = 'none' alone")
        if kind == "titles" and tuning != "none":
            raise ValueError("kind = 'titles' learns from no history: tuning = 'none' alone")
        return tuning


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

    seeds: tuple[int, ...] = (0, 1, 2)
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
        default=128, ge=1, description="principal columns of the LLM's embeddings that are read"
    )
    offset: bool = Field(default=True, description="an item's own vector beside the LLM's view")
    offset_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="share of items that a step sees by title alone"
    )
    cold_bonus: bool = Field(
        default=False, description="untouched items share an offset, whose size validation picks"
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

    plain: Grid = {"training.learning_rate": (1e-3, 2e-3), "student.dropout": (0.2, 0.4)}
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
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    headline_seeds: tuple[int, ...] = Field(
        default=(0, 1, 2, 3, 4), min_length=1, description="of the rows BCE, CE and DLLM2Rec"
    )
    max_epochs: int | None = Field(
        default=None, ge=1, description="in place of training.max_epochs: who compares waits longer"
    )
    patience: int | None = Field(default=None, ge=1, description="in place of training.patience")
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
    student: StudentConfig = StudentConfig()
    training: TrainingConfig = TrainingConfig()
    distillation: DistillationConfig = DistillationConfig()
    ladder: LadderConfig = LadderConfig()

    @field_validator("distillation")
    @classmethod
    def _a_list_negative_is_of_the_binary_loss(
        cls, distillation: DistillationConfig, others: ValidationInfo
    ) -> DistillationConfig:
        training = others.data.get("training")
        if distillation.list_negative and training and training.loss != "binary":
            raise ValueError(f"list_negative needs training.loss = 'binary', not {training.loss!r}")
        return distillation

    @field_validator("distillation")
    @classmethod
    def _no_list_is_longer_than_the_teachers(
        cls, distillation: DistillationConfig, others: ValidationInfo
    ) -> DistillationConfig:
        teacher = others.data.get("teacher")
        if teacher and distillation.list_length > teacher.list_length:
            raise ValueError(
                f"list_length = {distillation.list_length} is more than "
                f"teacher.list_length = {teacher.list_length}"
            )
        return distillation


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
    return f"{key} = {problem['input']!r}: {problem['msg']}"
