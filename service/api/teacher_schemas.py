"""Schemas of the answers of the teacher's routes."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from service.api.schemas import RecommendationAnswer, RecommendedItem
from service.ranking.recommender import Source


class TeacherRecommendationAnswer(RecommendationAnswer):
    """Items that the teacher recommends; if it cannot answer, those of the student.

    With `source` `teacher`, `model_version` is the teacher's and scores are negative distances.
    There may then be fewer than `k` items: the teacher's list, without items that are unknown or
    not allowed. The student's items are not appended, because their scores are no distances.
    """

    cached: bool = Field(description="whether the answer comes from the cache")
    generated_text: str | None = Field(description="text that a generative teacher wrote")


class ComparedAnswer(BaseModel):
    """One side of a comparison."""

    model_version: str
    source: Source
    latency_ms: float = Field(description="latency measured by this service")
    items: Sequence[RecommendedItem]


class ComparedTeacherAnswer(ComparedAnswer):
    """The teacher's side of a comparison; its list may be shorter than `k`."""

    cached: bool = Field(description="whether the answer comes from the cache")
    generated_text: str | None = Field(description="text that a generative teacher wrote")


class ComparisonAnswer(BaseModel):
    """The recommendations of student and teacher for one history, and their agreement."""

    variant: str = Field(description="variant of the student")
    degraded: bool = Field(description="made without the history store, the student or the teacher")
    unknown_items: int = Field(
        description="number of ids of the history that the catalog does not have"
    )
    student: ComparedAnswer
    teacher: ComparedTeacherAnswer | None = Field(
        description="null if the teacher does not answer, the catalog knows no item of the "
        "history, or no item is allowed"
    )
    overlap: float | None = Field(
        description="overlap@k: number of items in both lists, divided by the length of the longer"
    )
    rank_correlation: float | None = Field(
        description="Kendall's tau over the union of both lists, in [-1, 1]; items that a list "
        "lacks share the place after its last (Fagin, Kumar and Sivakumar 2003, K^(1/2))"
    )
