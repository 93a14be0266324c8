"""The settings of distillation, `[distillation]` of an experiment."""

from collections.abc import Set
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from training.settings.section import Section

# Far below it, `exp(-rank / temperature)` is rounded to 0 for every rank, and no item has a weight.
MIN_POSITION_TEMPERATURE = 0.1
MAX_COLUMNS = 128  # default number of principal columns of an LLM's embeddings


class DistillationConfig(Section):
    """Settings of distillation (DLLM2Rec): use of the teacher's ranking lists and embeddings."""

    ADDED_LATER: ClassVar[Set[str]] = {
        *("confidence_scale", "empty_places"),
        *("list_loss", "distribution_weight", "distribution_length"),
        *("cold_steps", "cold_offset_rate", "cold_projection_rate"),
    }

    ranking_weight: float = Field(
        default=0.1, ge=0, le=1, description="share of the list loss in the total; 0 = no lists"
    )
    list_length: int = Field(
        default=10, ge=1, description="K: number of items of a ranking list that are used"
    )
    list_loss: Literal["ranking", "distribution"] = Field(
        default="ranking",
        description="`ranking` weights the items of a list as the paper does; `distribution` "
        "learns the probabilities of a fusion teacher; it needs training.loss = 'cross-entropy'",
    )
    distribution_weight: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="ranking_weight of `distribution`; ranking_weight itself is not 0 then",
    )
    distribution_length: int = Field(
        default=100, ge=1, description="list_length of `distribution`, if the lists are as long"
    )
    weight_form: Literal["paper", "reference-code"] = Field(
        default="paper", description="how the weights of a list are combined, see docs/method.md"
    )
    position: bool = Field(default=True, description="weight listed items by rank, paper eq. 6")
    confidence: bool = Field(
        default=True, description="weight listed items by the teacher's distance, paper eq. 7"
    )
    consistency: bool = Field(
        default=True,
        description="weight listed items by agreement with the student's own top K, paper eq. 8",
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
    position_temperature: float = Field(
        default=3.0,
        ge=MIN_POSITION_TEMPERATURE,
        description="temperature beta of paper eq. 6",
    )
    confidence_temperature: float | None = Field(
        default=None,
        gt=0,
        description="temperature of eq. 7; by default the median distance of next items, or 1 for "
        "weight_form = 'reference-code'",
    )
    confidence_scale: Literal["distance", "rank"] = Field(
        default="distance",
        description="`rank` spreads the confidences of eq. 7 over (0, 1) by their rank, with the "
        "same mean; for weight_form = 'paper'",
    )
    empty_places: Literal["redistributed", "lost"] = Field(
        default="redistributed",
        description="weight of the places of a list whose item cannot be learned: the other places "
        "share it, or the list weighs less; for weight_form = 'paper'",
    )
    list_negative: bool = Field(
        default=False,
        description="add the reference code's negative term to the list loss; needs "
        "training.loss = 'binary'",
    )
    embeddings: bool = Field(
        default=True, description="item vectors contain the projected LLM embedding"
    )
    embedding_weight: float = Field(
        default=1.0, ge=0, description="factor of the projected embedding in an item vector"
    )
    embedding_columns: int = Field(
        default=MAX_COLUMNS,
        ge=1,
        le=65_536,
        description="number of principal columns of the LLM's embeddings that are read",
    )
    offset: bool = Field(default=True, description="item vectors contain a learned offset")
    offset_dropout: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="share of items whose offset is left out in a training step",
    )
    cold_bonus: bool = Field(
        default=False,
        description="after training, give cold items vectors and a bonus, fitted on validation",
    )
    cold_price: float = Field(
        default=0.005,
        ge=0,
        description="share of the warm validation NDCG@20 that the cold bonus may cost",
    )
    cold_steps: int = Field(
        default=15,
        ge=1,
        le=10_000,
        description="number of steps on validation examples that fit what cold items share",
    )
    cold_offset_rate: float = Field(
        default=0.04, gt=0, description="learning rate of the offset that cold items share"
    )
    cold_projection_rate: float = Field(
        default=0.002,
        gt=0,
        description="learning rate of the projection of titles that cold items share",
    )

    @property
    def share_of_lists(self) -> float:
        """Share of the list loss in the total loss.

        This is `distribution_weight` if `list_loss` is "distribution", else `ranking_weight`.
        """
        learns_all = self.list_loss == "distribution"
        return self.distribution_weight if learns_all else self.ranking_weight

    @property
    def used_length(self) -> int:
        """Maximum number of items that the loss uses from a ranking list.

        This is `distribution_length` if `list_loss` is "distribution", else `list_length`.
        """
        learns_all = self.list_loss == "distribution"
        return self.distribution_length if learns_all else self.list_length

    @field_validator("offset")
    @classmethod
    def _an_item_has_a_vector(cls, offset: bool, others: ValidationInfo) -> bool:
        if not offset and not others.data.get("embeddings", True):
            raise ValueError(
                "false needs embeddings = true: an item vector must have an embedding or an offset"
            )
        return offset
