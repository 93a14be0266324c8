"""Shares the LLM's work of a teacher between processes and machines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.data.dataset import Dataset
from training.errors import ConfigError
from training.settings.teacher import ENCODER_KINDS, WORDS_KINDS, TeacherConfig
from training.teacher.encoders.opening import title_encoder
from training.teacher.generative.load_engine import load_engine
from training.teacher.generative.teach import folder_of_texts, texts_work
from training.teacher.llm.shards import ShardedWork, compute_missing
from training.teacher.parts.crew import Crew
from training.teacher.retrieval.states import encoding_works
from training.teacher.titles.teach import catalog_work
from training.teacher.tuning.tuned_model import load_tuned


def share_work(
    dataset: Dataset, config: TeacherConfig, reading: Path, tuned: Path, crew: Crew
) -> None:
    """Completes all shards of a teacher's work, together with the other processes of `crew`.

    Args:
        dataset: histories and titles.
        config: settings of the teacher.
        reading: parent folder of this process's shards.
        tuned: parent folder of tuned LLMs, which must contain the teacher's, if it is tuned.
        crew: the processes.

    Raises:
        ConfigError: the teacher has no LLM, or its LLM cannot be loaded.
        KnowledgeError: the teacher is tuned, and its tuned LLM is not in `tuned`.
        ShardError: the store does not answer, cannot be written or is damaged.
    """
    for work in _works(dataset, config, reading, tuned):
        compute_missing(work, crew.complete)


def _works(
    dataset: Dataset, config: TeacherConfig, reading: Path, tuned: Path
) -> Iterator[ShardedWork[Any]]:
    if config.kind in WORDS_KINDS:
        raise ConfigError(
            f"teacher.kind = {config.kind!r}: has no LLM whose work could be shared; leave out "
            "--part and --store"
        )
    if config.kind in ENCODER_KINDS:
        yield catalog_work(dataset, config, reading, title_encoder(config))
    elif config.kind == "retrieval":
        llm = load_tuned(dataset, config, tuned)
        yield from encoding_works(dataset, config, reading, llm.model, llm.weights)
    else:
        loaded = load_engine(dataset, config, tuned)
        folder = folder_of_texts(dataset, config, reading, loaded.weights)
        yield texts_work(dataset, config, folder, loaded.engine)
