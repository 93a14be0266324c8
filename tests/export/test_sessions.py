import numpy as np

from export.sessions import RankingSession


def test_a_graph_has_the_size_of_its_catalog(graph: RankingSession) -> None:
    assert graph.num_items == 30


def test_a_ranking_holds_padding_where_a_user_has_met_nearly_all_items(
    graph: RankingSession,
) -> None:
    item_indices, _ = graph.rank(np.arange(1, 29)[None], 20, mask_seen=True)
    assert set(item_indices[0, :2]) == {29, 30}
    assert not item_indices[0, 2:].any()
