"""The settings of the teacher, `[teacher]` of an experiment."""

from collections.abc import Mapping, Set
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic.main import IncEx

from training.settings.section import Section

REMOTE_PREFIX = "openai:"

TeacherKind = Literal["retrieval", "generative", "titles"]
# Settings that a kind of teacher can have with one value only.
FIXED_SETTINGS: Mapping[TeacherKind, Mapping[str, object]] = {
    "retrieval": {},
    "generative": {"layers": None},
    "titles": {"tuning": "none", "budget_tokens": None},
}
Pooling = Literal["last", "mean"]


class TunerConfig(Section):
    """Settings of tuning the LLM; validation after each leg of steps picks the weights."""

    learning_rate: float = Field(default=1e-4, gt=0, description="of AdamW, after the warm-up")
    warmup_steps: int = Field(
        default=20, ge=0, description="steps up to learning_rate; then it falls linearly to 0"
    )
    weight_decay: float = Field(default=0.01, ge=0, description="of AdamW")
    epochs: float = Field(
        default=3.0, gt=0, description="largest number of passes over the training histories"
    )
    tokens_per_batch: int = Field(
        default=4_096, ge=512, description="tokens computed at once; bounds memory"
    )
    batches_per_step: int = Field(default=1, ge=1, description="batches of a gradient step")
    steps_per_leg: int = Field(default=100, ge=1, description="steps between two validations")
    patience: int = Field(
        default=3, ge=1, description="tuning stops after so many legs without a better figure"
    )
    budget_sequences: int | None = Field(
        default=None, ge=1, description="number of examples to tune on; by default all"
    )
    validation_examples: int = Field(
        default=2_000, ge=1, description="number of validation examples after each leg"
    )
    rank: int = Field(default=8, ge=1, description="rank of LoRA")
    alpha: float = Field(default=16, gt=0, description="scale alpha of LoRA")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="dropout rate of LoRA")


class WritingConfig(Section):
    """Settings of a generative teacher: writing a title and grounding it in the catalog."""

    num_beams: int = Field(
        default=1, ge=1, description="beams of the search, 1 = greedy; the best beam is grounded"
    )
    max_new_tokens: int = Field(default=32, ge=1, description="length of a written title at most")
    inject_popularity: bool = Field(
        default=False, description="popular items get nearer; validation picks the exponent"
    )
    inject_transitions: bool = Field(
        default=False,
        description="items that followed the last item in training get nearer; validation picks "
        "the exponent",
    )


def _without_credentials(url: str) -> str:
    if "@" in urlsplit(url).netloc:
        raise ValueError("an address is published in provenance; a key belongs in OPENAI_API_KEY")
    return url


Address = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_without_credentials)]


class EndpointConfig(Section):
    """The OpenAI-compatible server of `model = "openai:NAME"`; its key is in OPENAI_API_KEY."""

    base_url: Address = Field(
        default="http://127.0.0.1:8080/v1", description="address of the API, without a key"
    )
    api: Literal["completions", "chat"] = Field(
        default="completions", description="API that titles are requested from"
    )
    embedding_model: str | None = Field(
        default=None, description="model for embeddings; by default the same model"
    )
    embedding_url: Address | None = Field(
        default=None, description="address for embeddings; by default base_url"
    )
    concurrency: int = Field(default=8, ge=1, description="number of requests at a time")
    timeout_seconds: float = Field(default=60.0, gt=0, description="time limit of a request")
    retries: int = Field(
        default=4, ge=0, description="attempts after a failure that may be temporary"
    )


