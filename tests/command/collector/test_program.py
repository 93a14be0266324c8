"""The program `collect`, as a process of its own."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from distilled_recommender.app import main
from distilled_recommender.collector.source import GROUP
from export.contract.log.events import STREAMS
from tests.command.collector.conftest import Streams, click, erased, ids, until
from tests.conftest import TIMEOUT_SECONDS, RedisServer
from training.events.log_folder import LogFolder

PATIENCE_SECONDS = TIMEOUT_SECONDS


@pytest.fixture
def streams(redis_server: RedisServer) -> Iterator[Streams]:
    filled = Streams(redis_server)
    yield filled
    filled.client.close()


def test_once_collects_compacts_and_ends(
    streams: Streams, log: LogFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    streams.add(click("ann", 1), click("bob", 1))
    streams.add(erased(1, "bob"))

    code = main(["collect", log.address, "--redis-url", streams.server.url, "--once"])

    assert code == 0
    assert ids(log) == ["ann-1"]
    output = capsys.readouterr().out
    assert "3 records in 2 new files" in output
    assert "1 events and 0 impressions erased" in output


def test_once_tells_how_many_entries_it_could_not_read(
    streams: Streams, log: LogFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    streams.add(click("ann", 1))
    for _ in range(2):
        streams.client.xadd("events:{00}", {"r": '["e",2,"of a later version"]'})

    assert main(["collect", log.address, "--redis-url", streams.server.url, "--once"]) == 0

    assert "1 records in 1 new files; 2 entries not readable\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [[], ["--redis-url", "redis://localhost", "--segments", "events"]]
)
def test_exactly_one_source_must_be_named(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collect", str(tmp_path), *options]) == 2
    assert "name one source: --redis-url" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--once"]])
def test_a_folder_of_segments_that_does_not_exist_is_refused_by_name(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "events"

    assert main(["collect", str(tmp_path / "log"), "--segments", str(missing), *options]) == 2

    assert capsys.readouterr().err.startswith(
        f"error: --segments {missing}: there is no such folder"
    )
    assert not missing.exists()


def test_a_redis_that_is_not_there_is_an_error_on_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"unix://{tmp_path}/nothing"

    assert main(["collect", str(tmp_path / "log"), "--redis-url", url, "--once"]) == 2
    assert capsys.readouterr().err.startswith("error: cannot collect: Redis: ConnectionError")


def test_the_address_of_redis_may_be_a_secret_file(
    streams: Streams, log: LogFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "redis_url").write_text(streams.server.url + "\n")
    monkeypatch.setenv("SECRETS_PATH", str(tmp_path))
    streams.add(click("ann", 1))

    assert main(["collect", log.address, "--once"]) == 0
    assert ids(log) == ["ann-1"]


@pytest.fixture
def command(log: LogFolder) -> list[str]:
    """Words that start a collector, but for the name of its source."""
    return [sys.executable, "-m", "distilled_recommender", "collect", log.address]


@pytest.fixture
def start(command: list[str], streams: Streams) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a collector; kills all that still run at the end."""
    options = ["--flush-seconds", "0.1", "--claim-seconds", "0.2", "--compact-minutes", "0.02"]
    started = []

    def start_one() -> subprocess.Popen[bytes]:
        words = [*command, *options, "--redis-url", streams.server.url]
        started.append(subprocess.Popen(words, stdout=subprocess.DEVNULL))
        return started[-1]

    yield start_one
    for each in started:
        each.kill()
        each.wait()


def read_by(streams: Streams, collectors: Sequence[subprocess.Popen[bytes]]) -> bool:
    """Whether all collectors have started to read; before, SIGTERM would just end them."""
    consumers = streams.client.xinfo_consumers(STREAMS[0], GROUP)
    names = [each["name"] for each in consumers]
    return all(any(f"-{each.pid}-" in name for name in names) for each in collectors)


def test_collectors_that_are_killed_lose_and_double_nothing(
    streams: Streams, log: LogFolder, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    collectors = [start() for _ in range(2)]
    expected = []
    for number in range(600):
        session = f"s{number % 7}"
        streams.add(click(session, number), stream=number % 64)
        expected.append(f"{session}-{number}")
        if number in (200, 400):
            time.sleep(0.5)
            collectors[0].kill()
            collectors[0].wait()
            collectors[0] = start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (len(ids(log)) == len(expected) and read_by(streams, collectors)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for each in collectors:
        each.send_signal(signal.SIGTERM)

    assert [each.wait(PATIENCE_SECONDS) for each in collectors] == [0, 0]
    assert ids(log) == expected


def test_sigterm_ends_a_collector_that_has_lost_its_source_with_code_0(
    mortal_redis: RedisServer, command: Sequence[str], log: LogFolder
) -> None:
    streams = Streams(mortal_redis)
    words = [*command, "--redis-url", mortal_redis.url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        streams.add(click("ann", 1))
        until(lambda: streams.lengths() == (1, 1))
        streams.add(click("ann", 2))
        until(lambda: streams.lengths() == (2, 2))  # so the first one waits to be written
        mortal_redis.kill()
        process.terminate()
        told, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert "cannot collect now, the source keeps the last records: Redis: " in told
    assert ids(log)[0] == "ann-1"


@contextmanager
def killed_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_sigterm_ends_a_collector_that_is_still_importing_with_code_0(
    streams: Streams, command: Sequence[str]
) -> None:
    # The command inherits a blocked SIGTERM, and unblocks it when it can handle it.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process = subprocess.Popen([*command, "--redis-url", streams.server.url])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    process.terminate()
    with killed_at_the_end(process):
        assert process.wait(PATIENCE_SECONDS) == 0
    assert streams.client.exists(STREAMS[0]) == 0  # it had not begun to read


def test_sigterm_does_not_make_half_of_a_collection_a_success(command: Sequence[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen([*command, "--redis-url", url, "--once"])
        silent.settimeout(PATIENCE_SECONDS)
        with killed_at_the_end(process), silent.accept()[0]:  # it waits for an answer
            process.terminate()
            assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
