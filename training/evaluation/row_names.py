"""Names of the ladder rows that train a student, for tables, reports and manifests.

A row is a method variant (`training.distillation.variants`) with a next-item loss.
"""

from collections.abc import Mapping
from typing import NamedTuple

BCE_ROW = "BCE"  # the paper's baseline
CE_ROW = "CE"
STRONGEST_ROW = "CE at its strongest"  # CE with counterparts of all parts of DLLM2Rec
RD_ROW = "RD"
RANKING_ROW = "ranking only"
EMBEDDINGS_ROW = "embeddings only"
DISTILLED_ROW = "DLLM2Rec"
COLD_ROW = "DLLM2Rec with cold bonus"
PLAIN_PAIRS_ROW = "CE with pair bonus"
PAIRS_ROW = "DLLM2Rec with pair bonus"
BONUSES_ROW = "DLLM2Rec with both bonuses"
DISTRIBUTIONS_ROW = "DLLM2Rec with distributions"
DISTRIBUTIONS_ONLY_ROW = "distributions only"
TITLE_LISTS_ROW = "control title-neighbour lists"


def fused_row(row: str, neighbours: str = "kNN") -> str:
    """Returns the name of the row whose students are those of `row`, fused with `neighbours`."""
    return f"{row} fused with {neighbours}"


class RowTraining(NamedTuple):
    """The training of the student in a ladder row.

    Attributes:
        variant: the method variant.
        loss: the next-item loss; None for the experiment's loss.
    """

    variant: str
    loss: str | None = None


TRAINING_OF_ROW: Mapping[str, RowTraining] = {
    BCE_ROW: RowTraining("plain", "binary"),
    CE_ROW: RowTraining("plain", "cross-entropy"),
    "CE with trained candidates": RowTraining("plain-trained-candidates", "cross-entropy"),
    "CE with item dropout": RowTraining("plain-item-dropout", "cross-entropy"),
    "CE with random features": RowTraining("plain-random-features", "cross-entropy"),
    "CE with smoothing": RowTraining("plain-smoothing", "cross-entropy"),
    STRONGEST_ROW: RowTraining("plain-strongest", "cross-entropy"),
    PLAIN_PAIRS_ROW: RowTraining("plain-pair-bonus", "cross-entropy"),
    RD_ROW: RowTraining("rd"),
    EMBEDDINGS_ROW: RowTraining("embeddings-only"),
    RANKING_ROW: RowTraining("ranking-only"),
    DISTILLED_ROW: RowTraining("distilled"),
    "DLLM2Rec without position": RowTraining("without-position"),
    "DLLM2Rec without confidence": RowTraining("without-confidence"),
    "DLLM2Rec without consistency": RowTraining("without-consistency"),
    "DLLM2Rec without offset": RowTraining("without-offset"),
    COLD_ROW: RowTraining("with-cold-bonus"),
    PAIRS_ROW: RowTraining("with-pair-bonus"),
    BONUSES_ROW: RowTraining("with-both-bonuses"),
    DISTRIBUTIONS_ROW: RowTraining("distributions"),
    DISTRIBUTIONS_ONLY_ROW: RowTraining("distributions-only"),
    "control shuffled lists": RowTraining("control-shuffled"),
    TITLE_LISTS_ROW: RowTraining("control-title-neighbours"),
    "control shuffled embeddings": RowTraining("control-shuffled-embeddings"),
}


WITH_PAIRS = {CE_ROW: PLAIN_PAIRS_ROW, DISTILLED_ROW: PAIRS_ROW, COLD_ROW: BONUSES_ROW}
"""Maps the name of a row to that of the same row with a pair bonus, where the ladder has it."""


def row_name(variant: str, loss: str, *, has_pairs: bool = False) -> str:
    """Returns the name of the ladder row for a method variant and its next-item loss.

    The name is `<variant>, <loss>` if the ladder has no such row. `has_pairs`: whether the student
    has a pair bonus, which its settings may add to any variant.
    """
    if has_pairs:
        name = row_name(variant, loss)
        is_named = "bonus" in name and name != COLD_ROW
        return name if is_named else WITH_PAIRS.get(name, f"{name} with pair bonus")
    for name, training in TRAINING_OF_ROW.items():
        if training.variant == variant and training.loss in (None, loss):
            return name
    return f"{variant}, {loss}"
