"""Thousands of random requests against an exhaustive search, with a real student."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.contract.bundle import Item, save_bundle
from export.graphs.common_case_graph import export_common_case_graph
from export.graphs.query_encoder import encoder_of
from export.graphs.ranking_graph import export_ranking_graph
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
    """Items with zero to three genres and, two times in three, a decade."""
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
    encoder = encoder_of(student)
    export_ranking_graph(encoder, folder / "model.onnx")
    assert export_common_case_graph(encoder, folder / "plain.onnx")
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
    """Random ids, of which about one in twenty is unknown."""
    numbers = generator.integers(1, NUM_ITEMS * 20 // 19, generator.integers(most + 1))
    return [f"id-{number}" for number in numbers]


def some_filter(generator: np.random.Generator) -> dict[str, list[str]]:
    chosen = {}
    if generator.random() < 0.4:
        chosen["genre"] = generator.choice(GENRES, generator.integers(1, 3)).tolist()
    if generator.random() < 0.2:
        chosen["decade"] = generator.choice([*DECADES, "none"], 1).tolist()
    return chosen


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


def known_numbers(item_ids: Iterable[str]) -> list[int]:
    """The numbers in the ids of known items."""
    numbers = [int(each.removeprefix("id-")) for each in item_ids]
    return [each for each in numbers if each <= NUM_ITEMS]


def scores_of(student: Student, requests: list[Query]) -> NDArray[np.float32]:
    """Scores by torch, `[requests, items + 1]`; a history without known items is all padding."""
    windows = np.zeros((len(requests), student.max_history_length), dtype=np.int64)
    for window, query in zip(windows, requests, strict=True):
        newest = known_numbers(query.history)[-len(window) :]
        window[len(window) - len(newest) :] = newest
    with torch.no_grad():
        scores: NDArray[np.float32] = student.score(torch.from_numpy(windows)).numpy()
    return scores


def nowhere() -> NDArray[np.bool_]:
    return np.zeros(NUM_ITEMS + 1, dtype=np.bool_)


class ExhaustiveSearch:
    """The items as arrays `[items + 1]`, in which place 0 is no item."""

    def __init__(self, items: list[Item]) -> None:
        self._popularity = np.array([0, *(item.popularity for item in items)], dtype=np.float32)
        self._has: dict[tuple[str, str], NDArray[np.bool_]] = defaultdict(nowhere)
        for number, item in enumerate(items, start=1):
            for name, values in item.attributes.items():
                for value in values:
                    self._has[name, value][number] = True

    def check(self, answer: Recommendations, query: Query, scores: NDArray[np.float32]) -> None:
        """Asserts that the answer holds exactly the best items that may be recommended."""
        seen, candidates = known_numbers(query.history), self._allowed(query)
        if query.mask_seen:
            unseen = candidates.copy()
            unseen[seen] = False
            candidates = unseen if unseen.any() else candidates
        values = scores if seen else self._popularity
        best = np.sort(values[candidates])[::-1][: query.k]
        answered = known_numbers([item.item_id for item, _ in answer.ranking])
        assert len(answer.ranking) == len(set(answered)) == len(best)
        assert candidates[answered].all()
        answered_scores = np.array([score for _, score in answer.ranking])
        assert (np.hypot(values[answered] - best, answered_scores - best) < 1e-4).all()
        assert not answer.degraded
        assert (answer.source == "student") == bool(seen)

    def _allowed(self, query: Query) -> NDArray[np.bool_]:
        allowed = np.arange(NUM_ITEMS + 1) > 0
        allowed[known_numbers(query.exclude)] = False
        for name, values in query.allow.items():
            allowed &= self._any_of(name, values)
        for name, values in query.deny.items():
            allowed &= ~self._any_of(name, values)
        return allowed

    def _any_of(self, name: str, values: Iterable[str]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.any([self._has[name, value] for value in values], axis=0)
        return found


@pytest.mark.slow
def test_ten_thousand_random_answers_are_those_of_an_exhaustive_search(
    recommender: Recommender, student: Student, items: list[Item]
) -> None:
    requests, search = list(random_requests()), ExhaustiveSearch(items)
    sources = set()
    for begin in range(0, NUM_REQUESTS, BATCH):
        batch = requests[begin : begin + BATCH]
        for query, scores in zip(batch, scores_of(student, batch), strict=True):
            answer = recommender.recommend(query)
            search.check(answer, query, scores)
            sources.add(answer.source)
    assert sources == {"student", "popular", "catalog"}


def test_a_batch_of_random_queries_is_answered_as_each_singly(recommender: Recommender) -> None:
    batch = list(random_requests())[:500]
    for in_batch, query in zip(recommender.recommend_many(batch), batch, strict=True):
        single = recommender.recommend(query)
        assert (in_batch.source, in_batch.unknown_items) == (single.source, single.unknown_items)
        scores = [score for _, score in in_batch.ranking]
        np.testing.assert_allclose(scores, [score for _, score in single.ranking], atol=1e-5)
