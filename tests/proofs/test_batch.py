"""A short form of `python -m proofs batch`."""

import pytest

from proofs.batch import prove


@pytest.mark.slow
def test_a_killed_batch_goes_on_with_the_same_file_and_the_answers_of_the_service() -> None:
    figures = {each.name: each for each in prove(histories=10_000, asked=200)}
    assert figures["histories"].value == 10_000
    assert [each.name for each in figures.values() if not each.holds] == []
