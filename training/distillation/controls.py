"""Controls: ranking lists and embeddings in a teacher's format, but without its knowledge.

If a student gains as much from a control as from the teacher, the gain does not come from the
teacher's knowledge.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.distillation.variants import ListSource
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import LIST_LENGTH, batches_of, ranker_of
from training.knowledge import Answers, Knowledge

ListMaker = Callable[[Knowledge, Dataset, int], Answers]
"""Function from knowledge, dataset and seed to answers for the training examples."""


def teachers_lists(knowledge: Knowledge, _: Dataset, __: int) -> Answers:
    """Returns the teacher's answers to the training examples, unchanged; this is no control."""
    return knowledge.train


def shuffled_lists(knowledge: Knowledge, _: Dataset, seed: int) -> Answers:
    """Permutes the teacher's answers at random over the training examples.

    Each example gets the ranking list and the distances of a random example.
    """
    answers = knowledge.train
    order = np.random.default_rng(seed).permutation(len(answers.rows))
    return Answers(
        rows=answers.rows,
        rankings=answers.rankings[order],
        distances=answers.distances[order],
        next_item_distances=answers.next_item_distances[order],
    )


def title_neighbour_lists(knowledge: Knowledge, dataset: Dataset, _: int) -> Answers:
    """Lists the unseen items whose titles are nearest to the title of a history's last item.

    Each training example that the teacher answered gets a list as long as the teacher's.
    """
    neighbours = TitleNeighbours(dataset, knowledge.item_embeddings)
    rows, length = knowledge.train.rows, knowledge.train.rankings.shape[1]
    # The length decides the order of equally near titles. Stored runs were made with at least
    # LIST_LENGTH, so a shorter list is cut from a list of that length.
    ranker = ranker_of(neighbours, dataset, max(length, LIST_LENGTH))
    batches = batches_of(rows, dataset)
    rankings = [ranker(batch)[:, :length].astype(np.int32) for batch in batches]
    next_items = [dataset.item_indices[batch][:, None] for batch in batches]
    listed = np.concatenate(list(map(neighbours.distances, batches, rankings)))
    next_item_distances = np.concatenate(list(map(neighbours.distances, batches, next_items)))
    return replace(
        knowledge.train,
        rankings=np.concatenate(rankings),
        distances=np.where(np.concatenate(rankings) == 0, 2, listed),
        next_item_distances=next_item_distances[:, 0],
    )


def shuffled_embeddings(knowledge: Knowledge, seed: int) -> NDArray[np.float32]:
    """Permutes the item embeddings at random over the items; returns `[catalog rows, size]`.

    Row 0, the padding, is not moved.
    """
    order = np.random.default_rng(seed).permutation(len(knowledge.item_embeddings) - 1) + 1
    return np.concatenate([knowledge.item_embeddings[:1], knowledge.item_embeddings[order]])


LISTS: Mapping[ListSource, ListMaker] = {
    "teacher": teachers_lists,
    "shuffled": shuffled_lists,
    "title-neighbours": title_neighbour_lists,
}
