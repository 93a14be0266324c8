"""A bundle with columns of its items is checked and served."""

from pathlib import Path

import pytest

from export.contract import bundle as contract
from export.contract.bundle import BundleError, BundleLayout, load_bundle, save_bundle
from export.contract.columns.writing import write_columns
from service.bundles.checking import BundleChecks
from service.bundles.loading import load_recommender
from service.ranking.recommender import Query
from tests.service.conftest import RING, TITLES, ring_graph, save_ring_bundle


def with_columns(folder: Path) -> Path:
    """Saves the ring bundle with columns."""
    ring = load_bundle(save_ring_bundle(folder / "ring", ring_graph(len(RING))))
    save_bundle(
        folder / "columns",
        BundleLayout(ring.folder).model,
        ring.items,
        columns_from=1,
        student=ring.manifest.student,
        max_history_length=ring.manifest.max_history_length,
        metrics={},
        parity_error=0,
        provenance={},
    )
    return folder / "columns"


def checks(folder: Path) -> BundleChecks:
    return BundleChecks(max_k=3, seconds=60, stamps=folder / "stamps")


def test_it_answers_as_the_bundle_without_columns_does(tmp_path: Path) -> None:
    folder = with_columns(tmp_path)
    checks(tmp_path).check(folder)
    one, other = (load_recommender(each, 3) for each in (tmp_path / "ring", folder))
    query = Query([one.bundle.items[0].item_id], k=3)
    assert other.recommend(query) == one.recommend(query)


def test_columns_of_other_items_are_refused_though_their_hash_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_other_items(items: Path, path: Path) -> None:
        text = items.read_text(encoding="utf-8")
        other = items.with_name("other.jsonl")
        other.write_text(text.replace(TITLES[0], TITLES[0][::-1], 1), encoding="utf-8")
        write_columns(other, path)
        other.unlink()

    monkeypatch.setattr(contract, "write_columns", of_other_items)
    folder = with_columns(tmp_path)
    assert [item.item_id for item in load_bundle(folder).items] == [*RING]
    with pytest.raises(BundleError, match=r"not the columns of items\.jsonl"):
        checks(tmp_path).check(folder)
