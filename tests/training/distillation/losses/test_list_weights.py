import math
from collections.abc import Mapping

import pytest
import torch

from training.compute.catalog_softmax import kth_best_of, kth_best_scores
from training.distillation.losses.list_weights import (
    ListWeighting,
    confidences,
    consistencies,
    evenly_spread,
    list_weighting,
    normalised,
    position_weights,
)
from training.settings.distillation import MIN_POSITION_TEMPERATURE
from training.settings.experiment import DistillationConfig

ALL = {"position_temperature": 1.0, "confidence": True, "consistency": True}
NONE = {"position_temperature": 1.0, "confidence": False, "consistency": False}
RANKINGS = torch.tensor([[7, 8, 9], [4, 5, 0]])  # the second list is short
DISTANCES = torch.tensor([[0.1, 0.4, 0.5], [0.2, 0.9, 2.0]])
NEXT_ITEM_DISTANCES = torch.tensor([0.3, 1.1])
CONSISTENT = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])


def settings(parts: Mapping[str, float], **others: float | str) -> DistillationConfig:
    return DistillationConfig.model_validate({**parts, **others})


def by_hand(line: int) -> tuple[list[float], list[float]]:
    """Normalised position weights and distances of the places of a list that are not empty."""
    real = [place for place, item in enumerate(RANKINGS[line].tolist()) if item]
    positions = [math.exp(-(place + 1)) for place in real]
    return [each / sum(positions) for each in positions], DISTANCES[line, : len(real)].tolist()


def weights_of(weighting: ListWeighting) -> list[list[float]]:
    before = weighting.before_training(RANKINGS, DISTANCES, NEXT_ITEM_DISTANCES)
    weights: list[list[float]] = weighting.while_training(before, RANKINGS, CONSISTENT).tolist()
    return weights


def test_the_papers_form_is_the_weighted_mean_of_the_parts_without_normalising() -> None:
    weighting = list_weighting(settings(ALL, confidence_temperature=0.5))

    for line, weights in enumerate(weights_of(weighting)):
        positions, distances = by_hand(line)
        confidence = math.exp(-NEXT_ITEM_DISTANCES[line].item() / 0.5)
        expected = [
            (0.3 * position + 0.5 * confidence / len(distances) + 0.1 * agrees / len(distances))
            / 0.9
            for position, agrees in zip(positions, CONSISTENT[line].tolist(), strict=False)
        ]
        assert weights[: len(expected)] == pytest.approx(expected)
        assert not any(weights[len(expected) :])


def test_a_list_keeps_its_position_weight_at_the_smallest_temperature_with_empty_places() -> None:
    parts = {**NONE, "position_temperature": MIN_POSITION_TEMPERATURE}
    rankings = torch.tensor([[0] * 7 + [4, 5, 6]])

    weights = list_weighting(settings(parts)).before_training(
        rankings, torch.ones(1, 10), torch.ones(1)
    )

    assert weights.sum().item() == pytest.approx(1)


def test_the_reference_codes_form_uses_distances_of_listed_items_and_sums_to_one() -> None:
    weighting = list_weighting(settings(ALL, weight_form="reference-code"))

    for line, weights in enumerate(weights_of(weighting)):
        positions, distances = by_hand(line)
        confident = [math.exp(-distance) + 1e-8 for distance in distances]
        agrees = [each + 1e-8 for each in CONSISTENT[line].tolist()]
        raw = [
            0.3 * position + 0.5 * each / sum(confident) + 0.1 * agree
            for position, each, agree in zip(positions, confident, agrees, strict=False)
        ]
        assert weights[: len(raw)] == pytest.approx([each / sum(raw) for each in raw])
        assert sum(weights) == pytest.approx(1)


