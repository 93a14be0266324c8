"""The registry of student kinds, and the settings `[student]` of an experiment."""

from collections.abc import Mapping, Set
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from training.settings.section import Section

StudentKind = Literal["sasrec", "gru4rec", "caser"]
BlockKind = Literal["pre-norm", "original", "ligr"]

MAX_HISTORY_LENGTH = 4_096  # that of a bundle, `export.contract.manifest`

# Each kind is implemented in `training/students/<kind>.py` by a class with the name below.
STUDENT_NAMES: Mapping[StudentKind, str] = {
    "sasrec": "SASRec",
    "gru4rec": "GRU4Rec",
    "caser": "Caser",
}


class StudentConfig(Section):
    """Settings of the student's architecture.

    Each kind of student ignores the settings that only other kinds use.
    """

    ADDED_LATER: ClassVar[Set[str]] = {"block"}
    FORMER_VALUES: ClassVar[Mapping[str, object]] = {"block": "pre-norm"}

    kind: StudentKind = Field(default="sasrec", description="architecture of the student")
    max_history_length: int = Field(
        default=50,
        ge=1,
        le=MAX_HISTORY_LENGTH,
        description="number of newest items that the student reads",
    )
    hidden_size: int = Field(
        default=64, ge=2, le=4_096, description="length of item and query vectors"
    )
    num_layers: int = Field(
        default=2,
        ge=1,
        le=64,
        description="attention blocks of SASRec, recurrent layers of GRU4Rec",
    )
    num_heads: int = Field(
        default=2,
        ge=1,
        validate_default=True,
        description="attention heads of SASRec; must divide hidden_size",
    )
    block: BlockKind = Field(
        default="original",
        description="attention block of SASRec; `original` adds to normalised vectors and learns "
        "sooner, `ligr` has gated residuals and a SwiGLU",
    )
    feed_forward_factor: int = Field(
        default=1,
        ge=1,
        le=64,
        description="inner size of SASRec's feed-forward layers / hidden_size",
    )
    convolution_window: int = Field(
        default=5, ge=1, le=64, description="number of newest items that Caser's filters see"
    )
    horizontal_filters: int = Field(
        default=16, ge=1, le=4_096, description="Caser's horizontal filters of each height"
    )
    vertical_filters: int = Field(default=4, ge=1, le=4_096, description="Caser's vertical filters")
    dropout: float = Field(default=0.4, ge=0, lt=1, description="dropout rate in training")

    def fingerprint_content(self, exclude: Set[str] = frozenset()) -> dict[str, object]:
        """Returns the settings that enter a fingerprint, by name, see `Section`.

        Students without attention blocks have no `block`, whose default has changed.
        """
        ignored = frozenset() if self.kind == "sasrec" else {"block"}
        return super().fingerprint_content({*exclude, *ignored})

    @field_validator("num_heads")
    @classmethod
    def _heads_share_the_hidden_size(cls, num_heads: int, others: ValidationInfo) -> int:
        hidden_size = others.data.get("hidden_size", num_heads)
        if others.data.get("kind") == "sasrec" and hidden_size % num_heads:
            raise ValueError(f"does not divide hidden_size = {hidden_size}")
        return num_heads
