"""Worker processes: how many cores they may use, and that none outlives the process it works for.

Needs no torch, so that programs that only serve a bundle can use it.
"""

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

from training.errors import WorkerError

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of CPU time per period, and period


def usable_cores() -> int:
    """Returns the number of CPU cores that this process may use, at least 1.

    CPU affinity and the CPU quota of a container are taken into account.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = map(int, CPU_QUOTA.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no cgroup, or "max": no quota
        return cores or 1
    return max(1, min(cores or 1, quota // period))


def end_with_parent(pipe: Connection) -> None:
    """Makes this worker process end with its parent, even if the parent is killed.

    Ctrl-C is left to the parent.

    Args:
        pipe: this worker's end of a pipe to which nothing is ever sent; the parent closes the other
            end to end the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_exit_at_end, args=(pipe,), daemon=True).start()


def _exit_at_end(pipe: Connection) -> None:
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)


def killed_worker() -> WorkerError:
    """Returns the error for a pool of which a worker was killed; work goes on where it stopped."""
    return WorkerError(
        "a worker was killed (is memory short?); run the same command again to resume where it "
        "stopped, with --workers 1 if a worker is killed again"
    )
