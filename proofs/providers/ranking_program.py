"""Ranks for histories by the execution providers that an argument names.

`python ranking_program.py PROVIDERS BUNDLE HISTORIES K`, in any environment with the service's
dependencies. HISTORIES is a JSON file. Prints JSON on the last line: for each graph, the item ids,
the scores and the milliseconds of each answer.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.bundles.loading import load_recommender
from service.ranking.recommender import Query, Recommender
from service.settings import Settings

Columns = tuple[list[list[str]], list[list[float]], list[float]]


def main(providers: str, bundle: str, histories: str, k: str) -> None:
    """Prints the answers; each history is asked twice, and the second time is told."""
    settings = Settings(bundle_path=Path(bundle), execution_providers=providers)
    recommender = load_recommender(settings.bundle_path, int(k), providers=settings.providers)
    asked: list[list[str]] = json.loads(Path(histories).read_text(encoding="utf-8"))
    popular = recommender.recommend(
        Query([], 1)
    ).item_ids  # an excluded item needs the larger graph
    queries: Mapping[str, Sequence[Query]] = {
        "common-case graph": [Query(each, int(k)) for each in asked],
        "ranking graph": [Query(each, int(k), exclude=popular) for each in asked],
    }
    found = {graph: _answered(recommender, each) for graph, each in queries.items()}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def _answered(recommender: Recommender, queries: Sequence[Query]) -> Columns:
    answers = [recommender.recommend(each) for each in queries]
    milliseconds = []
    for query in queries:
        began = time.perf_counter()
        recommender.recommend(query)
        milliseconds.append(1e3 * (time.perf_counter() - began))
    items = [list(each.item_ids) for each in answers]
    scores = [[score for _, score in each.ranking] for each in answers]
    return items, scores, milliseconds


if __name__ == "__main__":
    main(*sys.argv[1:])
