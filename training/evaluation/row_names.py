"""Names of the rows that train a student, as tables, reports and manifests show them.

A row is a variant of the method (`training.distillation.variants`) with a loss of the next item.
"""

from collections.abc import Mapping
from typing import NamedTuple

BCE_ROW = "BCE"  # the paper's baseline
CE_ROW = "CE"
RD_ROW = "RD"
RANKING_ROW = "ranking only"
EMBEDDINGS_ROW = "embeddings only"
DISTILLED_ROW = "DLLM2Rec"
COLD_ROW = "DLLM2Rec with cold bonus"
TITLE_LISTS_ROW = "control title-neighbour lists"


class RowTraining(NamedTuple):
    """The variant that a row trains, and the next-item loss; None is the experiment's loss."""

    variant: str
    loss: str | None = None


TRAINING_OF_ROW: Mapping[str, RowTraining] = {
    BCE_ROW: RowTraining("plain", "binary"),
    CE_ROW: RowTraining("plain", "cross-entropy"),
    RD_ROW: RowTraining("rd"),
    EMBEDDINGS_ROW: RowTraining("embeddings-only"),
    RANKING_ROW: RowTraining("ranking-only"),
    DISTILLED_ROW: RowTraining("distilled"),
    "DLLM2Rec without position": RowTraining("without-position"),
    "DLLM2Rec without confidence": RowTraining("without-confidence"),
    "DLLM2Rec without consistency": RowTraining("without-consistency"),
    "DLLM2Rec without offset": RowTraining("without-offset"),
    COLD_ROW: RowTraining("with-cold-bonus"),
    "control shuffled lists": RowTraining("control-shuffled"),
    TITLE_LISTS_ROW: RowTraining("control-title-neighbours"),
    "control shuffled embeddings": RowTraining("control-shuffled-embeddings"),
}


def row_name(variant: str, loss: str) -> str:
    """The row of a variant trained with `loss`; `<variant>, <loss>` where no row is of both."""
    for name, training in TRAINING_OF_ROW.items():
        if training.variant == variant and training.loss in (None, loss):
            return name
    return f"{variant}, {loss}"
