"""Teacher knowledge: the teacher's ranking for every example, and its item embeddings.

The folder is the contract between `teach`, which saves it, and `distill`, which loads it.
`knowledge.json` holds provenance, the dataset's fingerprint and the hash of every other file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from training.data.dataset import Dataset
from training.errors import KnowledgeError
from training.provenance import without_addresses
from training.settings.section import without_passwords
from training.settings.teacher import REMOTE_PREFIX, TeacherConfig, TeacherKind
from training.stage import fingerprint, readable_folder

DESCRIPTION_NAME = "knowledge.json"
EMBEDDINGS_NAME = "item_embeddings.npz"
SPLITS = ("train", "validation", "test")
# Settings that answers depend on, beside the kind. Knowledge made with other values is refused.
SETTINGS_OF_ANSWERS: Mapping[TeacherKind, tuple[str, ...]] = {
    "retrieval": (
        *("model", "layers", "pooling", "precision", "tuning", "max_titles", "overlap"),
        "title_shares",
    ),
    "generative": ("model", "precision", "tuning", "max_titles", "overlap", "writing"),
    "titles": ("model", "layers", "precision", "title_decays"),
}

# Values that settings had in effect before they existed, where these are not their defaults. They
# are those of knowledge whose provenance does not name the setting.
FORMER_VALUES = {"title_shares": (0.0,)}


@dataclass(frozen=True)
class Answers:
    """The teacher's rankings for some examples, one line an example, ascending by row.

    Attributes:
        rows: `[examples]`, dataset rows of the next items.
        rankings: `[examples, K]`, item_index of the teacher's top K, best first, without seen
            items; the next item may be among them.
        distances: `[examples, K]`, teacher distance of each ranked item, lower = nearer, >= 0.
        next_item_distances: `[examples]`, distance of the true next item (paper eq. 7).
    """

    rows: NDArray[np.int64]
    rankings: NDArray[np.int32]
    distances: NDArray[np.float32]
    next_item_distances: NDArray[np.float32]


@dataclass(frozen=True)
class Summary:
    """The identity of knowledge without its arrays, for the runs that learned from it.

    Attributes:
        taught_hash: hash of everything that a student learns from.
        content_hash: hash of that and of the answers for held-out examples.
        num_lists: number of training examples with an answer.
        provenance: that of the knowledge, without addresses.
    """

    taught_hash: str
    content_hash: str
    num_lists: int
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Knowledge:
    """Everything that a student may learn from one teacher about one dataset.

    Attributes:
        dataset_fingerprint: of the dataset that was answered.
        train: answers for training examples; those beyond the budget have none.
        validation: answers for validation examples.
        test: answers for test examples.
        item_embeddings: `[catalog rows, size]`, the LLM's embedding of each item, row 0 zeros.
        provenance: settings, prompt version, hardware, command, commit; `tokens` and `seconds` in
            all, and `costs` by part.
    """

    dataset_fingerprint: str
    train: Answers
    validation: Answers
    test: Answers
    item_embeddings: NDArray[np.float32]
    provenance: Mapping[str, Any]

    @cached_property
    def taught_hash(self) -> str:
        """Hash of everything that a student learns from."""
        return _hash_of(self.item_embeddings, *astuple(self.train))

    @cached_property
    def content_hash(self) -> str:
        """Hash of `taught_hash` and the answers for held-out examples."""
        held_out = _hash_of(*astuple(self.validation), *astuple(self.test))
        return fingerprint(self.taught_hash, held_out)

    @property
    def num_lists(self) -> int:
        """Number of training examples with an answer."""
        return len(self.train.rows)

    @property
    def summary(self) -> Summary:
        """The identity of this knowledge, without addresses of servers."""
        provenance = without_addresses(self.provenance)
        return Summary(self.taught_hash, self.content_hash, self.num_lists, provenance)


def _hash_of(*arrays: NDArray[np.generic]) -> str:
    content = hashlib.sha256()
    for array in arrays:
        content.update(array.tobytes())
    return content.hexdigest()


def settings_of_answers(teacher: TeacherConfig) -> dict[str, object]:
    """Returns the settings that a teacher's answers depend on, by name."""
    settings = teacher.model_dump(include=set(SETTINGS_OF_ANSWERS[teacher.kind]))
    if teacher.kind == "generative" and teacher.model.startswith(REMOTE_PREFIX):
        settings["endpoint"] = teacher.endpoint.model_dump(include={"api", "embedding_model"})
    return settings


