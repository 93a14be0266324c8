"""What the routes of the slow path answer."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from service.api.schemas import RecommendationAnswer, RecommendedItem
from service.ranking.recommender import Source


class TeacherRecommendationAnswer(RecommendationAnswer):
    """The next items as the teacher sees them; if it cannot answer, the student's.

    With `source` `teacher`, `model_version` is the teacher's and a score is a negative distance.
    There may be fewer than `k` items then: those that the teacher tells and that may be answered.
    Nothing of the student's fills them up, whose scores are no distances.
    """

    cached: bool = Field(description="the teacher told this earlier")
    generated_text: str | None = Field(description="what a teacher that writes has written")


class ComparedAnswer(BaseModel):
    """One side of a comparison."""

    model_version: str
    source: Source
    latency_ms: float = Field(description="as this service saw it")
    items: Sequence[RecommendedItem]


class ComparedTeacherAnswer(ComparedAnswer):
    """The teacher's side: its own list, which may be shorter than `k`."""

    cached: bool = Field(description="the teacher told this earlier")
    generated_text: str | None = Field(description="what a teacher that writes has written")


class ComparisonAnswer(BaseModel):
    """Student and teacher on one history."""

    variant: str = Field(description="of the experiment, to which the student belongs")
    degraded: bool = Field(description="made without the store, the student or the teacher")
    unknown_items: int = Field(description="item ids of the history that the catalog has not")
    student: ComparedAnswer
    teacher: ComparedTeacherAnswer | None = Field(
        description="null: it does not answer now, or there is nothing to read or to answer"
    )
    overlap: float | None = Field(
        description="overlap@k: the share of items that both lists hold, of the longer one"
    )
    rank_correlation: float | None = Field(
        description="Kendall's tau over the union of both lists, in [-1, 1]; items that a list "
        "lacks share the place behind its last (Fagin, Kumar and Sivakumar 2003, K^(1/2))"
    )
