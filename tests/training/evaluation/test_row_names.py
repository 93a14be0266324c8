import pytest

from training.distillation.variants import VARIANTS
from training.evaluation.row_names import TRAINING_OF_ROW, row_name


@pytest.mark.parametrize(
    ("variant", "loss", "name"),
    [
        ("plain", "binary", "BCE"),
        ("plain", "cross-entropy", "CE"),
        ("distilled", "binary", "DLLM2Rec"),
        ("plain", "gbce", "plain, gbce"),
        ("rd-uniform", "cross-entropy", "rd-uniform, cross-entropy"),
    ],
)
def test_a_row_is_named_by_its_variant_and_loss(variant: str, loss: str, name: str) -> None:
    assert row_name(variant, loss) == name


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("plain", "CE with pair bonus"),
        ("distilled", "DLLM2Rec with pair bonus"),
        ("with-cold-bonus", "DLLM2Rec with both bonuses"),
        ("with-both-bonuses", "DLLM2Rec with both bonuses"),
        ("rd", "RD with pair bonus"),
    ],
)
def test_a_student_with_a_pair_bonus_is_named_as_in_the_ladder(variant: str, name: str) -> None:
    assert row_name(variant, "cross-entropy", has_pairs=True) == name


def test_every_row_trains_a_variant_that_exists() -> None:
    assert {each.variant for each in TRAINING_OF_ROW.values()} <= set(VARIANTS)
