"""Segments of a service without Redis are collected, and then removed."""

from pathlib import Path

import pytest

from distilled_recommender.collector.collector import Collector, FlushLimits
from distilled_recommender.collector.segment_source import SegmentSource
from distilled_recommender.collector.source import SourceError
from export.contract.log.events import Entry, Record, framed_entry, text_of_entry
from export.contract.log.segments import SegmentWriter
from export.contract.log.worker_folders import make_folder, seal
from tests.command.collector.conftest import click, ids, run
from training.events.log_folder import LogFolder

AT_ONCE = FlushLimits(max_records=1_000, max_seconds=0)


def collect(folder: Path, log: LogFolder) -> None:
    async def work() -> None:
        collector = Collector(SegmentSource(folder), log, AT_ONCE, print)
        while await collector.step():
            pass
        await collector.source.aclose()

    run(work())


class Worker:
    """A worker that writes segments."""

    def __init__(self, parent: Path) -> None:
        self.folder, self.lock = make_folder(parent)
        self.sequence = 0

    def write(self, *records: Record, sealed: bool = True) -> Path:
        """Writes one segment with an entry for each record."""
        path = self.folder / f"{self.sequence:08}.open"
        writer = SegmentWriter(path)
        for record in records:
            self.sequence += 1
            writer.write(framed_entry(Entry(self.sequence, text_of_entry([record]))))
        writer.close()
        return seal(path) if sealed else path


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path / "segments")


def test_sealed_segments_are_collected_and_removed(worker: Worker, log: LogFolder) -> None:
    worker.write(click("ann", 1), click("bob", 1))
    worker.write(click("ann", 2))

    collect(worker.folder.parent, log)

    assert ids(log) == ["ann-1", "bob-1", "ann-2"]
    assert [each.name for each in worker.folder.iterdir()] == ["lock"]


def test_a_segment_that_a_living_worker_writes_is_left_alone(
    worker: Worker, log: LogFolder
) -> None:
    path = worker.write(click("ann", 1), sealed=False)

    collect(worker.folder.parent, log)

    assert ids(log) == []
    assert path.exists()


def test_a_segment_that_is_read_twice_counts_once(worker: Worker, log: LogFolder) -> None:
    path = worker.write(click("ann", 1))
    content = path.read_bytes()
    collect(worker.folder.parent, log)
    path.write_bytes(content)  # as if the collector had died before it removed the segment
    worker.write(click("ann", 2))

    collect(worker.folder.parent, log)

    assert ids(log) == ["ann-1", "ann-2"]


def test_a_damaged_segment_is_kept_and_its_good_records_are_collected(
    worker: Worker, log: LogFolder, caplog: pytest.LogCaptureFixture
) -> None:
    path = worker.write(click("ann", 1), click("ann", 2))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    collect(worker.folder.parent, log)
    collect(worker.folder.parent, log)

    assert ids(log) == ["ann-1"]
    assert [each.suffix for each in worker.folder.glob("0*")] == [".damaged"]
    assert "is damaged, kept as" in caplog.text


def test_a_segment_that_cannot_be_removed_is_collected_again_and_holds_up_no_other(
    worker: Worker, log: LogFolder
) -> None:
    stuck, other = worker.write(click("ann", 1)), worker.write(click("ann", 2))
    aside = stuck.with_name("aside")

    async def work() -> None:
        source = SegmentSource(worker.folder.parent)
        collector = Collector(source, log, FlushLimits(1_000, max_seconds=60), print)
        await collector.step()
        stuck.rename(aside)
        stuck.mkdir()  # which unlink refuses, for root too
        with pytest.raises(SourceError, match=rf"{stuck} cannot be removed: "):
            await collector.flush()
        assert not other.exists()
        stuck.rmdir()
        aside.rename(stuck)
        await collector.step()
        await collector.flush()

    run(work())

    assert ids(log) == ["ann-1", "ann-2"]
    assert not stuck.exists()


def test_a_folder_that_does_not_exist_yet_has_no_segments(tmp_path: Path, log: LogFolder) -> None:
    collect(tmp_path / "nothing", log)

    assert ids(log) == []