@pytest.mark.parametrize(("form", "vanishes"), [("paper", True), ("reference-code", False)])
def test_only_in_the_papers_form_does_a_list_far_from_the_next_item_lose_its_weight(
    form: str, vanishes: bool
) -> None:
    config = settings(
        ALL, weight_form=form, position=False, consistency=False, confidence_temperature=1
    )
    near_and_far = torch.tensor([0.0, 20.0])

    weights = list_weighting(config).before_training(RANKINGS[:1], DISTANCES[:1], near_and_far[:1])
    far_weights = list_weighting(config).before_training(
        RANKINGS[:1], DISTANCES[:1], near_and_far[1:]
    )

    assert weights.sum().item() == pytest.approx(1)
    assert far_weights.sum().item() == pytest.approx(math.exp(-20) if vanishes else 1)


def test_the_papers_form_does_not_depend_on_the_scale_of_distances() -> None:
    weighting = list_weighting(DistillationConfig(position=False, consistency=False))

    weights = [
        weighting.before_training(RANKINGS, scale * DISTANCES, scale * NEXT_ITEM_DISTANCES)
        for scale in (1, 1_000)
    ]

    torch.testing.assert_close(*weights)
    # The median of two is torch's lower one: the first list is at distance 1, the second 11/3.
    assert weights[0].sum(dim=1).tolist() == pytest.approx([math.exp(-1), math.exp(-1.1 / 0.3)])


def test_with_every_part_off_all_listed_items_have_the_same_weight() -> None:
    weighting = list_weighting(settings(NONE, position=False))

    weights = weighting.before_training(RANKINGS, DISTANCES, NEXT_ITEM_DISTANCES)

    assert weights.tolist() == [pytest.approx([1 / 3] * 3), [0.5, 0.5, 0]]


def test_with_only_position_on_both_forms_are_the_normalised_position_weights() -> None:
    expected = normalised(position_weights(RANKINGS, 1.0), RANKINGS)

    for form in ("paper", "reference-code"):
        weighting = list_weighting(settings(NONE, weight_form=form))
        weights = weighting.before_training(RANKINGS, DISTANCES, NEXT_ITEM_DISTANCES)
        torch.testing.assert_close(weights, expected)


def test_a_position_weight_falls_exponentially_with_the_rank() -> None:
    weights = position_weights(torch.tensor([[7, 8, 9]]), temperature=2.0)

    assert weights.tolist()[0] == pytest.approx([math.exp(-0.5), math.exp(-1), math.exp(-1.5)])


def test_confidence_is_one_at_distance_zero_and_falls_with_distance() -> None:
    values = confidences(torch.tensor([0.0, 2.0]), temperature=4.0)

    assert values.tolist() == pytest.approx([1, math.exp(-0.5)])


