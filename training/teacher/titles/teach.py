"""The titles teacher: its LLM reads each title alone, which takes minutes on a CPU.

The words teachers, `tf-idf` and `word-vectors`, embed the same titles by their words. This is their
only difference from the titles teacher. So a comparison with them shows what the LLM adds.

Students get the title embeddings. Ranking lists contain the items whose titles are nearest to the
titles of a history. The teacher learns only one number from interactions, the decay, which is
chosen on validation examples. It is the weight of each title of a history, divided by the weight of
the title after it.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset, Split
from training.errors import ConfigError
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import LIST_LENGTH, SELECTION_METRIC, evaluate, ranker_of
from training.knowledge import Answers, Knowledge
from training.progress import ProgressBar, counting
from training.settings.teacher import REMOTE_PREFIX, SENTENCE_PREFIX, TeacherConfig
from training.stage import fingerprint
from training.teacher.budget import answered_rows
from training.teacher.encoders.encoder import TitleEncoder, copied_to_duplicates
from training.teacher.llm.prompts import PROMPT_VERSION
from training.teacher.llm.shards import Cost, ShardedWork, compute_missing
from training.teacher.llm.title_embeddings import stored_embeddings
from training.teacher.titles.tf_idf import TfIdf
from training.teacher.titles.word_vectors import WordVectors
from training.teacher.titles.words import TitleEmbedder
from training.teacher.top_k import answer

# Settings that the embeddings of titles depend on, by whether a local LLM reads them.
SETTINGS_OF_TITLES = frozenset({"model", "layers", "precision", "tokens_per_batch"})
SETTINGS_OF_SENTENCES = frozenset({"model", "title_prefix", "precision", "tokens_per_batch"})
SETTINGS_OF_REMOTE_TITLES: dict[str, bool | set[str]] = {
    "model": True,
    "title_prefix": True,
    "endpoint": {"embedding_model", "titles_per_request"},
}


def settings_of_titles(config: TeacherConfig) -> dict[str, object]:
    """Returns the settings that the embeddings of titles depend on, for a fingerprint."""
    if config.model.startswith(REMOTE_PREFIX):
        return config.fingerprint_settings(SETTINGS_OF_REMOTE_TITLES)
    is_sentence = config.model.startswith(SENTENCE_PREFIX)
    names = SETTINGS_OF_SENTENCES if is_sentence else SETTINGS_OF_TITLES
    return config.fingerprint_settings(set(names))


def teach_titles(
    dataset: Dataset, config: TeacherConfig, embeddings: NDArray[np.float32], cost: Cost
) -> Knowledge:
    """Makes the knowledge of a titles or words teacher from title embeddings.

    Args:
        dataset: histories and titles.
        config: settings of the teacher.
        embeddings: `[catalog rows, size]`, the embeddings of the titles.
        cost: tokens and seconds of computing `embeddings`.
    """
    began = time.monotonic()
    decay = best_decay(dataset, embeddings, config.title_decays)
    neighbours = TitleNeighbours(dataset, embeddings, decay)
    answered = answered_rows(dataset, config, count_tokens=lambda _: 0)

    def distances(rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(neighbours.distances_before(rows))

    def answers(split: Split, list_length: int) -> Answers:
        rows = np.intersect1d(answered, dataset.example_rows(split))
        return answer(distances, dataset, rows, list_length)

    train = answers(Split.TRAIN, config.list_length)
    validation, test = (answers(split, LIST_LENGTH) for split in (Split.VALIDATION, Split.TEST))
    answering = Cost(0, time.monotonic() - began)
    return Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=train,
        validation=validation,
        test=test,
        item_embeddings=embeddings,
        provenance={
            "costs": {"titles": asdict(cost), "answering": asdict(answering)},
            "decay": decay,
            "weights": None,
        },
    )


def embed_catalog(
    dataset: Dataset, config: TeacherConfig, folder: Path, encoder: TitleEncoder
) -> tuple[NDArray[np.float32], Cost]:
    """Embeds each title of the catalog; a killed run resumes from shards in `folder`.

    Returns:
        The embeddings, `[catalog rows, size]`, with zeros in row 0; and the cost of computing them.
        They are rounded to half precision, as knowledge stores them.

    Raises:
        ConfigError: the budget of a server does not allow all titles.
        EndpointError: a server is unreachable, refuses a request, or answers malformed JSON.
        KnowledgeError: a server's embeddings have different sizes.
    """
    work = catalog_work(dataset, config, folder, encoder)
    embeddings = embed_resumably(work, dataset.catalog.titles)
    return embeddings.astype(np.float16).astype(np.float32), work.cost


def catalog_work(
    dataset: Dataset, config: TeacherConfig, folder: Path, encoder: TitleEncoder
) -> ShardedWork[int]:
    """Plans the work of `embed_catalog`, which has the same arguments."""
    settings = settings_of_titles(config)
    folder = folder / fingerprint(PROMPT_VERSION, dataset.fingerprint, "titles", settings)
    folder.mkdir(parents=True, exist_ok=True)
    return encoder.plan(dataset.catalog.titles, folder)


def embed_resumably(work: ShardedWork[int], titles: Sequence[str]) -> NDArray[np.float32]:
    """Completes the work that an encoder has planned for `titles`; returns their embeddings.

    They are `[1 + titles, size]`; row 0 is zeros.
    """
    compute_missing(work)
    return copied_to_duplicates(stored_embeddings(work, 1 + len(titles)), titles)


def embed_catalog_by_words(
    dataset: Dataset, config: TeacherConfig
) -> tuple[NDArray[np.float32], Cost]:
    """Embeds each title of the catalog by its words, without an LLM.

    Returns:
        The embeddings, `[catalog rows, size]`, with zeros in row 0; and the cost of computing them.
        They are rounded to half precision, as knowledge stores them.

    Raises:
        ConfigError: the file of word vectors is not configured, missing or damaged, or no title has
            a word.
    """
    began = time.monotonic()
    titles = dataset.catalog.titles
    embeddings = words_embedder(titles, config).embed(titles)
    whole = np.concatenate([np.zeros_like(embeddings[:1]), embeddings])
    cost = Cost(0, time.monotonic() - began)
    return whole.astype(np.float16).astype(np.float32), cost


def words_embedder(titles: Sequence[str], config: TeacherConfig) -> TitleEmbedder:
    """Makes the object that embeds any title for the words teacher of kind `config.kind`.

    TF-IDF is fitted to `titles`, the titles of the catalog. Word vectors are read from a file.

    Raises:
        ConfigError: the file of word vectors is not configured, missing or damaged, or no title has
            a word.
    """
    if config.kind == "tf-idf":
        return TfIdf(titles, config.tf_idf_columns)
    if config.word_vectors is None:
        raise ConfigError(
            "teacher.word_vectors: missing; kind = 'word-vectors' needs a text file of word vectors"
        )
    return WordVectors(Path(config.word_vectors))


def best_decay(dataset: Dataset, embeddings: NDArray[np.float32], decays: Sequence[float]) -> float:
    """Chooses the decay with which title distances have the best NDCG@20 on validation examples.

    The decay is the weight of each title of a history, divided by the weight of the title after it.
    Items are ranked by their distance to the weighted titles. A tie goes to the first of `decays`.
    `embeddings` is `[catalog rows, size]`.
    """
    rows = dataset.example_rows(Split.VALIDATION)
    with ProgressBar("choosing a decay", len(decays) * len(rows), "example") as bar:

        def metric(decay: float) -> float:
            ranker = ranker_of(TitleNeighbours(dataset, embeddings, decay), dataset)
            metrics = evaluate(counting(ranker, bar), dataset, rows).metrics
            return metrics[SELECTION_METRIC]

        return max(decays, key=metric)
