"""Events of other programs reach the log through a real NATS server, whatever is killed."""

import asyncio
import json
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distilled_recommender.app import main
from distilled_recommender.collector.collector import Collector, FlushLimits
from distilled_recommender.collector.source import Source, SourceError
from service.stores.session_refs import session_ref
from tests.command.collector.conftest import (
    PATIENCE_SECONDS,
    Streams,
    click,
    erased,
    ids,
    run,
    started_nats,
    until,
)
from tests.command.collector.nats_stream import NatsStreams
from tests.conftest import RedisServer
from training.events.compaction import compact
from training.events.log_folder import LogFolder
from training.events.reading import read_copies, read_events

AT_ONCE = FlushLimits(max_records=1_000, max_seconds=0)
SECRET = "s" * 32
HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "events-from-nats.md"
ADDRESS = "nats://localhost:4222"


@pytest.fixture
def mortal_nats(tmp_path: Path) -> Iterator[NatsStreams]:
    """The stream of a server that a test may kill."""
    server = started_nats(tmp_path)
    yield NatsStreams(server)
    server.kill()


async def collect(source: Source, log: LogFolder, said: list[str] | None = None) -> None:
    collector = Collector(source, log, AT_ONCE, (said if said is not None else []).append)
    try:
        while await collector.step():
            pass
    finally:
        await source.aclose()


def test_more_messages_than_one_request_asks_for_are_collected(
    nats_streams: NatsStreams, log: LogFolder
) -> None:
    nats_streams.add(*(click("ann", number) for number in range(600)))

    run(collect(nats_streams.source(), log))

    assert ids(log) == [f"ann-{number}" for number in range(600)]
    assert nats_streams.lengths() == (0, 0)


def test_a_message_that_is_no_record_stays_and_stops_no_other(
    nats_streams: NatsStreams, log: LogFolder
) -> None:
    nats_streams.publish({"kind": "order", "total": 3})
    nats_streams.add(click("ann", 1))
    said: list[str] = []

    run(collect(nats_streams.source(), log, said))

    assert ids(log) == ["ann-1"]
    assert nats_streams.lengths() == (1, 1)
    assert said == [
        "not collected: events: message 1: kind = 'order', expected one of event, impression, "
        "tombstone"
    ]


def test_many_messages_that_are_no_records_hide_none_behind_them(
    nats_streams: NatsStreams, log: LogFolder
) -> None:
    for _ in range(251):  # more than the source takes at once
        nats_streams.publish({"kind": "order"})
    nats_streams.add(click("ann", 1))
    said: list[str] = []

    run(collect(nats_streams.source(), log, said))

    assert ids(log) == ["ann-1"]
    assert len(said) == 251


