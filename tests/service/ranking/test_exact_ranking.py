"""Thousands of random requests against a plain search through all items, with a real student."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.contract.bundle import Item, save_bundle
from export.graphs.common_case_graph import export_common_case
from export.graphs.ranking_graph import export_student
from service.bundles.loading import load_recommender
from service.ranking.recommender import Query, Recommendations, Recommender
from training.settings.student import StudentConfig
from training.students.registry import build_student
from training.students.student import Student

NUM_ITEMS = 300
NUM_REQUESTS = 10_000
BATCH = 50
GENRES = np.array(["Comedy", "Crime", "Drama", "Horror", "Western"])
DECADES = np.array(["1970", "1980", "1990"])


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(0)
    student = build_student(StudentConfig(max_history_length=8, hidden_size=16), NUM_ITEMS + 1)
    for parameter in student.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return student.eval()


@pytest.fixture(scope="module")
def items() -> list[Item]:
    """Each of none to three genres and, two times in three, a decade."""
    generator = np.random.default_rng(0)
    items = []
    for number in range(1, NUM_ITEMS + 1):
        attributes = {"genre": generator.choice(GENRES, generator.integers(4), replace=False)}
        if generator.random() < 2 / 3:
            attributes["decade"] = generator.choice(DECADES, 1)
        listed = {name: values.tolist() for name, values in attributes.items()}
        items.append(Item(f"id-{number}", f"Film {number}", number % 7, listed))
    return items


@pytest.fixture(scope="module")
def recommender(
    student: Student, items: list[Item], tmp_path_factory: pytest.TempPathFactory
) -> Recommender:
    folder = tmp_path_factory.mktemp("exact")
    export_student(student, folder / "model.onnx")
    assert export_common_case(student, folder / "plain.onnx")
    save_bundle(
        folder / "bundle",
        folder / "model.onnx",
        items,
        common_case=folder / "plain.onnx",
        student="sasrec",
        max_history_length=8,
        metrics={},
        parity_error=0.0,
        provenance={},
    )
    return load_recommender(folder / "bundle", max_k=100)


def some_ids(generator: np.random.Generator, most: int) -> list[str]:
    """Ids of which about one in twenty is unknown."""
    numbers = generator.integers(1, NUM_ITEMS * 20 // 19, generator.integers(most + 1))
    return [f"id-{number}" for number in numbers]


def some_filter(generator: np.random.Generator) -> dict[str, list[str]]:
    wish = {}
    if generator.random() < 0.4:
        wish["genre"] = generator.choice(GENRES, generator.integers(1, 3)).tolist()
    if generator.random() < 0.2:
        wish["decade"] = generator.choice([*DECADES, "none"], 1).tolist()
    return wish


def random_requests() -> Iterator[Query]:
    generator = np.random.default_rng(1)
    for _ in range(NUM_REQUESTS):
        yield Query(
            history=some_ids(generator, most=20),
            k=int(generator.integers(1, 41)),
            exclude=some_ids(generator, most=30),
            allow=some_filter(generator),
            deny=some_filter(generator),
            mask_seen=bool(generator.random() < 0.7),
        )


def scores_of(student: Student, requests: list[Query]) -> NDArray[np.float32]:
    """What torch scores, `[requests, items + 1]`; histories without known items are not read."""
    windows = np.zeros((len(requests), student.max_history_length), dtype=np.int64)
    for window, wanted in zip(windows, requests, strict=True):
        known = [int(each[3:]) for each in wanted.history if int(each[3:]) <= NUM_ITEMS]
        newest = known[-len(window) :]
        window[len(window) - len(newest) :] = newest
    with torch.no_grad():
        scores: NDArray[np.float32] = student.score(torch.from_numpy(windows)).numpy()
    return scores


def may_be_answered(item: Item, wanted: Query) -> bool:
    has = {name: set(values) for name, values in item.attributes.items()}
    return (
        item.item_id not in set(wanted.exclude)
        and all(has.get(name, set()) & set(values) for name, values in wanted.allow.items())
        and not any(has.get(name, set()) & set(values) for name, values in wanted.deny.items())
    )


def check(
    answer: Recommendations, wanted: Query, scores: NDArray[np.float32], items: list[Item]
) -> None:
    """The answer holds exactly the best of the items that it may hold."""
    open_items = [item for item in items if may_be_answered(item, wanted)]
    unseen = [item for item in open_items if item.item_id not in wanted.history]
    candidates = (unseen or open_items) if wanted.mask_seen else open_items
    knows_history = any(int(each[3:]) <= NUM_ITEMS for each in wanted.history)
    answered = [item for item, _ in answer.ranking]
    assert len({item.item_id for item in answered}) == min(wanted.k, len(candidates))
    assert {item.item_id for item in answered} <= {item.item_id for item in candidates}
    if knows_history:
        score_of = {item.item_id: float(scores[int(item.item_id[3:])]) for item in candidates}
    else:
        score_of = {item.item_id: float(item.popularity) for item in candidates}
    due = sorted(score_of.values(), reverse=True)[: wanted.k]
    found = [(score_of[item.item_id], score) for item, score in answer.ranking]
    assert all(math.dist(pair, (best, best)) < 1e-4 for pair, best in zip(found, due, strict=True))
    assert not answer.degraded
    assert (answer.source == "student") == knows_history


def test_ten_thousand_random_answers_are_those_of_a_plain_search(
    recommender: Recommender, student: Student, items: list[Item]
) -> None:
    requests = list(random_requests())
    sources = set()
    for begin in range(0, NUM_REQUESTS, BATCH):
        batch = requests[begin : begin + BATCH]
        for wanted, scores in zip(batch, scores_of(student, batch), strict=True):
            answer = recommender.recommend(wanted)
            check(answer, wanted, scores, items)
            sources.add(answer.source)
    assert sources == {"student", "popular", "catalog"}


def test_a_batch_of_random_requests_is_answered_as_each_alone(recommender: Recommender) -> None:
    batch = list(random_requests())[:500]
    for together, wanted in zip(recommender.recommend_many(batch), batch, strict=True):
        alone = recommender.recommend(wanted)
        assert (together.source, together.unknown_items) == (alone.source, alone.unknown_items)
        scores = [score for _, score in together.ranking]
        np.testing.assert_allclose(scores, [score for _, score in alone.ranking], atol=1e-5)
