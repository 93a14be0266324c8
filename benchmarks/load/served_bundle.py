"""Answers from a bundle with the service's own code, in a process of its own, without torch.

`python -m benchmarks.load.served_bundle BUNDLE HISTORIES K` reads histories of item indices from
the file HISTORIES, in JSON. It writes one line of JSON: the item indices and the CPU milliseconds
of each answer, and the memory of the process after `MORE_ANSWERS` to random histories and a search
of all titles, and at most from the moment when the bundle was loaded.
"""

import json
import random
import sys
import time
from pathlib import Path

from benchmarks.load.memory import forget_peak, memory_mib
from service.bundles.loading import load_recommender
from service.ranking.recommender import Recommender
from service.ranking.types import IndexQuery

MORE_ANSWERS = 2_000
"""Number of answers after which memory is measured: mapped files are memory once they are read."""


def answer(folder: Path, histories: list[list[int]], k: int) -> None:
    """Opens and checks the bundle as the service does, answers each history twice."""
    recommender = load_recommender(folder, k)
    forget_peak()
    student = recommender.student
    for history in histories:  # warms up
        student.rank(IndexQuery(history, k))
    lists, times = [], []
    for history in histories:
        began = time.thread_time()
        ranking = student.rank(IndexQuery(history, k))
        times.append(1_000 * (time.thread_time() - began))
        lists.append([index for index, _ in ranking])
    _answer_more(recommender, len(histories[0]), k)
    told = {"lists": lists, "milliseconds": times, **memory_mib()}
    sys.stdout.write(json.dumps(told) + "\n")


def _answer_more(recommender: Recommender, length: int, k: int) -> None:
    """Answers random histories of `length` items, and reads the items of each list."""
    draw, num_items = random.Random(0), len(recommender.catalog)  # noqa: S311 - no secret
    for _ in range(MORE_ANSWERS):
        history = [draw.randint(1, num_items) for _ in range(length)]
        for index, _ in recommender.student.rank(IndexQuery(history, k)):
            recommender.catalog.item(index)
    recommender.catalog.search("no such title", k)  # reads all titles


if __name__ == "__main__":
    answer(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3]))