def test_an_event_without_an_id_in_a_stream_that_was_made_anew_is_another_event(
    nats_streams: NatsStreams, log: LogFolder
) -> None:
    event = {"session_ref": "ann", "event_type": "click"}
    for item in "ab":
        nats_streams.publish({**event, "item_id": item})  # number 1 in both streams
        run(collect(nats_streams.source(), log))
        nats_streams.make_anew()

    assert read_events(log)["item_id"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize("name", ["a.b", "a b", "*", "", "n" * 65])
def test_a_name_that_no_stream_can_have_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["collect", str(tmp_path / "log"), "--nats-url", "nats://127.0.0.1:1"]
    assert main([*command, "--nats-stream", name]) == 2
    assert f"--nats-stream {name!r}: expected the name of a stream" in capsys.readouterr().err


def test_a_header_that_looks_like_one_of_the_server_ends_nothing(
    nats_streams: NatsStreams, log: LogFolder
) -> None:
    event = {"session_ref": "ann", "item_id": "a", "event_type": "click"}
    nats_streams.publish({**event, "event_id": "1"}, Status="404")
    nats_streams.publish({**event, "event_id": "2"}, Status="500")
    nats_streams.publish({**event, "event_id": "3"})

    run(collect(nats_streams.source(), log))

    assert ids(log) == ["1", "2", "3"]


def test_only_messages_of_the_named_subject_are_collected(
    nats_streams: NatsStreams, log: LogFolder
) -> None:
    nats_streams.publish({"order": 1}, subject="shop.orders")
    nats_streams.add(click("ann", 1))

    run(collect(nats_streams.source(subject="shop.0"), log))

    assert ids(log) == ["ann-1"]
    assert nats_streams.lengths() == (1, 0)


def test_a_server_that_is_killed_loses_and_doubles_nothing(
    mortal_nats: NatsStreams, log: LogFolder
) -> None:
    mortal_nats.add(*(click("ann", number) for number in range(300)))

    async def collect_and_kill() -> None:
        collector = Collector(mortal_nats.source(1), log, AT_ONCE, print)
        await collector.step()
        mortal_nats.server.kill()
        with pytest.raises(SourceError, match="NATS, stream events: "):
            await collector.step()
        mortal_nats.server.start()
        async with asyncio.timeout(PATIENCE_SECONDS):  # what was taken before comes after a second
            while await collector.step() or await asyncio.to_thread(mortal_nats.lengths) != (0, 0):
                await asyncio.sleep(0.05)
        await collector.source.aclose()

    run(collect_and_kill())

    assert ids(log) == [f"ann-{number}" for number in range(300)]
    assert mortal_nats.lengths() == (0, 0)


def test_a_stream_that_was_made_anew_is_collected_again(
    nats_streams: NatsStreams, log: LogFolder
) -> None:
    async def lose_and_collect() -> None:
        collector = Collector(nats_streams.source(), log, AT_ONCE, print)
        await collector.step()
        await asyncio.to_thread(nats_streams.make_anew)
        await asyncio.to_thread(nats_streams.add, click("ann", 1))
        with pytest.raises(SourceError, match="status 503"):
            await collector.step()
        await collector.step()
        await collector.source.aclose()

    run(lose_and_collect())

    assert ids(log) == ["ann-1"]


def test_a_stream_or_a_server_that_is_not_there_is_an_error_on_one_line(
    nats_streams: NatsStreams, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["collect", str(tmp_path / "log"), "--once", "--nats-stream", "nothing"]

    assert main([*command, "--nats-url", nats_streams.server.url]) == 2
    assert "error: cannot collect: NATS, stream nothing: NotFound" in capsys.readouterr().err
    assert main([*command, "--nats-url", "nats://ann:hidden@127.0.0.1:1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: cannot collect: NATS, stream nothing: ConnectionRefused")
    assert "hidden" not in error


def test_once_collects_by_the_secret_files_of_the_service(
    nats_streams: NatsStreams, log: LogFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nats_url").write_text(nats_streams.server.url + "\n")
    (tmp_path / "session_secret").write_text(SECRET + "\n")
    monkeypatch.setenv("SECRETS_PATH", str(tmp_path))
    nats_streams.publish({"session_id": "s1", "item_id": "a", "event_type": "view"})

    assert main(["collect", log.address, "--once"]) == 0

    found = read_events(log)
    assert found["session_ref"].to_pylist() == [session_ref(SECRET, "default", "s1")]
    (event_id,) = found["event_id"].to_pylist()
    assert re.fullmatch(r"events:1:\d{13}", event_id)  # stream, number, time in ms


def blocks(language: str) -> list[str]:
    """Returns the blocks of code of the how-to in a language."""
    text = HOW_TO.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_how_to_publishes_what_is_collected_and_erased(
    nats_streams: NatsStreams, log: LogFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program,), (order,) = blocks("python"), blocks("json")
    assert ADDRESS in program
    (tmp_path / "program.py").write_text(program.replace(ADDRESS, nats_streams.server.url))
    monkeypatch.setenv("SESSION_SECRET", SECRET)
    command = ["collect", log.address, "--nats-url", nats_streams.server.url, "--once"]
    nats_streams.delete()  # the program makes it

    runpy.run_path(str(tmp_path / "program.py"))
    assert main(command) == 0
    assert ids(log) == ["e1"]
    assert nats_streams.lengths() == (0, 0)

    nats_streams.publish(json.loads(order), subject="shop.events")
    assert main(command) == 0
    assert len(read_copies(log, "event")) == 0


def test_a_user_with_the_permissions_of_the_how_to_collects(tmp_path: Path, log: LogFolder) -> None:
    (permissions,) = blocks("text")
    collector = f"{{user: collector, password: hidden, permissions: {{{permissions}}}}}"
    users = f"{{user: shop, password: hidden}}, {collector}, {{user: nobody, password: hidden}}"
    refused = '{publish: nothing, subscribe: "_INBOX.>"}'
    users = users.replace("{user: nobody,", f"{{user: nobody, permissions: {refused},")
    (tmp_path / "server.conf").write_text(f"authorization {{users: [{users}]}}\n")
    server = started_nats(tmp_path, "--config", str(tmp_path / "server.conf"))
    address = server.url
    try:
        server.url = address.replace("//", "//shop:hidden@")
        streams = NatsStreams(server)
        streams.add(click("ann", 1))
        server.url = address.replace("//", "//collector:hidden@")
        run(collect(streams.source(), log))
        server.url = address.replace("//", "//nobody:hidden@")
        with pytest.raises(SourceError, match="permissions violation for publish to"):
            run(collect(streams.source(), log))
    finally:
        server.kill()

    assert ids(log) == ["ann-1"]


def test_an_erasure_at_the_service_erases_what_came_before_it_from_nats(
    nats_streams: NatsStreams, redis_server: RedisServer, log: LogFolder
) -> None:
    service = Streams(redis_server)
    event = {"session_ref": "ann", "item_id": "a", "event_type": "click"}
    nats_streams.publish({**event, "event_id": "before"})
    time.sleep(0.002)  # within one millisecond, the two sources have no order
    service.add(erased(time.time_ns() // 1_000_000, "ann"))
    service.client.close()
    nats_streams.publish({**event, "event_id": "after"})

    run(collect(service.source(), log))
    run(collect(nats_streams.source(), log))

    assert ids(log) == ["after"]


@pytest.fixture
def start(
    log: LogFolder, nats_streams: NatsStreams
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a collector; kills all that still run at the end."""
    command = [sys.executable, "-m", "distilled_recommender", "collect", log.address]
    command += ["--nats-url", nats_streams.server.url, "--claim-seconds", "1"]
    started = []

    def start_one(records: int = 50, seconds: float = 0.1) -> subprocess.Popen[bytes]:
        limits = ["--flush-records", str(records), "--flush-seconds", str(seconds)]
        started.append(subprocess.Popen([*command, *limits], stdout=subprocess.DEVNULL))
        return started[-1]

    yield start_one
    for each in started:
        each.kill()
        each.wait()


def kill_when(collector: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    until(condition, pause_seconds=0.05)
    collector.kill()
    collector.wait()


def test_a_collector_that_is_killed_again_and_again_loses_and_doubles_nothing(
    nats_streams: NatsStreams, log: LogFolder, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    # Three events have one time, so that only their place in the stream orders them.
    events = [click(f"s{n % 7}", n)._replace(timestamp=n // 3) for n in range(2_000)]
    kept = [each for each in events if each.session_ref != "s3" or each.received_at >= 600]
    nats_streams.add(*events[:600], erased(599, "s3"), *events[600:])

    kill_when(start(), lambda: len(log.parts("event")) > 3)
    # This one takes all that is left, and writes nothing before it is killed.
    kill_when(start(10_000, 3_600), lambda: nats_streams.lengths()[1] > 1_000)
    kill_when(start(), lambda: len(log.parts("event")) > 7)
    assert nats_streams.lengths()[0] > 0
    last = start()
    until(lambda: nats_streams.lengths() == (0, 0))
    last.send_signal(signal.SIGTERM)

    assert last.wait(PATIENCE_SECONDS) == 0
    assert ids(log) == [each.event_id for each in kept]
    compact(log)
    assert len(read_copies(log, "event")) == len(kept)
