"""The teacher that reads titles alone: minutes on a CPU, and students see items as the LLM does."""

from dataclasses import asdict
from pathlib import Path

from training.config import TeacherConfig
from training.data.dataset import Dataset
from training.evaluation.yardstick import LIST_LENGTH
from training.stage import fingerprint
from training.teacher.knowledge import Answers, Knowledge
from training.teacher.language_model import LanguageModel
from training.teacher.prompts import PROMPT_VERSION, phrasebook
from training.teacher.reading import read_titles

SETTINGS_OF_TITLES = frozenset({"model", "precision", "tokens_per_batch"})


def teach_titles(
    dataset: Dataset, config: TeacherConfig, folder: Path, model: LanguageModel
) -> Knowledge:
    """Embeddings and no answers; shards are kept in `folder`."""
    book = phrasebook(model.tokenizer, dataset.catalog)
    settings = config.model_dump(include=set(SETTINGS_OF_TITLES))
    folder = folder / fingerprint(PROMPT_VERSION, dataset.fingerprint, "titles", settings)
    folder.mkdir(parents=True, exist_ok=True)
    embeddings, cost = read_titles(model, book, config.tokens_per_batch, folder)
    return Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=Answers.none(config.list_length),
        validation=Answers.none(LIST_LENGTH),
        test=Answers.none(LIST_LENGTH),
        item_embeddings=embeddings,
        provenance={"costs": {"titles": asdict(cost)}, "weights": None},
    )
