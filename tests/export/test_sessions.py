import numpy as np

from export.sessions import RankingGraph, served_ranker
from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import ranker_of
from training.students.scorer import StudentScorer
from training.students.student import Student


def test_the_graph_tells_the_size_of_its_catalog(graph: RankingGraph) -> None:
    assert graph.num_items == 30


def test_the_served_ranking_of_every_row_is_that_of_torch(
    student: Student, graph: RankingGraph, dataset: Dataset
) -> None:
    rows = dataset.example_rows(Split.TEST)
    expected = ranker_of(StudentScorer(student, dataset), dataset)(rows)
    served = served_ranker(graph, dataset)(rows)
    assert served.shape == (12, 20)
    np.testing.assert_array_equal(served, expected)


def test_a_ranking_holds_padding_where_a_user_has_met_nearly_all_items(
    graph: RankingGraph,
) -> None:
    item_indices, _ = graph.rank(np.arange(1, 29)[None], 20, mask_seen=True)
    assert set(item_indices[0, :2]) == {29, 30}
    assert not item_indices[0, 2:].any()
