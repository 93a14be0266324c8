"""The kinds of teacher, ready to be asked live."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset
from training.data.storage import load_dataset
from training.errors import KnowledgeError
from training.evaluation.title_neighbours import TitleNeighbours
from training.knowledge import DESCRIPTION_NAME, Knowledge, load_knowledge
from training.settings.experiment import Experiment
from training.settings.teacher import TeacherConfig, TeacherKind
from training.stage import fingerprint
from training.teacher.generative.engine import Engine
from training.teacher.generative.grounding import Grounding
from training.teacher.generative.injection import Exponents, Signals, injected
from training.teacher.generative.load_engine import load_engine
from training.teacher.generative.teach import title_embeddings
from training.teacher.live.teacher import CatalogDistances, LiveTeacher, TeacherBackend
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.pooling import Spans, pooled
from training.teacher.llm.prompts import Phrasebook, phrasebook, title_lines
from training.teacher.llm.title_embeddings import kept, mean_states
from training.teacher.llm.windows import first_title
from training.teacher.matcher import Matcher, load_matcher
from training.teacher.retrieval.title_blend import blended
from training.teacher.tuning.tuned_model import language_model, load_tuned
from training.workplace import Workplace, knowledge_folder


@dataclass(frozen=True)
class TitleEncoder:
    """An LLM whose states tell how it sees titles."""

    model: LanguageModel

    @property
    def name(self) -> str:
        """Of its LLM."""
        return self.model.name

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """How the LLM sees titles, `[titles, hidden]`."""
        return mean_states(self.model, title_lines(self.model.tokenizer, titles))


@dataclass(frozen=True)
class RetrievalBackend(TitleEncoder):
    """An LLM with a fitted matcher; `items` are unit vectors, `[catalog rows, size]`.

    `share` is what `neighbours` weigh beside it.
    """

    book: Phrasebook
    matcher: Matcher
    items: Tensor
    neighbours: TitleNeighbours
    share: float
    config: TeacherConfig

    def impression(self, history: Sequence[int]) -> CatalogDistances:
        """What the state at the end of the prompt is near to, and the titles of the history."""
        tokens, ends = self.book.prompt(in_window(history, self.config))
        first = ends[-1:] + 1 - len(self.book.titles[history[-1]])
        newest = Spans(line=np.zeros(1, dtype=np.int64), first=first, last=ends[-1:])
        states = self.model.hidden_states(torch.from_numpy(tokens)[None])
        state = kept(pooled(states, newest, self.config.pooling))
        distances = self.matcher.distances(torch.from_numpy(state).float(), self.items)
        if self.share:
            of_titles = self.neighbours.distances_after([np.array(history)])
            distances = blended(distances, torch.from_numpy(of_titles), self.share)
        return CatalogDistances(distances, len(tokens))


@dataclass(frozen=True)
class TitlesBackend(TitleEncoder):
    """An LLM that has read all titles of the catalog; a history costs it nothing."""

    neighbours: TitleNeighbours

    def impression(self, history: Sequence[int]) -> CatalogDistances:
        """What the titles of the history are near to."""
        distances = self.neighbours.distances_after([np.array(history)])
        return CatalogDistances(torch.from_numpy(distances), tokens=0)


@dataclass(frozen=True)
class GenerativeBackend:
    """An LLM that writes a title, and the catalog to ground it in."""

    engine: Engine
    grounding: Grounding
    signals: Signals
    exponents: Exponents
    config: TeacherConfig

    @property
    def name(self) -> str:
        """Of its LLM."""
        return self.engine.name

    def impression(self, history: Sequence[int]) -> CatalogDistances:
        """What the title that was written is near to."""
        (written,) = self.engine.write([tuple(in_window(history, self.config))])
        embedding = torch.from_numpy(self.embed([written.text]).astype(np.float16)).float()
        distances = self.grounding.distances(embedding)
        if self.exponents.any():
            distances = injected(
                distances,
                [
                    (self.signals.popularity, self.exponents.popularity),
                    (self.signals.transitions(np.array(history[-1:])), self.exponents.transitions),
                ],
            )
        return CatalogDistances(distances, written.tokens, written.text)

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """How the LLM sees titles, `[titles, size]`."""
        return self.engine.embed(titles)


def in_window(history: Sequence[int], config: TeacherConfig) -> Sequence[int]:
    """The part of `history` that a prompt shows."""
    start = first_title(np.array([len(history)]), config.max_titles, config.overlap)
    return history[int(start[0]) :]


def load_live_teacher(experiment: Experiment, workplace: Workplace) -> LiveTeacher:
    """Loads the LLM and what `teach` left of it.

    A generative teacher that injects nothing answers before it was taught, too.

    Raises:
        ConfigError: the LLM cannot be loaded.
        KnowledgeError: what it needs is missing, damaged, of another dataset or other settings.
    """
    dataset = load_dataset(workplace.dataset)
    config = experiment.teacher
    folder = knowledge_folder(experiment, workplace)
    mind = MINDS[config.kind](dataset, config, folder, workplace)
    # The description carries the hash of every file, so its own hash stands for all of them.
    description = folder / DESCRIPTION_NAME
    made_of = description.read_text(encoding="utf-8") if description.exists() else ""
    version = fingerprint(dataset.fingerprint, config.identity, made_of)
    return LiveTeacher(mind, dataset.catalog, version)


def _reader(
    dataset: Dataset, config: TeacherConfig, folder: Path, workplace: Workplace
) -> RetrievalBackend:
    knowledge = load_knowledge(folder, dataset, config)
    matcher = load_matcher(folder, torch.from_numpy(knowledge.item_embeddings))
    tuned = load_tuned(dataset, config, workplace.tuned)
    _refuse_other_weights(knowledge, folder, tuned.weights)
    with torch.inference_mode():
        items = matcher.items()
    book = phrasebook(tuned.model.tokenizer, dataset.catalog)
    facts = knowledge.provenance  # one that is older than the blend has no share of titles
    neighbours = TitleNeighbours(dataset, knowledge.item_embeddings, facts.get("decay", 0.0))
    return RetrievalBackend(
        tuned.model, book, matcher, items, neighbours, facts.get("share", 0.0), config
    )


def _writer(
    dataset: Dataset, config: TeacherConfig, folder: Path, workplace: Workplace
) -> GenerativeBackend:
    is_taught = (folder / DESCRIPTION_NAME).exists()
    injects = config.writing.inject_popularity or config.writing.inject_transitions
    knowledge = load_knowledge(folder, dataset, config) if is_taught or injects else None
    loaded = load_engine(dataset, config, workplace.tuned)
    if knowledge:
        _refuse_other_weights(knowledge, folder, loaded.weights)
        titles = knowledge.item_embeddings
        exponents = Exponents(**knowledge.provenance["exponents"])
    else:
        titles = title_embeddings(dataset, config, workplace.reading, loaded)
        exponents = Exponents()
    grounding = Grounding(torch.from_numpy(titles))
    return GenerativeBackend(loaded.engine, grounding, Signals(dataset), exponents, config)


def _neighbour(
    dataset: Dataset, config: TeacherConfig, folder: Path, _: Workplace
) -> TitlesBackend:
    knowledge = load_knowledge(folder, dataset, config)
    decay = knowledge.provenance.get("decay")
    if decay is None:
        raise KnowledgeError(f"{folder}: made when titles gave no lists; make it again")
    neighbours = TitleNeighbours(dataset, knowledge.item_embeddings, decay)
    return TitlesBackend(language_model(config), neighbours)


MindLoader = Callable[[Dataset, TeacherConfig, Path, Workplace], TeacherBackend]
MINDS: Mapping[TeacherKind, MindLoader] = {
    "retrieval": _reader,
    "generative": _writer,
    "titles": _neighbour,
}


def _refuse_other_weights(knowledge: Knowledge, folder: Path, weights: str | None) -> None:
    made_with = knowledge.provenance.get("weights")
    if made_with != weights:
        raise KnowledgeError(
            f"{folder}: made with tuned weights {made_with}, the workplace has {weights}"
        )
