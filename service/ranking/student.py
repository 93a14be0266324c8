"""The student as the service sees it: the bundle's graphs in onnxruntime sessions."""

import copy
import math
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.bundle import Bundle, BundleError, BundleLayout
from export.contract.tensors import COMMON_CASE_TENSORS, ENCODER_TENSORS, MAX_COMMON_CASE_K, TENSORS
from service.errors import StudentError
from service.ranking.bound_session import BoundSession, Feeds
from service.ranking.types import IndexQuery, Mask, Ranking, Vectors

_MOST_RUNS = 2  # from three on, one run of the ranking graph costs less
_MOST_STANDING = 256  # some kilobytes each: every length of a few `k`
_OUTPUTS = [TENSORS.item_indices, TENSORS.scores]
_PADDING = 0  # an item index that stands for none
_NOTHING = np.zeros((1, 1), dtype=np.int64)
_FLAGS = {flag: np.array(flag) for flag in (False, True)}


class _Runs(threading.local):
    """Bound sessions of this thread, by `BoundSession`'s arguments, least recently used first."""

    def __init__(self) -> None:
        self.ready = lru_cache(_MOST_STANDING)(BoundSession)


class Student:
    """Ranks the catalog and what was added to it; safe to call from several threads."""

    def __init__(self, bundle: Bundle) -> None:
        """Opens the graphs.

        Raises:
            BundleError: onnxruntime cannot open them, or they lack an input or output.
        """
        layout = BundleLayout(bundle.folder)
        self._session = _open(layout.model, bundle.read_model())
        _check_names(self._session, astuple(TENSORS), layout.model)
        self._plain = _open_optional(layout.plain, bundle.read_plain(), COMMON_CASE_TENSORS)
        self._encoder = _open_optional(
            layout.item_encoder, bundle.read_item_encoder(), astuple(ENCODER_TENSORS)
        )
        # The first bundles that had such a graph have one for a single history.
        self._plain_takes_many = self._plain is not None and not _is_for_one(self._plain)
        self._num_items = len(bundle.items)
        self._longest = bundle.manifest.max_history_length
        shapes = {each.name: each.shape for each in self._session.get_outputs()}
        self._set_added(np.zeros((0, shapes[TENSORS.table][1]), dtype=np.float32))

    @property
    def embedding_size(self) -> int | None:
        """Length of the LLM embeddings that `encode` reads; None: it has learnt from none."""
        return None if self._encoder is None else int(self._encoder.get_inputs()[0].shape[1])

    @property
    def added(self) -> Vectors:
        """Vectors of the added items, `[added, hidden]`."""
        return self._added

    @property
    def everything(self) -> Mask:
        """The mask that allows all items."""
        mask: Mask = self._everything[0]
        return mask

    def with_added(self, vectors: Vectors) -> "Student":
        """The same student with these `[added, hidden]` items beside its own."""
        student = copy.copy(self)
        student._set_added(vectors)
        return student

    def encode(self, embeddings: Vectors) -> Vectors:
        """Item vectors `[items, hidden]` of LLM embeddings `[items, embedding_size]`.

        Raises:
            StudentError: there is no encoder, or onnxruntime failed.
        """
        if self._encoder is None:
            raise StudentError("the bundle has no item encoder")
        outputs = _run(
            self._encoder, [ENCODER_TENSORS.vectors], {ENCODER_TENSORS.embeddings: embeddings}
        )
        vectors: Vectors = outputs[0]
        return vectors

    def table(self) -> Vectors:
        """The vectors of the bundle's items, `[items + 1, hidden]`.

        Raises:
            StudentError: onnxruntime failed.
        """
        table: Vectors = self._run_graph([TENSORS.table], IndexQuery([0], 1))[0]
        return table

    def rank(self, question: IndexQuery) -> Ranking:
        """The best `k` items, fewer if fewer may be answered.

        Raises:
            StudentError: onnxruntime failed.
        """
        # Who stands ready would hold on to a mask, and an empty history takes padding.
        if question.allowed is not None or not question.history:
            return self.rank_fully([question])[0]
        try:
            ranking = self._plainly(question)
            return self._fully(question) if ranking is None else ranking
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise StudentError(str(error)) from error

    def _plainly(self, question: IndexQuery) -> Ranking | None:
        """What the graph of plain questions answers; None where it may not be asked or won't do."""
        if not self._is_plain(question):
            return None
        k = min(question.k, self._num_items)
        run = self._runs.ready(self._plain, len(question.history), k)
        ranking = _ranking(*run(question.history, {TENSORS.k: _number(k)}))
        return ranking if len(ranking) == k else None

    def _is_plain(self, question: IndexQuery) -> bool:
        """See `COMMON_CASE_TENSORS`."""
        return (
            self._plain is not None
            and question.allowed is None
            and question.mask_seen
            and len(question.history) > 0
            and not question.excluded
            and not len(self._added)
            and question.k <= MAX_COMMON_CASE_K
            and _PADDING not in question.history
        )

    def _fully(self, question: IndexQuery) -> Ranking:
        num_answered = min(question.k, self._num_items + len(self._added))
        run = self._runs.ready(self._session, len(question.history), num_answered)
        return _ranking(*run(question.history, self._others(question)))

    def rank_all(self, questions: Sequence[IndexQuery]) -> list[Ranking]:
        """The rankings of questions of one `k` and one `mask_seen`, in the runs that cost least.

        Raises:
            StudentError: onnxruntime failed.
        """
        lots = self._lots(questions)
        if len(lots) > _MOST_RUNS:
            return self.rank_fully(questions)
        rankings: dict[int, Ranking] = {}
        for width, places in lots.items():
            answers = self._rank_lot([questions[place] for place in places], width)
            rankings.update(zip(places, answers, strict=True))
        return [rankings[place] for place in range(len(questions))]

    def _lots(self, questions: Sequence[IndexQuery]) -> Mapping[int, Sequence[int]]:
        """Places of what one run can answer, by the width of plain questions' windows, else 0."""
        lots: dict[int, list[int]] = defaultdict(list)
        for place, question in enumerate(questions):
            is_plain = self._plain_takes_many and self._is_plain(question)
            width = min(len(question.history), self._longest) if is_plain else 0
            lots[width].append(place)
        return lots

    def _rank_lot(self, questions: Sequence[IndexQuery], width: int) -> Iterable[Ranking]:
        if len(questions) == 1:
            return map(self.rank, questions)
        if not width:
            return self.rank_fully(questions)
        answers = zip(questions, self._plainly_together(questions), strict=True)
        return (self.rank(question) if answer is None else answer for question, answer in answers)

    def _plainly_together(self, questions: Sequence[IndexQuery]) -> Iterator[Ranking | None]:
        """As `_plainly`, of questions whose windows are of one width."""
        k = min(questions[0].k, self._num_items)
        histories = _rectangle([each.history for each in questions])
        feeds: Feeds = {TENSORS.history: histories, TENSORS.k: _number(k)}
        for answer in zip(*_run(self._plain, _OUTPUTS, feeds), strict=True):
            ranking = _ranking(*answer)
            yield ranking if len(ranking) == k else None

    def rank_fully(self, questions: Sequence[IndexQuery]) -> list[Ranking]:
        """The same in one run of the ranking graph.

        Raises:
            StudentError: onnxruntime failed.
        """
        first = questions[0]
        feeds = self._feeds(first) | {
            TENSORS.history: _rectangle([each.history for each in questions]),
            TENSORS.excluded: _rectangle([each.excluded for each in questions]),
        }
        if any(each.allowed is not first.allowed for each in questions):
            masks = [
                self.everything if each.allowed is None else each.allowed for each in questions
            ]
            feeds[TENSORS.allowed] = np.stack(masks)
        return list(map(_ranking, *_run(self._session, _OUTPUTS, feeds)))

    def _set_added(self, vectors: Vectors) -> None:
        self._runs = _Runs()
        self._added = vectors
        self._everything = np.ones((1, 1 + self._num_items + len(vectors)), dtype=np.bool_)

    def _run_graph(self, outputs: Sequence[str], question: IndexQuery) -> list[Any]:
        return _run(self._session, outputs, self._feeds(question))

    def _feeds(self, question: IndexQuery) -> dict[str, NDArray[np.generic]]:
        history = np.array([question.history], dtype=np.int64)  # [1, length]
        return {TENSORS.history: history, **self._others(question)}

    def _others(self, question: IndexQuery) -> dict[str, NDArray[np.generic]]:
        allowed, excluded = question.allowed, question.excluded
        return {
            TENSORS.excluded: np.array([excluded], dtype=np.int64) if excluded else _NOTHING,
            TENSORS.allowed: self._everything if allowed is None else allowed[None],
            TENSORS.mask_seen: _FLAGS[question.mask_seen],
            TENSORS.k: _number(question.k),
            TENSORS.added: self._added,
        }


