import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser
from onnxruntime import InferenceSession

from export.contract.bundle import Bundle, BundleError, load_bundle, save_bundle
from export.contract.tensors import MAX_COMMON_CASE_K, TENSORS
from service.bundles.loading import load_recommender, make_recommender
from service.errors import StudentError
from service.ranking.onnx_session import Feeds, run_session
from service.ranking.student import Student
from service.ranking.types import IndexQuery, Ranking


def test_a_history_that_no_graph_can_read_is_a_student_error(bundle_path: Path) -> None:
    student = Student.of_bundle(load_bundle(bundle_path))
    with pytest.raises(StudentError, match="out of"):
        student.rank(IndexQuery([99], 3))


def test_a_student_ranks_at_most_its_catalog_and_the_added_items(bundle_path: Path) -> None:
    student = Student.of_bundle(load_bundle(bundle_path))
    query = IndexQuery([1], 20, mask_seen=False)
    assert len(student.rank(query)) == 8
    taller = student.with_added(np.ones((2, student.added.shape[1]), dtype=np.float32))
    assert len(taller.rank(query)) == 10
    assert len(student.rank(query)) == 8


def test_a_query_does_not_change_the_ranking_of_the_next_one(bundle_path: Path) -> None:
    """Only arrays that both queries share stay bound."""
    student, query = Student.of_bundle(load_bundle(bundle_path)), IndexQuery([3], 4)
    ranking = student.rank(query)
    only_a = np.arange(9) == 1
    assert [index for index, _ in student.rank(IndexQuery([3], 4, allowed=only_a))] == [1]
    assert student.rank(query) == ranking
    assert student.rank(IndexQuery([3], 4, excluded=[ranking[0][0]]))[0] != ranking[0]
    with pytest.raises(StudentError):
        student.rank(IndexQuery([99], 4))
    assert student.rank(query) == ranking


def test_a_mask_is_freed_after_its_query(bundle_path: Path) -> None:
    """A mask is as long as the catalog, and every filtered request makes one."""
    student, mask = Student.of_bundle(load_bundle(bundle_path)), np.arange(9) < 4
    only = IndexQuery([3], 2, allowed=mask)
    assert {index for index, _ in student.rank(only)} <= {1, 2, 3}
    del only
    assert sys.getrefcount(mask) == 2  # the variable here, and the argument


def test_histories_of_one_length_do_not_mix(bundle_path: Path) -> None:
    bundle = load_bundle(bundle_path)
    queries = [IndexQuery(history, 5) for history in ([1, 2], [3], [2, 1], [7], [1, 2])]
    separate = [Student.of_bundle(bundle).rank(each) for each in queries]

    student = Student.of_bundle(bundle)
    assert [student.rank(each) for each in queries] == separate
    assert separate[0] != separate[2]
    assert separate[1] != separate[3]


def test_threads_do_not_mix_their_rankings(bundle_path: Path) -> None:
    student = Student.of_bundle(load_bundle(bundle_path))
    queries = [IndexQuery([item], 5) for item in range(1, 9)]
    expected = [student.rank(each) for each in queries]

    def rank_often(query: IndexQuery) -> list[Ranking]:
        return [student.rank(query) for _ in range(300)]

    with ThreadPoolExecutor(len(queries)) as threads:
        answers = list(threads.map(rank_often, queries))
    for rankings, ranking in zip(answers, expected, strict=True):
        assert all(each == ranking for each in rankings)


# Ranks 8, 7, 6 … with these scores, whatever the history: the ring's graph gives no such order.
# For a history that ends with item 8, the first score is not proven.
BACKWARDS = """
<ir_version: 10, opset_import: ["": 23]>
plain (int64[batch, length] history, int64[1] k) => (
    int64[batch, n] item_indices, float[batch, n] scores
)
<
    int64[1, 8] items = {8, 7, 6, 5, 4, 3, 2, 1}, float[1, 8] points = {8, 7, 6, 5, 4, 3, 2, 1},
    int64[1] start = {0}, int64[1] axis = {1}, int64[1] last = {-1}, int64[1] end = {9999},
    int64[1, 1] eight = {8}, int64[1, 8] places = {0, 1, 2, 3, 4, 5, 6, 7}, int64[1] first = {0},
    int64[1] num_items = {8}, float never = {-inf}
>
{
    num_histories = Shape<start = 0, end = 1>(history)
    shape = Concat<axis = 0>(num_histories, num_items)
    items_of_each = Expand(items, shape)
    item_indices = Slice(items_of_each, start, k, axis)
    newest = Slice(history, last, end, axis)
    is_eight = Equal(newest, eight)
    is_first = Equal(places, first)
    is_unproven = And(is_eight, is_first)
    proven = Where(is_unproven, never, points)
    scores = Slice(proven, start, k, axis)
}
"""


