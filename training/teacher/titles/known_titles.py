"""A store of title embeddings by title, so that only the new titles of a catalog are embedded.

An LLM reads titles in batches, and rounding makes a title's embedding depend a little on its
batch. So stored embeddings can differ in the last digit from those that are computed for a whole
catalog at once.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.errors import KnowledgeError
from training.settings.teacher import TeacherConfig
from training.stage import fingerprint, readable_folder, whole_folder, write_array
from training.teacher.encoders.encoder import TitleEncoder
from training.teacher.llm.prompts import PROMPT_VERSION
from training.teacher.llm.shards import Cost
from training.teacher.titles.teach import embed_resumably, settings_of_titles

_TITLES, _EMBEDDINGS = "titles.json", "embeddings.npy"


def embed_new_titles(
    dataset: Dataset, config: TeacherConfig, folder: Path, encoder: TitleEncoder
) -> tuple[NDArray[np.float32], Cost]:
    """Returns the embeddings of all titles of a catalog; computes only those not stored yet.

    New embeddings are stored, too. Embeddings that were stored with other settings are not used.

    Args:
        dataset: dataset whose titles are embedded.
        config: settings of the teacher.
        folder: parent folder of the stored embeddings and of the shards, from which a killed run
            resumes.
        encoder: reads the new titles.

    Returns:
        The embeddings, `[catalog rows, hidden]`, with zeros in row 0, rounded to half precision;
        and the cost of computing the new ones.

    Raises:
        ConfigError: the budget of a server does not allow the new titles.
        EndpointError: a server is unreachable, refuses a request, or answers malformed JSON.
        KnowledgeError: the stored embeddings are damaged, or have another size than new ones.
    """
    settings = settings_of_titles(config)
    kept = folder / f"known-{fingerprint(PROMPT_VERSION, 'titles', settings)}"
    known = _load(kept)
    new = [title for title in dict.fromkeys(dataset.catalog.titles) if title not in known]
    cost = Cost(0, 0.0)
    if new:
        embeddings, cost = _embed(new, config, folder, encoder)
        _refuse_other_size(embeddings, known, kept)
        known = {**known, **dict(zip(new, embeddings, strict=True))}
        _save(known, kept)
    rows = [known[title].astype(np.float32) for title in dataset.catalog.titles]
    return np.stack([np.zeros_like(rows[0]), *rows]), cost


def _embed(
    titles: list[str], config: TeacherConfig, folder: Path, encoder: TitleEncoder
) -> tuple[NDArray[np.float16], Cost]:
    shards = folder / fingerprint(PROMPT_VERSION, "new titles", titles, settings_of_titles(config))
    shards.mkdir(parents=True, exist_ok=True)
    work = encoder.plan(titles, shards)
    embeddings = embed_resumably(work, titles)
    return embeddings[1:].astype(np.float16), work.cost


def _refuse_other_size(
    new: NDArray[np.float16], known: Mapping[str, NDArray[np.float16]], folder: Path
) -> None:
    size = len(next(iter(known.values()))) if known else new.shape[1]
    if new.shape[1] != size:
        raise KnowledgeError(
            f"{folder}: has embeddings of {size} numbers, but those of new titles have "
            f"{new.shape[1]}; the model has changed: delete it, and all titles are read again"
        )


def _load(folder: Path) -> Mapping[str, NDArray[np.float16]]:
    folder = readable_folder(folder)  # its predecessor, if a writer was killed between two renames
    if not folder.exists():
        return {}
    try:
        titles = json.loads((folder / _TITLES).read_text(encoding="utf-8"))
        embeddings = np.load(folder / _EMBEDDINGS, allow_pickle=False)
        return dict(zip(titles, embeddings, strict=True))
    except (OSError, ValueError) as error:
        raise KnowledgeError(
            f"{folder}: damaged ({error}); delete it, and all titles are read again"
        ) from None


def _save(known: Mapping[str, NDArray[np.float16]], folder: Path) -> None:
    with whole_folder(folder) as building:
        write_array(building / _EMBEDDINGS, np.stack(list(known.values())))
        text = json.dumps(list(known), ensure_ascii=False)
        (building / _TITLES).write_text(text, encoding="utf-8")
