"""Two agents of torchrun train a student together; one is killed, and one process goes on.

The student has no dropout and the full softmax. So one process and two take the same steps, but for
the rounding of sums, and the losses at the end can be compared.
"""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import torch

from proofs.fixtures.data.tables import write_tables
from proofs.fixtures.data.taught import succeed
from proofs.fixtures.places import ROOT
from proofs.record import Figure
from training import distill, prepare
from training.compute.tensor_file import read_tensors
from training.data.dataset import Split
from training.data.storage import load_dataset
from training.distillation.checkpoint import load_checkpoint
from training.students.scorer import StudentScorer

ROWS = 100_000
TOLERANCE = 1e-3
END_SECONDS = 60.0  # time in which the agent that is left must end
START_SECONDS = 600.0
PROGRAM = ("-m", "training.distill")
OPTIONS = ("--variant", "plain", "--seed", "0", "--workers", "1")
SETTINGS = """
[student]
dropout = 0
hidden_size = 32
num_layers = 1

[training]
batch_size = 256
max_epochs = 4
patience = 4
"""


def lost_agent(seed: int, rows: int = ROWS) -> Iterable[Figure]:
    """Yields how the other agent ended, and the loss at the end over that of an unbroken run.

    Args:
        seed: seed of the random interactions.
        rows: number of interactions.

    Raises:
        RuntimeError: a program fails, or no epoch ends in time.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = write_tables(folder, rows, seed)
        config.write_text(config.read_text(encoding="utf-8") + SETTINGS, encoding="utf-8")
        whole, broken = folder / "whole", folder / "broken"
        succeed(prepare.main([str(config), "--work", str(whole)]))
        shutil.copytree(whole, broken)
        succeed(distill.main([str(config), "--work", str(whole), *OPTIONS]))
        seconds, exit_code = _train_until_an_agent_is_lost(config, broken)
        yield Figure("the agent that is left: time to its end", "s", seconds, at_most=END_SECONDS)
        yield Figure("the agent that is left: exit code", "", float(exit_code), at_least=1)
        epochs = _finished_epochs(broken)
        yield Figure("epochs that were finished before the kill", "", epochs, at_least=1)
        succeed(distill.main([str(config), "--work", str(broken), *OPTIONS]))
        ratio = _loss(broken) / _loss(whole)
        low, high = 1 - TOLERANCE, 1 + TOLERANCE
        yield Figure("loss after a lost agent", "times", ratio, at_least=low, at_most=high)


def _train_until_an_agent_is_lost(config: Path, work: Path) -> tuple[float, int]:
    """Kills the second of two agents after an epoch; returns the first's end in s, and exit code.

    Raises:
        RuntimeError: no epoch ends in time.
    """
    address = f"127.0.0.1:{_free_port()}"
    agents = [_start_agent(rank, address, config, work) for rank in (0, 1)]
    try:
        _wait_for_an_epoch(work, agents)
        _kill_with_workers(agents[1])
        began = time.monotonic()
        exit_code = agents[0].wait(timeout=END_SECONDS)
        return time.monotonic() - began, exit_code
    finally:
        for agent in agents:
            _kill_with_workers(agent)
            agent.wait()


def _start_agent(rank: int, address: str, config: Path, work: Path) -> subprocess.Popen[bytes]:
    host, port = address.split(":")
    machines = ["--nnodes", "2", "--node-rank", str(rank), "--nproc-per-node", "1"]
    meeting = ["--master-addr", host, "--master-port", port]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *machines, *meeting]
    command = [*torchrun, *PROGRAM, str(config), "--work", str(work), *OPTIONS]
    return subprocess.Popen(command, cwd=ROOT)


def _kill_with_workers(agent: subprocess.Popen[bytes]) -> None:
    """Kills an agent and the workers that it started, as the loss of its machine would."""
    if agent.poll() is not None:
        return
    machine = psutil.Process(agent.pid)
    for each in [machine, *machine.children(recursive=True)]:
        each.kill()


def _wait_for_an_epoch(work: Path, agents: Iterable[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + START_SECONDS
    while not _states(work):
        ended = [each.poll() for each in agents if each.poll() is not None]
        if ended or time.monotonic() > until:
            raise RuntimeError(f"no epoch ended in {START_SECONDS:.0f} s; exit codes: {ended}")
        time.sleep(0.05)


def _states(work: Path) -> list[Path]:
    return list((work / "large" / "checkpoints").glob(".plain-0.*.state"))


def _finished_epochs(work: Path) -> int:
    return int(read_tensors(_states(work)[0])["progress"]["epoch"])


def _loss(work: Path) -> float:
    """Returns the mean cross-entropy of the validation examples, over all items."""
    dataset = load_dataset(work / "large" / "dataset")
    student = load_checkpoint(work / "large" / "checkpoints" / "plain-0").student()
    rows = dataset.example_rows(Split.VALIDATION)
    scores = torch.from_numpy(StudentScorer(student, dataset)(rows))
    losses = -scores.log_softmax(dim=1)[np.arange(len(rows)), dataset.item_indices[rows]]
    return float(losses.mean())


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
