"""Proves that the rules of a query give the list that a direct computation in NumPy gives.

Random requests with most rules at once, on films and added items, are sent to the application. Each
answer is compared with that of `reference.py`, which imports nothing of the service. The same is
done for similar items.

python -m proofs rules [--requests N]
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
from cyclopts import Parameter

from proofs.fixtures.places import EXAMPLE
from proofs.record import Figure
from proofs.rules.reference import TIE, Answer, Reference, open_graph
from proofs.rules.requests import RULES, random_request
from service.app import create_app
from service.settings import Settings

_NUM_ADDED = 50
PATIENT = {"Prefer": "wait=10"}  # the machine may be busy
_EVERY = 5  # of the requests, each fifth is answered again without each of its rules


@dataclass
class Comparison:
    """Counts of compared answers.

    Attributes:
        same: answers with the ids of the reference.
        tied: answers that differ where two choices are equally good but for `TIE`.
        different: all other answers.
        full: answers with `k` items.
        largest_error: largest difference of two scores of an item.
        asked: number of requests that were answered without each of their rules, by rule.
        bound: number of these whose list is different without the rule, by rule.
    """

    same: int = 0
    tied: int = 0
    different: int = 0
    full: int = 0
    largest_error: float = 0.0
    asked: int = 0
    bound: Counter[str] = field(default_factory=Counter)
    shortages: Counter[str] = field(default_factory=Counter)


def prove(
    *, requests: Annotated[int, Parameter(name="requests")] = 10_000, seed: int = 7
) -> Iterator[Figure]:
    """Compares answers to random requests with those of the reference.

    Args:
        requests: number of requests for recommendations; a tenth as many ask for similar items.
        seed: seed of the requests.
    """
    recommended, similar = asyncio.run(_compared(requests, seed))
    for name, each in (("recommendations", recommended), ("similar items", similar)):
        total = each.same + each.tied + each.different
        yield Figure(f"{name}: compared", "answers", total)
        yield Figure(f"{name}: different", "answers", each.different, at_most=0)
        yield Figure(f"{name}: equal but for ties within {TIE:g}", "answers", each.tied)
        yield Figure(f"{name}: largest difference of scores", "", each.largest_error, at_most=TIE)
        yield Figure(f"{name}: with k items", "%", 100 * each.full / total)
    for reason, number in sorted(recommended.shortages.items()):
        yield Figure(f"recommendations: fewer because of {reason}", "answers", number)
    for rule in RULES:
        share = 100 * recommended.bound[rule] / recommended.asked
        yield Figure(f"{rule} changes the list", "% of requests", share, at_least=20)


async def _compared(requests: int, seed: int) -> tuple[Comparison, Comparison]:
    random = np.random.default_rng(seed)
    added, embeddings = _added_items(random)
    reference = Reference(EXAMPLE, added, embeddings)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(bundle_path=EXAMPLE, items_path=Path(folder) / "items.jsonl")
        app = create_app(settings)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=transport, base_url="http://service", headers=PATIENT
            ) as client,
        ):
            for item, embedding in zip(added, embeddings, strict=True):
                body = {**item, "embedding": embedding.tolist()}
                (await client.post("/v1/items", json=body)).raise_for_status()
            return (
                await _recommendations(client, reference, random, requests),
                await _similar_items(client, reference, random, max(1, requests // 10)),
            )


def _added_items(
    random: np.random.Generator,
) -> tuple[Sequence[Mapping[str, Any]], np.ndarray]:
    """Makes items to add, with random genres and embeddings."""
    size = open_graph(EXAMPLE / "item_encoder.onnx").get_inputs()[0].shape[1]
    embeddings = random.normal(size=(_NUM_ADDED, size)).astype(np.float32)
    genres = ("Comedy", "Drama", "Action", "Thriller", "Sci-Fi")
    items = [
        {
            "item_id": f"added-{number}",
            "title": f"Added {number}",
            "attributes": {
                "genres": random.choice(genres, 2, replace=False).tolist(),
                "year": ["2026"],
            },
        }
        for number in range(_NUM_ADDED)
    ]
    return items, embeddings


async def _recommendations(
    client: httpx.AsyncClient, reference: Reference, random: np.random.Generator, requests: int
) -> Comparison:
    comparison = Comparison()
    ids = [item["item_id"] for item in reference.items]
    for number in range(requests):
        history = random.choice(ids, int(random.integers(0, 13)), replace=False).tolist()
        scores = reference.scores(history)
        request = random_request(reference, random, scores, history)
        body = {**request, "history": history}
        reply = await client.post("/v1/recommendations", json=body)
        answer = partial(Answer, reference, scores=scores, seen=history)
        _compare(comparison, reference, reply, partial(answer, request))
        if number % _EVERY == 0:
            comparison.asked += 1
            listed = answer(request).complete()
            for rule in RULES:
                without = {name: value for name, value in request.items() if name != rule}
                comparison.bound[rule] += listed != answer(without).complete()
    return comparison


async def _similar_items(
    client: httpx.AsyncClient, reference: Reference, random: np.random.Generator, requests: int
) -> Comparison:
    comparison = Comparison()
    for _ in range(requests):
        item_id = str(random.choice([item["item_id"] for item in reference.items]))
        cosines = reference.cosines(item_id)
        request = random_request(reference, random, cosines, [item_id])
        reply = await client.post(f"/v1/items/{item_id}/similar", json=request)
        without_itself = {**request, "exclude": [*request.get("exclude", ()), item_id]}
        _compare(comparison, reference, reply, partial(Answer, reference, without_itself, cosines))
    return comparison


def _compare(
    comparison: Comparison,
    reference: Reference,
    reply: httpx.Response,
    new_answer: Callable[[], Answer],
) -> None:
    """Counts a reply by how it compares with the reference's answer."""
    reply.raise_for_status()
    content = reply.json()
    ids = [item["item_id"] for item in content["items"]]
    answer = new_answer()
    is_same = answer.complete() == ids
    if not is_same:
        answer = new_answer()
        is_tied = answer.complete(ids) == ids
    scores = answer.scores[reference.rows(ids)]
    errors = np.abs(scores - [item["score"] for item in content["items"]])
    comparison.largest_error = max(comparison.largest_error, float(errors.max(initial=0)))
    comparison.full += len(ids) == answer.k
    shortage = content.get("shortage")
    if shortage:
        comparison.shortages[shortage] += 1
    if shortage != answer.shortage or not (is_same or is_tied):
        comparison.different += 1
    elif is_same:
        comparison.same += 1
    else:
        comparison.tied += 1
