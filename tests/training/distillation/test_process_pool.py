import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TIMEOUT_SECONDS
from training.compute.processes import usable_cores
from training.distillation.process_pool import side_by_side
from training.errors import ConfigError, WorkerError
from training.settings.experiment import load_experiment

PARENT = """
import time
from pathlib import Path
from training.distillation.process_pool import side_by_side

def work(path):
    import os
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    list(side_by_side(work, {paths!r}, 2))
"""


# Workers can import `eval`, but no function of a test module.
PROCESS_AND_THREADS = "(__import__('os').getpid(), __import__('torch').get_num_threads())"
KILL_ITSELF = "__import__('os').kill(__import__('os').getpid(), 9)"


def test_tasks_run_in_worker_processes_that_share_the_cores() -> None:
    results = list(side_by_side(eval, [PROCESS_AND_THREADS] * 3, 2))

    assert len(results) == 3
    assert os.getpid() not in {process for process, _ in results}
    assert {threads for _, threads in results} == {max(1, usable_cores() // 2)}


def test_with_one_worker_tasks_run_in_this_process() -> None:
    assert {process for process, _ in side_by_side(eval, [PROCESS_AND_THREADS] * 2, 1)} == {
        os.getpid()
    }


def test_an_exception_in_a_worker_is_raised_in_the_parent() -> None:
    with pytest.raises(ConfigError, match=r"[ab]\.toml: no such experiment file"):
        list(side_by_side(load_experiment, [Path("a.toml"), Path("b.toml")], 2))


def test_a_killed_worker_raises_an_error_that_says_what_to_do() -> None:
    with pytest.raises(WorkerError, match=r"a worker was killed.*--workers 1"):
        list(side_by_side(eval, [KILL_ITSELF] * 2, 2))


def test_without_tasks_no_worker_starts() -> None:
    assert list(side_by_side(eval, [])) == []


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in "ab"]
    program = tmp_path / "parent.py"
    program.write_text(PARENT.format(paths=paths))
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": root}
    parent = subprocess.Popen([sys.executable, str(program)], env=environment)
    wait_until(lambda: all(Path(path).exists() and Path(path).read_text() for path in paths))
    pids = [int(Path(path).read_text()) for path in paths]

    parent.kill()
    parent.wait()

    wait_until(lambda: not any(is_running(pid) for pid in pids))


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(20 * TIMEOUT_SECONDS):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"waited for {TIMEOUT_SECONDS} s")


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"
