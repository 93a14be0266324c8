"""Chooses the search in the ranking graph of a large catalog, by measurement.

The search with proof (`export.graphs.proven.search`) is exact and reads the code of every item. For
catalogs of at least `BLOCKS_FROM` rows, searches by blocks (`export.graphs.blocks`) are measured,
too. The first of `OPTIONS` is chosen whose recall and NDCG are at least `MIN_RECALL` and whose
median time is shorter than that of the search with proof. If none qualifies, the search with proof
is chosen. Where the table takes over a gigabyte, `LARGE_OPTIONS` are measured, and the search with
proof is not.

Recall is the share of the 20 best items that a search finds. It is measured without a filter, with
a filter that allows a tenth of the items, and with the 200 best items excluded. Those are hard
cases: most of the candidates that a search by blocks has found are rejected. NDCG is that of a list
where the 20 best items are the relevant ones.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.layout import BundleLayout
from export.exact_lists import Lists, best_items, queries_after
from export.graphs.blocks.search import BlockSizes
from export.graphs.query_encoder import QueryEncoder
from export.graphs.ranking_graph import MAX_INSIDE, export_ranking_graph, set_num_blocks
from export.sessions import RankingSession
from training.cli import say
from training.students.pair_bonus import MAX_ITEMS

# Number of rows from which searches by blocks are measured: the search with proof takes more than a
# millisecond there.
BLOCKS_FROM = MAX_ITEMS + 2  # the first catalogs without a pair bonus; they have a row of padding
OPTIONS = (
    *(BlockSizes(0, number, 16) for number in (768, 1_024, 1_280, 1_536, 2_048, 2_560, 4_096)),
    BlockSizes(24, 512, 32),
    BlockSizes(24, 2_048, 32),
)
LARGE_OPTIONS = tuple(
    BlockSizes(0, number, 16) for number in (2_048, 3_072, 4_096, 6_144, 8_192, 12_288, 16_384)
)
# Later queries find less than those that the search is chosen with: .99 of the best at least.
MIN_RECALL = 0.992
K = 20
FILTERED_SHARE = 0.1
NUM_EXCLUDED = 200  # as a client does that asks for more and more items; more need a wider search
NUM_QUERIES = 200
SEED = 0


@dataclass(frozen=True)
class Measured:
    """A search and its measured figures.

    Attributes:
        kind: "pruned" for the search with proof; "approximate" for a search by blocks.
        search: short description of the search.
        recall_at_20: share of the 20 best items that the search finds.
        recall_at_20_filtered: the same share with a filter that allows a tenth of the items.
        recall_at_20_excluded: the same share with the `NUM_EXCLUDED` best items excluded.
        ndcg_at_20: NDCG of the lists without a filter.
        p50_ms: median CPU time of a ranking, in milliseconds.
        p99_ms: 99th percentile of the same times.
        build_seconds: time to export the graph.
        file_mib: size of the graph's file and of its constants' files in MiB.
    """

    kind: str
    search: str
    recall_at_20: float
    recall_at_20_filtered: float
    recall_at_20_excluded: float
    ndcg_at_20: float
    p50_ms: float
    p99_ms: float
    build_seconds: float
    file_mib: float

    @property
    def quality(self) -> float:
        """The least of the recalls and the NDCG."""
        recalls = (self.recall_at_20, self.recall_at_20_filtered, self.recall_at_20_excluded)
        return min(*recalls, self.ndcg_at_20)

    def __str__(self) -> str:
        return (
            f"{self.search}: p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms of CPU, "
            f"recall@{K} {self.recall_at_20:.4f} ({self.recall_at_20_filtered:.4f} behind a "
            f"filter, {self.recall_at_20_excluded:.4f} with the best excluded), "
            f"NDCG@{K} {self.ndcg_at_20:.4f}, {self.file_mib:,.0f} MiB, "
            f"built in {self.build_seconds:.0f} s"
        )


def export_best_search(
    encoder: QueryEncoder,
    path: Path,
    histories: Lists,
    options: Sequence[BlockSizes] | None = None,
    blocks_from: int = BLOCKS_FROM,
) -> Mapping[str, Any] | None:
    """Chooses a search by measurement, and writes the ranking graph with it to `path`.

    Prints the figures of all measured searches.

    Args:
        encoder: the model.
        path: file of the graph.
        histories: item indices of the histories to measure with, oldest first; only items that the
            model reads.
        options: sizes of searches by blocks, in the order in which they are tried; None: `OPTIONS`,
            or `LARGE_OPTIONS`.
        blocks_from: smallest number of catalog rows for which searches by blocks are tried.

    Returns:
        The field `scorer` of the manifest. None if only the search with proof is possible: the
        catalog is too small, the model has a pair bonus, or `histories` is empty.
    """
    if len(encoder.table) < blocks_from or encoder.pairs or not len(histories):
        export_ranking_graph(encoder, path)
        return None
    encoder = encoder.with_queries(queries_after(encoder, histories))
    exact, rows = _exact(encoder, path, histories)
    proven = rows[0] if rows else None
    apart, trial = set(_tables(path)), path.with_suffix(".trial")
    for sizes, seconds in _trials(encoder, trial, options or _options(encoder)):
        answers = _Answers.of(trial, histories, exact.best)
        found = _measured(sizes, answers, exact, trial, seconds)
        rows.append(found)
        if found.quality >= MIN_RECALL and (proven is None or found.p50_ms < proven.p50_ms):
            trial.replace(path)
            return _choice(found, rows)
    for each in (trial, *(set(_tables(path)) - apart)):
        each.unlink(missing_ok=True)
    if proven is None:
        proven = _exported(encoder, path, histories)[1]
        rows.append(proven)
    return _choice(proven, rows)


def _options(encoder: QueryEncoder) -> Sequence[BlockSizes]:
    return LARGE_OPTIONS if encoder.table.nbytes > MAX_INSIDE else OPTIONS


def _exact(
    encoder: QueryEncoder, path: Path, histories: Lists
) -> "tuple[_Answers, list[Measured]]":
    """Returns exact answers, and the figures of the search with proof where it is measured."""
    if encoder.table.nbytes > MAX_INSIDE:
        return _Answers.in_numpy(encoder, histories), []
    answers, proven = _exported(encoder, path, histories)
    return answers, [proven]


def _exported(encoder: QueryEncoder, path: Path, histories: Lists) -> "tuple[_Answers, Measured]":
    """Writes the graph with the search with proof to `path`; returns answers and figures."""
    began = time.perf_counter()
    export_ranking_graph(encoder, path)
    seconds = time.perf_counter() - began
    answers = _Answers.of(path, histories)
    return answers, _measured(None, answers, answers, path, seconds)


def _trials(
    encoder: QueryEncoder, path: Path, options: Sequence[BlockSizes]
) -> Iterator[tuple[BlockSizes, float]]:
    """Writes the graph with each search of `options` to the file `path`, in turn.

    Yields the search, and the seconds that it took to build. A graph that differs from the last one
    only in the number of blocks that it reads has the same constants, which are not made again.
    """
    last, seconds = None, 0.0
    for sizes in options:
        began = time.perf_counter()
        if last == (form := replace(sizes, num_blocks=0)):
            set_num_blocks(path, sizes, encoder.num_items)
        else:
            export_ranking_graph(encoder, path, sizes)
            seconds = time.perf_counter() - began
        last = form
        yield sizes, seconds


@dataclass(frozen=True)
class _Answers:
    """Lists of the best items by a graph after several histories, of all and of fewer items.

    Attributes:
        lists: for each history, item indices of all items, best first.
        filtered: the same with a filter that allows a tenth of the items.
        excluding: the same with `best` excluded.
        milliseconds: CPU time of each list of all items.
        best: for each history, the best items of all.
    """

    lists: Lists
    filtered: Lists
    excluding: Lists
    milliseconds: Sequence[float]
    best: Lists

    @classmethod
    def of(cls, path: Path, histories: Lists, best: Lists | None = None) -> "_Answers":
        """Asks the graph at `path`; `best`: the items to exclude, None: as the graph ranks them."""
        graph = RankingSession(path, num_threads=1)
        mask, everything = _mask(graph.num_items), np.ones(graph.num_items + 1, dtype=np.bool_)
        filtered = [_list(graph, each, mask[None]) for each in histories]  # warms up, too
        if best is None:
            number = _num_excluded(graph.num_items)
            best = [_list(graph, each, everything[None], number) for each in histories]
        pairs = zip(histories, best, strict=True)
        excluding = [_list(graph, each, _without(everything, items)[None]) for each, items in pairs]
        lists, milliseconds = [], []
        for each in histories:
            began = time.thread_time()
            lists.append(_list(graph, each, everything[None]))
            milliseconds.append(1_000 * (time.thread_time() - began))
        return cls(lists, filtered, excluding, milliseconds, best)

    @classmethod
    def in_numpy(cls, encoder: QueryEncoder, histories: Lists) -> "_Answers":
        queries, table = queries_after(encoder, histories), encoder.table
        mask = _mask(encoder.num_items)
        number = _num_excluded(encoder.num_items)
        ranked = best_items(table, queries, histories, number + K)
        lists, best, excluding = (
            [each[part] for each in ranked]
            for part in (slice(K), slice(number), slice(number, None))
        )
        filtered = best_items(table, queries, histories, K, mask)
        return cls(lists, filtered, excluding, (), best)


def _num_excluded(num_items: int) -> int:
    return min(NUM_EXCLUDED, num_items // 4)


def _without(mask: NDArray[np.bool_], items: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns a copy of `mask` that is false for `items`."""
    others = mask.copy()
    others[items] = False
    return others


