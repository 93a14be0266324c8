"""Work side by side, in processes of their own: one core each serves small students best.

torch's threads wait for each other many times a step, so two runs on one core each are far
quicker than two runs, one after the other, on both; the more so where a core is shared.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import torch

from training.compute.allocator import keep_freed_memory
from training.errors import WorkerError
from training.progress import share_terminal

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000" is two cores

Task = TypeVar("Task")
Result = TypeVar("Result")


def usable_cores() -> int:
    """How many cores this process may keep busy; a container's quota counts."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = map(int, CPU_QUOTA.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no cgroup, or "max": no quota
        return cores or 1
    return max(1, min(cores or 1, quota // period))


def side_by_side(
    work: Callable[[Task], Result], tasks: Sequence[Task], num_workers: int | None = None
) -> Iterator[Result]:
    """Yields what `work` makes of each task, as it is done.

    Args:
        work: a function of a module, since other processes have to find it.
        tasks: they and the results have to be picklable.
        num_workers: how many at a time, by default one a core; 1 works in this process.

    Raises:
        WorkerError: a worker was killed. What `work` raises is raised here too; either ends
            the other workers at once.
    """
    num_workers = min(len(tasks), num_workers or usable_cores())
    if num_workers <= 1:
        keep_freed_memory()
        yield from map(work, tasks)
        return
    with _workers(num_workers) as pool:
        results: list[Future[Result]] = [pool.submit(work, task) for task in tasks]
        for result in as_completed(results):
            try:
                yield result.result()
            except BrokenProcessPool:
                raise WorkerError(
                    "a worker was killed (is memory short?); the same command goes on from where "
                    "it was, with --workers 1 if it happens again"
                ) from None


@contextmanager
def _workers(num_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block, and with this process however it ends."""
    context = get_context("spawn")
    places = context.SimpleQueue()
    for place in range(num_workers):
        places.put(place)
    leash, our_end = context.Pipe(duplex=False)
    start = (places, context.RLock(), leash, max(1, usable_cores() // num_workers))
    pool = ProcessPoolExecutor(num_workers, context, _start, start)
    try:
        yield pool
    finally:
        our_end.close()
        leash.close()
        pool.shutdown(cancel_futures=True)


def _start(
    places: Any, lock: AbstractContextManager[Any], leash: Connection, num_threads: int
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends us through the leash
    Thread(target=_end_with, args=(leash,), daemon=True).start()
    torch.set_num_threads(num_threads)
    keep_freed_memory()
    share_terminal(places.get(), lock)


def _end_with(leash: Connection) -> None:
    """Ends this process when the other end of `leash` is closed or its process is gone."""
    try:
        leash.recv()
    except (EOFError, OSError):
        os._exit(1)
