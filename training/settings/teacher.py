"""The settings of the teacher, `[teacher]` of an experiment."""

from collections.abc import Mapping, Set
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic.main import IncEx

from training.settings.endpoint import EndpointConfig
from training.settings.section import Section, Seed

REMOTE_PREFIX = "openai:"
SENTENCE_PREFIX = "sentence:"

TeacherKind = Literal[
    "retrieval",
    "generative",
    "titles",
    "tf-idf",
    "word-vectors",
    "fusion",
    "fusion-without-titles",
]
# Kinds that read each title by itself and answer with the titles nearest to those of a history.
TITLES_KINDS: Set[TeacherKind] = {"titles", "tf-idf", "word-vectors"}
# Kinds that embed titles by their words, without an LLM: controls for what the LLM adds.
WORDS_KINDS: Set[TeacherKind] = {"tf-idf", "word-vectors"}
# Kinds that weigh order-aware kNN, titles and popularity, and the control among them.
TITLELESS_KIND: TeacherKind = "fusion-without-titles"
FUSION_KINDS: Set[TeacherKind] = {"fusion", TITLELESS_KIND}
# Kinds that read titles by a title encoder: an LLM, a sentence encoder or a server.
ENCODER_KINDS: Set[TeacherKind] = {"titles", *FUSION_KINDS}
_UNTUNED: Mapping[str, object] = {"tuning": "none", "budget_tokens": None}
_WITHOUT_AN_LLM: Mapping[str, object] = {**_UNTUNED, "layers": None}
# Settings for which a kind of teacher allows only one value.
FIXED_SETTINGS: Mapping[TeacherKind, Mapping[str, object]] = {
    "retrieval": {},
    "generative": {"layers": None},
    "titles": _UNTUNED,
    "tf-idf": _WITHOUT_AN_LLM,
    "word-vectors": _WITHOUT_AN_LLM,
    "fusion": _UNTUNED,
    "fusion-without-titles": _UNTUNED,
}
Pooling = Literal["last", "mean"]


class TunerConfig(Section):
    """Settings of tuning the LLM.

    The LLM keeps the weights of the leg with the best validation metric.
    """

    learning_rate: float = Field(
        default=1e-4, gt=0, description="learning rate of AdamW after the warm-up"
    )
    warmup_steps: int = Field(
        default=20,
        ge=0,
        description="number of steps in which the rate rises to learning_rate; then it falls "
        "linearly to 0",
    )
    weight_decay: float = Field(default=0.01, ge=0, description="weight decay of AdamW")
    epochs: float = Field(
        default=3.0, gt=0, description="maximum number of passes over the training histories"
    )
    tokens_per_batch: int = Field(
        default=4_096, ge=512, description="maximum number of tokens in a batch; limits memory"
    )
    batches_per_step: int = Field(
        default=1, ge=1, description="number of batches in a gradient step"
    )
    steps_per_leg: int = Field(
        default=100, ge=1, description="number of steps of a leg, which ends with a validation"
    )
    patience: int = Field(
        default=3,
        ge=1,
        description="number of legs without a better validation figure after which tuning stops",
    )
    budget_sequences: int | None = Field(
        default=None, ge=1, description="number of examples to tune on; by default all"
    )
    validation_examples: int = Field(
        default=2_000, ge=1, description="number of examples in each validation"
    )
    rank: int = Field(default=8, ge=1, description="rank of LoRA")
    alpha: float = Field(default=16, gt=0, description="scale alpha of LoRA")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="dropout rate of LoRA")


class WritingConfig(Section):
    """Settings of a generative teacher, which writes a title and grounds it in the catalog."""

    num_beams: int = Field(
        default=1,
        ge=1,
        description="number of beams of the search, 1 = greedy; the best beam is grounded",
    )
    max_new_tokens: int = Field(
        default=32, ge=1, description="maximum number of tokens in a written title"
    )
    inject_popularity: bool = Field(
        default=False,
        description="reduce the distances of popular items; validation chooses the exponent",
    )
    inject_transitions: bool = Field(
        default=False,
        description="reduce the distances of items that followed the last item in training; "
        "validation chooses the exponent",
    )


