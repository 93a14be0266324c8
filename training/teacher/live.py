"""The teacher asked live: one history, one prompt, the answer that `teach` would have stored."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.config import TeacherConfig
from training.data.catalog import Catalog
from training.data.dataset import Dataset
from training.errors import KnowledgeError
from training.teacher.answering import nearest_items
from training.teacher.knowledge import DESCRIPTION_NAME, Knowledge, load_knowledge
from training.teacher.language_model import LanguageModel, load_language_model
from training.teacher.matching import Matcher, load_matcher
from training.teacher.prompts import Phrasebook, phrasebook, title_lines
from training.teacher.reading import hidden_states, kept, mean_states
from training.teacher.windows import first_title

# What the states depend on: a matcher understands no others.
_SETTINGS_OF_STATES = ("model", "max_titles", "overlap")


class UnknownHistoryError(Exception):
    """There is nothing to read; the fault of who asks, not of who set the teacher up."""


@dataclass(frozen=True)
class LiveAnswer:
    """Items nearest first and their distances; `tokens` were read for it."""

    item_ids: Sequence[str]
    distances: Sequence[float]
    tokens: int


@dataclass(frozen=True)
class LiveTeacher:
    """An LLM with a fitted matcher, ready to answer; not to be asked by two threads at once.

    Attributes:
        items: unit vectors of the catalog, `[catalog rows, size]`.
        version: changes with everything an answer depends on.
    """

    model: LanguageModel
    book: Phrasebook
    matcher: Matcher
    items: torch.Tensor
    catalog: Catalog
    config: TeacherConfig
    version: str

    @torch.inference_mode()
    def recommend(
        self, history: Sequence[str], k: int, exclude: Collection[str], *, mask_seen: bool = True
    ) -> LiveAnswer:
        """The `k` items nearest to what comes next, fewer if fewer are left.

        Ids that the catalog does not have are skipped.

        Raises:
            UnknownHistoryError: none of `history` is in the catalog.
        """
        seen = self._known(history)
        if not seen:
            raise UnknownHistoryError(f"none of {len(history)} ids is in the teacher's catalog")
        tokens = self._prompt(seen)
        states = hidden_states(self.model, torch.from_numpy(tokens)[None])[:, -1]  # [1, hidden]
        distances = self.matcher.distances(torch.from_numpy(kept(states)).float(), self.items)
        forbidden = torch.zeros(distances.shape, dtype=torch.bool)
        forbidden[0, self._known(exclude) + (seen if mask_seen else [])] = True
        nearest = nearest_items(distances, forbidden, k)
        found = [index for index in nearest.rankings[0].tolist() if index]
        return LiveAnswer(
            item_ids=[self.catalog.item_ids[index - 1] for index in found],
            distances=nearest.distances[0, : len(found)].tolist(),
            tokens=len(tokens),
        )

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """How the LLM sees titles, `[titles, hidden]`, as `Knowledge.item_embeddings` has them."""
        embeddings = mean_states(self.model, title_lines(self.model.tokenizer, titles))
        return embeddings.astype(np.float16).astype(np.float32)

    def _known(self, item_ids: Collection[str]) -> list[int]:
        index_by_id = self.catalog.index_by_id
        return [index_by_id[item_id] for item_id in item_ids if item_id in index_by_id]

    def _prompt(self, seen: Sequence[int]) -> NDArray[np.int64]:
        lengths = np.array([len(seen)])
        start = int(first_title(lengths, self.config.max_titles, self.config.overlap)[0])
        tokens, _ = self.book.prompt(seen[start:])
        return tokens


def load_live_teacher(dataset: Dataset, folder: Path, config: TeacherConfig) -> LiveTeacher:
    """Loads the LLM and what `teach` fitted on it.

    Raises:
        ConfigError: the LLM cannot be loaded.
        KnowledgeError: `folder` is missing, damaged, of another dataset or of other settings.
    """
    knowledge = load_knowledge(folder, dataset)
    _refuse_other_settings(knowledge, folder, config)
    matcher = load_matcher(folder, torch.from_numpy(knowledge.item_embeddings))
    model = load_language_model(config.model, config.precision)
    with torch.inference_mode():
        items = matcher.items()
    # The description carries the hash of every file, so its own hash stands for all of them.
    digest = hashlib.sha256((folder / DESCRIPTION_NAME).read_bytes())
    return LiveTeacher(
        model=model,
        book=phrasebook(model.tokenizer, dataset.catalog),
        matcher=matcher,
        items=items,
        catalog=dataset.catalog,
        config=config,
        version=digest.hexdigest()[:16],
    )


def _refuse_other_settings(knowledge: Knowledge, folder: Path, config: TeacherConfig) -> None:
    made_with = knowledge.provenance["settings"]
    for name in _SETTINGS_OF_STATES:
        if made_with[name] != getattr(config, name):
            raise KnowledgeError(
                f"{folder}: made with teacher.{name} = {made_with[name]!r}, "
                f"the experiment has {getattr(config, name)!r}"
            )
