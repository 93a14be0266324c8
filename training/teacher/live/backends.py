"""Backends of the live teacher: a class each for retrieval, titles and generative teachers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset
from training.data.storage import load_dataset
from training.errors import TEACH_AGAIN, ConfigError, KnowledgeError
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.knowledge import DESCRIPTION_NAME, Knowledge, load_knowledge
from training.settings.experiment import Experiment
from training.settings.teacher import WORDS_KINDS, TeacherConfig, TeacherKind
from training.stage import fingerprint, readable_folder
from training.teacher.encoders.local import LocalEncoder
from training.teacher.encoders.opening import title_encoder
from training.teacher.generative.engine import Engine
from training.teacher.generative.grounding import Grounding
from training.teacher.generative.injection import Exponents, InjectedSignals, injected
from training.teacher.generative.load_engine import load_engine
from training.teacher.generative.teach import title_embeddings
from training.teacher.live.teacher import CatalogDistances, LiveTeacher, TeacherBackend
from training.teacher.llm.pooling import Spans, pooled
from training.teacher.llm.prompts import PromptBuilder, prompt_builder
from training.teacher.llm.states import as_stored
from training.teacher.llm.windows import first_title
from training.teacher.matcher import Matcher, load_matcher
from training.teacher.retrieval.title_blend import blended
from training.teacher.titles.teach import words_embedder
from training.teacher.titles.words import TitleEmbedder
from training.teacher.tuning.tuned_model import load_tuned
from training.workplace import Workplace, knowledge_folder


@dataclass(frozen=True)
class RetrievalBackend(LocalEncoder):
    """Backend of a retrieval teacher: an LLM, which embeds titles too, with a fitted matcher.

    Attributes:
        builder: builds prompts.
        matcher: projects the LLM's state of a history into the space of `items`.
        items: `[catalog rows, size]`, the matcher's unit vectors of the titles.
        neighbours: computes distances between titles.
        share: weight of title distances in the blend, in [0, 1]; 0 leaves them out.
        config: settings of the teacher.
    """

    builder: PromptBuilder
    matcher: Matcher
    items: Tensor
    neighbours: TitleNeighbours
    share: float
    config: TeacherConfig

    def catalog_distances(self, history: Sequence[int]) -> CatalogDistances:
        """Computes the matcher's distances from a history to all items.

        They are blended with title distances unless `share` is 0. `history` holds item indices,
        oldest first, and is not empty.
        """
        tokens, ends = self.builder.prompt(titles_in_prompt(history, self.config))
        first = ends[-1:] + 1 - len(self.builder.titles[history[-1]])
        newest = Spans(prompt=np.zeros(1, dtype=np.int64), first=first, last=ends[-1:])
        states = self.model.hidden_states(torch.from_numpy(tokens)[None])
        state = as_stored(pooled(states, newest, self.config.pooling))
        distances = self.matcher.distances(torch.from_numpy(state).float(), self.items)
        if self.share:
            title_distances = self.neighbours.distances_after([np.array(history)])
            distances = blended(distances, torch.from_numpy(title_distances), self.share)
        return CatalogDistances(distances, len(tokens))


@dataclass(frozen=True)
class TitlesBackend:
    """Backend of the titles teacher and the words teachers: compares stored title embeddings.

    Attributes:
        encoder: embeds the titles that a client sends; it is not used for recommendations.
        neighbours: computes distances between titles.
    """

    encoder: TitleEmbedder
    neighbours: TitleNeighbours

    @property
    def name(self) -> str:
        """Name of the model or of the method that embeds titles."""
        return self.encoder.name

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Embeds titles, `[titles, size]`."""
        return self.encoder.embed(titles)

    def catalog_distances(self, history: Sequence[int]) -> CatalogDistances:
        """Computes the distances from the titles of a history to the titles of all items.

        `history` holds item indices, oldest first, and is not empty.
        """
        distances = self.neighbours.distances_after([np.array(history)])
        return CatalogDistances(torch.from_numpy(distances), tokens=0)


@dataclass(frozen=True)
class GenerativeBackend:
    """Backend of a generative teacher: an LLM that writes the next title.

    Attributes:
        engine: the LLM.
        grounding: computes distances from a text to all titles.
        signals: popularity and transitions, which are injected into the distances.
        exponents: exponents of the signals; a signal with exponent 0 is left out.
        config: settings of the teacher.
    """

    engine: Engine
    grounding: Grounding
    signals: InjectedSignals
    exponents: Exponents
    config: TeacherConfig

    @property
    def name(self) -> str:
        """Name of the LLM."""
        return self.engine.name

    def catalog_distances(self, history: Sequence[int]) -> CatalogDistances:
        """Lets the LLM write the next title, and computes its distances to all items.

        The signals are injected into the distances. `history` holds item indices, oldest first,
        and is not empty.
        """
        (written,) = self.engine.write([tuple(titles_in_prompt(history, self.config))])
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
        """Embeds titles with the engine, `[titles, size]`."""
        return self.engine.embed(titles)


