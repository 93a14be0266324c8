"""A short form of `python -m proofs batch`."""

import pytest

from distilled_recommender.recommend.program import PART_ROWS
from proofs.batch import prove
from proofs.batch.service import Comparison


@pytest.mark.slow
def test_a_killed_batch_goes_on_with_the_same_file_and_the_answers_of_the_service() -> None:
    number = 3 * PART_ROWS
    figures = {each.name: each for each in prove(histories=number, asked=200)}
    assert figures["histories"].value == number
    assert figures["histories asked of the service"].value >= 200
    assert figures["parts kept of the killed run"].value >= 2
    assert [each.name for each in figures.values() if not each.holds] == []


def test_items_at_the_same_places_count_as_others_unless_their_scores_are_ties() -> None:
    comparison = Comparison()
    answer = (["a", "b"], [2.0, 1.0], "student")
    comparison.add(answer, answer, tie=1e-5)
    comparison.add(answer, (["b", "a"], [2.0, 1.000001], "student"), tie=1e-5)
    comparison.add(answer, (["b", "a"], [2.0, 1.5], "student"), tie=1e-5)
    comparison.add(answer, (["a", "b"], [2.0, 1.0], "popular"), tie=1e-5)
    assert comparison == Comparison(asked=4, others=2, ties=1, difference=0.5)
