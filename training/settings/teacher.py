"""The settings of the teacher, `[teacher]` of an experiment."""

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic.main import IncEx

from training.settings.section import Section

REMOTE_PREFIX = "openai:"

TeacherKind = Literal["retrieval", "generative", "titles"]
# What a kind cannot have any other way.
FIXED_SETTINGS: Mapping[TeacherKind, Mapping[str, object]] = {
    "retrieval": {},
    "generative": {"layers": None},
    "titles": {"tuning": "none", "budget_tokens": None},
}
Pooling = Literal["last", "mean"]


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


def _without_credentials(url: str) -> str:
    if "@" in urlsplit(url).netloc:
        raise ValueError("an address is told in provenance; a key belongs in OPENAI_API_KEY")
    return url


Address = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_without_credentials)]


class EndpointConfig(Section):
    """The OpenAI-compatible server behind `model = "openai:NAME"`; a key is in OPENAI_API_KEY."""

    base_url: Address = "http://127.0.0.1:8080/v1"
    api: Literal["completions", "chat"] = "completions"
    embedding_model: str | None = Field(default=None, description="by default the same model")
    embedding_url: Address | None = Field(default=None, description="by default base_url")
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
    layers: int | None = Field(
        default=None,
        ge=1,
        validate_default=True,
        description="of the LLM that are read, from the first; by default all",
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    tuning: Literal["none", "lora", "full"] = Field(
        default="none", validate_default=True, description="of the LLM itself"
    )
    max_titles: int = Field(default=50, ge=1, description="titles a prompt may hold")
    pooling: Pooling = Field(
        default="last",
        description="what stands for a history that was read: the state of its last token, or the "
        "mean over its last title",
    )
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
        default=None,
        ge=0,
        description="training examples answered, the newest of each user first; 0 of a teacher "
        "that is compared and teaches no student",
    )
    budget_tokens: int | None = Field(default=None, ge=1, description="read for those examples")
    budget_held_out: int | None = Field(
        default=None, ge=1, description="examples answered of validation and of test, at random"
    )
    title_decays: tuple[float, ...] = Field(
        default=(0.0, 0.3, 0.5),
        min_length=1,
        description="of titles alone: what a title weighs by the one after it; validation picks",
    )
    title_shares: tuple[float, ...] = Field(
        default=(0.0, 0.1, 0.2, 0.3, 0.5),
        min_length=1,
        description="of a retrieval teacher: what the distance of titles alone weighs in its own; "
        "validation picks",
    )
    seed: int = 0
    tuner: TunerConfig = TunerConfig()
    writing: WritingConfig = WritingConfig()
    endpoint: EndpointConfig = EndpointConfig()

    @property
    def identity(self) -> dict[str, object]:
        """All settings for a fingerprint; a newer one only where it is not at its default."""
        settings = self.model_dump()
        if self.budget_held_out is None:
            del settings["budget_held_out"]
        return settings

    def told_apart(self, names: IncEx, *, exclude_none: bool = False) -> dict[str, object]:
        """The settings of `names` for a fingerprint, each where it decides anything.

        What was made before there was a choice of layers or pooling is still found.
        """
        settings = self.model_dump(include=names, exclude_none=exclude_none)
        if self.layers is None:
            settings.pop("layers", None)
        if self.kind != "retrieval" or self.pooling == "last":
            settings.pop("pooling", None)
        return settings

    @field_validator("layers")
    @classmethod
    def _who_writes_needs_them_all(cls, layers: int | None, others: ValidationInfo) -> int | None:
        if layers is not None and others.data.get("kind") == "generative":
            raise ValueError(f"{layers}: a generative teacher writes with all of its layers")
        return layers

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

    @field_validator("title_decays", "title_shares")
    @classmethod
    def _each_is_a_fraction(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        for fraction in fractions:
            if not 0 <= fraction <= 1:
                raise ValueError(f"{fraction} is not between 0 and 1")
        return fractions

    @field_validator("tuning")
    @classmethod
    def _only_what_can_be_tuned_is_tuned(cls, tuning: str, others: ValidationInfo) -> str:
        model, kind = others.data.get("model", ""), others.data.get("kind")
        if model.startswith(REMOTE_PREFIX) and (kind, tuning) != ("generative", "none"):
            raise ValueError(f"{model!r} is asked with kind = 'generative', tuning = 'none' alone")
        if kind == "titles" and tuning != "none":
            raise ValueError("kind = 'titles' learns from no history: tuning = 'none' alone")
        return tuning
