"""A pool of worker processes, one per core, to train several small students at once.

The threads of torch wait for each other many times in a training step. So two runs at once, with
one core each, are much faster than two runs one after the other with both cores. The difference is
larger still if other programs use the same cores.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import torch

from training.compute.allocator import keep_freed_memory
from training.compute.kernels import keep_few_products
from training.compute.processes import end_with_parent, killed_worker, usable_cores
from training.progress import share_terminal

Task = TypeVar("Task")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Task], Result], tasks: Sequence[Task], num_workers: int | None = None
) -> Iterator[Result]:
    """Runs `work` on each task in worker processes; yields results in order of completion.

    If `work` raises an exception, the caller gets it, and all workers are ended at once. They are
    also ended if one of them is killed.

    Args:
        work: a module-level function, so that worker processes can import it.
        tasks: arguments of `work`. Tasks and results must be picklable.
        num_workers: maximum number of tasks at a time; None runs one per core, and 1 runs all tasks
            in this process.

    Raises:
        WorkerError: a worker was killed, for example for lack of memory.
    """
    num_workers = min(len(tasks), num_workers or usable_cores())
    if num_workers <= 1:
        keep_freed_memory()
        keep_few_products()
        yield from map(work, tasks)
        return
    with _workers(num_workers) as pool:
        results: list[Future[Result]] = [pool.submit(work, task) for task in tasks]
        for result in as_completed(results):
            try:
                yield result.result()
            except BrokenProcessPool:
                raise killed_worker() from None


@contextmanager
def _workers(num_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Starts `num_workers` worker processes, and ends them when the `with` block ends.

    The workers also end when this process ends, even if it is killed.
    """
    context = get_context("spawn")
    positions = context.SimpleQueue()
    for position in range(num_workers):
        positions.put(position)
    # Nothing is ever sent: a worker sees the end of the pipe when this process ends.
    workers_end, our_end = context.Pipe(duplex=False)
    arguments = (positions, context.RLock(), workers_end, max(1, usable_cores() // num_workers))
    pool = ProcessPoolExecutor(num_workers, context, _start_worker, arguments)
    try:
        yield pool
    finally:
        our_end.close()
        workers_end.close()
        pool.shutdown(cancel_futures=True)


def _start_worker(
    positions: Any, lock: AbstractContextManager[Any], pipe: Connection, num_threads: int
) -> None:
    end_with_parent(pipe)
    torch.set_num_threads(num_threads)
    keep_freed_memory()
    keep_few_products()
    share_terminal(positions.get(), lock)
