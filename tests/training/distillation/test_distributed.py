"""Two processes train the same student as one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from proofs.fixtures.processes.waiting import free_port
from training import distill
from training.distillation.batches import Batch
from training.distillation.checkpoint import Checkpoint, load_checkpoint
from training.distillation.distributed import (
    PATIENCE,
    SingleProcess,
    SynchronizedProcesses,
    is_distributed,
    leave_process_group,
    losses_of_processes,
)
from training.errors import WorkerError


def trained(work: Path) -> Checkpoint:
    return load_checkpoint(work / "chain" / "checkpoints" / "distilled-0")


@pytest.mark.slow
def test_two_processes_train_the_same_student_as_one(chain_config: Path) -> None:
    """Same batches, no dropout: only the rounding of sums may differ."""
    text = chain_config.read_text().replace("num_layers = 1", "num_layers = 1\ndropout = 0")
    chain_config.write_text(text + "offset_dropout = 0\nconfidence = true\nconsistency = true\n")
    work = chain_config.parent / "work"
    options = [str(chain_config), "--work", str(work), "--variant", "distilled", "--seed", "0"]
    assert distill.main([*options, "--workers", "1"]) == 0
    one_process = trained(work)
    (work / "chain" / "checkpoints").rename(work / "chain" / "one-process")

    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    program = [sys.executable, *torchrun, "-m", "training.distill", *options]
    finished = subprocess.run(program, capture_output=True, text=True, check=False)

    assert finished.returncode == 0, finished.stderr
    two = trained(work)
    assert two.description.best_epoch == one_process.description.best_epoch
    assert two.description.validation == pytest.approx(one_process.description.validation)
    histories = torch.arange(1, 13).view(4, 3)  # weights that change no score may differ
    scores = [each.student().score(histories)[:, 1:] for each in (two, one_process)]
    torch.testing.assert_close(*scores, atol=1e-3, rtol=1e-3)
    assert finished.stdout.count("distilled-0: validation") == 1
    assert "FutureWarning" not in finished.stderr


@pytest.fixture
def one_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> Iterator[SynchronizedProcesses]:
    """The only process of a group, as torchrun starts it."""
    variables = {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    variables |= {"MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield SynchronizedProcesses()
    leave_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)


def test_no_step_sends_buffers_and_torch_warns_of_nothing(
    one_of_torchrun: SynchronizedProcesses,
) -> None:
    """A warning would be an error here."""
    prepared = one_of_torchrun.prepare(nn.BatchNorm1d(2))

    assert isinstance(prepared, DistributedDataParallel)
    assert [name for name, _ in prepared.module.named_buffers()] != []
    assert not prepared.forward_sync_buffers


def test_processes_wait_for_hours_for_one_that_works_alone(
    one_of_torchrun: SynchronizedProcesses,
) -> None:
    assert one_of_torchrun.num_ranks == 1
    group = torch.distributed.group.WORLD
    assert group is not None
    backend = group._get_backend(torch.device("cpu"))
    assert backend.options._timeout == PATIENCE


def test_the_parts_of_a_batch_hold_each_window_once() -> None:
    lines = torch.arange(1, 16).view(5, 3)
    batch = Batch(lines, torch.where(lines > 9, lines, 0), lines)

    parts = [batch.part(rank, 2) for rank in (0, 1)]

    assert sorted(torch.cat([each.histories for each in parts]).flatten().tolist()) == list(
        range(1, 16)
    )
    assert sum(each.num_predicted for each in parts) == batch.num_predicted == 6


def test_a_single_process_collects_its_own_values() -> None:
    assert not is_distributed()
    assert SingleProcess(torch.device("cpu")).collect(np.array([3, 1])).tolist() == [3, 1]


def test_a_lost_process_is_told_in_a_line() -> None:
    told = "[/gloo/transport/tcp/pair.cc:537] Connection reset by peer. This is typically caused by"

    with pytest.raises(WorkerError) as refused, losses_of_processes():
        raise RuntimeError(told)

    assert "was lost (Connection reset by peer); run the command again" in str(refused.value)


def test_other_errors_of_a_step_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"), losses_of_processes():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
