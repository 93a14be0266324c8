"""Models that RecTools and RecBole trained are stored with those libraries' own answers."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from export.contract.bundle import Bundle, load_bundle
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


def imported(name: str, library: Library, folder: Path) -> Bundle:
    """Makes a bundle of the stored model `name` in `folder`."""
    exported = Path(shutil.copytree(HERE / name, folder / "exported"))
    bundle_of(library, exported, folder / "bundle", num_random=20)
    return load_bundle(folder / "bundle")


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("rectools", "rectools"),
        ("esasrec", "rectools"),
        ("bert4rec", "rectools"),
        ("recbole", "recbole"),
    ],
)
def test_an_imported_model_has_the_top_20_of_its_library_but_for_ties(
    name: str, library: Library, tmp_path: Path
) -> None:
    recommender = make_recommender(imported(name, library, tmp_path), max_k=20)
    asked = histories(HERE / name)

    with np.load(HERE / name / "answers.npz", allow_pickle=False) as theirs:
        assert len(theirs["users"]) == 40
        for user, items, scores in zip(
            theirs["users"], theirs["items"], theirs["scores"], strict=True
        ):
            ranking = recommender.recommend(Query(asked[user], 20)).ranking
            mine = TopList([item.item_id for item, _ in ranking], [score for _, score in ranking])
            assert agree(mine, TopList(items, scores), TIE)


def test_bert4rec_reads_its_mask_after_one_item_fewer_and_never_recommends_it(
    tmp_path: Path,
) -> None:
    bundle = imported("bert4rec", "rectools", tmp_path)
    recommender = make_recommender(bundle, max_k=60)
    items = {f"i{number}" for number in range(60)}

    # The model was trained with sessions of 8 tokens: 7 items and the mask.
    assert bundle.manifest.max_history_length == 7
    assert {item.item_id for item in bundle.items} == items
    assert max(map(len, histories(HERE / "bert4rec").values())) > 7
    newest = [f"i{number}" for number in range(7)]
    answers = [
        recommender.recommend(Query(history, 60)).ranking
        for history in (newest, ["i50", *newest], [*newest, "MASK"])
    ]
    scores = [{item.item_id: score for item, score in answer} for answer in answers]
    assert scores[0].keys() == items - {*newest}
    assert scores[1] == {each: scores[0][each] for each in scores[1]}
    assert scores[1].keys() == scores[0].keys() - {"i50"}
    assert scores[2] == scores[0]
