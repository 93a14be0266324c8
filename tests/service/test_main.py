"""SIGTERM while `python -m service` starts."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.service.conftest import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
# As the image does: until the service can handle the signal, it waits.
BLOCKED = ["env", "--block-signal=TERM"]
UNSHARED = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
SERVICE = [sys.executable, "-m", "service"]


def can_unshare() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*UNSHARED, "true"], capture_output=True, check=False).returncode == 0


def command_of_the_image() -> list[str]:
    lines = (ROOT / "docker/service.Dockerfile").read_text().splitlines()
    (command,) = (line.removeprefix("CMD ") for line in lines if line.startswith("CMD "))
    words: list[str] = json.loads(command)
    return words


def environment(bundle_path: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"BUNDLE_PATH": str(bundle_path), "PORT": "0", "PATH": path}


@pytest.mark.parametrize("seconds", [0, 0.02, 0.1, 0.4, 1])
def test_sigterm_during_the_start_ends_the_service_with_code_0(
    bundle_path: Path, seconds: float
) -> None:
    # `env` needs a moment to block the signal, so it is started with the signal blocked.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process = subprocess.Popen([*BLOCKED, *SERVICE], env=environment(bundle_path))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    time.sleep(seconds)
    process.terminate()
    assert process.wait(timeout=PATIENCE_SECONDS) == 0


@pytest.mark.skipif(not can_unshare(), reason="needs a PID namespace of its own")
@pytest.mark.parametrize("seconds", [0, 0.1, 1])
def test_sigterm_during_the_start_of_the_image_ends_process_1_with_code_0(
    bundle_path: Path, seconds: float
) -> None:
    command = [*UNSHARED, *command_of_the_image()]
    parent = psutil.Popen(command, cwd=ROOT, env=environment(bundle_path))
    first = process_1(parent)
    time.sleep(seconds)
    first.send_signal(signal.SIGTERM)
    assert parent.wait(timeout=PATIENCE_SECONDS) == 0


def process_1(parent: psutil.Popen) -> psutil.Process:
    """Waits until `unshare` has started the command's process and it runs `env` no more."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for each in parent.children():
            if each.name() not in {"unshare", "env"}:
                return each
        time.sleep(0.001)
    raise TimeoutError
