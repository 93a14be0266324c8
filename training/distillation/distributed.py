"""Data-parallel training: one process, or several processes that divide each batch among them.

`torchrun --nproc-per-node 2 -m training.distill CONFIG` starts two processes. Each computes its
part of every batch, and accelerate averages the gradients. So they take the same steps as one
process with whole batches. A GPU is used if there is one.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.errors import WorkerError

PATIENCE = timedelta(hours=2)
"""Time that processes wait for one that works alone, as the first does to choose a pair bonus.

torch's own is 10 minutes with NCCL. It is not needed to notice a lost process: torchrun ends all.
"""


class Processes(Protocol):
    """Interface to the process or processes that train one student together.

    Attributes:
        device: device of this process' tensors.
        rank: number of this process, from 0.
        num_ranks: number of processes.
    """

    device: torch.device
    rank: int
    num_ranks: int

    def prepare(self, objective: nn.Module) -> Callable[..., Tensor]:
        """Wraps `objective` so that `backward` can average gradients over the processes.

        Returns a function from a batch to its loss, to call in place of `objective`.
        """
        ...

    def backward(self, loss: Tensor) -> None:
        """Computes the gradients of `loss`, averaged over the processes."""
        ...

    def collect(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Concatenates the arrays `values` of all processes, in order of rank.

        Every process must call this method, and every process gets the whole result.
        """
        ...

    def wait(self) -> None:
        """Blocks until every process has called this method."""
        ...


class SingleProcess:
    """A single training process; implements `Processes`."""

    rank = 0
    num_ranks = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def prepare(self, objective: nn.Module) -> Callable[..., Tensor]:
        """Implements `Processes.prepare`."""
        return objective

    def backward(self, loss: Tensor) -> None:
        """Implements `Processes.backward`."""
        torch.autograd.backward(loss)

    def collect(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Implements `Processes.collect`."""
        return values

    def wait(self) -> None:
        """Returns at once, since there is no other process to wait for."""


class SynchronizedProcesses:
    """Several training processes, started by torchrun; implements `Processes`.

    The library accelerate averages their gradients.
    """

    def __init__(self) -> None:
        # Imported here, since one process, as in the demo, needs no installed accelerate.
        from accelerate import Accelerator, InitProcessGroupKwargs

        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            mixed_precision="no",
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
        self.device = self.accelerator.device
        self.rank = self.accelerator.process_index
        self.num_ranks = self.accelerator.num_processes

    def prepare(self, objective: nn.Module) -> Callable[..., Tensor]:
        """Implements `Processes.prepare`."""
        prepared: DistributedDataParallel = self.accelerator.prepare_model(objective)
        # Buffers, such as the LLM's embeddings, are the same in every process and never change. By
        # default torch would send them to all processes in each step. It is an attribute, because
        # torch 2.13 renamed the argument, and accelerate passes only the old one.
        prepared.broadcast_buffers = False
        return prepared

    def backward(self, loss: Tensor) -> None:
        """Implements `Processes.backward`."""
        with losses_of_processes():
            self.accelerator.backward(loss)

    def collect(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Implements `Processes.collect`."""
        parts: list[NDArray[np.int64] | None] = [None] * self.num_ranks
        with losses_of_processes():
            torch.distributed.all_gather_object(parts, values)
        return np.concatenate([part for part in parts if part is not None])

    def wait(self) -> None:
        """Implements `Processes.wait`."""
        with losses_of_processes():
            self.accelerator.wait_for_everyone()


@contextmanager
def losses_of_processes() -> Iterator[None]:
    """Context manager for work with other processes: reports one that was lost in a line.

    Raises:
        WorkerError: the connection to another process broke.
    """
    try:
        yield
    except RuntimeError as error:
        told = str(error)
        if "gloo" not in told and not isinstance(error, torch.distributed.DistError):
            raise
        reason = told.partition("] ")[2].partition(". ")[0]
        raise WorkerError(
            f"another process of this training was lost ({reason}); run the command again, on "
            "any number of processes: training resumes after its last finished epoch"
        ) from None


def is_distributed() -> bool:
    """Returns whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def available_processes() -> Processes:
    """Returns `SynchronizedProcesses` if torchrun started several processes, else `SingleProcess`.

    Both compute on a GPU if there is one.
    """
    if is_distributed():
        return SynchronizedProcesses()
    return SingleProcess(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def leave_process_group() -> None:
    """Destroys torch's process group, if there is one. A program calls this when it ends."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
