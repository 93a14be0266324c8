"""Datasets small enough to check by hand, for all tests of training."""

import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset
from training.data.storage import save_dataset
from training.knowledge import Answers, Knowledge, save_knowledge
from training.stage import write_stage

TITLES = ("Alien (1979)", "Brazil (1985)", "Clue (1985)", "Dune (1984)", "Eraserhead (1977)")


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may be larger than a page."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def tiny_dataset() -> Dataset:
    """Three users, five items, eleven rows.

    ann: a b c | d (validation) | a (test): row 4 is a repeat
    bob: b c   | e (test): item e is cold
    cay: a d (history) c | no held-out rows
    """
    train, history, validation, test = Split
    catalog = Catalog(
        item_ids=("a", "b", "c", "d", "e"),
        titles=TITLES,
        attributes=tuple({"decade": (title[-5:-2] + "0s",)} for title in TITLES),
    )
    return make_dataset(
        name="tiny",
        catalog=catalog,
        user_ids=("ann", "bob", "cay"),
        item_indices=np.array([1, 2, 3, 4, 1, 2, 3, 5, 1, 4, 3]),
        user_offsets=np.array([0, 5, 8, 11]),
        splits=np.array(
            [train, train, train, validation, test, train, train, test, train, history, train]
        ),
    )


@pytest.fixture
def chain_dataset() -> Dataset:
    """See `make_chain`."""
    return make_chain()


def make_chain() -> Dataset:
    """Thirty users on a ring of twelve items: the next item always follows the last one.

    Each has five training interactions, one for validation and one for test.
    """
    num_items, walk = 12, 7
    starts = np.arange(30) % num_items
    splits = [Split.TRAIN] * (walk - 2) + [Split.VALIDATION, Split.TEST]
    return make_dataset(
        name="chain",
        catalog=Catalog(
            item_ids=tuple(f"i{index}" for index in range(1, num_items + 1)),
            titles=tuple(f"Item {index}" for index in range(1, num_items + 1)),
            attributes=({},) * num_items,
        ),
        user_ids=tuple(f"u{user}" for user in range(len(starts))),
        item_indices=((starts[:, None] + np.arange(walk)) % num_items + 1).ravel(),
        user_offsets=np.arange(len(starts) + 1) * walk,
        splits=np.tile(splits, len(starts)),
    )


@pytest.fixture
def contrary_dataset(chain_dataset: Dataset) -> Dataset:
    """`chain_dataset`, except that in test the next item is the fifth after the last one."""
    items = chain_dataset.item_indices.copy()
    rows = chain_dataset.example_rows(Split.TEST)
    items[rows] = (items[rows] + 3) % 12 + 1
    return replace(chain_dataset, item_indices=items)


CONFIG = """
name = "chain"
[data]
source = "movielens"
[teacher]
kind = "retrieval"
[student]
max_history_length = 4
hidden_size = 16
num_layers = 1
[training]
seeds = [0, 1]
batch_size = 8
learning_rate = 1e-2
max_epochs = 3
pair_bonus = false
[distillation]
list_length = 1
"""


def perfect_answers(dataset: Dataset, split: Split) -> Answers:
    rows = dataset.example_rows(split)
    return Answers(
        rows=rows,
        rankings=dataset.item_indices[rows][:, None].astype(np.int32),
        distances=np.zeros((len(rows), 1), dtype=np.float32),
        next_item_distances=np.zeros(len(rows), dtype=np.float32),
    )


@pytest.fixture
def chain_config(chain_dataset: Dataset, tmp_path: Path) -> Path:
    """See `write_chain`."""
    return write_chain(chain_dataset, tmp_path)


def write_chain(chain_dataset: Dataset, parent: Path) -> Path:
    """An experiment with its dataset, and knowledge of a teacher that is always right."""
    path = parent / "chain.toml"
    path.write_text(CONFIG)
    folder = parent / "work" / "chain"
    with write_stage(folder / "dataset", "stamp") as building:
        save_dataset(chain_dataset, building)
    embeddings = np.eye(chain_dataset.catalog.num_rows, 8, dtype=np.float32)
    knowledge = Knowledge(
        dataset_fingerprint=chain_dataset.fingerprint,
        train=perfect_answers(chain_dataset, Split.TRAIN),
        validation=perfect_answers(chain_dataset, Split.VALIDATION),
        test=perfect_answers(chain_dataset, Split.TEST),
        item_embeddings=embeddings,
        provenance={"model": "all-knowing"},
    )
    with write_stage(folder / "knowledge", "stamp") as building:
        save_knowledge(knowledge, building)
    return path
