"""Data-parallel training: one process, or several that share the batches of one student.

`torchrun --nproc-per-node 2 -m training.distill CONFIG` starts two. Each takes its lines of every
batch, and accelerate averages the gradients, so the steps are those of one process with the whole
batch. A GPU is used if there is one.
"""

import os
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Processes(Protocol):
    """The processes that train one student.

    Attributes:
        device: device of this process' tensors.
        rank: number of this process, from 0.
        num_ranks: number of processes.
    """

    device: torch.device
    rank: int
    num_ranks: int

    def prepare(self, objective: nn.Module) -> Callable[..., Tensor]:
        """Wraps `objective` so that `backward` gives every process the same gradients."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Computes the gradients of `loss`."""
        ...

    def collect(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Concatenates the `values` of all processes, in order of rank; each gets the result."""
        ...

    def wait(self) -> None:
        """Blocks until every process has called it."""
        ...


class SingleProcess:
    """This process only; implements `Processes`."""

    rank = 0
    num_ranks = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def prepare(self, objective: nn.Module) -> Callable[..., Tensor]:
        """See `Processes.prepare`."""
        return objective

    def backward(self, loss: Tensor) -> None:
        """See `Processes.backward`."""
        torch.autograd.backward(loss)

    def collect(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Processes.collect`."""
        return values

    def wait(self) -> None:
        """See `Processes.wait`."""


class SynchronizedProcesses:
    """Processes started by torchrun, joined by accelerate; implements `Processes`."""

    def __init__(self) -> None:
        # The demo trains in one process and is installed without accelerate.
        from accelerate import Accelerator, DistributedDataParallelKwargs

        # The LLM's embeddings are a buffer and the same in every process: not sent in each step.
        options = DistributedDataParallelKwargs(broadcast_buffers=False)
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(), kwargs_handlers=[options], mixed_precision="no"
        )
        self.device = self.accelerator.device
        self.rank = self.accelerator.process_index
        self.num_ranks = self.accelerator.num_processes

    def prepare(self, objective: nn.Module) -> Callable[..., Tensor]:
        """See `Processes.prepare`."""
        prepared: Callable[..., Tensor] = self.accelerator.prepare_model(objective)
        return prepared

    def backward(self, loss: Tensor) -> None:
        """See `Processes.backward`."""
        self.accelerator.backward(loss)

    def collect(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Processes.collect`."""
        parts: list[NDArray[np.int64] | None] = [None] * self.num_ranks
        torch.distributed.all_gather_object(parts, values)
        return np.concatenate([part for part in parts if part is not None])

    def wait(self) -> None:
        """See `Processes.wait`."""
        self.accelerator.wait_for_everyone()


def is_distributed() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def available_processes() -> Processes:
    """The processes that this one belongs to; a GPU if there is one."""
    if is_distributed():
        return SynchronizedProcesses()
    return SingleProcess(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def leave_process_group() -> None:
    """Closes torch's process group, if there is one, at the end of a program."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
