"""Schemas of queries with rules, which choose among the items that the filters allow."""

from typing import Annotated, ClassVar

from pydantic import Field

from service.admission.costs import MAX_QUERIES
from service.api.schemas.bodies import (
    Attributes,
    Ids,
    ItemId,
    K,
    Name,
    RecommendationQuery,
    RequestBody,
    Value,
)
from service.ranking.rules.types import Rules
from service.settings import DEFAULT_K

MAX_BOOSTED_ITEMS = 200
"""Maximum number of items with a boost of their own."""

MAX_PINS = 100
"""Maximum number of pinned items."""

_MAX_BOOST = 1000
_Limit = Annotated[int, Field(ge=1)]
_Boost = Annotated[float, Field(ge=-_MAX_BOOST, le=_MAX_BOOST, allow_inf_nan=False)]


class Boost(RequestBody):
    """Numbers that are added to scores; an item gets the sum of all numbers that apply to it.

    In a student's ranking, adding 0.7 about doubles the odds of an item.
    """

    items: Annotated[dict[ItemId, _Boost], Field(max_length=MAX_BOOSTED_ITEMS)] = Field(
        default={}, description="number by item id"
    )
    attributes: Annotated[
        dict[Name, Annotated[dict[Value, _Boost], Field(max_length=64)]], Field(max_length=16)
    ] = Field(
        default={},
        description="number by attribute and value",
        examples=[{"genres": {"Comedy": 0.7}}],
    )


class Pin(RequestBody):
    """An item and its fixed place in the list."""

    item_id: ItemId
    position: Annotated[int, Field(ge=1, description="place in the list, at most `k`; 1 is first")]


class RuleFields(RequestBody):
    """The rules of a query. If too few items satisfy them, fewer than `k` items are returned.

    docs/rest.md has the order in which the rules are applied.
    """

    candidates: Annotated[Ids, Field(min_length=1)] | None = Field(
        default=None, description="ids of the only items that may be recommended; unknown: skipped"
    )
    boost: Boost | None = Field(default=None, description="numbers to add to scores")
    pin: Annotated[list[Pin], Field(max_length=MAX_PINS, fail_fast=True)] | None = Field(
        default=None,
        description="items at fixed places; one that is unknown, excluded, filtered out or no "
        "candidate is left out and named in `left_out_pins`",
    )
    max_per: Annotated[dict[Name, _Limit], Field(max_length=16)] | None = Field(
        default=None,
        description="by attribute: the largest number of items with the same value",
        examples=[{"genres": 2}],
    )
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="0: by score only; 1: each item as different as possible from those before it",
    )
    min_score: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="items with a lower score, boosts included, are left out"
    )

    RULES: ClassVar[frozenset[str]] = frozenset(
        {"candidates", "boost", "pin", "max_per", "diversity", "min_score"}
    )

    def rules(self) -> Rules | None:
        """Returns the rules of the query; None if it has none."""
        if self.RULES.isdisjoint(self.model_fields_set):
            return None
        boost = self.boost or Boost()
        return Rules(
            candidates=self.candidates,
            item_boosts=boost.items,
            attribute_boosts=boost.attributes,
            pins={pin.position: pin.item_id for pin in self.pin or ()},
            max_per=self.max_per or {},
            diversity=self.diversity,
            min_score=self.min_score,
        )


class RuledQuery(RuleFields, RecommendationQuery):
    """A query for recommendations with rules."""


class RecommendationRequest(RuledQuery):
    """A query for recommendations with rules and, if wanted, with reasons."""

    explain: bool = Field(
        default=False,
        description="whether the answer has the reasons of each item: the items of the history "
        "that led to it",
    )


class BatchRequest(RequestBody):
    """Several queries that are answered together."""

    requests: Annotated[
        list[RuledQuery], Field(min_length=1, max_length=MAX_QUERIES, fail_fast=True)
    ]


class SelectionRequest(RuleFields):
    """A query for the best items that filters and rules allow, by what its route ranks by."""

    k: K = DEFAULT_K
    exclude: Ids = Field(default=[], description="item ids that must not be returned")
    allow: Attributes = Field(default={}, description="see RecommendationRequest")
    deny: Attributes = Field(default={}, description="see RecommendationRequest")


class SimilarItemsRequest(SelectionRequest):
    """A query for the items that are most similar to an item."""