@pytest.fixture
def backwards(save_bundle_with: Callable[..., Path], tmp_path: Path) -> Student:
    """A student whose common-case graph is recognised by its rankings."""
    onnx.save(parser.parse_model(BACKWARDS), tmp_path / "plain.onnx")
    return Student.of_bundle(load_bundle(save_bundle_with(common_case=tmp_path / "plain.onnx")))


def items_of(ranking: Ranking) -> list[int]:
    return [index for index, _ in ranking]


def test_the_common_case_graph_ranks_common_case_queries(backwards: Student) -> None:
    assert items_of(backwards.rank(IndexQuery([3], 2))) == [8, 7]
    assert items_of(backwards.rank(IndexQuery([1, 2, 3, 4, 5, 6], 3))) == [8, 7, 6]
    assert items_of(backwards.rank(IndexQuery([3], 20))) == [8, 7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    "query",
    [
        IndexQuery([3], 2, excluded=[6]),
        IndexQuery([3], 2, allowed=np.arange(9) > 0),
        IndexQuery([3], 2, mask_seen=False),
        IndexQuery([0, 3], 2),
        IndexQuery([3], MAX_COMMON_CASE_K + 1),
    ],
)
def test_the_ranking_graph_ranks_any_other_query(
    backwards: Student, bundle_path: Path, query: IndexQuery
) -> None:
    expected = Student.of_bundle(load_bundle(bundle_path)).rank(query)
    assert backwards.rank(query) == expected
    assert items_of(expected)[0] in (4, 5)  # the ring's order, from item 3 on


def test_the_ranking_graph_ranks_where_there_are_added_items(backwards: Student) -> None:
    taller = backwards.with_added(np.zeros((1, backwards.added.shape[1]), dtype=np.float32))
    assert items_of(taller.rank(IndexQuery([3], 2))) == [4, 5]
    assert items_of(backwards.rank(IndexQuery([3], 2))) == [8, 7]


def test_the_ranking_graph_ranks_where_the_common_case_graph_proves_too_little(
    backwards: Student,
) -> None:
    assert items_of(backwards.rank(IndexQuery([8], 2))) == [1, 2]


