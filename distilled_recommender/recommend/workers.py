"""Answers parts of a file of histories in worker processes, which end with the main process."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection

import pyarrow as pa

from distilled_recommender.recommend.answers import Answering
from distilled_recommender.recommend.parts import Parts
from training.compute.processes import end_with_parent, killed_worker

Task = tuple[int, pa.Table]
"""Number of a part, and its histories."""

_AHEAD = 2  # parts per worker that are read in advance, so that no worker waits

_state: list[tuple[Callable[[], Answering], Parts]] = []


def answered(
    tasks: Iterable[Task],
    parts: Parts,
    load: Callable[[], Answering],
    num_workers: int,
) -> Iterator[int]:
    """Answers and writes parts of a file in `num_workers` processes.

    Whenever one or more parts are done, yields the number of histories in them. At most `_AHEAD`
    parts per worker are in memory. `tasks` are pairs of a part's number and its histories. Each
    worker calls `load` once, and answers with what it returns.

    Raises:
        BundleError: a worker cannot load the bundle.
        WorkerError: a worker was killed, for example for lack of memory.
    """
    context = get_context("spawn")
    # Nothing is ever sent: a worker sees the end of the pipe when this process ends.
    workers_end, our_end = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(num_workers, context, _start, (load, parts, workers_end))
    remaining = iter(tasks)
    running: set[Future[int]] = set()
    try:
        while True:
            for task in islice(remaining, _AHEAD * num_workers - len(running)):
                running.add(pool.submit(_answer, task))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield sum(each.result() for each in done)
    except BrokenProcessPool:
        raise killed_worker() from None
    finally:
        our_end.close()
        workers_end.close()
        pool.shutdown(cancel_futures=True)


def _start(load: Callable[[], Answering], parts: Parts, pipe: Connection) -> None:
    end_with_parent(pipe)
    # Loaded by the first part, whose error reaches the parent; one in `_start` would not.
    _state.append((cache(load), parts))


def _answer(task: Task) -> int:
    number, histories = task
    load, parts = _state[0]
    parts.write(number, load()(histories))
    return len(histories)
