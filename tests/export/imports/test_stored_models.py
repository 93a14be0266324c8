"""Models that RecTools and RecBole trained are stored with those libraries' own answers."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from export.contract.bundle import load_bundle
from export.imports.foreign import Library, bundle_of
from proofs.fixtures.agreement import TopList, agree
from service.bundles.loading import make_recommender
from service.ranking.recommender import Query

HERE = Path(__file__).parent
TIE = 1e-5


def histories(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with (folder / "histories.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["user_id"], []).append(row["item_id"])
    return found


@pytest.mark.parametrize("library", ["rectools", "recbole"])
def test_an_imported_model_has_the_top_20_of_its_library_but_for_ties(
    library: Library, tmp_path: Path
) -> None:
    exported = Path(shutil.copytree(HERE / library, tmp_path / "exported"))
    bundle_of(library, exported, tmp_path / "bundle", num_random=20)
    recommender = make_recommender(load_bundle(tmp_path / "bundle"), max_k=20)
    asked = histories(HERE / library)

    with np.load(HERE / library / "answers.npz", allow_pickle=False) as theirs:
        assert len(theirs["users"]) == 40
        for user, items, scores in zip(
            theirs["users"], theirs["items"], theirs["scores"], strict=True
        ):
            ranking = recommender.recommend(Query(asked[user], 20)).ranking
            mine = TopList([item.item_id for item, _ in ranking], [score for _, score in ranking])
            assert agree(mine, TopList(items, scores), TIE)
