"""Where a student is trained: in this process alone, or in several at once that share its batches.

`torchrun --nproc-per-node 2 -m training.distill CONFIG` starts several. Each takes its lines of
every batch, and accelerate averages their gradients: the steps are those of one process that had
the whole batch. A GPU is used where there is one.
"""

import os
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Processes(Protocol):
    """Runs the steps of a training.

    Attributes:
        device: where tensors live.
        rank: which of the processes this is, from 0.
        num_ranks: how many there are.
    """

    device: torch.device
    rank: int
    num_ranks: int

    def prepare(self, objective: nn.Module) -> Callable[..., Tensor]:
        """`objective`, wrapped so that `backward` brings every process the same gradients."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Fills the gradients in."""
        ...

    def collect(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """The values of all processes in a row, on each of them."""
        ...

    def wait(self) -> None:
        """Until every process is here."""
        ...


class SingleProcess:
    """One process."""

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
    """One of several processes that torchrun started; accelerate joins them."""

    def __init__(self) -> None:
        # The demo trains alone and is installed without accelerate.
        from accelerate import Accelerator, DistributedDataParallelKwargs

        # The LLM's embeddings are a buffer, the same everywhere: no need to send it each step.
        kept = DistributedDataParallelKwargs(broadcast_buffers=False)
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(), kwargs_handlers=[kept], mixed_precision="no"
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


def is_shared() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def available_processes() -> Processes:
    """The engine that this process was started for."""
    if is_shared():
        return SynchronizedProcesses()
    return SingleProcess(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def leave() -> None:
    """Ends what joins the processes, at the end of a program."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
