"""Test of the bundle in the image of the service, which an empty volume starts with."""

from pathlib import Path

from service.bundles.loading import load_recommender
from service.ranking.recommender import Query

FOLDER = Path(__file__).parents[2] / "assets/movielens/bundle"


def test_the_first_bundle_is_complete_answers_and_names_its_origin() -> None:
    recommender = load_recommender(FOLDER, max_k=100)
    answer = recommender.recommend(Query(["1", "1196", "2571"], 10))
    assert len(answer.ranking) == 10
    assert answer.source == "student"
    provenance = recommender.manifest.provenance
    assert provenance["dataset"]["name"] == "movielens"
    assert not provenance["commit"].endswith("+")  # a clean tree
    # 3,496 items: 3.6 MB are pairs, 512 bytes an item in each of two graphs.
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 7_000_000
