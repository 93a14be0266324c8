"""The generative teacher: its LLM writes the next title, which grounding turns into distances."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset, Split, indices_among
from training.errors import KnowledgeError
from training.evaluation.yardstick import LIST_LENGTH
from training.knowledge import Answers, Knowledge
from training.progress import Advance, ProgressBar
from training.settings.teacher import TeacherConfig
from training.stage import fingerprint, new_file, write_array
from training.teacher.budget import answered_rows
from training.teacher.generative.engine import Engine, History, WrittenTitle
from training.teacher.generative.grounding import Grounding
from training.teacher.generative.injection import InjectedSignals, choose_exponents, with_signals
from training.teacher.generative.load_engine import LoadedEngine
from training.teacher.llm.prompts import PROMPT_VERSION
from training.teacher.llm.shards import Cost, Shard, ShardedWork, compute_missing, plan_shards
from training.teacher.llm.states import SETTINGS_OF_STATES
from training.teacher.llm.windows import first_title
from training.teacher.top_k import Distances, answer

# Settings that written texts depend on, and below those that title embeddings depend on. Both
# depend on the dataset, too.
SETTINGS_OF_TEXTS: dict[str, bool | set[str]] = {
    **dict.fromkeys(SETTINGS_OF_STATES, True),
    "writing": {"num_beams", "max_new_tokens"},
    "endpoint": {"api", "embedding_model"},
}
SETTINGS_OF_TITLE_EMBEDDINGS: dict[str, bool | set[str]] = {
    **dict.fromkeys(("model", "precision", "tokens_per_batch"), True),
    "endpoint": {"embedding_model"},
}
TITLES_PER_BATCH = 256


@dataclass(frozen=True)
class WrittenTexts:
    """The texts that the LLM wrote as next titles, one for each distinct history.

    Attributes:
        rows: `[examples]`, dataset rows of the next items, ascending.
        text_of_row: `[examples]`, index into `texts` of the text written for each of `rows`.
        texts: `[histories]`, the written texts.
        embeddings: `[histories, size]`, the LLM's embeddings of `texts`.
        cost: tokens and seconds of the writing.
    """

    rows: NDArray[np.int64]
    text_of_row: NDArray[np.int64]
    texts: NDArray[np.str_]
    embeddings: NDArray[np.float16]
    cost: Cost

    def grounded(self, grounding: Grounding) -> Distances:
        """Returns a function from dataset rows to the distances of all items.

        `grounding` computes these distances from the text that was written for each row.
        """

        def distances(rows: NDArray[np.int64]) -> Tensor:
            texts = self.text_of_row[indices_among(self.rows, rows)]
            return grounding.distances(torch.from_numpy(self.embeddings[texts]).float())

        return distances


def histories_of(dataset: Dataset, rows: NDArray[np.int64], config: TeacherConfig) -> list[History]:
    """Returns, for each example, the part of its history that its prompt shows, oldest item first.

    It consists of the newest items. `rows` are the dataset rows of the next items.
    """
    starts = first_title(dataset.position_of_row[rows], config.max_titles, config.overlap)
    return [
        tuple(dataset.history(int(row))[start:].tolist())
        for row, start in zip(rows, starts, strict=True)
    ]


def folder_of_texts(
    dataset: Dataset, config: TeacherConfig, folder: Path, weights: str | None
) -> Path:
    """Returns the folder for the texts of one LLM, dataset and settings; creates it if missing.

    Args:
        dataset: the dataset.
        config: settings of the teacher.
        folder: parent folder of all such folders.
        weights: hash of the LLM's tuned weights; None if it is not tuned.
    """
    settings = config.fingerprint_settings(SETTINGS_OF_TEXTS, exclude_none=True)
    stamp = fingerprint("texts", PROMPT_VERSION, dataset.fingerprint, settings, weights)
    (folder / stamp).mkdir(parents=True, exist_ok=True)
    return folder / stamp


def write_texts(
    dataset: Dataset, config: TeacherConfig, folder: Path, engine: Engine, size: int | None = None
) -> WrittenTexts:
    """Lets `engine` write one text for each distinct history of the examples within the budget.

    Texts are stored in shards in `folder`, so that a killed run resumes from the finished shards.
    Their embeddings must have `size` numbers; None stands for the size of those of the first shard.

    Raises:
        KnowledgeError: embeddings have another size.
    """
    rows = _answered_rows(dataset, config, engine)
    histories = histories_of(dataset, rows, config)
    work = _writing_work(histories, config, folder, engine)
    compute_missing(work)
    return _load_texts(work.shards, rows, histories, work.cost, size)


def texts_work(
    dataset: Dataset, config: TeacherConfig, folder: Path, engine: Engine
) -> ShardedWork[History]:
    """Plans the work of `write_texts`, which has the same arguments but `size`."""
    rows = _answered_rows(dataset, config, engine)
    return _writing_work(histories_of(dataset, rows, config), config, folder, engine)


def _writing_work(
    histories: Sequence[History], config: TeacherConfig, folder: Path, engine: Engine
) -> ShardedWork[History]:
    distinct = list(dict.fromkeys(histories))
    max_tokens = (engine.prompt_lengths(distinct) + config.writing.max_new_tokens) * (
        config.writing.num_beams
    )
    shards = plan_shards(distinct, max_tokens, config.tokens_per_batch, folder / "texts.npz")
    return ShardedWork("writing titles", shards, partial(_write_shard, engine))


def _answered_rows(dataset: Dataset, config: TeacherConfig, engine: Engine) -> NDArray[np.int64]:
    def count_tokens(rows: NDArray[np.int64]) -> int:
        distinct = list(dict.fromkeys(histories_of(dataset, rows, config)))
        return int(engine.prompt_lengths(distinct).sum())

    return answered_rows(dataset, config, count_tokens)


def _write_shard(engine: Engine, shard: Shard[History], advance: Advance) -> int:
    written: list[WrittenTitle] = []
    for batch, tokens in zip(shard.batches, shard.batch_tokens, strict=True):
        written += engine.write(batch, _scaled(advance, tokens))
    texts = [title.text for title in written]
    embeddings = engine.embed(texts).astype(np.float16)
    with new_file(shard.path) as file:
        np.savez(file, texts=np.array(texts), embeddings=embeddings)
    return sum(title.tokens for title in written)


def _scaled(advance: Advance, units: float) -> Advance:
    return lambda share: advance(share * units)


def _load_texts(
    shards: Sequence[Shard[History]],
    rows: NDArray[np.int64],
    histories: Sequence[History],
    cost: Cost,
    size: int | None,
) -> WrittenTexts:
    answered = [history for shard in shards for batch in shard.batches for history in batch]
    index_of = {history: index for index, history in enumerate(answered)}
    texts, embeddings = zip(*(_load_shard(shard.path) for shard in shards), strict=True)
    expected = size or embeddings[0].shape[1]
    for shard, found in zip(shards, embeddings, strict=True):
        if found.shape[1] != expected:
            raise KnowledgeError(
                f"{shard.path}: embeddings of {found.shape[1]} numbers, but others have "
                f"{expected}; the model has changed meanwhile: delete {shard.path.parent.parent}, "
                "and it is asked again"
            )
    return WrittenTexts(
        rows=rows,
        text_of_row=np.array([index_of[history] for history in histories]),
        texts=np.concatenate(texts),
        embeddings=np.concatenate(embeddings),
        cost=cost,
    )


def _load_shard(path: Path) -> tuple[NDArray[np.str_], NDArray[np.float16]]:
    with np.load(path, allow_pickle=False) as file:
        return file["texts"], file["embeddings"]


def title_embeddings(
    dataset: Dataset, config: TeacherConfig, folder: Path, loaded: LoadedEngine
) -> NDArray[np.float32]:
    """Embeds each title of the catalog, `[catalog rows, size]`; row 0 is zeros.

    The embeddings are stored in `folder`, and computed only if they are not there. They are rounded
    to half precision. `loaded` is the engine that computes them.
    """
    settings = config.model_dump(include=SETTINGS_OF_TITLE_EMBEDDINGS)
    stamp = fingerprint("titles", dataset.fingerprint, settings, loaded.weights)
    path = folder / f"titles-{stamp}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Rounded to half precision as in knowledge, so that live answers equal stored ones.
        write_array(path, _embed_in_batches(dataset, loaded.engine).astype(np.float16))
    stored: NDArray[np.float32] = np.load(path, allow_pickle=False).astype(np.float32)
    return stored


def _embed_in_batches(dataset: Dataset, engine: Engine) -> NDArray[np.float32]:
    titles = dataset.catalog.titles
    parts = []
    with ProgressBar("embedding titles", len(titles), "title") as bar:
        for start in range(0, len(titles), TITLES_PER_BATCH):
            batch = titles[start : start + TITLES_PER_BATCH]
            parts.append(engine.embed(batch, _scaled(bar.advance, len(batch))))
    return np.concatenate([np.zeros_like(parts[0][:1]), *parts])


def teach_generative(
    dataset: Dataset, config: TeacherConfig, folder: Path, loaded: LoadedEngine
) -> Knowledge:
    """Makes the knowledge of a generative teacher: writes texts, grounds them, injects signals.

    Args:
        dataset: histories and titles.
        config: settings of the teacher.
        folder: parent folder of stored texts and title embeddings.
        loaded: the engine that writes the texts.

    Raises:
        KnowledgeError: embeddings of texts and of titles have different sizes.
    """
    titles = title_embeddings(dataset, config, folder, loaded)
    texts_folder = folder_of_texts(dataset, config, folder, loaded.weights)
    texts = write_texts(dataset, config, texts_folder, loaded.engine, titles.shape[1])
    grounded = texts.grounded(Grounding(torch.from_numpy(titles)))
    signals = InjectedSignals(dataset)
    exponents = choose_exponents(grounded, signals, dataset, config)
    distances = with_signals(grounded, signals, exponents)

    def answers(split: Split, list_length: int) -> Answers:
        rows = np.intersect1d(texts.rows, dataset.example_rows(split))
        return answer(distances, dataset, rows, list_length)

    return Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=answers(Split.TRAIN, config.list_length),
        validation=answers(Split.VALIDATION, LIST_LENGTH),
        test=answers(Split.TEST, LIST_LENGTH),
        item_embeddings=titles,
        provenance={
            "costs": {**loaded.costs, "asking": asdict(texts.cost)},
            "histories": len(texts.texts),
            "exponents": asdict(exponents),
            "weights": loaded.weights,
        },
    )