class TeacherConfig(Section):
    """Settings of the teacher: its kind, model and tuning, and how many examples it answers."""

    ADDED_LATER: ClassVar[Set[str]] = {
        *("budget_held_out", "tf_idf_columns", "word_vectors", "title_prefix"),
    }

    kind: TeacherKind = Field(
        default="titles",
        description="`retrieval` reads histories and matches titles; `generative` writes the next "
        "title; `titles` reads each title by itself, which takes minutes, and answers with the "
        "titles nearest to those of the history; `tf-idf` and `word-vectors` do the same by the "
        "words of titles, without an LLM; `fusion` weighs order-aware kNN, titles and popularity, "
        "and gives probabilities; `fusion-without-titles` is its control",
    )
    model: str = Field(
        default="smollm2",
        description="`smollm2`; a causal LM of Hugging Face, its folder, or the path of a `.gguf` "
        "file; `sentence:NAME`, a model of sentence-transformers: its folder, an installed "
        "package, or a Hugging Face name; or `openai:NAME`, model NAME of the server in "
        "[teacher.endpoint]",
    )
    layers: int | None = Field(
        default=None,
        ge=1,
        validate_default=True,
        description="number of first layers of the LLM that are used; by default all",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="device of the LLM; `auto` takes a GPU if there is one"
    )
    tuning: Literal["none", "lora", "full"] = Field(
        default="none", validate_default=True, description="whether and how the LLM is tuned"
    )
    max_titles: int = Field(default=50, ge=1, description="maximum number of titles in a prompt")
    pooling: Pooling = Field(
        default="last",
        description="state that represents a history: `last` takes that of the last token, `mean` "
        "the mean over the tokens of the last title",
    )
    overlap: int = Field(
        default=10,
        ge=0,
        validate_default=True,
        description="number of titles that a prompt repeats from the previous prompt of the same "
        "history; less than max_titles",
    )
    precision: Literal["bfloat16", "float32"] = Field(
        default="bfloat16",
        description="number format of the LLM; always float32 on a CPU without bfloat16",
    )
    tokens_per_batch: int = Field(
        default=4_096,
        ge=512,
        description="maximum number of tokens that the LLM reads at once; limits memory",
    )
    projection_size: int = Field(
        default=256, ge=8, description="length of the matcher's vectors of histories and titles"
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout rate of the matcher")
    batch_size: int = Field(
        default=1_024, ge=1, description="number of examples in a step of the matcher"
    )
    matching_rate: float = Field(default=1e-3, gt=0, description="learning rate of the matcher")
    weight_decay: float = Field(
        default=0.01, ge=0, description="weight decay of the matcher's AdamW"
    )
    epochs: int = Field(
        default=40,
        ge=1,
        description="maximum number of epochs of the matcher; the one best on validation is kept",
    )
    patience: int = Field(
        default=4,
        ge=1,
        description="number of epochs without a better validation figure after which fitting the "
        "matcher stops",
    )
    list_length: int = Field(
        default=10, ge=1, description="K: length of the ranking lists for training"
    )
    budget_sequences: int | None = Field(
        default=None,
        ge=0,
        description="number of training examples to answer, the newest of each user first; by "
        "default all; 0 for a teacher that no student learns from",
    )
    budget_tokens: int | None = Field(
        default=None,
        ge=1,
        description="maximum number of tokens to read for training examples; by default no limit",
    )
    budget_held_out: int | None = Field(
        default=None,
        ge=1,
        description="number of validation examples, and of test examples, to answer, drawn at "
        "random; by default all",
    )
    tf_idf_columns: int = Field(
        default=128,
        ge=1,
        description="length of title embeddings, for kind = 'tf-idf': number of singular vectors",
    )
    word_vectors: str | None = Field(
        default=None,
        description="text file of word vectors, for kind = 'word-vectors': a word and its numbers "
        "on each line, as GloVe is published",
    )
    title_prefix: str | None = Field(
        default=None,
        max_length=256,
        validate_default=True,
        description="text before each title, such as `query: `, for `sentence:` and `openai:`; by "
        "default the prompt that a sentence encoder names as its default",
    )
    title_decays: tuple[float, ...] = Field(
        default=(0.0, 0.3, 0.5),
        min_length=1,
        description="values to try for the weight of a title relative to the next newer one, when "
        "ranking by titles only; validation chooses",
    )
    title_shares: tuple[float, ...] = Field(
        default=(0.0, 0.1, 0.2, 0.3, 0.5),
        min_length=1,
        description="values to try for the weight of distances by titles only, mixed with those of "
        "the matcher; validation chooses; for kind = 'retrieval'",
    )
    seed: Seed = Field(default=0, description="seed of everything random in the teacher")
    tuner: TunerConfig = TunerConfig()
    writing: WritingConfig = WritingConfig()
    endpoint: EndpointConfig = EndpointConfig()

    def fingerprint_settings(
        self, names: IncEx, *, exclude_none: bool = False
    ) -> dict[str, object]:
        """Returns the settings that `names` selects, by name, as they enter a fingerprint.

        `layers`, `pooling` and `title_prefix` were added later. They are left out if they have no
        effect, so that older fingerprints stay valid.

        Args:
            names: names of the settings to include, passed to pydantic's `model_dump`.
            exclude_none: whether settings that are None are left out.
        """
        settings = self.model_dump(include=names, exclude_none=exclude_none)
        for name in ("layers", "title_prefix"):
            if getattr(self, name) is None:
                settings.pop(name, None)
        if self.kind != "retrieval" or self.pooling == "last":
            settings.pop("pooling", None)
        return settings

    def settings_as(self, kind: TeacherKind) -> dict[str, object]:
        """Returns these settings for another kind of teacher, by name, with those that it fixes.

        They are not validated: `kind` may not be able to use `model`.
        """
        return {**self.model_dump(), "kind": kind, **FIXED_SETTINGS[kind]}

    @field_validator("model")
    @classmethod
    def _a_model_can_do_what_its_kind_needs(cls, model: str, others: ValidationInfo) -> str:
        if not model.startswith((REMOTE_PREFIX, SENTENCE_PREFIX)):
            return model
        writers = {"generative"} if model.startswith(REMOTE_PREFIX) else set()
        allowed = ENCODER_KINDS | WORDS_KINDS | writers
        if others.data.get("kind") not in allowed:
            raise ValueError(f"needs kind = {' or '.join(map(repr, sorted(allowed)))}")
        return model

    @field_validator("layers")
    @classmethod
    def _only_a_local_llm_that_does_not_write_can_lack_layers(
        cls, layers: int | None, others: ValidationInfo
    ) -> int | None:
        model = others.data.get("model", "")
        if layers is not None and model.startswith((REMOTE_PREFIX, SENTENCE_PREFIX)):
            raise ValueError(f"{layers}: {model!r} is used with all layers; remove the setting")
        if layers is not None and others.data.get("kind") == "generative":
            raise ValueError(f"{layers}: a generative teacher needs all layers; remove the setting")
        return layers

    @field_validator("overlap")
    @classmethod
    def _overlap_is_less_than_a_prompt(cls, overlap: int, others: ValidationInfo) -> int:
        max_titles = others.data.get("max_titles", overlap + 1)
        if overlap >= max_titles:
            raise ValueError(f"{overlap}: must be less than max_titles = {max_titles}")
        return overlap

    @field_validator("budget_tokens")
    @classmethod
    def _a_titles_teacher_has_no_token_budget(
        cls, budget: int | None, others: ValidationInfo
    ) -> int | None:
        if budget is not None and others.data.get("kind") in TITLES_KINDS | FUSION_KINDS:
            raise ValueError(
                f"kind = {others.data['kind']!r} reads no histories, only titles: limit it by "
                "budget_sequences"
            )
        return budget

    @field_validator("title_decays", "title_shares")
    @classmethod
    def _weights_are_fractions(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        for fraction in fractions:
            if not 0 <= fraction <= 1:
                raise ValueError(f"{fraction}: must be between 0 and 1")
        return fractions

    @field_validator("title_prefix")
    @classmethod
    def _a_local_llm_reads_no_prefix(cls, prefix: str | None, others: ValidationInfo) -> str | None:
        model = others.data.get("model", REMOTE_PREFIX)
        if prefix is not None and not model.startswith((REMOTE_PREFIX, SENTENCE_PREFIX)):
            raise ValueError(f"{model!r} reads titles without a prefix; remove the setting")
        return prefix

    @field_validator("tuning")
    @classmethod
    def _model_and_kind_can_be_tuned(cls, tuning: str, others: ValidationInfo) -> str:
        model, kind = others.data.get("model", ""), others.data.get("kind")
        if model.startswith((REMOTE_PREFIX, SENTENCE_PREFIX)) and tuning != "none":
            raise ValueError(f"{model!r} needs tuning = 'none'")
        if kind in TITLES_KINDS | FUSION_KINDS and tuning != "none":
            raise ValueError(f"kind = {kind!r} learns from no history and needs tuning = 'none'")
        return tuning
