"""The choice of a search by measurement, for a catalog that is taken for a large one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export import scorer
from export.contract.manifest import is_approximate
from export.graphs import ranking_graph
from export.graphs.blocks.search import BlockSizes
from export.graphs.ranking_graph import export_ranking_graph
from export.parity.check import ParityError, Reference, check_parity
from export.scorer import export_best_search, random_windows
from export.sessions import RankingSession
from tests.export.graphs.searched import NUM_ITEMS, WINDOW, some_vectors, summing_encoder

ITEMS = np.arange(1, NUM_ITEMS + 1)
HISTORIES = random_windows(ITEMS, WINDOW)[:30]
FEW, ALL = BlockSizes(8, 4), BlockSizes(8, 13)  # 128 and all 400 items


@pytest.fixture
def slow_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds a second of CPU time to every ranking by the search with proof."""
    measured = scorer._measured

    def slower(sizes: BlockSizes | None, answers: scorer._Answers, *more: object) -> object:
        if sizes is None:
            times = [1_000 + each for each in answers.milliseconds]
            answers = replace(answers, milliseconds=times)
        return measured(sizes, answers, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(scorer, "_measured", slower)


@pytest.mark.usefixtures("slow_proof")
def test_the_first_search_that_finds_enough_is_chosen_and_all_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, path = summing_encoder(some_vectors()), tmp_path / "model.onnx"
    chosen = export_best_search(encoder, path, HISTORIES, [FEW, ALL, ALL], blocks_from=1)
    assert chosen is not None
    assert is_approximate(chosen)
    assert chosen["search"] == "13 blocks of 32 items by 8 bytes an item"
    assert chosen["recall_at_20"] >= scorer.MIN_RECALL
    assert chosen["recall_at_20_excluded"] >= scorer.MIN_RECALL
    assert [each["kind"] for each in chosen["measured"]] == ["pruned", *["approximate"] * 2]
    assert chosen["measured"][1]["recall_at_20"] < scorer.MIN_RECALL
    assert "chosen: 13 blocks of 32 items by 8 bytes an item" in capsys.readouterr().out
    assert RankingSession(path).num_items == NUM_ITEMS
    written = sorted(each.name for each in tmp_path.iterdir())
    assert written == ["item_codes_by_block.npy", "model.onnx", "table.npy"]


def test_an_item_that_is_missing_at_the_end_costs_less_ndcg_than_one_at_the_top(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scorer, "K", 3)
    best, second, third = np.array([5, 6, 7]), 1 / np.log2(3), 1 / 2
    for found, gain in (([5, 6, 9], 1 + second), ([9, 6, 7], second + third), ([5, 7], 1 + second)):
        assert scorer._ndcg([np.array(found)], [best]) == pytest.approx(gain / (1 + second + third))


@pytest.mark.usefixtures("slow_proof")
def test_where_no_search_by_blocks_finds_enough_the_proof_stays(tmp_path: Path) -> None:
    encoder, path = summing_encoder(some_vectors()), tmp_path / "model.onnx"
    chosen = export_best_search(encoder, path, HISTORIES, [FEW], blocks_from=1)
    assert chosen is not None
    assert chosen["kind"] == "pruned"
    assert not is_approximate(chosen)
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("sizes", [ALL, FEW])
def test_a_table_over_a_gigabyte_is_searched_with_proof_only_where_no_blocks_find_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: BlockSizes
) -> None:
    for module in (scorer, ranking_graph):
        monkeypatch.setattr(module, "MAX_INSIDE", 100)
    path = tmp_path / "model.onnx"
    chosen = export_best_search(
        summing_encoder(some_vectors()), path, HISTORIES, [sizes], blocks_from=1
    )
    assert chosen is not None
    blocks_are_enough = sizes == ALL
    assert is_approximate(chosen) == blocks_are_enough
    assert len(chosen["measured"]) == (1 if blocks_are_enough else 2)
    assert RankingSession(path).num_items == NUM_ITEMS
    written = {each.name for each in tmp_path.iterdir()}
    tables = {"table.npy", "item_codes_by_block.npy"} if blocks_are_enough else {"table.npy"}
    assert written == {"model.onnx", *tables}


def test_a_small_catalog_has_no_choice(tmp_path: Path) -> None:
    encoder = summing_encoder(some_vectors())
    assert export_best_search(encoder, tmp_path / "model.onnx", HISTORIES) is None


def test_an_approximate_list_passes_parity_only_as_such(tmp_path: Path) -> None:
    encoder, path = summing_encoder(some_vectors()), tmp_path / "model.onnx"
    export_ranking_graph(encoder, path, BlockSizes(8, 8))
    graph = RankingSession(path)
    reference = Reference(
        WINDOW, ITEMS, lambda each: encoder.table @ encoder.table[each].sum(axis=0)
    )
    check_parity(replace(reference, is_approximate=True), graph, num_random=20)
    with pytest.raises(ParityError, match="scores of swapped items"):
        check_parity(reference, graph, num_random=20)
