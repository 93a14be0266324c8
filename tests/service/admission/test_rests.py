"""Keys that are slowed down after refusals work only between rests, while others send requests."""

from pathlib import Path

from service.admission.rests import Rests
from tests.service.admission.test_refusal_pace import HERE, Paced


def test_a_slowed_key_has_one_request_in_progress_and_rests_between_two_while_others_send(
    tmp_path: Path,
) -> None:
    paced = Paced(tmp_path)
    rests, greedy, modest = Rests(paced.pace), paced.ids["greedy"], paced.ids["modest"]
    assert not rests.refuses_light(greedy, 9, 0.0)
    for _ in range(300):
        paced.refuse("greedy", 0.0)  # the other key sends a request too
    assert rests.refuses_light(greedy, 1, 0.0)
    assert not rests.refuses_light(greedy, 0, 0.1)
    rests.begin_light(greedy, 0.1)
    assert rests.refuses_light(greedy, 0, 0.101)
    assert not rests.refuses_light(greedy, 0, 0.103)
    assert not rests.refuses_light(modest, 9, 0.101)


def test_after_a_heavy_request_a_slowed_key_rests_for_twenty_times_the_work(
    tmp_path: Path,
) -> None:
    paced = Paced(tmp_path)
    rests, greedy, modest = Rests(paced.pace), paced.ids["greedy"], paced.ids["modest"]
    for _ in range(300):
        paced.refuse("greedy", 0.0)
    assert not rests.refuses_heavy(greedy, 0.0)
    rests.begin_heavy(greedy, 0.04, 0.0)
    assert rests.refuses_heavy(greedy, 0.79)
    assert not rests.refuses_heavy(modest, 0.79)
    assert not rests.refuses_light(greedy, 0, 0.79)
    assert not rests.refuses_heavy(greedy, 0.81)


def test_only_the_requests_of_a_slowed_key_begin_a_rest(tmp_path: Path) -> None:
    paced = Paced(tmp_path)
    rests, greedy, modest = Rests(paced.pace), paced.ids["greedy"], paced.ids["modest"]
    for _ in range(300):
        paced.refuse("greedy", 0.0)
    rests.begin_light(modest, 0.0)
    rests.begin_heavy(modest, 9, 0.0)
    assert not rests.refuses_light(greedy, 0, 0.001)
    assert not rests.refuses_heavy(greedy, 0.001)


def test_a_slowed_key_does_not_rest_for_others_that_are_slowed_too_or_were_here_a_while_ago(
    tmp_path: Path,
) -> None:
    paced = Paced(tmp_path)
    rests, greedy, modest = Rests(paced.pace), paced.ids["greedy"], paced.ids["modest"]
    for now in (0.0, 0.9):
        for _ in range(300):
            paced.refuse("greedy", now)
            paced.refuse("modest", now)
    assert not rests.refuses_light(greedy, 9, 1.2)
    paced.pace.note("ann", 1.2)
    assert rests.refuses_light(greedy, 9, 1.2)
    assert rests.refuses_light(modest, 9, 1.2)
    for _ in range(300):
        paced.pace.pause_seconds(HERE, paced._headers["greedy"], None, 2.3)
    assert paced.pace.slows(greedy, 2.3)
    assert not rests.refuses_light(greedy, 9, 2.3)