def _mask(num_items: int) -> NDArray[np.bool_]:
    """Draws a filter that allows a tenth of the items, `[items + 1]`."""
    allowed: NDArray[np.bool_] = np.random.default_rng(SEED).random(num_items + 1) < FILTERED_SHARE
    return allowed


def sampled(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Chooses at most `NUM_QUERIES` of the example rows `rows`, spread evenly."""
    return rows[:: max(1, -(-len(rows) // NUM_QUERIES))]


def random_windows(items: NDArray[np.int64], longest: int) -> Lists:
    """Draws `NUM_QUERIES` histories of 1 to `longest` items each, at random from `items`.

    They replace real histories for a model that has none. `items` has item indices.
    """
    generator = np.random.default_rng(SEED)
    lengths = generator.integers(1, longest + 1, NUM_QUERIES)
    return [generator.choice(items, length) for length in lengths]


def _list(
    graph: RankingSession, history: NDArray[np.int64], mask: NDArray[np.bool_], k: int = K
) -> NDArray[np.int64]:
    item_indices, _ = graph.rank(history[None], k, mask_seen=True, allowed=mask)
    best: NDArray[np.int64] = item_indices[0]
    return best


def _measured(
    sizes: BlockSizes | None, answers: _Answers, exact: _Answers, path: Path, seconds: float
) -> Measured:
    search = "search with proof"
    if sizes is not None:
        by = f"{sizes.num_codes} bytes an item" if sizes.num_codes else "summaries of blocks"
        search = f"{sizes.num_blocks:,} blocks of {sizes.block_size} items by {by}"
    return Measured(
        kind="pruned" if sizes is None else "approximate",
        search=search,
        recall_at_20=_recall(answers.lists, exact.lists),
        recall_at_20_filtered=_recall(answers.filtered, exact.filtered),
        recall_at_20_excluded=_recall(answers.excluding, exact.excluding),
        ndcg_at_20=_ndcg(answers.lists, exact.lists),
        p50_ms=float(np.percentile(answers.milliseconds, 50)),
        p99_ms=float(np.percentile(answers.milliseconds, 99)),
        build_seconds=seconds,
        file_mib=_size(path) / 2**20,
    )


def _size(path: Path) -> int:
    """Returns the size in bytes of a graph's file and of the files that hold its constants."""
    return sum(each.stat().st_size for each in (path, *_tables(path)))


def _tables(path: Path) -> list[Path]:
    """Returns the files beside a graph's file that hold constants."""
    return [each for each in BundleLayout(path.parent).tables if each.exists()]


def _recall(lists: Lists, exact: Lists) -> float:
    pairs = zip(lists, exact, strict=True)
    return float(np.mean([np.isin(best, found).mean() for found, best in pairs]))


def _ndcg(lists: Lists, exact: Lists) -> float:
    weights = 1 / np.log2(np.arange(K) + 2)
    gains = [
        weights[: len(found)][np.isin(found, best)].sum() / weights[: len(best)].sum()
        for found, best in zip(lists, exact, strict=True)
    ]
    return float(np.mean(gains))


def _choice(best: Measured, rows: Sequence[Measured]) -> dict[str, Any]:
    rule = (
        f"the first search by blocks with recall@{K} and NDCG@{K} of at least {MIN_RECALL} that is "
        "faster than the search with proof; else the search with proof"
    )
    say("\n".join([f"searches of the catalog; chosen: {best.search}", *map(_line, rows)]))
    chosen = {"kind": best.kind, "rule": rule, **asdict(best)}
    return chosen | {"measured": [asdict(each) for each in rows]}


def _line(row: Measured) -> str:
    return f"  {row}"
