"""Proves that the rules of a query give the list that a direct computation in NumPy gives.

Random requests with most rules at once, on films and added items, are sent to the application. Each
answer is compared with that of `reference.py`, which imports nothing of the service. The same is
done for similar items, and for popular and trending items by training and by known events.

python -m proofs rules [--requests N]
"""

import asyncio
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
from cyclopts import Parameter

from proofs.fixtures.places import EXAMPLE
from proofs.record import Figure
from proofs.rules.comparison import Comparison, asked
from proofs.rules.popular import PopularComparison, popular_items
from proofs.rules.reference import Answer, Numbers, Reference, Request, open_graph
from proofs.rules.requests import random_request
from service.app import create_app
from service.settings import Settings

_NUM_ADDED = 50
PATIENT = {"Prefer": "wait=10"}  # the machine may be busy
_EVERY = (
    5  # of the requests, each fifth is answered again without each of its rules; each of the others
)


def prove(
    *, requests: Annotated[int, Parameter(name="requests")] = 10_000, seed: int = 7
) -> Iterator[Figure]:
    """Compares answers to random requests with those of the reference.

    Args:
        requests: number of requests for recommendations; a tenth as many ask for similar items,
            and again for popular ones.
        seed: seed of the requests.
    """
    recommended, similar, popular = asyncio.run(_compared(requests, seed))
    yield from recommended.figures("recommendations")
    yield from similar.figures("similar items")
    yield from popular.figures("popular items")
    yield Figure(
        "popular items: numbers of events that are wrong", "answers", popular.wrong, at_most=0
    )
    for reason, number in sorted(recommended.shortages.items()):
        yield Figure(f"recommendations: fewer because of {reason}", "answers", number)
    yield from recommended.figures_of_rules()
    yield from similar.figures_of_rules("similar items: ")
    yield from popular.figures_of_rules("popular items: ")


async def _compared(requests: int, seed: int) -> tuple[Comparison, Comparison, PopularComparison]:
    random = np.random.default_rng(seed)
    added, embeddings = _added_items(random)
    reference = Reference(EXAMPLE, added, embeddings)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            bundle_path=EXAMPLE,
            items_path=Path(folder) / "items.jsonl",
            event_log="on",
            event_log_path=Path(folder) / "log",
            impressions=0,
            session_secret=secrets.token_hex(32),
        )
        app = create_app(settings)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=transport, base_url="http://service", headers=PATIENT
            ) as client,
        ):
            for item, embedding in zip(added, embeddings, strict=True):
                await asked(client, "/v1/items", {**item, "embedding": embedding.tolist()})
            return (
                await _recommendations(client, reference, random, requests),
                await _similar_items(client, reference, random, max(1, requests // 10)),
                await popular_items(client, reference, random, max(12, requests // 10)),
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
        reply = await asked(client, "/v1/recommendations", body)
        answer = partial(Answer, reference, scores=scores, seen=history)
        comparison.compare(reference, reply, partial(answer, request))
        if number % _EVERY == 0:
            comparison.count_bound(request, answer)
    return comparison


async def _similar_items(
    client: httpx.AsyncClient, reference: Reference, random: np.random.Generator, requests: int
) -> Comparison:
    comparison = Comparison()
    for _ in range(requests):
        item_id = str(random.choice([item["item_id"] for item in reference.items]))
        cosines = reference.cosines(item_id)
        request = random_request(reference, random, cosines, [item_id])
        reply = await asked(client, f"/v1/items/{item_id}/similar", request)
        answer = partial(_others, reference, cosines, item_id)
        comparison.compare(reference, reply, partial(answer, request))
        comparison.count_bound(request, answer)
    return comparison


def _others(reference: Reference, cosines: Numbers, item_id: str, request: Request) -> Answer:
    """The reference's answer of other items than `item_id`."""
    others = {**request, "exclude": [*request.get("exclude", ()), item_id]}
    return Answer(reference, others, cosines)
