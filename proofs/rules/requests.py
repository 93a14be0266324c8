"""Random requests with rules, made so that each rule changes many of the answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from proofs.rules.reference import Answer, Numbers, Reference

RULES = (
    "candidates",
    "allow",
    "deny",
    "exclude",
    "boost",
    "pin",
    "max_per",
    "diversity",
    "min_score",
)
_SHARE = 0.8
"""Share of the requests that have a rule."""


def random_request(
    reference: Reference, random: np.random.Generator, scores: Numbers, seen: Sequence[str]
) -> dict[str, Any]:
    """Makes a request with most rules at once; each is left out of a fifth of the requests.

    `scores`: score of every item, from which a lowest score and the exclusions are chosen.
    """
    ids = [item["item_id"] for item in reference.items]
    genres = sorted({each for item in reference.items for each in item["attributes"]["genres"]})
    num_candidates = int(random.integers(100, 1000))
    candidates = [*random.choice(ids, num_candidates, replace=False).tolist(), "no such item"]
    if seen and random.random() < 0.03:
        candidates = list(dict.fromkeys(seen))[: int(random.integers(1, 4))]
    request: dict[str, Any] = {"k": int(random.integers(1, 26)), "candidates": candidates}
    request["allow"] = {"genres": random.choice(genres, 9, replace=False).tolist()}
    request["deny"] = {"genres": random.choice(genres, 2, replace=False).tolist()}
    best = best_ids(reference, request, scores, 30)
    request["exclude"] = [each for each in best if random.random() < 0.2]
    request["boost"] = _boost(random, best, genres)
    request["pin"] = _pins(random, best, ids, request["k"])
    request["max_per"] = {"genres": int(random.integers(1, 8)), "year": int(random.integers(1, 3))}
    request["diversity"] = float(random.uniform(0.1, 1))
    kept = {each: value for each, value in request.items() if _is_kept(each, random)}
    if _is_kept("min_score", random):
        kept["min_score"] = _min_score(reference, kept, scores, random)
    return kept


def best_ids(
    reference: Reference, request: Mapping[str, Any], scores: Numbers, number: int
) -> list[str]:
    """Returns the ids of the best items that candidates and filters leave."""
    allowed = reference.allowed(request)
    order = np.argsort(-np.where(allowed, scores, -np.inf), kind="stable")
    rows = order[: min(number, np.count_nonzero(allowed))]
    return [reference.items[row]["item_id"] for row in rows]


def _is_kept(name: str, random: np.random.Generator) -> bool:
    return name == "k" or random.random() < _SHARE


def _boost(
    random: np.random.Generator, best: Sequence[str], genres: Sequence[str]
) -> dict[str, Any]:
    boosted = random.choice(genres, 3, replace=False).tolist()
    return {
        "items": {each: float(random.normal(0, 2)) for each in best[::7]},
        "attributes": {"genres": {each: float(random.normal(0, 1)) for each in boosted}},
    }


def _pins(
    random: np.random.Generator, best: Sequence[str], ids: Sequence[str], k: int
) -> list[dict[str, Any]]:
    number = int(random.integers(1, min(k, 3) + 1))
    pool = best if len(best) >= number and random.random() < _SHARE else ids
    items = random.choice(pool, number, replace=False).tolist()
    places = random.choice(np.arange(1, k + 1), number, replace=False).tolist()
    return [{"item_id": item, "position": place} for item, place in zip(items, places, strict=True)]


def _min_score(
    reference: Reference, request: Mapping[str, Any], scores: Numbers, random: np.random.Generator
) -> float:
    """Chooses a score near that of the last item of the list without a lowest score."""
    answer = Answer(reference, request, scores)
    listed = reference.rows(answer.complete())
    ranked = np.sort(answer.scores[listed])
    if not len(ranked):
        return 0.0
    return float(ranked[int(random.integers(0, len(ranked)))]) - 1e-3
