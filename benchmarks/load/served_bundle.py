"""Answers from a bundle with the service's own code, in a process of its own, without torch.

`python -m benchmarks.load.served_bundle BUNDLE HISTORIES K` reads histories of item indices from
the file HISTORIES, in JSON. It writes one line of JSON: the item indices and the CPU milliseconds
of each answer, and the memory of the process after all of them.
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.load.memory import memory_mib
from service.bundles.loading import load_recommender
from service.ranking.types import IndexQuery


def answer(folder: Path, histories: list[list[int]], k: int) -> None:
    """Opens and checks the bundle as the service does, answers each history twice, reads items."""
    recommender = load_recommender(folder, k)
    student, catalog = recommender.student, recommender.catalog
    for history in histories:  # warms up
        student.rank(IndexQuery(history, k))
    lists, times = [], []
    for history in histories:
        began = time.thread_time()
        ranking = student.rank(IndexQuery(history, k))
        times.append(1_000 * (time.thread_time() - began))
        lists.append([index for index, _ in ranking])
        for index in lists[-1]:
            catalog.item(index)
    told = {"lists": lists, "milliseconds": times, **memory_mib()}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    answer(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3]))
