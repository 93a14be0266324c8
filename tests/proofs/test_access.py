"""A short form of `python -m proofs access`; the time itself is not tested."""

from proofs.access import prove


def test_authorization_is_measured_without_keys_with_one_with_limits_and_with_a_wrong_one() -> None:
    figures = list(prove(pairs=1, blocks=1))
    assert [each.name for each in figures] == [
        "without keys",
        "with a key",
        "with a key that has limits",
        "a wrong key, refused",
    ]
    assert all(each.unit == "µs CPU" for each in figures)
