import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from distilled_recommender.app import main
from export.contract.bundle import Item, load_bundle
from export.contract.records import BundleError
from export.imports.make import Origin, Sources, make_bundle
from export.parity.check import ParityError
from export.scorer import export_best_search
from service.bundles.loading import make_recommender
from service.ranking.recommender import Query
from tests.export.encoders import MEAN, NEWEST_BY_INDEX, save_encoder

ORIGIN = Origin("onnx", "mean", "validation", {"note": "a test"})
VECTORS = np.array([[1, 0], [0, 1], [3, 1], [1, 2]], dtype=np.float64)
ITEMS = "item_id,title,genre\na,Alpha,Drama|War\nb,Beta,\nc,Gamma,War\nd,Delta,Drama\n"
# After a, the mean is (1, 0): c scores 3, d 1, b 0. After a, b it is (0.5, 0.5): c 2, d 1.5.
HISTORIES = "user_id,item_id,position\nu,a,1\nu,d,2\nv,a,1\nv,b,2\nv,c,3\n"


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """An encoder of the mean item vector, four items, and two users."""
    (tmp_path / "items.csv").write_text(ITEMS)
    (tmp_path / "histories.csv").write_text(HISTORIES)
    np.save(tmp_path / "vectors.npy", VECTORS, allow_pickle=False)
    return Sources(
        encoder=save_encoder(tmp_path / "encoder.onnx"),
        items=tmp_path / "items.csv",
        vectors=tmp_path / "vectors.npy",
        histories=tmp_path / "histories.csv",
        max_history_length=2,
    )


def ranked(folder: Path, history: list[str]) -> list[tuple[str, float]]:
    """Ranks two items after `history` with the service's recommender of a bundle."""
    recommender = make_recommender(load_bundle(folder), max_k=4)
    answer = recommender.recommend(Query(history, 2))
    return [(item.item_id, round(score, 5)) for item, score in answer.ranking]


def test_a_bundle_of_an_encoder_of_vectors_is_served_with_the_encoders_scores(
    sources: Sources, tmp_path: Path
) -> None:
    manifest = make_bundle(sources, ORIGIN, tmp_path / "bundle", num_random=20)

    assert ranked(tmp_path / "bundle", ["a"]) == [("c", 3.0), ("d", 1.0)]
    assert ranked(tmp_path / "bundle", ["d", "a", "b"]) == [("c", 2.0)]  # the window is a, b
    assert manifest.parity_error < 1e-6
    assert (manifest.origin, manifest.student, manifest.schema_version) == ("onnx", "mean", 4)
    assert manifest.provenance["note"] == "a test"
    assert set(manifest.provenance["sources"]) == {
        *("encoder.onnx", "items.csv", "vectors.npy", "histories.csv")
    }


def test_tables_in_many_files_make_the_bundle_of_single_files(
    sources: Sources, tmp_path: Path
) -> None:
    for name, text in (("items", ITEMS), ("histories", HISTORIES)):
        header, *rows = text.splitlines()
        (tmp_path / name).mkdir()
        for number, part in enumerate((rows[:2], rows[2:])):
            (tmp_path / name / f"{number}.csv").write_text("\n".join([header, *part]))
    many = replace(sources, items=tmp_path / "items", histories=tmp_path / "histories" / "*.csv")

    of_files = make_bundle(sources, ORIGIN, tmp_path / "a", num_random=5)
    of_folders = make_bundle(many, ORIGIN, tmp_path / "b", num_random=5)

    assert load_bundle(tmp_path / "b").items == load_bundle(tmp_path / "a").items
    assert of_folders.metrics == of_files.metrics
    assert of_folders.provenance["dataset"] == of_files.provenance["dataset"]
    hashes = of_folders.provenance["sources"]
    assert set(hashes) == {"encoder.onnx", "items", "vectors.npy", "*.csv"}
    assert len({*hashes.values()}) == 4


def test_two_tables_of_one_name_are_both_in_the_provenance(
    sources: Sources, tmp_path: Path
) -> None:
    (tmp_path / "clicks").mkdir()
    hashes = []
    for number in (1, 2):
        histories = tmp_path / "clicks" / "items.csv"
        histories.write_text(HISTORIES + f"w{number},a,1\n")
        same_name = replace(sources, histories=histories)
        manifest = make_bundle(same_name, ORIGIN, tmp_path / "bundle", num_random=5)
        hashes.append(manifest.provenance["sources"]["items.csv"])

    assert len({*hashes}) == 2


def test_the_provenance_names_the_external_data_of_an_encoder(
    sources: Sources, tmp_path: Path
) -> None:
    model = onnx.load(save_encoder(sources.encoder, NEWEST_BY_INDEX))
    own = next(each for each in model.graph.initializer if each.name == "own")
    own.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(own), "own"))  # as raw bytes
    onnx.save(
        model, sources.encoder, save_as_external_data=True, location="e.bin", size_threshold=0
    )

    manifest = make_bundle(sources, ORIGIN, tmp_path / "bundle", num_random=5)

    stored = hashlib.sha256((tmp_path / "e.bin").read_bytes()).hexdigest()
    assert manifest.provenance["sources"]["e.bin"] == stored


