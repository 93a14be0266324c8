import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from export.compare import compare_bundles, main
from export.contract.bundle import Bundle, BundleLayout, load_bundle, save_bundle
from export.freeze import freeze
from training.data.dataset import Dataset
from training.distillation.checkpoint import Checkpoint

Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@pytest.fixture(scope="module")
def bundle(
    checkpoint: Checkpoint, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    folder = tmp_path_factory.mktemp("compared") / "bundle"
    freeze(checkpoint, dataset, folder, {})
    return load_bundle(folder)


def with_table(bundle: Bundle, change: Change, folder: Path, graph: str = "model.onnx") -> Bundle:
    """Copies a bundle and changes the item table of one graph."""
    source = shutil.copytree(bundle.folder, folder / "source")
    model = onnx.load(source / graph)
    (stored,) = [each for each in model.graph.initializer if each.name == "table"]
    table = change(numpy_helper.to_array(stored).copy())
    stored.CopyFrom(numpy_helper.from_array(table, "table"))
    onnx.save(model, source / graph)
    layout = BundleLayout(source)
    save_bundle(
        folder / "changed",
        layout.model,
        bundle.items,
        histories=bundle.histories,
        common_case=layout.common_case,
        student="sasrec",
        max_history_length=bundle.manifest.max_history_length,
        metrics={},
        parity_error=0.0,
        provenance={},
    )
    return load_bundle(folder / "changed")


def nudged(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores that differ a little, in the same order."""
    return np.float32(1 + 1e-4) * table


def reversed_items(table: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([table[:1], table[:0:-1]])


def test_a_bundle_agrees_with_itself_after_its_own_and_after_random_histories(
    bundle: Bundle,
) -> None:
    agreement = compare_bundles(bundle, bundle, num_random=10)
    assert agreement.num_histories == 2 * len(bundle.histories) + 10
    assert (agreement.num_differing, agreement.max_difference) == (0, 0)
    assert agreement.holds()


def test_unknown_items_of_the_bundles_histories_are_left_out(bundle: Bundle) -> None:
    strange = replace(bundle, histories=((bundle.items[0].item_id, "no such"), ("no such",)))
    assert compare_bundles(strange, strange, num_random=1).num_histories == 2 * 1 + 1


@pytest.mark.parametrize("graph", ["model.onnx", "plain.onnx"])
def test_other_scores_of_either_graph_are_measured(
    graph: str, bundle: Bundle, tmp_path: Path
) -> None:
    agreement = compare_bundles(bundle, with_table(bundle, nudged, tmp_path, graph), num_random=10)
    assert 1e-6 < agreement.max_difference < 1e-2
    assert not agreement.holds()
    assert agreement.holds(tolerance=1e-2) == (agreement.num_differing == 0)


@pytest.mark.parametrize("graph", ["model.onnx", "plain.onnx"])
def test_other_items_of_either_graph_are_counted(
    graph: str, bundle: Bundle, tmp_path: Path
) -> None:
    other = with_table(bundle, reversed_items, tmp_path, graph)
    agreement = compare_bundles(bundle, other, num_random=10)
    assert agreement.num_differing > 10
    assert not agreement.holds(tolerance=np.inf)


def test_the_program_prints_the_differences_and_exits_by_them(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(bundle.folder), str(bundle.folder)]) == 0
    assert capsys.readouterr().out == (
        "1,032 histories: the same items, scores differ by at most 0.0e+00\n"
    )
    other = with_table(bundle, reversed_items, tmp_path)
    assert main([str(bundle.folder), str(other.folder)]) == 1
    assert "different items after " in capsys.readouterr().out


def test_bundles_of_other_items_cannot_be_compared(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema_3 = Path(__file__).parent / "contract" / "schema_3"
    assert main([str(bundle.folder), str(schema_3)]) == 2
    assert "items.jsonl differs" in capsys.readouterr().err
    assert main([str(bundle.folder), str(tmp_path / "nothing")]) == 2
    assert "nothing/manifest.json: missing" in capsys.readouterr().err
