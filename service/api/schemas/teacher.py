"""Schemas of the answers of the teacher's routes, for OpenAPI."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from service.api.schemas.bodies import UNKNOWN_ITEMS, RecommendationAnswer, RecommendedItem
from service.ranking.types import Source


class TeacherRecommendationAnswer(RecommendationAnswer):
    """The recommendations of the teacher; if it does not answer, those of the student.

    If `source` is `teacher`, `model_version` is the teacher's, and each score is the negative
    distance of its item. The list may then have fewer than `k` items: items that the catalog lacks
    or the query does not allow are left out. The student's items are not appended, because their
    scores are not distances.
    """

    cached: bool = Field(description="whether the teacher's answer comes from the cache")
    generated_text: str | None = Field(
        description="title that a generative teacher wrote; null for other teachers and for the "
        "student"
    )


class ComparedAnswer(BaseModel):
    """The recommendations of the student or the teacher in a comparison."""

    model_version: str
    source: Source
    latency_ms: float = Field(
        description="time until this service had the recommendations, in milliseconds"
    )
    items: Sequence[RecommendedItem]


class ComparedTeacherAnswer(ComparedAnswer):
    """The recommendations of the teacher in a comparison; there may be fewer than `k` items."""

    cached: bool = Field(description="whether the teacher's answer comes from the cache")
    generated_text: str | None = Field(
        description="title that a generative teacher wrote; null for other teachers"
    )


class ComparisonAnswer(BaseModel):
    """The recommendations of student and teacher for one history, and their agreement."""

    variant: str = Field(description="variant whose student was asked")
    degraded: bool = Field(
        description="whether the history store, the student or the teacher did not answer"
    )
    unknown_items: int = Field(description=UNKNOWN_ITEMS)
    student: ComparedAnswer
    teacher: ComparedTeacherAnswer | None = Field(
        description="null if the teacher did not answer, the catalog has no item of the history, "
        "or the query allows no item"
    )
    overlap: float | None = Field(
        description="overlap@k: number of items in both lists, divided by the length of the longer "
        "list; null without the teacher's answer"
    )
    rank_correlation: float | None = Field(
        description="Kendall's tau over the union of both lists, in [-1, 1]; items that a list "
        "lacks are tied after its last item (Fagin, Kumar and Sivakumar 2003, K^(1/2)); null "
        "without the teacher's answer"
    )