def titles_in_prompt(history: Sequence[int], config: TeacherConfig) -> Sequence[int]:
    """Returns the newest items of `history` that the prompt shows, at most `config.max_titles`.

    Both are item indices, oldest first. `history` must not be empty.
    """
    start = first_title(np.array([len(history)]), config.max_titles, config.overlap)
    return history[int(start[0]) :]


def load_live_teacher(experiment: Experiment, workplace: Workplace) -> LiveTeacher:
    """Loads the teacher of an experiment: the LLM, and what `python -m training.teach` has stored.

    A generative teacher without injection needs no stored knowledge, so it can be served before
    `python -m training.teach` has run.

    Raises:
        ConfigError: the LLM cannot be loaded.
        KnowledgeError: knowledge or tuned weights are missing, damaged, or belong to another
            dataset or other settings.
    """
    dataset = load_dataset(workplace.dataset)
    config = experiment.teacher
    folder = readable_folder(knowledge_folder(experiment, workplace))
    # A live request must not wait for a killed LLM server.
    endpoint = config.endpoint.model_copy(update={"outage_seconds": 0.0})
    impatient = config.model_copy(update={"endpoint": endpoint})
    backend = BACKEND_LOADERS[config.kind](dataset, impatient, folder, workplace)
    # The description holds the hash of every file of the knowledge, so its hash covers all of them.
    description = folder / DESCRIPTION_NAME
    description_text = description.read_text(encoding="utf-8") if description.exists() else ""
    version = fingerprint(dataset.fingerprint, config.fingerprint_content(), description_text)
    return LiveTeacher(backend, dataset.catalog, version)


def _load_retrieval(
    dataset: Dataset, config: TeacherConfig, folder: Path, workplace: Workplace
) -> RetrievalBackend:
    knowledge = load_knowledge(folder, dataset, config)
    matcher = load_matcher(folder, torch.from_numpy(knowledge.item_embeddings))
    tuned = load_tuned(dataset, config, workplace.tuned)
    _refuse_other_weights(knowledge, folder, tuned.weights)
    with torch.inference_mode():
        items = matcher.items()
    builder = prompt_builder(tuned.model.tokenizer, dataset.catalog)
    provenance = knowledge.provenance  # knowledge from before title blends has no decay and share
    neighbours = TitleNeighbours(dataset, knowledge.item_embeddings, provenance.get("decay", 0.0))
    return RetrievalBackend(
        model=tuned.model,
        tokens_per_batch=config.tokens_per_batch,
        builder=builder,
        matcher=matcher,
        items=items,
        neighbours=neighbours,
        share=provenance.get("share", 0.0),
        config=config,
    )


def _load_generative(
    dataset: Dataset, config: TeacherConfig, folder: Path, workplace: Workplace
) -> GenerativeBackend:
    has_knowledge = (folder / DESCRIPTION_NAME).exists()
    injects = config.writing.inject_popularity or config.writing.inject_transitions
    knowledge = load_knowledge(folder, dataset, config) if has_knowledge or injects else None
    loaded = load_engine(dataset, config, workplace.tuned)
    if knowledge:
        _refuse_other_weights(knowledge, folder, loaded.weights)
        titles = knowledge.item_embeddings
        exponents = Exponents(**knowledge.provenance["exponents"])
    else:
        titles = title_embeddings(dataset, config, workplace.reading, loaded)
        exponents = Exponents()
    grounding = Grounding(torch.from_numpy(titles))
    return GenerativeBackend(loaded.engine, grounding, InjectedSignals(dataset), exponents, config)


def _load_titles(
    dataset: Dataset, config: TeacherConfig, folder: Path, _: Workplace
) -> TitlesBackend:
    knowledge = load_knowledge(folder, dataset, config)
    decay = knowledge.provenance.get("decay")
    if decay is None:
        raise KnowledgeError(
            f"{folder}: made when a titles teacher had no ranking lists yet; make it with "
            f"{TEACH_AGAIN}"
        )
    neighbours = TitleNeighbours(dataset, knowledge.item_embeddings, decay)
    if config.kind in WORDS_KINDS:
        return TitlesBackend(words_embedder(dataset.catalog.titles, config), neighbours)
    return TitlesBackend(title_encoder(config), neighbours)


def _refuse_fusion(_: Dataset, config: TeacherConfig, __: Path, ___: Workplace) -> TitlesBackend:
    raise ConfigError(
        f"teacher.kind = {config.kind!r}: cannot be asked live; serve another kind, such as "
        "`--kind titles`"
    )


BackendLoader = Callable[[Dataset, TeacherConfig, Path, Workplace], TeacherBackend]
BACKEND_LOADERS: Mapping[TeacherKind, BackendLoader] = {
    "retrieval": _load_retrieval,
    "generative": _load_generative,
    "titles": _load_titles,
    "tf-idf": _load_titles,
    "word-vectors": _load_titles,
    "fusion": _refuse_fusion,
    "fusion-without-titles": _refuse_fusion,
}


def _refuse_other_weights(knowledge: Knowledge, folder: Path, weights: str | None) -> None:
    made_with = knowledge.provenance.get("weights")
    if made_with != weights:
        raise KnowledgeError(
            f"{folder}: made with the tuned weights {made_with or 'none'}, but the LLM here has "
            f"{weights or 'none'}; make it with {TEACH_AGAIN}"
        )
