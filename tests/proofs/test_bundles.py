"""A short form of `python -m proofs bundles`."""

from proofs.bundles import prove


def test_damaged_and_crafted_bundles_are_refused_with_a_reason_or_served_without_a_5xx() -> None:
    figures = {each.name: each for each in prove(damages=60, through_child=2, seed=7)}
    assert all(each.holds for each in figures.values())
    assert figures["crafted: refused"].value >= 200
    assert figures["in process: refused"].value > 30
    assert figures["through the child: slowest"].value > 0