def _run(session: ort.InferenceSession, outputs: Sequence[str], feeds: Feeds) -> list[Any]:
    try:
        answers: list[Any] = session.run(outputs, feeds)
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise StudentError(str(error)) from error
    return answers


def _ranking(item_indices: NDArray[np.generic], scores: NDArray[np.generic]) -> Ranking:
    best_first = scores.tolist()
    pairs = list(zip(item_indices.tolist(), best_first, strict=True))
    if math.isfinite(sum(best_first)):
        return pairs
    return [(index, score) for index, score in pairs if math.isfinite(score)]


@lru_cache
def _number(k: int) -> NDArray[np.int64]:
    return np.array([k], dtype=np.int64)


def _rectangle(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """`[rows, longest]`, at least one wide; 0 stands before what is shorter."""
    width = max(1, *map(len, rows))
    rectangle = np.zeros((len(rows), width), dtype=np.int64)
    for line, row in zip(rectangle, rows, strict=True):
        line[width - len(row) :] = row
    return rectangle


def _open(path: Path, graph: bytes) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(graph, _session_options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise BundleError(f"{path}: {error}") from error


def _open_optional(
    path: Path, graph: bytes | None, names: Sequence[str]
) -> ort.InferenceSession | None:
    """Opens a graph that a bundle may do without, with all of these inputs and outputs."""
    if graph is None:
        return None
    session = _open(path, graph)
    _check_names(session, names, path)
    return session


def _is_for_one(plain: ort.InferenceSession) -> bool:
    shapes = {each.name: each.shape for each in plain.get_inputs()}
    return bool(shapes[TENSORS.history][0] == 1)


def _check_names(session: ort.InferenceSession, names: Sequence[str], path: Path) -> None:
    """Raises BundleError where the graph has not all of these inputs and outputs."""
    there = {each.name for each in (*session.get_inputs(), *session.get_outputs())}
    if missing := [name for name in names if name not in there]:
        raise BundleError(f"{path}: no input or output {', '.join(missing)}")


def _session_options() -> ort.SessionOptions:
    # A run takes less than a millisecond: threads that wait for work cost more than they bring.
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options
