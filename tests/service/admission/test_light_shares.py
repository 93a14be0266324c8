"""While there is much work, a key with more than its share of light requests is refused first."""

from service.admission.light_shares import LightShares


def test_a_key_that_is_alone_has_all() -> None:
    shares = LightShares()
    assert all(shares.admits("ann", 0.0) for _ in range(100))


def test_a_greedy_key_is_refused_and_a_modest_one_is_not() -> None:
    shares = LightShares()
    for _ in range(20):
        shares.admits("greedy", 0.0)
    # 21 requests of two keys: the share is 10.5, and 4 more are tolerated.
    assert shares.admits("modest", 0.0)
    assert not shares.admits("greedy", 0.0)
    assert shares.admits("modest", 0.0)


def test_keys_that_send_alike_are_not_refused() -> None:
    shares = LightShares()
    assert all(shares.admits(key, 0.0) for _ in range(50) for key in ("ann", "ben", "cy"))


def test_what_a_key_sent_before_is_forgotten_after_a_quarter_of_a_second() -> None:
    shares = LightShares()
    for _ in range(20):
        shares.admits("ann", 0.0)
    shares.admits("ben", 0.1)
    assert not shares.admits("ann", 0.2)
    assert shares.admits("ben", 0.3)
    assert shares.admits("ann", 0.3)


def test_a_key_that_sends_three_times_as_much_as_the_others_is_greedy() -> None:
    shares = LightShares()
    for key, number in {"greedy": 39, "ann": 13, "ben": 13}.items():
        for _ in range(number):
            shares.admits(key, 0.0)
    assert shares.is_greedy("greedy")  # over twice 13 and 4 more
    assert not shares.is_greedy("ann")


def test_a_key_that_sends_a_little_more_than_the_others_or_is_alone_is_not_greedy() -> None:
    shares = LightShares()
    for _ in range(30):
        shares.admits("ann", 0.0)
    assert not shares.is_greedy("ann")
    for _ in range(13):
        shares.admits("ben", 0.0)
    assert not shares.is_greedy("ann")  # not over twice 13 and 4 more
