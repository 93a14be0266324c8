"""The records of the event log: what is written is read again, and nothing else is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.contract.log.events import (
    MAX_TEXT_BYTES,
    STREAMS,
    Entry,
    Event,
    EventLogError,
    ImpressionRecord,
    Record,
    Tombstone,
    entry_of,
    framed_entry,
    next_sequence,
    records_of,
    sequence_of,
    text_of_entry,
)
from export.contract.log.segments import read_segment
from service.stores.history.redis_keys import keys_of

CLICK = Event(1, "e1", "shop", "v1.ann", "click", "260", 1_000, 1_001, 9.5, "r1", "v1.u", 7)
SHOWN = ImpressionRecord(
    1, "r1", "shop", "v1.ann", 900, ["260", "é"], "b", "v", "student", False, "", 6
)
ERASED = Tombstone(1, "shop", "v1.ann", None, 2_000, 8)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)


@pytest.mark.parametrize("record", [CLICK, SHOWN, ERASED])
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert records_of(Entry(record.sequence, text_of_entry([record]))) == [record]


def test_an_entry_of_several_impressions_keeps_their_order() -> None:
    second = SHOWN._replace(recommendation_id="r2", session_ref=None, filters='{"allow":{}}')
    assert records_of(Entry(6, text_of_entry([SHOWN, second]))) == [SHOWN, second]


def test_a_line_is_what_other_programs_can_rely_on() -> None:
    expected = '["e",1,"e1","shop","v1.ann","click","260",1000,1001,9.5,"r1","v1.u"]'
    assert text_of_entry([CLICK]) == expected


@given(TEXT, TEXT, st.integers(0, 2**50), st.floats(allow_nan=False, allow_infinity=False))
def test_any_ids_survive_a_segment(item_id: str, event_id: str, at: int, value: float) -> None:
    event = CLICK._replace(item_id=item_id, event_id=event_id, timestamp=at, value=value)
    framed = framed_entry(Entry(7, text_of_entry([event])))
    assert records_of(entry_of(framed[8:])) == [event]


def test_entries_are_read_from_a_segment_up_to_one_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "00000001.log"
    whole = framed_entry(Entry(7, text_of_entry([CLICK])))
    path.write_bytes(whole + whole[:-1])
    contents, is_damaged = read_segment(path)
    assert [records_of(entry_of(each)) for each in contents] == [[CLICK]]
    assert not is_damaged


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a record"),
        ("{}", "not a record"),
        ('["x",1]', "not a record"),
        ('[["e"],1]', "not a record"),
        ('["t",1,"shop","v1.ann",null]', "Tombstone with 4 values, expected 5"),
        ('["t",2,"shop","v1.ann",null,5]', "Tombstone.schema = 2, expected 1"),
        ('["t",1,"shop","v1.ann",null,"5"]', "Tombstone.at = '5', expected a time in ms"),
        ('["t",1,"","v1.ann",null,5]', "Tombstone.tenant = '', expected a string"),
        (text_of_entry([CLICK]).replace("9.5", "1e999"), "Event.value = inf, expected a finite"),
        (text_of_entry([CLICK]).replace("9.5", "NaN"), "not a record"),
        ("[" * 5_000, "not a record"),
        ("x" * (MAX_TEXT_BYTES + 1), "more than 1,048,576 bytes"),
    ],
)
def test_what_is_no_record_is_refused_with_its_field_and_value(text: str, says: str) -> None:
    with pytest.raises(EventLogError, match=says):
        records_of(Entry(1, text))


@pytest.mark.parametrize("content", [b"", b"7", b"x\n[]", b"\xff\n"])
def test_a_segments_content_without_a_sequence_is_refused(content: bytes) -> None:
    with pytest.raises(EventLogError, match="not an entry"):
        entry_of(content)


def test_later_entries_of_a_stream_have_higher_sequence_numbers() -> None:
    ids = ["999-5", "1000-0", "1000-1", "1000-10", "1001-0"]
    numbers = [sequence_of(each) for each in ids]
    assert numbers == sorted(set(numbers))
    assert sequence_of("1000-1") == 1000 * 2**20 + 1


@pytest.mark.parametrize("stream_id", ["", "1", "1-", "a-1", "9999999999999999-0"])
def test_what_is_no_id_of_a_stream_is_refused(stream_id: str) -> None:
    with pytest.raises(EventLogError):
        sequence_of(stream_id)


def test_sequence_numbers_of_a_log_on_disk_never_go_back_with_the_clock() -> None:
    first = next_sequence(0, 1_000)
    assert first == 1_000 * 2**20
    assert next_sequence(first, 999) == first + 1
    assert next_sequence(first, 1_001) == 1_001 * 2**20


def test_the_streams_lie_in_the_slots_of_the_sessions() -> None:
    assert len(set(STREAMS)) == 64
    tag = keys_of("v1.ann").events.split(":")[1]
    assert f"events:{tag}" in STREAMS
