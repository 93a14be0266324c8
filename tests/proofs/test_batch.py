"""A short form of `python -m proofs batch`."""

import pytest

from distilled_recommender.recommend.program import PART_ROWS
from proofs.batch import prove


@pytest.mark.slow
def test_a_killed_batch_goes_on_with_the_same_file_and_the_answers_of_the_service() -> None:
    number = 3 * PART_ROWS
    figures = {each.name: each for each in prove(histories=number, asked=200)}
    assert figures["histories"].value == number
    assert figures["histories asked of the service"].value >= 200
    assert figures["parts kept of the killed run"].value >= 2
    assert [each.name for each in figures.values() if not each.holds] == []