class TeacherConfig(Section):
    """The LLM teacher: kind, model, tuning, and the examples that it answers."""

    ADDED_LATER: ClassVar[Set[str]] = {"budget_held_out"}

    kind: TeacherKind = Field(
        default="retrieval",
        description="`retrieval` reads histories and matches titles; `generative` writes the next "
        "title; `titles` reads only titles, in minutes, and answers with those nearest to the "
        "history's",
    )
    model: str = Field(
        default="smollm2",
        description="`smollm2`, a Hugging Face model path, or `openai:NAME` of [teacher.endpoint]",
    )
    layers: int | None = Field(
        default=None,
        ge=1,
        validate_default=True,
        description="number of the LLM's layers to use, from the first; by default all",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="device of the LLM; `auto` takes a GPU if there is one"
    )
    tuning: Literal["none", "lora", "full"] = Field(
        default="none", validate_default=True, description="whether and how the LLM is tuned"
    )
    max_titles: int = Field(default=50, ge=1, description="largest number of titles in a prompt")
    pooling: Pooling = Field(
        default="last",
        description="representation of a history: the state of its last token, or the mean over "
        "its last title",
    )
    overlap: int = Field(
        default=10,
        ge=0,
        validate_default=True,
        description="number of titles that a prompt repeats from the one before; less than "
        "max_titles",
    )
    precision: Literal["bfloat16", "float32"] = Field(
        default="bfloat16", description="of the LLM; float32 on a CPU without bfloat16"
    )
    tokens_per_batch: int = Field(
        default=4_096, ge=512, description="tokens that the LLM reads at once; bounds memory"
    )
    projection_size: int = Field(
        default=256, ge=8, description="size of the matcher's space of histories and titles"
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout rate of the matcher")
    batch_size: int = Field(default=1_024, ge=1, description="examples of a step of the matcher")
    matching_rate: float = Field(default=1e-3, gt=0, description="learning rate of the matcher")
    weight_decay: float = Field(default=0.01, ge=0, description="of the matcher's AdamW")
    epochs: int = Field(
        default=40, ge=1, description="epochs of the matcher at most; validation picks one"
    )
    patience: int = Field(
        default=4, ge=1, description="fitting stops after so many epochs without a better figure"
    )
    list_length: int = Field(default=10, ge=1, description="K of the ranking lists for training")
    budget_sequences: int | None = Field(
        default=None,
        ge=0,
        description="number of training examples to answer, the newest of each user first; by "
        "default all; 0 for a teacher that is only compared",
    )
    budget_tokens: int | None = Field(
        default=None, ge=1, description="number of tokens to read for those examples"
    )
    budget_held_out: int | None = Field(
        default=None,
        ge=1,
        description="number of validation and of test examples to answer, drawn at random",
    )
    title_decays: tuple[float, ...] = Field(
        default=(0.0, 0.3, 0.5),
        min_length=1,
        description="weights to try of a title relative to the one after it, where titles only "
        "are compared; validation picks",
    )
    title_shares: tuple[float, ...] = Field(
        default=(0.0, 0.1, 0.2, 0.3, 0.5),
        min_length=1,
        description="weights to try of titles-only distances beside the matcher's; validation "
        "picks; for kind = 'retrieval'",
    )
    seed: int = Field(default=0, description="of everything random in the teacher")
    tuner: TunerConfig = TunerConfig()
    writing: WritingConfig = WritingConfig()
    endpoint: EndpointConfig = EndpointConfig()

    def fingerprint_settings(
        self, names: IncEx, *, exclude_none: bool = False
    ) -> dict[str, object]:
        """The settings `names`, for a fingerprint, without those that have no effect.

        So fingerprints from before there were `layers` and `pooling` stay the same.
        """
        settings = self.model_dump(include=names, exclude_none=exclude_none)
        if self.layers is None:
            settings.pop("layers", None)
        if self.kind != "retrieval" or self.pooling == "last":
            settings.pop("pooling", None)
        return settings

    @field_validator("layers")
    @classmethod
    def _a_generative_teacher_needs_all_layers(
        cls, layers: int | None, others: ValidationInfo
    ) -> int | None:
        if layers is not None and others.data.get("kind") == "generative":
            raise ValueError(f"{layers}: a generative teacher writes with all of its layers")
        return layers

    @field_validator("overlap")
    @classmethod
    def _overlap_is_less_than_a_prompt(cls, overlap: int, others: ValidationInfo) -> int:
        max_titles = others.data.get("max_titles", overlap + 1)
        if overlap >= max_titles:
            raise ValueError(f"{overlap} is not less than max_titles = {max_titles}")
        return overlap

    @field_validator("budget_tokens")
    @classmethod
    def _a_titles_teacher_has_no_token_budget(
        cls, budget: int | None, others: ValidationInfo
    ) -> int | None:
        if budget is not None and others.data.get("kind") == "titles":
            raise ValueError("kind = 'titles' reads no histories: bound it by budget_sequences")
        return budget

    @field_validator("title_decays", "title_shares")
    @classmethod
    def _weights_are_fractions(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        for fraction in fractions:
            if not 0 <= fraction <= 1:
                raise ValueError(f"{fraction} is not between 0 and 1")
        return fractions

    @field_validator("tuning")
    @classmethod
    def _model_and_kind_can_be_tuned(cls, tuning: str, others: ValidationInfo) -> str:
        model, kind = others.data.get("model", ""), others.data.get("kind")
        if model.startswith(REMOTE_PREFIX) and (kind, tuning) != ("generative", "none"):
            raise ValueError(f"{model!r} needs kind = 'generative' and tuning = 'none'")
        if kind == "titles" and tuning != "none":
            raise ValueError("kind = 'titles' learns from no history and needs tuning = 'none'")
        return tuning
