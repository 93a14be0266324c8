"""Selects lists by the rules of docs/rest.md in the most direct way: NumPy, the whole catalog.

It imports nothing of the service, to which it is compared. Scores and item vectors come from the
bundle's graphs.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Request = Mapping[str, Any]
"""The JSON body of a request."""

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

TIE = 1e-5
"""Largest difference of values that may decide either way."""


class Reference:
    """The items of a bundle, then added ones, with their scores and vectors."""

    def __init__(
        self, bundle: Path, added: Sequence[Mapping[str, Any]], embeddings: NDArray[np.float32]
    ) -> None:
        """Opens the bundle's graphs; `embeddings` are those of the `added` items."""
        lines = (bundle / "items.jsonl").read_text().splitlines()
        self.items = [json.loads(line) for line in lines] + list(added)
        self.row = {item["item_id"]: row for row, item in enumerate(self.items)}
        self._num_in_bundle = len(lines)
        self._graph = open_graph(bundle / "model.onnx")
        encoder = open_graph(bundle / "item_encoder.onnx")
        (self._added,) = encoder.run(None, {encoder.get_inputs()[0].name: embeddings})
        vectors = np.concatenate([self._run([0], 1, "table")[0][1:], self._added])
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        self._units: Numbers = vectors / lengths
        pairs = [
            {(name, value) for name, values in item["attributes"].items() for value in values}
            for item in self.items
        ]
        self._values = sorted(set().union(*pairs))
        self._has_value = np.array([[each in held for each in self._values] for held in pairs])

    def _run(self, history: Sequence[int], k: int, *outputs: str) -> Sequence[Any]:
        feeds = {
            "history": np.array([history], dtype=np.int64),
            "excluded": np.zeros((1, 1), dtype=np.int64),
            "allowed": np.ones((1, 1 + self._num_in_bundle + len(self._added)), dtype=np.bool_),
            "mask_seen": np.array(False),
            "k": np.array([k]),
            "added": self._added,
        }
        found: Sequence[Any] = self._graph.run(list(outputs), feeds)
        return found

    def scores(self, history: Sequence[str]) -> Numbers:
        """Returns the score of every item; without a known history, by popularity."""
        rows = [self.row[each] for each in history if each in self.row]
        if not rows:
            return np.log1p([item.get("popularity", 0) for item in self.items])
        indices, scores = self._run(
            [row + 1 for row in rows], len(self.items), "item_indices", "scores"
        )
        by_row = np.empty(len(self.items))
        by_row[indices[0] - 1] = scores[0]
        return by_row

    def cosines(self, item_id: str) -> Numbers:
        """Returns the cosine of every item's vector with that of one item."""
        cosines: Numbers = self._units @ self._units[self.row[item_id]]
        return cosines

    def with_any(self, name: str, values: Sequence[str]) -> Flags:
        """Returns which items have one of the values of an attribute."""
        columns = [
            column
            for column, each in enumerate(self._values)
            if each[0] == name and each[1] in values
        ]
        return np.asarray(self._has_value[:, columns].any(axis=1), dtype=np.bool_)

    def rows(self, item_ids: Sequence[str]) -> list[int]:
        """Returns the rows of the known ones of `item_ids`."""
        return [self.row[each] for each in item_ids if each in self.row]

    def flags(self, item_ids: Sequence[str]) -> Flags:
        """Returns which items have one of these ids."""
        flags = np.zeros(len(self.items), dtype=np.bool_)
        flags[self.rows(item_ids)] = True
        return flags

    def allowed(self, request: Request) -> Flags:
        """Returns which items candidates, filters and exclusions leave."""
        allowed = ~self.flags(request.get("exclude", ()))
        if "candidates" in request:
            allowed &= self.flags(request["candidates"])
        for name, values in request.get("allow", {}).items():
            allowed &= self.with_any(name, values)
        for name, values in request.get("deny", {}).items():
            allowed &= ~self.with_any(name, values)
        return allowed

    def boosted(self, request: Request, scores: Numbers) -> Numbers:
        """Adds the boosts of the request to `scores`."""
        boosted, boost = scores.copy(), request.get("boost", {})
        for item_id, number in boost.get("items", {}).items():
            boosted[self.rows([item_id])] += number
        for name, number_by_value in boost.get("attributes", {}).items():
            for value, number in number_by_value.items():
                boosted[self.with_any(name, [value])] += number
        return boosted

    def units(self, rows: Sequence[int]) -> Numbers:
        """Returns the vectors of items, scaled to length 1."""
        return self._units[list(rows)]

    def full_values(self, rows: Sequence[int], max_per: Mapping[str, int]) -> Flags:
        """Returns which items have a value that `rows` have as often as `max_per` allows."""
        limits = np.array([max_per.get(name, np.inf) for name, _ in self._values])
        is_full = self._has_value[list(rows)].sum(axis=0) >= limits
        return np.asarray(self._has_value[:, is_full].any(axis=1), dtype=np.bool_)


