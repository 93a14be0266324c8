"""The bundle that the service's image starts with."""

from pathlib import Path

from service.bundles.loading import load_recommender
from service.ranking.recommender import Query

FOLDER = Path(__file__).parents[2] / "assets/movielens/bundle"


def test_it_is_whole_and_answers_and_says_where_it_comes_from() -> None:
    recommender = load_recommender(FOLDER, max_k=100)
    answer = recommender.recommend(Query(["1", "1196", "2571"], 10))
    assert len(answer.ranking) == 10
    assert answer.source == "student"
    provenance = recommender.manifest.provenance
    assert provenance["dataset"]["name"] == "movielens"
    assert not provenance["commit"].endswith("+")  # made of a clean tree
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 3_000_000
