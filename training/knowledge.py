"""Saves and loads teacher knowledge: ranking lists of examples, and item embeddings.

`teach` writes the folder of the knowledge, and `distill` reads it. `knowledge.json` holds
provenance, the dataset's fingerprint and the hash of every other file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from training.data.dataset import REFITS, Dataset, Protocol
from training.errors import TEACH, TEACH_AGAIN, KnowledgeError
from training.provenance import without_addresses
from training.settings.section import without_passwords
from training.settings.teacher import REMOTE_PREFIX, WORDS_KINDS, TeacherConfig, TeacherKind
from training.stage import fingerprint, readable_folder

DESCRIPTION_NAME = "knowledge.json"
EMBEDDINGS_NAME = "item_embeddings.npz"
_REPLACE = f"replace it with {TEACH_AGAIN}, or change or remove the setting `knowledge`"
SPLITS = ("train", "validation", "test")
# Settings, besides the kind, that decide the answers. Knowledge made with other values is refused.
SETTINGS_OF_ANSWERS: Mapping[TeacherKind, tuple[str, ...]] = {
    "retrieval": (
        *("model", "layers", "pooling", "precision", "tuning", "max_titles", "overlap"),
        "title_shares",
    ),
    "generative": ("model", "precision", "tuning", "max_titles", "overlap", "writing"),
    "titles": ("model", "layers", "precision", "title_prefix", "title_decays"),
    "tf-idf": ("tf_idf_columns", "title_decays"),
    "word-vectors": ("word_vectors", "title_decays"),
    "fusion": ("model", "layers", "precision", "title_prefix", "title_decays"),
    "fusion-without-titles": ("model", "layers", "precision", "title_prefix"),
}

# Values for settings that the provenance of old knowledge lacks, because they did not exist yet.
# They give the behaviour of that time, which differs from the present default of the setting.
FORMER_VALUES = {"kind": "retrieval", "title_shares": (0.0,)}


@dataclass(frozen=True)
class Answers:
    """A teacher's rankings for some examples, with the distances of the ranked items.

    Attributes:
        rows: `[examples]`, dataset rows of the next items, ascending.
        rankings: `[examples, K]`, item indices of the teacher's top K, best first, without seen
            items. The next item can be among them.
        distances: `[examples, K]`, the teacher's distance of each ranked item, >= 0.
        next_item_distances: `[examples]`, distance of the next item (DLLM2Rec, eq. 7).
    """

    rows: NDArray[np.int64]
    rankings: NDArray[np.int32]
    distances: NDArray[np.float32]
    next_item_distances: NDArray[np.float32]


@dataclass(frozen=True)
class Summary:
    """Hashes and provenance of knowledge, which ladder runs store instead of its arrays.

    Attributes:
        taught_hash: hash of everything that a student learns from.
        content_hash: hash of `taught_hash` and of the answers for held-out examples.
        num_lists: number of training examples with an answer.
        provenance: provenance of the knowledge, without addresses of servers.
        refit_hashes: hash of everything that a refit learns from, by protocol; empty if refits
            learn from the same lists.
    """

    taught_hash: str
    content_hash: str
    num_lists: int
    provenance: Mapping[str, Any]
    refit_hashes: Mapping[Protocol, str] = field(default_factory=dict)

    def under(self, protocol: Protocol) -> "Summary":
        """Returns a copy whose `taught_hash` is that of what a student learns under `protocol`."""
        return replace(self, taught_hash=self.refit_hashes.get(protocol, self.taught_hash))


@dataclass(frozen=True)
class Knowledge:
    """The answers and item embeddings of one teacher for one dataset.

    Attributes:
        dataset_fingerprint: fingerprint of the dataset.
        train: answers for training examples; examples beyond the budget have none.
        validation: answers for validation examples.
        test: answers for test examples.
        item_embeddings: `[catalog rows, size]`, the LLM's embedding of each title; row 0 is zeros.
        provenance: settings, prompt version, hardware, command, commit, total `tokens` and
            `seconds`, and `costs` by part of the work.
        refits: answers for all rows that a refit is trained on, by protocol. Without them a refit
            learns from `train`.
        stands_for: summary of the same teacher's knowledge from another machine, from which this
            one differs by rounding; its hashes are then those of this knowledge.
    """

    dataset_fingerprint: str
    train: Answers
    validation: Answers
    test: Answers
    item_embeddings: NDArray[np.float32]
    provenance: Mapping[str, Any]
    refits: Mapping[Protocol, Answers] = field(default_factory=dict)
    stands_for: Summary | None = None

    def under(self, protocol: Protocol) -> "Knowledge":
        """Returns a copy whose `train` are the answers that a student learns from under `protocol`.

        These are `refits[protocol]` if there are such answers, else the answers of this knowledge.
        """
        summary = self.stands_for.under(protocol) if self.stands_for else None
        return replace(self, train=self.refits.get(protocol, self.train), stands_for=summary)

    @cached_property
    def taught_hash(self) -> str:
        """Hash of everything that a student learns from: item embeddings and training answers."""
        if self.stands_for:
            return self.stands_for.taught_hash
        return _hash_of(self.item_embeddings, *astuple(self.train))

    @cached_property
    def content_hash(self) -> str:
        """Hash of `taught_hash` and of the answers for held-out examples."""
        if self.stands_for:
            return self.stands_for.content_hash
        held_out = _hash_of(*astuple(self.validation), *astuple(self.test))
        return fingerprint(self.taught_hash, held_out)

    @property
    def num_lists(self) -> int:
        """Number of training examples with an answer."""
        return len(self.train.rows)

    @property
    def summary(self) -> Summary:
        """Hashes and provenance of this knowledge, without addresses of servers."""
        provenance = without_addresses(self.provenance)
        refit_hashes = {name: self.under(name).taught_hash for name in self.refits}
        return Summary(
            self.taught_hash, self.content_hash, self.num_lists, provenance, refit_hashes
        )


def _hash_of(*arrays: NDArray[np.generic]) -> str:
    content = hashlib.sha256()
    for array in arrays:
        content.update(array.tobytes())
    return content.hexdigest()


def settings_of_answers(teacher: TeacherConfig) -> dict[str, object]:
    """Returns the values of the settings that decide a teacher's answers, by setting name."""
    settings = teacher.model_dump(include=set(SETTINGS_OF_ANSWERS[teacher.kind]))
    if teacher.kind not in WORDS_KINDS and teacher.model.startswith(REMOTE_PREFIX):
        names = {"api", "embedding_model"} if teacher.kind == "generative" else {"embedding_model"}
        settings["endpoint"] = teacher.endpoint.model_dump(include=names)
    if teacher.title_prefix is None:  # added later
        settings.pop("title_prefix", None)
    return settings