def test_an_item_is_consistent_if_the_students_own_top_k_holds_it() -> None:
    table = torch.tensor([[50.0], [1.0], [4.0], [2.0], [3.0]])  # padding scores highest
    queries = torch.tensor([[1.0], [-1.0]])
    kth_best = kth_best_scores(queries, table, k=2)

    # Items 2 and 4 are the first position's top two, items 1 and 3 the second's.
    scores = torch.tensor([[4.0, 1.0, 3.0], [-4.0, -1.0, -3.0]])
    assert kth_best.tolist() == [3, -2]
    assert consistencies(scores, kth_best).tolist() == [[1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("num_items", [3, 127, 128, 129, 1_000, 1_001, 1_024])
@pytest.mark.parametrize("k", [1, 10, 200])
def test_the_kth_best_score_is_the_one_that_sorting_finds(num_items: int, k: int) -> None:
    torch.manual_seed(0)
    queries, table = torch.randn(40, 3), torch.randn(num_items + 1, 3)

    sorted_scores = (queries @ table[1:].T).sort(descending=True).values

    kth_best = kth_best_scores(queries, table, k)
    torch.testing.assert_close(kth_best, sorted_scores[:, min(k, num_items) - 1])


def test_a_kth_best_score_above_all_compared_ones_stays_above_them_and_others_are_exact() -> None:
    torch.manual_seed(0)
    scores = torch.randn(50, 1_000)
    exact = scores.sort(descending=True).values[:, 9]
    compared = exact + torch.linspace(-1, 1, 50)

    found = kth_best_of(scores, 10, compared)

    assert ((compared >= found) == (compared >= exact)).all()
    torch.testing.assert_close(found[compared >= exact], exact[compared >= exact])
    assert (found < exact).any()
    assert (found <= exact).all()


def test_a_rounding_error_does_not_make_an_item_inconsistent() -> None:
    assert consistencies(torch.tensor([[9.99999, 9.9]]), torch.tensor([10.0])).tolist() == [[1, 0]]


def test_in_a_catalog_smaller_than_k_the_kth_best_score_is_the_worst() -> None:
    assert kth_best_scores(torch.ones(1, 1), torch.tensor([[0.0], [2.0], [1.0]]), 5).item() == 1


def test_ten_places_at_temperature_one_have_the_papers_weights() -> None:
    rankings = torch.arange(1, 11)[None]

    weights = normalised(position_weights(rankings, 1.0), rankings).tolist()[0]

    assert weights[:4] == pytest.approx([0.632, 0.233, 0.086, 0.031], abs=1e-3)
    assert sum(weights) == pytest.approx(1)


def test_empty_places_of_a_short_list_have_weight_zero() -> None:
    weights = normalised(torch.tensor([[1.0, 3.0, 6.0]]), torch.tensor([[4, 5, 0]]))

    assert weights.tolist() == [[0.25, 0.75, 0]]


def test_all_places_of_an_empty_list_have_weight_zero() -> None:
    assert normalised(torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.int64)).tolist() == [[0, 0]]


def test_by_rank_confidences_fill_the_range_and_keep_order_ties_and_mean() -> None:
    # Mean 1/3, so shares of less confident examples are squared; the two equal ones share a place.
    confident = torch.tensor([0.33, 0.35, 0.33, 0.3232])
    spread = evenly_spread(confident * (1 / 3) / confident.mean())
    assert spread.tolist() == pytest.approx([0.5**2, 0.875**2, 0.5**2, 0.125**2], rel=1e-5)


def test_by_rank_the_mean_weight_of_confidence_stays() -> None:
    distances = torch.linspace(0.9, 1.2, 10_000)
    confident = confidences(distances, 1.05)
    spread = evenly_spread(confident)
    assert spread.mean().item() == pytest.approx(confident.mean().item(), rel=1e-3)
    assert spread.max() > 0.99
    assert spread.min() < 0.01


def test_an_empty_place_takes_its_weight_with_it_if_settings_say_so() -> None:
    blanked = torch.tensor([[0, 8, 9]])
    config = settings(NONE, empty_places="lost")
    weights = list_weighting(config).before_training(blanked, DISTANCES[:1], torch.tensor([0.3]))
    all_places = [math.exp(-rank) for rank in (1, 2, 3)]
    expected = [0, all_places[1] / sum(all_places), all_places[2] / sum(all_places)]
    assert weights[0].tolist() == pytest.approx(expected)


def test_by_rank_the_confidence_part_has_the_spread_values() -> None:
    config = DistillationConfig(position=False, consistency=False, confidence_scale="rank")
    weights = list_weighting(config).before_training(RANKINGS, DISTANCES, NEXT_ITEM_DISTANCES)
    # The median distance, 0.3, is the temperature; the mean of exp(-1) and exp(-11/3) is 0.1967.
    mean = (math.exp(-1) + math.exp(-1.1 / 0.3)) / 2
    near, far = 0.75 ** (1 / mean - 1), 0.25 ** (1 / mean - 1)
    assert weights[0].tolist() == pytest.approx([near / 3] * 3, rel=1e-4)
    assert weights[1].tolist() == pytest.approx([far / 2, far / 2, 0], rel=1e-4)
