"""Answers a table of histories with the service's own ranking."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from distilled_recommender.recommend.live_items import NO_LIVE_ITEMS, LiveItems
from export.contract.records import BundleError
from service.bundles.loading import load_recommender
from service.errors import InvalidRequestError
from service.ranking.filters import AttributeFilter
from service.ranking.recommender import Query, Recommendations, Recommender
from training.errors import ConfigError

HISTORY = "history"
"""Column of the histories: a list of item ids, oldest first."""

ANSWERS = pa.schema(
    [
        ("item_ids", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
        ("source", pa.string()),
    ]
)
"""Columns of the answers: items and scores, best first, and the ranker, as in an answer by REST."""

_BATCH = 32  # histories of about the same length; larger batches are slower


@dataclass(frozen=True)
class QueryOptions:
    """The part of a query that is the same for all histories.

    Attributes:
        k: number of items to recommend.
        allow: allowed values by attribute; a recommended item has one of them for each attribute.
        deny: forbidden values by attribute; no recommended item has one of them.
        mask_seen: whether items of the history are left out, unless no other item is left.
    """

    k: int
    allow: AttributeFilter = field(default_factory=dict)
    deny: AttributeFilter = field(default_factory=dict)
    mask_seen: bool = True

    def about(self, history: Sequence[str]) -> Query:
        """Returns the query for one history."""
        return Query(history, self.k, (), self.allow, self.deny, self.mask_seen)


class Answering:
    """Callable that maps a table of histories to one with recommendations, by one loaded bundle.

    Attributes:
        num_items: number of items that can be recommended.
        num_added: number of live items that were added and that the bundle can rank.
        version: the bundle's `model_version`.
    """

    def __init__(
        self,
        bundle: Path,
        question: QueryOptions,
        live_items: LiveItems = NO_LIVE_ITEMS,
        version: str | None = None,
    ) -> None:
        """Loads and checks the bundle, and checks the filters of `question`.

        Args:
            bundle: folder of the bundle.
            question: what is asked for every history.
            live_items: changes to the bundle's items.
            version: `model_version` that the bundle must have, so that all processes of a run
                answer with the same one; None: any.

        Raises:
            BundleError: the bundle cannot be served, or has another version.
            ConfigError: a filter names an attribute that no item has.
        """
        whole = load_recommender(bundle, question.k)
        self._recommender = whole.with_changes(live_items.added, live_items.edits)
        self.version = whole.manifest.model_version
        if version not in (None, self.version):
            raise BundleError(
                f"{bundle}: {self.version!r} is not the bundle {version!r} that this run began with"
            )
        self.num_items = len(self._recommender.catalog)
        self.num_added = sum(map(whole.can_add, live_items.added.values()))
        self._question = question
        try:
            self._recommender.catalog.filters.check(question.allow, question.deny)
        except InvalidRequestError as error:
            raise ConfigError(f"--{error.field}: {error.message}") from None

    def __call__(self, histories: pa.Table) -> pa.Table:
        """Recommends items for the history in each row of `histories`.

        Returns `histories` with the columns of `ANSWERS` in place of the column `HISTORY`. A null
        in `HISTORY` is read as an empty history, and nulls in a history are left out.
        """
        lists = [
            [item_id for item_id in each or () if item_id is not None]
            for each in histories.column(HISTORY).to_pylist()
        ]
        answers = _in_batches(self._recommender, [self._question.about(each) for each in lists])
        table = histories.drop_columns([HISTORY])
        for name in ANSWERS.names:
            table = table.append_column(name, answers.column(name))
        return table


def _in_batches(recommender: Recommender, queries: Sequence[Query]) -> pa.Table:
    """Answers queries in batches of about the same number of items that the catalog has.

    Such histories share an inference of the common-case graph. Returns a table of `ANSWERS` with
    a row for each query, in the order of the queries.
    """
    known = recommender.catalog.known_indices
    order = np.argsort([len(known(each.history)) for each in queries], kind="stable")
    # Answers become columns batch by batch: millions of small objects would occupy the garbage
    # collector.
    tables = [
        _as_table(recommender.recommend_many([queries[number] for number in numbers]))
        for numbers in np.split(order, range(_BATCH, len(order), _BATCH))
        if len(numbers)
    ]
    rows = np.argsort(order)
    return pa.concat_tables([ANSWERS.empty_table(), *tables]).combine_chunks().take(rows)


def _as_table(answers: Sequence[Recommendations]) -> pa.Table:
    """Returns answers as a table of `ANSWERS`."""
    ends = np.cumsum([0, *(len(each.ranking) for each in answers)], dtype=np.int32)
    item_ids = [item.item_id for each in answers for item, _ in each.ranking]
    scores = [score for each in answers for _, score in each.ranking]
    columns = [
        pa.ListArray.from_arrays(ends, pa.array(item_ids, pa.string())),
        pa.ListArray.from_arrays(ends, pa.array(scores, pa.float32())),
        pa.array([each.source for each in answers], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=ANSWERS)
