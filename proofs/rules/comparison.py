"""Counts how answers of the service compare with those of the reference."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from proofs.record import Figure
from proofs.rules.reference import TIE, Answer, Reference, Request
from proofs.rules.requests import RULES

_ATTEMPTS = 10


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

    def compare(
        self, reference: Reference, reply: httpx.Response, new_answer: Callable[[], Answer]
    ) -> Mapping[str, Any]:
        """Counts a reply by how it compares with the reference's answer; returns its content."""
        content: Mapping[str, Any] = reply.json()
        ids = [item["item_id"] for item in content["items"]]
        answer = new_answer()
        is_same = answer.complete() == ids
        if not is_same:
            answer = new_answer()
            is_tied = answer.complete(ids) == ids
        scores = answer.scores[reference.rows(ids)]
        errors = np.abs(scores - [item["score"] for item in content["items"]])
        self.largest_error = max(self.largest_error, float(errors.max(initial=0)))
        self.full += len(ids) == answer.k
        shortage = content.get("shortage")
        if shortage:
            self.shortages[shortage] += 1
        if shortage != answer.shortage or not (is_same or is_tied):
            self.different += 1
        elif is_same:
            self.same += 1
        else:
            self.tied += 1
        return content

    def count_bound(self, request: Request, answer: Callable[[Request], Answer]) -> None:
        """Counts the rules of a request without which the reference's answer is different."""
        self.asked += 1
        listed = answer(request).complete()
        for rule in RULES:
            without = {name: value for name, value in request.items() if name != rule}
            self.bound[rule] += listed != answer(without).complete()

    def figures(self, name: str) -> Iterator[Figure]:
        """Yields the figures of answers with `name`."""
        total = self.same + self.tied + self.different
        yield Figure(f"{name}: compared", "answers", total)
        yield Figure(f"{name}: different", "answers", self.different, at_most=0)
        yield Figure(f"{name}: equal but for ties within {TIE:g}", "answers", self.tied)
        yield Figure(f"{name}: largest difference of scores", "", self.largest_error, at_most=TIE)
        yield Figure(f"{name}: with k items", "%", 100 * self.full / total)

    def figures_of_rules(self, prefix: str = "") -> Iterator[Figure]:
        """Yields the share of the asked requests whose list each rule changes."""
        for rule in RULES:
            share = 100 * self.bound[rule] / self.asked
            yield Figure(f"{prefix}{rule} changes the list", "% of requests", share, at_least=20)


async def asked(client: httpx.AsyncClient, path: str, body: Request) -> httpx.Response:
    """Returns the reply to a request; asks again while it is refused, as clients do.

    Heavy work is refused if the machine stops for a while, so that its time is over.

    Raises:
        httpx.HTTPStatusError: any other status than 200 and 503, or a last refusal.
    """
    for _ in range(_ATTEMPTS):
        reply = await client.post(path, json=body)
        if reply.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
    return reply.raise_for_status()