def watched(
    save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> tuple[Student, list[tuple[int, ...]]]:
    """A student with the graph above, and the shapes of the histories it ranks in batches."""
    shapes: list[tuple[int, ...]] = []

    def watch(session: InferenceSession, outputs: Sequence[str], feeds: Feeds) -> list[Any]:
        shapes.append(feeds[TENSORS.history].shape)
        return run_session(session, outputs, feeds)

    with TemporaryDirectory() as folder:
        path = Path(folder) / "plain.onnx"
        onnx.save(parser.parse_model(BACKWARDS), path)
        student = Student.of_bundle(load_bundle(save_bundle_with(common_case=path)))
    monkeypatch.setattr("service.ranking.graphs.run_session", watch)
    return student, shapes


def test_common_case_queries_with_windows_of_one_length_share_an_inference(
    save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    student, shapes = watched(save_bundle_with, monkeypatch)
    histories = [[3], [1, 2], [4], [5, 6], [2]]
    answers = student.rank_many([IndexQuery(each, 3) for each in histories])
    assert [items_of(each) for each in answers] == [[8, 7, 6]] * 5
    longer = student.rank_many([IndexQuery(each, 3) for each in ([3] * 60, [1, 2] * 40, [5])])
    assert [items_of(each) for each in longer] == [[8, 7, 6]] * 3
    assert shapes == [(3, 1), (2, 2), (2, 80)]


def test_two_queries_of_different_window_lengths_are_ranked_one_by_one(
    save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    student, shapes = watched(save_bundle_with, monkeypatch)
    answers = student.rank_many([IndexQuery([3], 2), IndexQuery([3, 4], 2)])
    assert [items_of(each) for each in answers] == [[8, 7], [8, 7]]
    assert shapes == []  # each by a bound session


@pytest.mark.parametrize(
    "histories",
    [
        pytest.param([[3], [3, 4], [3, 4, 5]], id="three lengths"),
        pytest.param([[1], [2], [3], [1, 2], [1, 2, 3]], id="three lengths, one of them twice"),
    ],
)
def test_queries_of_three_window_lengths_share_one_inference_of_the_ranking_graph(
    histories: list[list[int]],
    save_bundle_with: Callable[..., Path],
    bundle_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    student, shapes = watched(save_bundle_with, monkeypatch)
    queries = [IndexQuery(each, 2) for each in histories]
    assert student.rank_many(queries) == Student.of_bundle(
        load_bundle(bundle_path)
    ).rank_by_ranking_graph(queries)
    assert shapes[0] == (len(histories), max(map(len, histories)))


def test_queries_that_are_no_common_case_share_an_inference_of_the_ranking_graph(
    save_bundle_with: Callable[..., Path], bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, shapes = watched(save_bundle_with, monkeypatch)
    filtered = [IndexQuery([item], 2, excluded=[6]) for item in (3, 4)]
    common = [IndexQuery([item], 2) for item in (1, 2)]
    answers = student.rank_many([*filtered, *common])
    assert shapes == [(2, 1), (2, 1)]
    assert answers[:2] == Student.of_bundle(load_bundle(bundle_path)).rank_by_ranking_graph(
        filtered
    )
    assert [items_of(each) for each in answers[2:]] == [[8, 7], [8, 7]]


def test_the_ranking_graph_ranks_the_query_of_a_batch_for_which_too_little_is_proven(
    save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    student, _ = watched(save_bundle_with, monkeypatch)
    answers = student.rank_many([IndexQuery([item], 2) for item in (3, 8, 4)])
    assert [items_of(each) for each in answers] == [[8, 7], [1, 2], [8, 7]]


def test_the_ranking_graph_ranks_an_empty_history_singly_and_in_a_batch(
    save_bundle_with: Callable[..., Path], bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, _ = watched(save_bundle_with, monkeypatch)
    nothing = IndexQuery([], 3)
    expected = Student.of_bundle(load_bundle(bundle_path)).rank_by_ranking_graph([nothing])[0]
    assert student.rank(nothing) == expected
    assert student.rank_many([nothing, nothing]) == [expected, expected]
    assert student.rank_many([nothing, IndexQuery([3], 3)])[0] == expected


def test_a_common_case_graph_that_lacks_an_output_is_refused(
    save_bundle_with: Callable[..., Path], tmp_path: Path
) -> None:
    onnx.save(parser.parse_model(BACKWARDS.replace("item_indices", "other_name")), tmp_path / "no")
    bundle = load_bundle(save_bundle_with(common_case=tmp_path / "no"))
    with pytest.raises(BundleError, match=r"plain\.onnx: no input or output item_indices"):
        Student.of_bundle(bundle)


@pytest.fixture
def bundle_of(bundle_path: Path, tmp_path: Path) -> Callable[[bytes], Bundle]:
    """Saves a bundle with any bytes as its ranking graph."""

    def save(graph: bytes) -> Bundle:
        (tmp_path / "model.onnx").write_bytes(graph)
        facts: dict[str, Any] = {"metrics": {}, "parity_error": 0.0, "provenance": {}}
        save_bundle(
            tmp_path / "bundle",
            tmp_path / "model.onnx",
            load_bundle(bundle_path).items,
            student="none",
            max_history_length=4,
            **facts,
        )
        return load_bundle(tmp_path / "bundle")

    return save


def test_a_file_that_is_not_a_graph_is_refused(bundle_of: Callable[[bytes], Bundle]) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx"):
        Student.of_bundle(bundle_of(b"no graph"))


def test_a_ranking_graph_that_lacks_inputs_and_outputs_is_refused(
    bundle_path: Path, bundle_of: Callable[[bytes], Bundle]
) -> None:
    encoder = load_bundle(bundle_path).read_item_encoder()
    assert encoder is not None
    with pytest.raises(BundleError, match=r"model\.onnx: no input or output history, .*, table"):
        Student.of_bundle(bundle_of(encoder))


@pytest.mark.parametrize("graph_items", [7, 9])
def test_a_graph_of_another_catalog_fails_the_smoke_check(
    save_bundle_with: Callable[..., Path], graph_items: int
) -> None:
    bundle = load_bundle(save_bundle_with(graph_items=graph_items))
    with pytest.raises(BundleError, match=r"model\.onnx"):
        make_recommender(bundle, max_k=3)


def test_a_graph_without_finite_scores_fails_the_smoke_check(
    save_bundle_with: Callable[..., Path],
) -> None:
    bundle = load_bundle(save_bundle_with(scale=float("nan")))
    with pytest.raises(BundleError, match="0 items with a finite score, 3 were asked for"):
        make_recommender(bundle, max_k=3)


def test_a_max_k_beyond_the_catalog_passes_the_smoke_check(bundle_path: Path) -> None:
    assert len(load_recommender(bundle_path, max_k=100).catalog) == 8


def test_a_common_case_graph_with_other_scores_fails_the_smoke_check(
    save_bundle_with: Callable[..., Path], tmp_path: Path
) -> None:
    onnx.save(parser.parse_model(BACKWARDS), tmp_path / "plain.onnx")
    bundle = load_bundle(save_bundle_with(common_case=tmp_path / "plain.onnx"))
    with pytest.raises(
        BundleError,
        match=r"item 8 has the score 8\.0 by the common-case graph, 6\.0 by the ranking",
    ):
        make_recommender(bundle, max_k=3)


def test_a_common_case_graph_that_cannot_run_fails_the_smoke_check(
    save_bundle_with: Callable[..., Path], tmp_path: Path
) -> None:
    broken = BACKWARDS.replace("Slice(items_of_each, start, k, axis)", "Gather(items, k)")
    onnx.save(parser.parse_model(broken), tmp_path / "plain.onnx")
    bundle = load_bundle(save_bundle_with(common_case=tmp_path / "plain.onnx"))
    with pytest.raises(BundleError):
        make_recommender(bundle, max_k=3)