def save_knowledge(knowledge: Knowledge, folder: Path) -> None:
    """Writes knowledge into the existing folder `folder`.

    Distances and embeddings are stored in half precision. Files that are already in the folder,
    such as the fitted matcher, become part of the knowledge: their hashes are stored too.
    """
    for split in SPLITS:
        _save_answers(getattr(knowledge, split), folder / _answers_name(split))
    for protocol, answers in knowledge.refits.items():
        _save_answers(answers, folder / _answers_name(protocol))
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
    """Reads knowledge and verifies its hashes, its dataset and its teacher.

    Args:
        folder: folder that `save_knowledge` wrote.
        dataset: dataset that the knowledge must be about.
        teacher: settings that the knowledge must have been made with; None accepts any.

    Raises:
        KnowledgeError: the knowledge is missing or damaged, or was made by another teacher or for
            another dataset.
    """
    folder = readable_folder(folder)
    description = _read_description(folder)
    if teacher:
        _refuse_other_teacher(folder, description["provenance"], teacher)
    answered_dataset = description["dataset_fingerprint"]
    if answered_dataset != dataset.fingerprint:
        raise KnowledgeError(
            f"{folder}: made for a dataset with fingerprint {answered_dataset}, but that of "
            f"{dataset.name!r} is {dataset.fingerprint}; {_REPLACE}"
        )
    for name, expected in description["sha256"].items():
        _verify(folder / name, expected)
    train, validation, test = (_load_answers(folder / _answers_name(each)) for each in SPLITS)
    refits = {
        name: _load_answers(folder / _answers_name(name))
        for name in REFITS
        if _answers_name(name) in description["sha256"]
    }
    with np.load(folder / EMBEDDINGS_NAME, allow_pickle=False) as file:
        embeddings = file["item_embeddings"].astype(np.float32)
    return Knowledge(
        dataset_fingerprint=answered_dataset,
        train=train,
        validation=validation,
        test=test,
        item_embeddings=embeddings,
        provenance=description["provenance"],
        refits=refits,
    )


def _refuse_other_teacher(
    folder: Path, provenance: Mapping[str, Any], teacher: TeacherConfig
) -> None:
    if "settings" not in provenance:  # not made by `teach`
        return
    # Settings that the provenance lacks did not exist yet: they get their former or default values.
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
    for name in {**expected, **actual}:
        if actual.get(name) != expected.get(name):
            raise KnowledgeError(
                f"{folder}: made with teacher.{name} = {actual.get(name)!r}, but the experiment "
                f"has {expected.get(name)!r}; {_REPLACE}"
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
    with np.load(path, allow_pickle=False) as file:
        return Answers(
            rows=file["rows"],
            rankings=file["rankings"],
            distances=file["distances"].astype(np.float32),
            next_item_distances=file["next_item_distances"].astype(np.float32),
        )


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION_NAME
    try:
        description: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        teach = TEACH_AGAIN if folder.exists() else TEACH
        raise KnowledgeError(f"{path}: missing; make it with {teach}") from None
    except (ValueError, TypeError) as error:
        raise KnowledgeError(f"{path}: damaged ({error}); make it with {TEACH_AGAIN}") from None
    if missing := {"dataset_fingerprint", "provenance", "sha256"} - set(description):
        raise KnowledgeError(
            f"{path}: missing keys: {', '.join(sorted(missing))}; make it with {TEACH_AGAIN}"
        )
    return description


def _verify(path: Path, expected: str) -> None:
    try:
        actual = _sha256(path)
    except FileNotFoundError:
        raise KnowledgeError(f"{path}: missing; make it with {TEACH_AGAIN}") from None
    if actual != expected:
        raise KnowledgeError(
            f"{path}: damaged (sha256 {actual[:12]}…, expected {expected[:12]}…); make it with "
            f"{TEACH_AGAIN}"
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
