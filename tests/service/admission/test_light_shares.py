"""While there is much work, a key with more than its share of light requests is refused first."""

from pathlib import Path

from service.access.authentication import Authentication
from service.admission.light_shares import LightShares
from service.admission.refusal_pace import RefusalPace
from tests.service.admission.test_refusal_pace import Paced


def shares_of(pace: RefusalPace | None = None) -> LightShares:
    return LightShares(pace or RefusalPace(Authentication(None, None, frozenset())))


def sends(shares: LightShares, key: str, now: float) -> bool:
    """Counts a request of `key`; returns whether it is admitted."""
    shares.count(key, now)
    return shares.admits(key, now)


def test_a_key_that_is_alone_has_all() -> None:
    shares = shares_of()
    assert all(sends(shares, "ann", 0.0) for _ in range(100))


def test_a_greedy_key_is_refused_and_a_modest_one_is_not() -> None:
    shares = shares_of()
    for _ in range(20):
        sends(shares, "greedy", 0.0)
    # 21 requests of two keys: the share is 10.5, and 4 more are tolerated.
    assert sends(shares, "modest", 0.0)
    assert not sends(shares, "greedy", 0.0)
    assert sends(shares, "modest", 0.0)


def test_keys_that_send_alike_are_not_refused() -> None:
    shares = shares_of()
    assert all(sends(shares, key, 0.0) for _ in range(50) for key in ("ann", "ben", "cy"))


def test_a_request_can_be_judged_again_without_counting_twice() -> None:
    shares = shares_of()
    assert shares.admits("ann", 0.0)  # nobody has sent anything
    for _ in range(20):
        assert sends(shares, "ann", 0.0)
        assert shares.admits("ann", 0.0)
        assert sends(shares, "ben", 0.0)


def test_what_a_key_sent_before_is_forgotten_after_a_quarter_of_a_second() -> None:
    shares = shares_of()
    for _ in range(20):
        sends(shares, "ann", 0.0)
    sends(shares, "ben", 0.1)
    assert not sends(shares, "ann", 0.2)
    assert sends(shares, "ben", 0.3)
    assert sends(shares, "ann", 0.3)


def test_a_key_that_sends_three_times_as_much_as_the_others_is_greedy() -> None:
    shares = shares_of()
    for key, number in {"greedy": 39, "ann": 13, "ben": 13}.items():
        for _ in range(number):
            sends(shares, key, 0.0)
    assert shares.is_greedy("greedy", 0.0)  # over twice 13 and 4 more
    assert not shares.is_greedy("ann", 0.0)


def test_a_key_that_sends_a_little_more_than_the_others_or_is_alone_is_not_greedy() -> None:
    shares = shares_of()
    for _ in range(30):
        sends(shares, "ann", 0.0)
    assert not shares.is_greedy("ann", 0.0)
    for _ in range(13):
        sends(shares, "ben", 0.0)
    assert not shares.is_greedy("ann", 0.0)  # not over twice 13 and 4 more


def test_while_a_key_is_slowed_down_it_alone_is_refused_though_it_sends_less(
    tmp_path: Path,
) -> None:
    paced = Paced(tmp_path)
    shares = shares_of(paced.pace)
    for _ in range(51):
        paced.refuse("greedy", 0.0)
    greedy, modest = paced.ids["greedy"], paced.ids["modest"]
    for _ in range(100):
        assert sends(shares, modest, 0.0)
    assert not sends(shares, greedy, 0.0)
    assert shares.is_greedy(greedy, 0.0)
    assert not shares.is_greedy(modest, 0.0)
    assert sends(shares, greedy, 0.3)  # no longer, and as an equal in a new period


def test_while_a_key_is_slowed_down_the_others_keep_to_their_shares(tmp_path: Path) -> None:
    paced = Paced(tmp_path)
    shares = shares_of(paced.pace)
    for _ in range(40):
        sends(shares, paced.ids["greedy"], 0.0)
    for _ in range(51):
        paced.refuse("greedy", 0.0)
    for _ in range(10):
        assert sends(shares, "modest", 0.0)
    # With 10 of `modest` and 18 of `eager` the share is 14, and 4 more are tolerated. The 40 of
    # the key that is slowed down do not count.
    assert [sends(shares, "eager", 0.0) for _ in range(20)] == [True] * 18 + [False] * 2
    assert not shares.is_greedy("eager", 0.0)  # not over twice 10 and 4 more
    for _ in range(5):
        sends(shares, "eager", 0.0)
    assert shares.is_greedy("eager", 0.0)
    assert sends(shares, "modest", 0.0)
    assert not shares.is_greedy("modest", 0.0)


def test_a_key_that_was_slowed_down_in_a_period_has_no_share_until_its_end(
    tmp_path: Path,
) -> None:
    paced = Paced(tmp_path)
    shares = shares_of(paced.pace)
    greedy, modest = paced.ids["greedy"], paced.ids["modest"]
    for _ in range(51):
        sends(shares, greedy, 9.0)
        paced.refuse("greedy", 9.0)
    for _ in range(100):
        assert sends(shares, modest, 9.0)
    # The refusals fit the rate again after 5 ms. What the key has sent since says nothing.
    assert not paced.pace.slows(greedy, 9.1)
    assert not sends(shares, greedy, 9.1)
    assert shares.is_greedy(greedy, 9.1)
    assert sends(shares, modest, 9.1)


def test_keys_that_are_all_slowed_down_share_as_equals(tmp_path: Path) -> None:
    paced = Paced(tmp_path)
    shares = shares_of(paced.pace)
    for _ in range(300):
        paced.refuse("greedy", 0.0)
        paced.refuse("modest", 0.0)
    for _ in range(20):
        sends(shares, paced.ids["greedy"], 0.0)
    # 21 requests of two keys: the share is 10.5, and 4 more are tolerated.
    assert sends(shares, paced.ids["modest"], 0.0)
    assert not sends(shares, paced.ids["greedy"], 0.0)


def test_a_key_is_matched_if_the_others_send_half_as_much_slowed_keys_included(
    tmp_path: Path,
) -> None:
    paced = Paced(tmp_path)
    shares, greedy = shares_of(paced.pace), paced.ids["greedy"]
    sends(shares, "ann", 0.0)
    assert not shares.is_matched("ann")  # it is alone
    for _ in range(51):
        paced.refuse("greedy", 0.0)
    shares.count(greedy, 0.0)
    assert shares.is_matched("ann")
    sends(shares, "ann", 0.0)
    assert shares.is_matched("ann")  # two against one
    assert shares.is_matched(greedy)
    sends(shares, "ann", 0.0)
    assert not shares.is_matched("ann")  # three against one
