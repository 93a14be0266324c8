"""Compares answers in a file with those of a running service, asked over REST."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq

from benchmarks.subjects.processes import running_service
from proofs.fixtures.places import EXAMPLE
from training.progress import ProgressBar

_MAX_GROUPS = 50

Answer = tuple[Sequence[str], Sequence[float], str]
"""Item ids, scores and source of an answer."""


@dataclass
class Comparison:
    """Answers in a file beside those of a service.

    Attributes:
        asked: number of histories.
        others: number of answers with another source or with other items, but for ties.
        ties: number of answers with other items at the same places, whose scores are ties.
        difference: largest difference of two scores at one place.
    """

    asked: int = 0
    others: int = 0
    ties: int = 0
    difference: float = 0.0

    def add(self, one: Answer, other: Answer, tie: float) -> None:
        """Counts a pair of answers; scores that differ by at most `tie` are ties."""
        self.asked += 1
        if one[2] != other[2] or len(one[0]) != len(other[0]):
            self.others += 1
            return
        difference = float(np.abs(np.subtract(one[1], other[1])).max(initial=0))
        self.difference = max(self.difference, difference)
        if one[0] != other[0]:
            self.ties += difference <= tie
            self.others += difference > tie


def compare_with_service(source: Path, out: Path, k: int, asked: int, tie: float) -> Comparison:
    """Asks a service for `asked` of the histories in `source`, evenly from the whole file.

    `out`: the file of the answers, whose row groups have the same rows as those of `source`.
    """
    comparison = Comparison()
    with (
        running_service(EXAMPLE) as service,
        httpx.Client(base_url=f"http://127.0.0.1:{service.port}") as client,
        ProgressBar("asking the service", asked, "history") as bar,
    ):
        for history, answer in _sample(source, out, asked):
            comparison.add(answer, _ask(client, history, k), tie)
            bar.advance(1)
    return comparison


def _sample(source: Path, out: Path, number: int) -> Iterator[tuple[Sequence[str], Answer]]:
    """Yields histories and their answers, from up to `_MAX_GROUPS` row groups."""
    histories, answers = pq.ParquetFile(source), pq.ParquetFile(out)
    groups = np.unique(np.linspace(0, histories.num_row_groups - 1, _MAX_GROUPS).astype(int))
    each = -(-number // len(groups))
    for group in groups.tolist():
        of_group = histories.read_row_group(group, ["user", "history"]).slice(0, each)
        answered = answers.read_row_group(group).slice(0, each)
        if of_group["user"] != answered["user"]:
            raise RuntimeError(f"row group {group} of {out} has other rows than {source}")
        columns = (answered[name].to_pylist() for name in ("item_ids", "scores", "source"))
        yield from zip(of_group["history"].to_pylist(), zip(*columns, strict=True), strict=True)


def _ask(client: httpx.Client, history: Sequence[str], k: int) -> Answer:
    reply = client.post("/v1/recommendations", json={"history": history, "k": k})
    answer = reply.raise_for_status().json()
    items = answer["items"]
    return [each["item_id"] for each in items], [each["score"] for each in items], answer["source"]
