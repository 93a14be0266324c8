"""Places and turns of the queue are shared between keys."""

from service.admission.fair_queue import FairQueue


def emptied(queue: FairQueue[str]) -> list[str]:
    entries = []
    while entry := queue.pop():
        entries.append(entry)
    return entries


def test_the_entries_of_one_key_have_their_turns_in_their_order() -> None:
    queue = FairQueue[str](100)
    for entry in ("first", "second", "third"):
        assert queue.push("ann", 10, entry) == []
    assert emptied(queue) == ["first", "second", "third"]
    assert (queue.units, len(queue)) == (0, 0)


def test_keys_take_turns_by_the_units_that_they_have_had() -> None:
    queue = FairQueue[str](100)
    queue.push("greedy", 10, "g1")
    queue.push("greedy", 10, "g2")
    for entry in ("m1", "m2", "m3"):
        queue.push("modest", 4, entry)
    # After g1 greedy has had 10 units. The modest key has had 0, 4, 8, 12 before each of its turns.
    assert emptied(queue) == ["g1", "m1", "m2", "m3", "g2"]


def test_units_that_a_key_is_charged_later_count_as_if_it_had_had_them() -> None:
    queue = FairQueue[str](100)
    for key in ("ann", "ben"):
        for number in (1, 2):
            queue.push(key, 10, f"{key}{number}")
    assert queue.pop() == "ann1"
    queue.charge("ann", 15)  # so that it has had 25, and ben 0 and 10
    assert emptied(queue) == ["ben1", "ben2", "ann2"]


def test_a_key_that_was_idle_gets_no_turns_in_return() -> None:
    queue = FairQueue[str](1000)
    for number in range(5):
        queue.push("busy", 10, f"b{number}")
    assert [queue.pop(), queue.pop(), queue.pop()] == ["b0", "b1", "b2"]
    for number in range(3):
        queue.push("back", 10, f"k{number}")
    assert emptied(queue) == ["k0", "b3", "k1", "b4", "k2"]


def test_a_key_alone_in_a_full_queue_loses_its_newest_entry() -> None:
    queue = FairQueue[str](20)
    queue.push("ann", 10, "first")
    queue.push("ann", 10, "second")
    assert queue.push("ann", 1, "third") == ["third"]
    assert emptied(queue) == ["first", "second"]


def test_in_a_full_queue_the_key_with_the_most_units_makes_room_for_the_others() -> None:
    queue = FairQueue[str](30)
    for entry in ("g1", "g2", "g3"):
        queue.push("greedy", 10, entry)
    assert queue.push("modest", 10, "m1") == ["g3"]
    assert queue.push("modest", 10, "m2") == ["m2"]
    assert queue.units == 30
    assert sorted(emptied(queue)) == ["g1", "g2", "m1"]


def test_an_entry_with_more_units_than_the_queue_waits_if_it_is_alone() -> None:
    queue = FairQueue[str](10)
    assert queue.push("ann", 35, "huge") == []
    assert queue.push("ann", 1, "tiny") == ["tiny"]
    assert emptied(queue) == ["huge"]


def test_a_removed_entry_leaves_its_place() -> None:
    queue = FairQueue[str](20)
    queue.push("ann", 20, "first")
    queue.remove("ann", "first")
    queue.remove("ann", "first")
    assert queue.units == 0
    assert queue.push("ann", 20, "second") == []
    assert emptied(queue) == ["second"]


def test_before_a_new_entry_come_its_own_keys_units_and_as_many_of_each_other_key() -> None:
    queue = FairQueue[str](1000)
    queue.push("greedy", 500, "g")
    queue.push("modest", 3, "m")
    assert queue.units_before("modest", 2) == 3 + 5
    assert queue.units_before("new", 2) == 2 + 2
    assert queue.units_before("greedy", 2) == 500 + 3
