"""Clients that send on after refusals are slowed down by their keys; no others are."""

from itertools import pairwise
from pathlib import Path

import pytest

from service.access.authentication import Authentication
from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope
from service.admission.refusal_pace import RefusalPace
from service.http.connections import Headers


class Connection:
    """A connection, by its identity."""


HERE, THERE = Connection(), Connection()


class Paced:
    """A pace that knows the keys `greedy` and `modest`."""

    def __init__(self, folder: Path, for_all: frozenset[Scope] = frozenset()) -> None:
        path, new = folder / "keys.json", NewKey(frozenset({Scope.READ}))
        keys = {name: create_key(path, new) for name in ("greedy", "modest")}
        self.ids = {name: key.partition(".")[0] for name, key in keys.items()}
        self._headers: dict[str, Headers] = {
            name: [(b"authorization", b"Bearer " + key.encode())] for name, key in keys.items()
        }
        self._headers |= {"wrong": [(b"authorization", b"Bearer no.key")], "none": []}
        authentication = Authentication(path, None, for_all)
        authentication.load()
        self.pace = RefusalPace(authentication)

    def refuse(
        self, name: str, now: float, before: str | None = None, where: Connection = HERE
    ) -> float:
        """Returns the pause after a refusal of `name`; `before`: who sent the request before.

        The other key is active.
        """
        for each in ("greedy", "modest"):
            self.pace.note(self.ids[each], now)
        earlier = None if before is None else self._headers[before]
        return self.pace.pause_seconds(where, self._headers[name], earlier, now)


@pytest.fixture
def paced(tmp_path: Path) -> Paced:
    return Paced(tmp_path)


def test_refusals_beyond_a_burst_pause_their_connections_ever_longer_up_to_a_second(
    paced: Paced,
) -> None:
    assert [paced.refuse("greedy", 9.0) for _ in range(50)] == pytest.approx([0] * 50)
    # At 200 a second, the next ones are due after 5, 10 and 15 ms.
    pauses = [paced.refuse("greedy", 9.0) for _ in range(3)]
    assert pauses == pytest.approx([0.005, 0.01, 0.015])
    assert max(paced.refuse("greedy", 9.0) for _ in range(196)) == pytest.approx(0.995)


def test_pauses_of_a_key_that_sends_on_and_on_end_at_times_that_are_spread_evenly(
    paced: Paced,
) -> None:
    for _ in range(250):
        paced.refuse("greedy", 9.0)
    ends = sorted(paced.refuse("greedy", 9.0) for _ in range(400))
    assert ends[0] >= 0.5
    assert ends[-1] <= 1
    # 400 ends in half a second: one in 1.25 ms, and nowhere a gap of twice that.
    assert max(later - end for end, later in pairwise(ends)) < 0.0025


def test_a_refusal_that_a_key_has_not_caused_does_not_count(paced: Paced) -> None:
    for _ in range(300):
        paced.pace.excuse(paced.ids["modest"])
        assert paced.refuse("modest", 9.0) == 0
    assert not paced.pace.slows(paced.ids["modest"], 9.0)
    paced.pace.excuse(paced.ids["modest"])
    for _ in range(51):  # only the next refusal is excused, and only that of the same key
        paced.refuse("greedy", 9.0)
    assert paced.refuse("greedy", 9.0) > 0


def test_a_key_that_is_refused_200_times_a_second_is_not_paused(paced: Paced) -> None:
    assert not any(paced.refuse("greedy", 9 + number / 200) for number in range(400))


def test_a_key_is_not_paused_for_the_refusals_of_another(paced: Paced) -> None:
    for _ in range(300):
        paced.refuse("greedy", 9.0)
    assert paced.refuse("modest", 9.0) == 0
    assert paced.pace.slows(paced.ids["greedy"], 9.9)
    assert not paced.pace.slows(paced.ids["modest"], 9.9)


def test_a_second_and_a_quarter_after_its_last_refusal_a_key_has_its_burst_again(
    paced: Paced,
) -> None:
    for _ in range(300):
        paced.refuse("greedy", 9.0)
    assert paced.pace.slowed(9.9) == {paced.ids["greedy"]}
    assert paced.pace.slowed(10.1) == set()
    assert max(paced.refuse("greedy", 10.25) for _ in range(50)) == pytest.approx(0)
    assert paced.refuse("greedy", 10.25) == pytest.approx(0.005)


@pytest.mark.parametrize("name", ["wrong", "none"])
def test_requests_without_a_valid_key_are_not_paused(paced: Paced, name: str) -> None:
    assert not any(paced.refuse(name, 9.0) for _ in range(300))


def test_a_connection_that_two_keys_share_is_not_paused_and_others_of_the_client_are(
    paced: Paced,
) -> None:
    for _ in range(300):
        paced.refuse("greedy", 9.0, before="greedy")
    assert paced.refuse("greedy", 9.0, before="greedy")
    assert paced.refuse("greedy", 9.0, before="modest") == 0
    assert paced.refuse("greedy", 9.0, before="greedy") == 0
    assert paced.refuse("greedy", 9.0, before="greedy", where=THERE)
    for _ in range(300):
        paced.refuse("greedy", 19.5)
    assert paced.refuse("greedy", 19.5)  # over ten seconds after the other key's request


def test_two_keys_that_are_both_refused_too_often_do_not_protect_each_other(paced: Paced) -> None:
    for _ in range(300):
        paced.refuse("greedy", 9.0)
        paced.refuse("modest", 9.0)
    assert paced.refuse("greedy", 9.0, before="modest")
    assert paced.refuse("modest", 9.0, before="greedy")


@pytest.mark.parametrize("before", ["wrong", "none"])
@pytest.mark.parametrize("for_all", [frozenset(), frozenset({Scope.READ})])
def test_a_request_without_a_valid_key_does_not_protect_a_connection(
    tmp_path: Path, before: str, for_all: frozenset[Scope]
) -> None:
    paced = Paced(tmp_path, for_all)
    for _ in range(300):
        paced.refuse("greedy", 9.0)
    assert paced.refuse("greedy", 9.0, before=before)


def test_a_key_that_is_alone_is_not_paused_and_neither_is_one_whose_rival_was_here_a_while_ago(
    paced: Paced,
) -> None:
    for _ in range(300):
        paced.refuse("greedy", 9.0)
    assert paced.refuse("greedy", 9.0)
    greedy = paced._headers["greedy"]
    for _ in range(300):
        paced.pace.note(paced.ids["greedy"], 10.1)
        assert paced.pace.pause_seconds(HERE, greedy, None, 10.1) == 0
    paced.pace.note(paced.ids["modest"], 10.1)
    assert paced.pace.pause_seconds(HERE, greedy, None, 10.1)
