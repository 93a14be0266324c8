"""Tests of docker/backup and docker/restore that are interrupted, with a program for `docker`."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

DOCKER = Path(__file__).parents[2] / "docker"
SLOW = """#!/bin/sh
echo "$@" >>calls
case $2 in exec|run) echo a part; touch begun; exec sleep 60 ;; esac
"""


def interrupt(folder: Path, script: str, sent: signal.Signals) -> int:
    """Runs a script, sends a signal to it and its child as Ctrl-C does; returns its exit code."""
    (folder / "docker").write_text(SLOW, encoding="utf-8")
    (folder / "docker").chmod(0o755)
    before = signal.signal(sent, signal.SIG_DFL)  # a job in the background ignores Ctrl-C
    process = subprocess.Popen(
        [DOCKER / script, "sessions.tar"],
        cwd=folder,
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        start_new_session=True,
    )
    signal.signal(sent, before)
    try:
        for _ in range(200):
            if (folder / "begun").exists():
                break
            time.sleep(0.05)
        os.killpg(process.pid, sent)
        return process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_backup_leaves_the_last_one_and_no_part_of_another(
    tmp_path: Path, sent: signal.Signals
) -> None:
    (tmp_path / "sessions.tar").write_text("the last one", encoding="utf-8")
    assert interrupt(tmp_path, "backup", sent) == 1
    assert (tmp_path / "sessions.tar").read_text(encoding="utf-8") == "the last one"
    assert not (tmp_path / "sessions.tar.new").exists()


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_restore_starts_redis_again(tmp_path: Path, sent: signal.Signals) -> None:
    (tmp_path / "sessions.tar").touch()
    assert interrupt(tmp_path, "restore", sent) == 1
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert calls[0] == "compose stop redis"
    assert calls[-1] == "compose up --detach --wait redis"
