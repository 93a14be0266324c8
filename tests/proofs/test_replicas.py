"""A short form of `python -m proofs replicas`."""

from proofs.replicas import prove


def test_replicas_follow_what_is_published_refuse_what_is_torn_and_lose_no_request() -> None:
    figures = {each.name: each for each in prove(rounds=3, rate=60)}
    assert figures["failed requests"].value == 0
    assert figures["answers"].value > 5
    assert figures["bundles followed by both replicas"].value == 2
    assert figures["torn uploads refused by both"].value == 1
    assert figures["publishers told of a lost race"].value == 1
    counts = [each for each in figures.values() if each.unit in ("bundles", "publishers")]
    assert [(each.value, each.at_least) for each in counts] == [(2, 2), (1, 1), (1, 1)]