class Answer:
    """The list that a request should get, made one item at a time."""

    def __init__(
        self,
        reference: Reference,
        request: Request,
        scores: Numbers,
        *,
        seen: Sequence[str] = (),
        ranks: NDArray[np.int64] | None = None,
    ) -> None:
        """Prepares the first choice.

        Args:
            reference: the items.
            request: the filters and rules.
            scores: score of every item, without boosts.
            seen: ids of the items that are left out unless no other item is left.
            ranks: of every item, which of several with the same score comes first; None: the
                order of the catalog.
        """
        self._reference = reference
        self._request = request
        self._ranks = np.arange(len(scores)) if ranks is None else ranks
        self.scores = reference.boosted(request, scores)
        pinnable = reference.allowed(request)
        unseen = pinnable & ~reference.flags(seen)
        open_items = unseen if unseen.any() else pinnable
        pins = {each["position"]: each["item_id"] for each in request.get("pin", ())}
        self.pins = {
            place: row
            for place, each in pins.items()
            for row in reference.rows([each])
            if pinnable[row]
        }
        open_items = open_items & ~_at(list(self.pins.values()), len(open_items))
        self.num_open = int(np.count_nonzero(open_items))
        self._open = open_items & (self.scores >= request.get("min_score", -np.inf))
        self.num_passing = int(np.count_nonzero(self._open))
        self.k = request["k"]
        self._pool = self._best_open(max(min(10 * self.k, 1000), 2 * self.k))
        self.others: list[int] = []

    def complete(self, expected: Sequence[str] | None = None) -> list[str]:
        """Returns the ids of the list.

        With `expected`, the ids of another answer: where its choice is legal and as good but for
        `TIE`, follows it.
        """
        places = range(1, self.k + 1)
        wanted = iter(self._others_of(expected)) if expected is not None else None
        while len(self.others) < self.k - len(self.pins):
            row = self._choice(next(wanted, None) if wanted else None)
            if row is None:
                break
            self.others.append(row)
            self._open[row] = False
        others = iter(self.others)
        listed = [self.pins[each] if each in self.pins else next(others, None) for each in places]
        return [self._reference.items[row]["item_id"] for row in listed if row is not None]

    @property
    def shortage(self) -> str | None:
        """Why the list has fewer than `k` items; None if it has `k`."""
        free = self.k - len(self.pins)
        if len(self.others) == free:
            return None
        if self.num_open < free:
            return "no_more_items"
        return "min_score" if self.num_passing < free else "max_per"

    def _others_of(self, item_ids: Sequence[str]) -> list[int]:
        rows = self._reference.rows(item_ids)
        return [row for row in rows if row not in self.pins.values()]

    def _choice(self, wanted: int | None) -> int | None:
        chosen = [*self.pins.values(), *self.others]
        max_per = self._request.get("max_per", {})
        legal = self._open & ~self._reference.full_values(chosen, max_per)
        if not legal.any():
            return None
        values = self.scores
        if self._request.get("diversity") and (legal & self._in_pool).any():
            legal, values = legal & self._in_pool, self._marginal(chosen)
        is_best = legal & (values == values[legal].max())
        best = int(np.argmin(np.where(is_best, self._ranks, len(values))))
        if wanted is not None and legal[wanted] and values[wanted] >= values[best] - TIE:
            return wanted
        return best

    def _marginal(self, chosen: Sequence[int]) -> Numbers:
        """Returns the maximal marginal relevance of the items of the pool, -inf for others."""
        weight, rows = self._request["diversity"], self._pool
        scores = self.scores[rows]
        width = scores.max() - scores.min()
        relevance = (scores - scores.min()) / width if width else np.ones(len(rows))
        values = np.full(len(self.scores), -np.inf)
        similarity: Numbers | float = 0.0
        if chosen:
            units = self._reference.units
            similarity = (units(rows) @ units(chosen).T).max(axis=1)
        values[rows] = (1 - weight) * relevance - weight * similarity
        return values

    @property
    def _in_pool(self) -> Flags:
        return _at(self._pool, len(self.scores))

    def _best_open(self, number: int) -> list[int]:
        ranked = np.lexsort((self._ranks, -np.where(self._open, self.scores, -np.inf)))
        return [int(row) for row in ranked[: min(number, self.num_passing)]]


def _at(rows: Sequence[int], length: int) -> Flags:
    flags = np.zeros(length, dtype=np.bool_)
    flags[list(rows)] = True
    return flags


def scores_by_events(order: str, now: NDArray[np.int64], before: NDArray[np.int64]) -> Numbers:
    """Returns the score of every item from its events in a window and in the one before.

    `order`: popular or trending.
    """
    counted, others = now.astype(np.float64), before.astype(np.float64)
    growth: Numbers = 1 + counted
    if order == "trending":
        counted *= min(1.0, before.sum() / now.sum())
        others *= min(1.0, now.sum() / before.sum())
        growth = (counted + 10) / (others + 10)
    scores: Numbers = np.log(growth)
    return scores


def open_graph(path: Path) -> ort.InferenceSession:
    """Opens a graph for one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options, ["CPUExecutionProvider"])
