import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from distilled_recommender import serve
from distilled_recommender.app import main
from distilled_recommender.files import BUNDLE, carried
from proofs.fixtures.processes.waiting import free_port
from tests.conftest import TIMEOUT_SECONDS
from tests.live.conftest import wait_until_ready

SETTINGS = ("BUNDLE_PATH", "BUNDLE", "VARIANTS", "SECRETS_PATH", "HOST", "PORT", "WORKERS")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, str]]:
    """The settings of each service that would have been started, in an empty folder."""
    environments: list[dict[str, str]] = []
    for name in SETTINGS:  # so that what the command sets is undone
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        serve,
        "_become_the_service",
        lambda: environments.append({name: os.environ[name] for name in SETTINGS}),
    )
    return environments


def test_without_a_bundle_one_line_says_how_to_get_one(
    started: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: no bundle: ")
    assert "`distilled-recommender demo` makes a bundle" in line
    assert not started


def test_options_are_the_settings_of_the_service(started: list[dict[str, str]]) -> None:
    assert main(["serve", "mine", "--port", "9000", "--workers", "2"]) == 0

    (environment,) = started
    assert environment["BUNDLE_PATH"] == "mine"
    assert environment["PORT"] == "9000"
    assert environment["WORKERS"] == "2"
    assert environment["HOST"] == ""


def test_a_bundle_may_have_an_address(started: list[dict[str, str]]) -> None:
    assert main(["serve", "s3://bucket/shop"]) == 0
    assert (started[0]["BUNDLE"], started[0]["BUNDLE_PATH"]) == ("s3://bucket/shop", "")


@pytest.mark.parametrize("name", ["BUNDLE_PATH", "BUNDLE", "VARIANTS", "SECRETS_PATH"])
def test_the_environment_may_name_the_bundle(
    started: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "somewhere")

    assert main(["serve"]) == 0

    assert started[0][name] == "somewhere"


def test_the_example_is_the_bundle_that_the_package_carries(
    started: list[dict[str, str]],
) -> None:
    assert main(["serve", "--example"]) == 0
    assert started[0]["BUNDLE_PATH"] == str(carried(BUNDLE))


def test_the_example_and_another_bundle_cannot_both_be_served(
    started: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "mine", "--example"]) == 2
    assert "not 'mine': give one of both" in capsys.readouterr().err
    assert not started


def test_the_service_answers_in_the_process_of_the_command(
    bundle_path: Path, tmp_path: Path
) -> None:
    port = free_port()
    arguments = ["-m", "distilled_recommender", "serve", str(bundle_path), "--port", str(port)]
    root = str(Path(__file__).parents[2])
    (tmp_path / "service").mkdir()  # a folder of the user's that is not the service
    (tmp_path / "service" / "__main__.py").write_text("raise SystemExit('not this one')")
    environment = os.environ | {"PYTHONPATH": root}
    process = subprocess.Popen([sys.executable, *arguments], cwd=tmp_path, env=environment)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", process)
        children = psutil.Process(process.pid).children()
        assert not children
        (listening,) = {
            each.laddr.port
            for each in psutil.Process(process.pid).net_connections("tcp")
            if each.status == psutil.CONN_LISTEN
        }
        assert listening == port
    finally:
        process.terminate()
        process.wait(timeout=TIMEOUT_SECONDS)


@pytest.mark.parametrize("seconds", [0, 0.2, 0.6, 1.2])
def test_sigterm_ends_serve_with_code_0_before_and_after_it_becomes_the_service(
    seconds: float,
) -> None:
    command = [sys.executable, "-m", "distilled_recommender", "serve", "--example"]
    environment = os.environ | {"PORT": str(free_port())}
    # The command inherits a blocked SIGTERM, and unblocks it when it can handle it.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process = subprocess.Popen(command, env=environment)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    time.sleep(seconds)
    process.terminate()
    assert process.wait(timeout=TIMEOUT_SECONDS) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_serve_handles_sigterm_before_it_becomes_the_service() -> None:
    command = [sys.executable, "-m", "distilled_recommender", "serve", "--example"]
    process = subprocess.Popen(command, env=os.environ | {"PORT": str(free_port())})
    while not handles_sigterm(process.pid):
        time.sleep(0.001)
    program = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.terminate()
    assert process.wait(timeout=TIMEOUT_SECONDS) == 0
    assert b"distilled_recommender" in program


def handles_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught & 1 << signal.SIGTERM - 1)
