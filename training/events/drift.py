"""Measures drift: how recent events differ from the interactions that a model was trained on.

Drift shows in three counts: of events on items that the model does not know, of events on its most
popular items, and of events of the busiest session, which may be a bot.
"""

from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from export.contract.log.live_figures import Drift

_HEAD_SHARE = 0.5


def drift_of(
    events: pa.Table, popularity: Mapping[str, int], model_version: str, begin: int
) -> Drift:
    """Counts a window's events on unknown items, on popular items and of the busiest session.

    Args:
        events: the columns of events, each event once.
        popularity: number of training interactions of each item of the model, by item id.
        model_version: version of the model.
        begin: start of the window in ms since 1970.
    """
    head, interactions = head_of(popularity), sum(popularity.values())
    known = _number_on(events, popularity)
    return Drift(
        model_version=model_version,
        begin=begin,
        events=len(events),
        unknown=len(events) - known,
        head=_number_on(events, head),
        head_share=sum(popularity[each] for each in head) / max(interactions, 1),
        busiest=_busiest(events),
    )


def head_of(popularity: Mapping[str, int]) -> set[str]:
    """Returns the ids of the fewest items that have at least half of the training interactions."""
    needed = _HEAD_SHARE * sum(popularity.values())
    head: set[str] = set()
    counted = 0
    for item_id in sorted(popularity, key=lambda each: -popularity[each]):
        if counted >= needed:
            break
        head.add(item_id)
        counted += popularity[item_id]
    return head


def _number_on(events: pa.Table, item_ids: Collection[str]) -> int:
    found = pc.sum(pc.is_in(events["item_id"], pa.array(sorted(item_ids), pa.large_string())))
    return int(found.as_py() or 0)


def _busiest(events: pa.Table) -> int:
    """Returns the number of events of the session that has the most; 0 without events."""
    sessions = events.group_by(["tenant", "session_ref"]).aggregate([([], "count_all")])
    return int(pc.max(sessions["count_all"]).as_py() or 0)
