"""Method variants: named combinations of the method's parts that are on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from training.settings.experiment import DistillationConfig

Part = Literal["position", "confidence", "consistency", "offset", "cold_bonus"]
ListSource = Literal["teacher", "shuffled", "title-neighbours"]


@dataclass(frozen=True)
class MethodVariant:
    """A combination of the method's parts; a part that is on has the experiment's settings.

    Attributes:
        ranking: whether the student learns from ranking lists.
        embeddings: whether item vectors read the LLM's embeddings.
        without: parts that are off even if the experiment has them on.
        plus: parts that are on even if the experiment has them off.
        lists: source of the ranking lists; every source except the teacher is a control.
        shuffled_embeddings: whether embeddings are permuted over the items, which is a control.
    """

    ranking: bool
    embeddings: bool
    without: tuple[Part, ...] = ()
    plus: tuple[Part, ...] = ()
    lists: ListSource = "teacher"
    shuffled_embeddings: bool = False

    @property
    def needs_teacher(self) -> bool:
        """Whether a student of this variant learns from any teacher's knowledge."""
        return self.ranking or self.embeddings

    def settings(self, config: DistillationConfig) -> DistillationConfig:
        """Returns `config` with the parts of this variant switched on and off."""
        embeddings = config.embeddings and self.embeddings
        update: dict[str, object] = {}
        update |= dict.fromkeys(self.without, False)
        update |= dict.fromkeys(self.plus, True)
        update["ranking_weight"] = config.ranking_weight if self.ranking else 0.0
        update["embeddings"] = embeddings
        if not embeddings:
            update["offset"] = True  # without embeddings an item has only its offset
        return config.model_copy(update=update)


TEACHER_FREE = "plain"
DISTILLED = "distilled"
DEFAULT_VARIANTS = (TEACHER_FREE, DISTILLED)
VARIANTS: Mapping[str, MethodVariant] = {
    TEACHER_FREE: MethodVariant(ranking=False, embeddings=False),
    "rd": MethodVariant(ranking=True, embeddings=False, without=("confidence", "consistency")),
    "rd-uniform": MethodVariant(
        ranking=True, embeddings=False, without=("position", "confidence", "consistency")
    ),
    "embeddings-only": MethodVariant(ranking=False, embeddings=True),
    "ranking-only": MethodVariant(ranking=True, embeddings=False),
    DISTILLED: MethodVariant(ranking=True, embeddings=True),
    "without-position": MethodVariant(ranking=True, embeddings=True, without=("position",)),
    "without-confidence": MethodVariant(ranking=True, embeddings=True, without=("confidence",)),
    "without-consistency": MethodVariant(ranking=True, embeddings=True, without=("consistency",)),
    "without-offset": MethodVariant(ranking=True, embeddings=True, without=("offset",)),
    "with-cold-bonus": MethodVariant(ranking=True, embeddings=True, plus=("cold_bonus",)),
    "control-shuffled": MethodVariant(ranking=True, embeddings=True, lists="shuffled"),
    "control-title-neighbours": MethodVariant(
        ranking=True, embeddings=True, lists="title-neighbours"
    ),
    "control-shuffled-embeddings": MethodVariant(
        ranking=True, embeddings=True, shuffled_embeddings=True
    ),
}
