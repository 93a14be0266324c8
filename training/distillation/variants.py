"""Which parts of the method a student is trained with."""

from collections.abc import Mapping
from dataclasses import dataclass

from training.config import DistillationConfig


@dataclass(frozen=True)
class Variant:
    """A combination of parts; a part that is on takes its settings from the experiment.

    Attributes:
        ranking: learn from the teacher's lists.
        embeddings: see items as the LLM sees them.
    """

    ranking: bool
    embeddings: bool

    @property
    def needs_teacher(self) -> bool:
        """Whether any part comes from the teacher."""
        return self.ranking or self.embeddings

    def settings(self, config: DistillationConfig) -> DistillationConfig:
        """`config` with the parts that are off switched off."""
        return config.model_copy(
            update={
                "ranking_weight": config.ranking_weight if self.ranking else 0.0,
                "embeddings": config.embeddings and self.embeddings,
            }
        )


PLAIN = "plain"
DISTILLED = "distilled"
VARIANTS: Mapping[str, Variant] = {
    PLAIN: Variant(ranking=False, embeddings=False),
    DISTILLED: Variant(ranking=True, embeddings=True),
}
