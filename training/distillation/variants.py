"""Method variants: named combinations of the distillation method's parts to switch on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import ValidationError

from training.errors import ConfigError
from training.settings.experiment import DistillationConfig, Experiment, TrainingConfig
from training.settings.section import first_problem
from training.settings.teacher import TITLELESS_KIND, WORDS_KINDS

Part = Literal["position", "confidence", "consistency", "offset", "cold_bonus"]
TrainingPart = Literal[
    "trained_candidates", "item_dropout", "random_features", "smoothing", "pair_bonus"
]
TRAINING_PARTS: tuple[TrainingPart, ...] = get_args(TrainingPart)
# Counterparts, for a student without a teacher, of what distillation does besides teaching.
COUNTERPARTS = tuple(part for part in TRAINING_PARTS if part != "pair_bonus")
ListSource = Literal["teacher", "shuffled", "title-neighbours"]
ListLoss = Literal["ranking", "distribution"]


@dataclass(frozen=True)
class MethodVariant:
    """A combination of the parts of the distillation method that are on.

    A part that is on has the strength that the experiment's settings give it.

    Attributes:
        ranking: whether the student learns from ranking lists.
        embeddings: whether item vectors contain the projected LLM embeddings.
        without: distillation settings that are off even if the experiment has them on.
        plus: distillation settings that are on even if the experiment has them off.
        lists: source of the ranking lists; every source except the teacher is a control.
        list_loss: loss of the lists; None takes the experiment's setting.
        shuffled_embeddings: whether embeddings are permuted over the items, as a control.
        training: training settings that are on even if the experiment has them off. They give a
            student without a teacher the side effects of distillation, such as dropout. A
            comparison with this student measures the effect of the teacher's knowledge alone.
    """

    ranking: bool
    embeddings: bool
    without: tuple[Part, ...] = ()
    plus: tuple[Part, ...] = ()
    lists: ListSource = "teacher"
    list_loss: ListLoss | None = None
    shuffled_embeddings: bool = False
    training: tuple[TrainingPart, ...] = ()

    @property
    def needs_teacher(self) -> bool:
        """Whether a student of this variant learns from a teacher's lists or embeddings."""
        return self.ranking or self.embeddings

    def settings(self, config: DistillationConfig) -> DistillationConfig:
        """Returns `config` with the parts of this variant switched on and off.

        Without ranking lists, `ranking_weight` becomes 0. Without embeddings, the offset is on,
        since an item vector then has no other part.

        Raises:
            ConfigError: the variant learns distributions, but `ranking_weight` is 0, so no lists.
        """
        list_loss = self.list_loss or config.list_loss
        if self.ranking and list_loss == "distribution" and config.ranking_weight == 0:
            raise ConfigError(
                "distillation.ranking_weight = 0: means no lists, from which list_loss = "
                "'distribution' learns; leave it out: their share is distribution_weight"
            )
        embeddings = config.embeddings and self.embeddings
        update: dict[str, object] = {}
        update |= dict.fromkeys(self.without, False)
        update |= dict.fromkeys(self.plus, True)
        update["ranking_weight"] = config.ranking_weight if self.ranking else 0.0
        update["embeddings"] = embeddings
        update["list_loss"] = list_loss
        if not embeddings:
            update["offset"] = True  # without embeddings an item has only its offset
        return config.model_copy(update=update)

    def training_settings(self, experiment: Experiment) -> TrainingConfig:
        """Returns the experiment's training settings with the parts of this variant switched on.

        Parts that the experiment has off get a strength from the distillation settings:
        `item_dropout` takes `offset_dropout`, and `smoothing` takes `ranking_weight`.

        Raises:
            ConfigError: a part does not fit the experiment's loss.
        """
        method = experiment.distillation
        strengths: Mapping[TrainingPart, object] = {
            "trained_candidates": True,
            "item_dropout": method.offset_dropout,
            "random_features": True,
            "smoothing": method.ranking_weight,
            "pair_bonus": True,
        }
        off = [part for part in self.training if not getattr(experiment.training, part)]
        content = experiment.training.model_dump() | {part: strengths[part] for part in off}
        try:
            return TrainingConfig.model_validate(content)
        except ValidationError as error:
            raise ConfigError(f"{experiment.name}: training.{first_problem(error)}") from None


def made_without_llm(teacher: str, *, reads_titles: bool) -> bool:
    """Returns whether a ranker was made without an LLM; results then call it free of a teacher.

    Args:
        teacher: kind of its teacher, or another name of an LLM; empty without a teacher.
        reads_titles: whether it is a student with title embeddings from the teacher's knowledge.
    """
    if teacher == TITLELESS_KIND:
        return not reads_titles
    return not teacher or teacher in WORDS_KINDS


TEACHER_FREE = "plain"
DISTILLED = "distilled"
DEFAULT_VARIANTS = (TEACHER_FREE, DISTILLED)
VARIANTS: Mapping[str, MethodVariant] = {
    TEACHER_FREE: MethodVariant(ranking=False, embeddings=False),
    "plain-trained-candidates": MethodVariant(
        ranking=False, embeddings=False, training=("trained_candidates",)
    ),
    "plain-item-dropout": MethodVariant(
        ranking=False, embeddings=False, training=("item_dropout",)
    ),
    "plain-random-features": MethodVariant(
        ranking=False, embeddings=False, training=("random_features",)
    ),
    "plain-smoothing": MethodVariant(ranking=False, embeddings=False, training=("smoothing",)),
    "plain-strongest": MethodVariant(ranking=False, embeddings=False, training=COUNTERPARTS),
    "plain-pair-bonus": MethodVariant(ranking=False, embeddings=False, training=("pair_bonus",)),
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
    "with-pair-bonus": MethodVariant(ranking=True, embeddings=True, training=("pair_bonus",)),
    "with-both-bonuses": MethodVariant(
        ranking=True, embeddings=True, plus=("cold_bonus",), training=("pair_bonus",)
    ),
    "distributions": MethodVariant(ranking=True, embeddings=True, list_loss="distribution"),
    "distributions-only": MethodVariant(ranking=True, embeddings=False, list_loss="distribution"),
    "control-shuffled": MethodVariant(ranking=True, embeddings=True, lists="shuffled"),
    "control-title-neighbours": MethodVariant(
        ranking=True, embeddings=True, lists="title-neighbours"
    ),
    "control-shuffled-embeddings": MethodVariant(
        ranking=True, embeddings=True, shuffled_embeddings=True
    ),
}
