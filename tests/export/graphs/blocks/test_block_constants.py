"""The constants of a search by blocks, which are computed part by part."""

from pathlib import Path

import numpy as np
import pytest

from export.graphs import codes, ranking_graph
from export.graphs.blocks.constants import Blocks, block_constants
from export.graphs.blocks.order import Axes
from export.graphs.blocks.search import BlockSizes
from export.graphs.proven.search import Constants, search_constants
from export.graphs.ranking_graph import export_ranking_graph, set_num_blocks
from tests.export.graphs.searched import NUM_ITEMS, check_against_all_scores, summing_encoder
from tests.export.graphs.searched import some_vectors as vectors

UNTURNED = Axes(np.eye(2), np.eye(2), np.ones(2))


def constants_of(sizes: BlockSizes) -> Constants:
    encoder = summing_encoder(vectors())
    return block_constants(Blocks.of(encoder.table, vectors(), sizes.block_size), sizes)


def check_equal(one: Constants, other: Constants) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert values.dtype == other[name].dtype
        assert np.array_equal(values, other[name]), name


@pytest.mark.parametrize("num_codes", [0, 8])
def test_constants_made_in_parts_of_seven_rows_equal_those_made_at_once(
    monkeypatch: pytest.MonkeyPatch, num_codes: int
) -> None:
    sizes = BlockSizes(num_codes, 13, block_size=3)
    at_once = constants_of(sizes)
    monkeypatch.setattr(codes, "ROWS_AT_ONCE", 7)
    check_equal(constants_of(sizes), at_once)


def test_constants_of_the_exact_search_do_not_depend_on_the_parts_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("export.graphs.proven.search.ROUGH_FROM", 1)
    table = summing_encoder(vectors()).table
    at_once = search_constants(table, table[5])
    monkeypatch.setattr(codes, "ROWS_AT_ONCE", 7)
    check_equal(search_constants(table, table[5]), at_once)


def test_the_codes_of_a_block_lie_coordinate_by_coordinate() -> None:
    table = np.array([[0, 0], [63, 1], [-5, 2], [7, 3]], dtype=np.float32)  # steps of 1
    blocks = Blocks(table, UNTURNED, np.array([[1, 3], [2, 0]]))
    assert blocks.codes().tolist() == [[63, 7, 1, 3], [-5, 0, 2, 0]]


def test_a_table_that_a_graph_cannot_hold_lies_beside_an_exact_graph_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking_graph, "MAX_INSIDE", 100)
    monkeypatch.setattr("export.graphs.proven.search.ROUGH_FROM", 1)
    path = tmp_path / "model.onnx"
    encoder = summing_encoder(vectors())
    export_ranking_graph(encoder, path)
    assert np.array_equal(np.load(tmp_path / "table.npy"), encoder.table)
    assert not (tmp_path / "item_codes_by_block.npy").exists()
    check_against_all_scores(path, num_requests=40)


def test_a_graph_changed_to_another_number_of_blocks_is_the_graph_made_with_it(
    tmp_path: Path,
) -> None:
    encoder, (one, other) = summing_encoder(vectors()), (BlockSizes(0, 4), BlockSizes(0, 9))
    for sizes, name in ((one, "changed"), (other, "made")):
        export_ranking_graph(encoder, tmp_path / name, sizes)
    set_num_blocks(tmp_path / "changed", other, NUM_ITEMS)
    assert (tmp_path / "changed").read_bytes() == (tmp_path / "made").read_bytes()
