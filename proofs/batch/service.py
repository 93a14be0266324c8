"""Compares answers in a file with those of a running service, asked over REST."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq

from benchmarks.subjects.processes import running_service
from proofs.fixtures.agreement import Agreement, TopList
from proofs.fixtures.places import EXAMPLE
from training.progress import ProgressBar

_MAX_GROUPS = 50


def compare_with_service(source: Path, out: Path, k: int, asked: int, tie: float) -> Agreement:
    """Asks a service for `asked` of the histories in `source`, evenly from the whole file.

    `out`: the file of the answers, whose row groups have the same rows as those of `source`.
    """
    agreement = Agreement()
    with (
        running_service(EXAMPLE) as service,
        httpx.Client(base_url=f"http://127.0.0.1:{service.port}") as client,
        ProgressBar("asking the service", asked, "history") as bar,
    ):
        for history, answer in _sample(source, out, asked):
            agreement.add(answer, _ask(client, history, k), tie)
            bar.advance(1)
    return agreement


def _sample(source: Path, out: Path, number: int) -> Iterator[tuple[Sequence[str], TopList]]:
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
        lists = map(TopList, *columns)
        yield from zip(of_group["history"].to_pylist(), lists, strict=True)


def _ask(client: httpx.Client, history: Sequence[str], k: int) -> TopList:
    reply = client.post("/v1/recommendations", json={"history": history, "k": k})
    answer = reply.raise_for_status().json()
    items = answer["items"]
    ids, scores = ([each[name] for each in items] for name in ("item_id", "score"))
    return TopList(ids, scores, answer["source"])