def save_knowledge(knowledge: Knowledge, folder: Path) -> None:
    """Writes into an existing folder; distances and embeddings are stored in half precision.

    Files that the folder already has (the fitted matcher) become part of the knowledge.
    """
    for split in SPLITS:
        _save_answers(getattr(knowledge, split), folder / _answers_name(split))
    embeddings = knowledge.item_embeddings.astype(np.float16)
    np.savez_compressed(folder / EMBEDDINGS_NAME, item_embeddings=embeddings)
    description = {
        "dataset_fingerprint": knowledge.dataset_fingerprint,
        "provenance": dict(knowledge.provenance),
        "sha256": {path.name: _sha256(path) for path in sorted(folder.iterdir())},
    }
    text = json.dumps(description, indent=2) + "\n"
    (folder / DESCRIPTION_NAME).write_text(text, encoding="utf-8")


def load_knowledge(
    folder: Path, dataset: Dataset, teacher: TeacherConfig | None = None
) -> Knowledge:
    """Reads knowledge about `dataset` and verifies its hashes, its dataset and its teacher.

    Args:
        folder: written by `save_knowledge`.
        dataset: the one that has to have been answered.
        teacher: settings that it has to have been made with; None accepts any.

    Raises:
        KnowledgeError: it is missing, damaged, or made by another teacher or for another dataset.
    """
    folder = readable_folder(folder)
    description = _read_description(folder)
    if teacher:
        _refuse_other_teacher(folder, description["provenance"], teacher)
    answered_dataset = description["dataset_fingerprint"]
    if answered_dataset != dataset.fingerprint:
        raise KnowledgeError(
            f"{folder}: made for dataset {answered_dataset}, but {dataset.name!r} is "
            f"{dataset.fingerprint}; make it with `python -m training.teach`"
        )
    for name, expected in description["sha256"].items():
        _verify(folder / name, expected)
    answers = {split: _load_answers(folder / _answers_name(split)) for split in SPLITS}
    with np.load(folder / EMBEDDINGS_NAME) as file:
        embeddings = file["item_embeddings"].astype(np.float32)
    return Knowledge(
        dataset_fingerprint=answered_dataset,
        item_embeddings=embeddings,
        provenance=description["provenance"],
        **answers,
    )


def _refuse_other_teacher(
    folder: Path, provenance: Mapping[str, Any], teacher: TeacherConfig
) -> None:
    if "settings" not in provenance:  # not made by `teach`
        return
    # Settings that the provenance does not name did not exist yet: they get their defaults.
    try:
        made_with = TeacherConfig.model_validate({**FORMER_VALUES, **provenance["settings"]})
    except ValidationError as error:
        problem = without_passwords(str(error))
        raise KnowledgeError(f"{folder}: made with settings that are invalid: {problem}") from None
    blends_titles = teacher.kind == "retrieval" and any(teacher.title_shares)
    expected, actual = (
        {
            "kind": each.kind,
            **settings_of_answers(each),
            **({"title_decays": each.title_decays} if blends_titles else {}),
        }
        for each in (teacher, made_with)
    )
    for name, value in expected.items():
        if actual.get(name) != value:
            raise KnowledgeError(
                f"{folder}: made with teacher.{name} = {actual.get(name)!r}, the experiment has "
                f"{value!r}; name other knowledge, or make it with `python -m training.teach`"
            )


def _answers_name(split: str) -> str:
    return f"answers-{split}.npz"


def _save_answers(answers: Answers, path: Path) -> None:
    np.savez_compressed(
        path,
        rows=answers.rows,
        rankings=answers.rankings,
        distances=answers.distances.astype(np.float16),
        next_item_distances=answers.next_item_distances.astype(np.float16),
    )


def _load_answers(path: Path) -> Answers:
    with np.load(path) as file:
        return Answers(
            rows=file["rows"],
            rankings=file["rankings"],
            distances=file["distances"].astype(np.float32),
            next_item_distances=file["next_item_distances"].astype(np.float32),
        )


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION_NAME
    try:
        description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise KnowledgeError(f"{path}: missing; make it with `python -m training.teach`") from None
    except ValueError as error:
        raise KnowledgeError(
            f"{path}: damaged ({error}); make it again with `python -m training.teach`"
        ) from None
    if missing := {"dataset_fingerprint", "provenance", "sha256"} - set(description):
        raise KnowledgeError(
            f"{path}: lacks {', '.join(sorted(missing))}; make it again with "
            "`python -m training.teach`"
        )
    return description


def _verify(path: Path, expected: str) -> None:
    try:
        actual = _sha256(path)
    except FileNotFoundError:
        raise KnowledgeError(f"{path}: missing; make it with `python -m training.teach`") from None
    if actual != expected:
        raise KnowledgeError(f"{path}: sha256 {actual[:12]}…, expected {expected[:12]}…: damaged")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