def test_the_items_of_the_table_are_those_of_the_bundle_in_its_order(
    sources: Sources, tmp_path: Path
) -> None:
    make_bundle(sources, ORIGIN, tmp_path / "bundle", num_random=5)

    items = load_bundle(tmp_path / "bundle").items
    assert items[0] == Item("a", "Alpha", 2, {"genre": ["Drama", "War"]})
    assert [each.item_id for each in items] == ["a", "b", "c", "d"]


def test_the_figures_are_those_of_the_last_interaction_of_each_history(
    sources: Sources, tmp_path: Path
) -> None:
    manifest = make_bundle(sources, ORIGIN, tmp_path / "bundle", num_random=5)

    # d is second after a, c is first after a, b.
    test = manifest.metrics["test"]
    assert (test["examples"], test["HR@1"], test["HR@5"]) == (2, 0.5, 1.0)
    assert test["NDCG@20"] == pytest.approx((1 + 1 / np.log2(3)) / 2)
    (ndcg, hit_rate) = manifest.figures
    assert (ndcg.row, ndcg.metric, hit_rate.metric) == ("mean", "NDCG@20", "HR@20")
    assert ndcg.mean == pytest.approx(test["NDCG@20"])


def test_the_manifest_says_how_a_large_catalog_is_searched(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the service would take a search of blocks for an exact one, and its cost for light."""

    def search_of_blocks(*given: Any) -> Mapping[str, Any]:
        export_best_search(*given)
        return {"kind": "approximate", "rule": "a test"}

    monkeypatch.setattr("export.imports.make.export_best_search", search_of_blocks)
    manifest = make_bundle(sources, ORIGIN, tmp_path / "bundle", num_random=20)

    assert manifest.scorer == {"kind": "approximate", "rule": "a test"}


def test_without_histories_a_bundle_has_no_figures_and_is_served(
    sources: Sources, tmp_path: Path
) -> None:
    bare = replace(sources, histories=None)
    manifest = make_bundle(bare, ORIGIN, tmp_path / "bundle", num_random=5)

    assert (dict(manifest.metrics), list(manifest.figures)) == ({}, [])
    assert ranked(tmp_path / "bundle", ["a"]) == [("c", 3.0), ("d", 1.0)]


def test_an_encoder_of_a_constant_width_gets_its_windows_padded(
    sources: Sources, tmp_path: Path
) -> None:
    save_encoder(sources.encoder, width="3", opset=18)
    fixed = replace(sources, max_history_length=None)
    manifest = make_bundle(fixed, ORIGIN, tmp_path / "bundle", num_random=20)

    assert manifest.max_history_length == 3
    assert ranked(tmp_path / "bundle", ["a"]) == [("c", 3.0), ("d", 1.0)]


def test_an_encoder_of_item_indices_reads_them(sources: Sources, tmp_path: Path) -> None:
    save_encoder(sources.encoder, NEWEST_BY_INDEX)
    make_bundle(sources, ORIGIN, tmp_path / "bundle", num_random=20)

    # After b, the query is its own vector, (0, 1): d scores 2, c 1.
    assert ranked(tmp_path / "bundle", ["a", "b"]) == [("d", 2.0), ("c", 1.0)]


@pytest.mark.parametrize(
    "change",
    [
        ("Max(count, one)", "Max(width_as_float, one)"),  # padding counts as items
        ("total = ReduceSum<keepdims = 0>(vectors, axis)", "total = Add(sum, first)"),
    ],
    ids=["padding", "other rows"],
)
def test_an_encoder_whose_query_depends_on_padding_or_other_rows_is_refused_and_nothing_saved(
    sources: Sources, tmp_path: Path, change: tuple[str, str]
) -> None:
    more = (
        "width = Shape<start = 1, end = 2>(window)\n width_as_float = Cast<to = 1>(width)\n"
        "sum = ReduceSum<keepdims = 0>(vectors, axis)\n first = ReduceMax(sum, zero_axis)\n"
    )
    text = MEAN.replace("is_item = ", more + "is_item = ").replace(*change)
    save_encoder(
        sources.encoder, text.replace("int64 zero", "int64[1] zero_axis = {0}, int64 zero")
    )

    with pytest.raises(ParityError, match=r"encoder\.onnx: the bundle's graphs differ from"):
        make_bundle(sources, ORIGIN, tmp_path / "bundle", num_random=20)
    with pytest.raises(BundleError, match="missing"):
        load_bundle(tmp_path / "bundle")


def test_the_command_makes_a_bundle_and_says_its_figures(
    sources: Sources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--encoder", "--items", "--vectors", "--histories"]
    files = [sources.encoder, sources.items, sources.vectors, sources.histories]
    given = [text for pair in zip(words, map(str, files), strict=True) for text in pair]

    assert main(["bundle", "make", str(tmp_path / "bundle"), *given]) == 2
    assert "--max-history-length" in capsys.readouterr().err
    given += ["--max-history-length", "2"]
    assert main(["bundle", "make", str(tmp_path / "bundle"), *given]) == 0
    printed = capsys.readouterr().out
    assert "4 items, histories of up to 2, scores within" in printed
    assert "test (2 examples): HR@10 1.0000" in printed
