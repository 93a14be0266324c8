"""Answers a table of histories with the service's own ranking."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

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
    """Callable that maps a table of histories to one with recommendations, by one loaded bundle."""

    def __init__(self, bundle: Path, question: QueryOptions) -> None:
        """Loads and checks the bundle, and checks the filters of `question`.

        `question` is asked for every history.

        Raises:
            BundleError: the bundle cannot be served.
            ConfigError: a filter names an attribute that no item has.
        """
        self._recommender = load_recommender(bundle, question.k)
        self._question = question
        try:
            self._recommender.catalog.filters.check(question.allow, question.deny)
        except InvalidRequestError as error:
            raise ConfigError(f"--{error.field}: {error.message}") from None

    def __call__(self, histories: pa.Table) -> pa.Table:
        """Recommends items for the history in each row of `histories`.

        Returns `histories` with the columns of `ANSWERS` in place of the column `HISTORY`. A null
        in `HISTORY` is read as an empty history.
        """
        lists = [each or [] for each in histories.column(HISTORY).to_pylist()]
        answers = _in_batches(self._recommender, [self._question.about(each) for each in lists])
        columns = [
            [each.item_ids for each in answers],
            [[score for _, score in each.ranking] for each in answers],
            [each.source for each in answers],
        ]
        table = histories.drop_columns([HISTORY])
        for column, values in zip(ANSWERS, columns, strict=True):
            table = table.append_column(column, pa.array(values, column.type))
        return table


def _in_batches(recommender: Recommender, queries: Sequence[Query]) -> list[Recommendations]:
    """Answers queries in batches of similar history lengths.

    The answers are in the order of the queries.
    """
    order = sorted(range(len(queries)), key=lambda number: len(queries[number].history))
    answer_of: dict[int, Recommendations] = {}
    for start in range(0, len(order), _BATCH):
        numbers = order[start : start + _BATCH]
        answers = recommender.recommend_many([queries[each] for each in numbers])
        answer_of.update(zip(numbers, answers, strict=True))
    return [answer_of[number] for number in range(len(queries))]
