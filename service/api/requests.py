"""Checks a query, adds the stored history of its session, and computes its cost in units."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope

from export.contract.manifest import NUM_TRUSTED, is_approximate
from service.access.principal import Principal
from service.admission.caller import caller_of
from service.admission.costs import filter_units, rule_units, scoring_units
from service.admission.gate import Turn
from service.api.schemas.bodies import RecommendationQuery
from service.api.schemas.queries import Pin, RuleFields, SelectionRequest
from service.bundles.variants import ServedVariant
from service.errors import InvalidRequestError
from service.ranking.filters import Filters
from service.ranking.recommender import Query
from service.ranking.rules.diversity import pool_size
from service.ranking.rules.types import Rules
from service.runtime import Runtime
from service.stores.history.guarded import StoredHistory


def check_query(
    runtime: Runtime, variant: ServedVariant, query: RecommendationQuery, prefix: str = ""
) -> None:
    """Checks those properties of a query that its schema cannot express.

    Args:
        runtime: the runtime, for the setting MAX_K.
        variant: the variant that will answer, for the attributes of the items in its catalog.
        query: the query to check.
        prefix: precedes the field's name in the error, such as `requests[3].` in a batch.

    Raises:
        InvalidRequestError: `k` is too large, history and session are both missing, a filter or a
            rule names an attribute that no item has, or pins contradict each other.
    """
    runtime.check_k(query.k, f"{prefix}k")
    if query.history is None and query.session_id is None:
        raise InvalidRequestError(f"{prefix}history", "give a history, a session_id or both")
    filters = variant.recommender.catalog.filters
    try:
        filters.check(query.allow, query.deny)
        if isinstance(query, RuleFields):
            _check_rules(filters, query, query.k)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{prefix}{error.field}", error.message) from None


def selection_query(
    variant: ServedVariant, request: SelectionRequest, history: Sequence[str]
) -> Query:
    """Checks the filters and rules of a request; returns the ranker's query after `history`.

    Raises:
        InvalidRequestError: a filter or a rule names an attribute that no item has, or pins
            contradict each other or `k`.
    """
    filters = variant.recommender.catalog.filters
    filters.check(request.allow, request.deny)
    _check_rules(filters, request, request.k)
    return Query(
        history,
        request.k,
        exclude=request.exclude,
        allow=request.allow,
        deny=request.deny,
        rules=request.rules(),
    )


def _check_rules(filters: Filters, rules: RuleFields, k: int) -> None:
    """Checks those properties of rules that their schema cannot express.

    Args:
        filters: the filters of the catalog, which know the names of its attributes.
        rules: the rules to check.
        k: length of the list.

    Raises:
        InvalidRequestError: a rule names an attribute that no item has, or pins contradict each
            other or `k`.
    """
    if rules.boost is not None:
        filters.check_names("boost.attributes", rules.boost.attributes)
    if rules.max_per is not None:
        filters.check_names("max_per", rules.max_per)
    if rules.pin is not None:
        _check_pins(rules.pin, k)


def _check_pins(pins: Sequence[Pin], k: int) -> None:
    """Checks that each position is at most `k`, and that no position or item occurs twice.

    Raises:
        InvalidRequestError: a pin breaks one of these rules.
    """
    taken: set[int | str] = set()
    for number, pin in enumerate(pins):
        field = f"pin[{number}]"
        if pin.position > k:
            raise InvalidRequestError(
                f"{field}.position", f"must be at most k, which is {k}, not {pin.position}"
            )
        for name, value in (("position", pin.position), ("item_id", pin.item_id)):
            if value in taken:
                raise InvalidRequestError(f"{field}.{name}", f"{value!r} is pinned twice")
            taken.add(value)


async def stored_history_of(
    runtime: Runtime, query: RecommendationQuery, principal: Principal
) -> StoredHistory:
    """Reads the stored history of the query's session; empty if the query names no session.

    `principal`: the sender, whose tenant owns the session.
    """
    if not query.session_id:
        return StoredHistory([])
    return await runtime.history.read(runtime.session(query.session_id, principal.tenant))


def query_of(query: RecommendationQuery, stored: StoredHistory) -> Query:
    """Makes the recommender's query from a request and the stored history of its session.

    Its history is the stored history followed by the history in the request.
    """
    return Query(
        history=[*stored.history, *(query.history or [])],
        k=query.k,
        exclude=query.exclude,
        allow=query.allow,
        deny=query.deny,
        mask_seen=query.mask_seen,
        rules=query.rules(),
    )


def heavy_units(variant: ServedVariant, query: Query, *, explain: bool) -> int:
    """Returns the units of a query's filters, exclusions, rules and explanation.

    Returns 0 if all of these are light work. The catalog is that of `variant`. `explain`: whether
    each recommended item gets its reasons.
    """
    units = selection_units(variant, query) + units_of_search(variant, query)
    if explain:  # ranks once for each item of the window
        window = variant.recommender.manifest.max_history_length
        units += 1 + min(len(query.history), window) // 2
    return units


def selection_units(variant: ServedVariant, query: Query) -> int:
    """Returns the units of a query's filters and rules, without those of scoring items.

    Returns 0 if they are light work. The catalog is that of `variant`.
    """
    units = units_of_filters(variant, query) if query.allow or query.deny else 0
    return units + (units_of_rules(variant, query, query.rules) if query.rules else 0)


def check_turn(runtime: Runtime, variant: ServedVariant, scope: Scope) -> None:
    """Raises OverloadedError if no turn is free in time for a query that may turn out to be heavy.

    Called before an event is stored, since a refusal afterwards would hide that it was. The stored
    history can make such a query heavy in a catalog that is searched by blocks.
    """
    if is_approximate(variant.recommender.manifest.scorer):
        runtime.admission.heavy.check(caller_of(scope), units=1)


def units_of_filters(variant: ServedVariant, query: Query) -> int:
    """Returns the units that a query's filters cost in the catalog of `variant`.

    They come on top of a light request.
    """
    filters = variant.recommender.catalog.filters
    return filter_units(filters.num_steps(query.allow, query.deny))


def units_of_search(variant: ServedVariant, query: Query) -> int:
    """Returns the units of scoring all items if the query can make this necessary, else 0.

    An approximate search trusts only the NUM_TRUSTED best items that it finds. If fewer than `k` of
    those may be recommended, it reads more, and at last scores all items. Each excluded or seen
    item may be one of them, and a filter may leave none of them. Hidden items are taken as spread
    evenly over the catalog.
    """
    if not is_approximate(variant.recommender.manifest.scorer):
        return 0
    catalog = variant.recommender.catalog
    closed = len({*query.exclude, *(query.history if query.mask_seen else ())})
    num_trusted = NUM_TRUSTED * (1 - len(catalog.hidden) / len(catalog))
    may_score_all = bool(query.allow or query.deny) or query.k + closed > num_trusted
    return scoring_units(len(catalog)) if may_score_all else 0


def units_of_rules(variant: ServedVariant, query: Query, rules: Rules) -> int:
    """Returns the units that `rules` cost for a query, in the catalog of `variant`.

    They come on top of a light request.
    """
    num_items = len(variant.recommender.catalog)
    pool = pool_size(query.k) if rules.diversity else 0
    searches = bool(rules.item_boosts or rules.attribute_boosts or rules.max_per)
    return rule_units(num_items, pool, searches=searches)


# Coroutines, because FastAPI would run ordinary functions in a thread.
async def get_scope(request: Request) -> Scope:
    """FastAPI dependency: returns the ASGI scope of a request."""
    return request.scope


async def get_turn(request: Request) -> Turn:
    """FastAPI dependency: returns the turn of a request to a heavy route."""
    turn: Turn = request.scope["turn"]
    return turn


ScopeDep = Annotated[Scope, Depends(get_scope)]
TurnDep = Annotated[Turn, Depends(get_turn)]
