"""A load of several clients that records the answers."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

CLIENTS = 4
PAUSE_SECONDS = 0.02


@dataclass
class LoadRecord:
    """The answers to all clients.

    Attributes:
        answers: number of answers by status and by `degraded`.
        versions: number of answers by model version.
        failures: errors, and responses with an error status.
        stored: for each session, the item ids whose events were answered as stored, in order.
    """

    answers: Counter[tuple[int, bool]] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stored: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_flawless(self) -> bool:
        """True if every request was answered with 200."""
        return not self.failures and {status for status, _ in self.answers} == {200}


@contextmanager
def load(url: str, name: str, headers: Mapping[str, str] | None = None) -> Iterator[LoadRecord]:
    """Sends events from several clients, with `headers`, until the block ends."""
    record, stop = LoadRecord(), threading.Event()
    clients = [
        threading.Thread(target=_visit, args=(url, f"{name}-{number}", headers, record, stop))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    try:
        yield record
    finally:
        stop.set()
        for client in clients:
            client.join()


def _visit(
    url: str,
    session_id: str,
    headers: Mapping[str, str] | None,
    record: LoadRecord,
    stop: threading.Event,
) -> None:
    record.stored[session_id] = []
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=10) as client:
        number = 0
        while not stop.is_set():
            number += 1
            _click(client, session_id, str(number), f"click-{number}", record)
            time.sleep(PAUSE_SECONDS)


def _click(
    client: httpx.Client, session_id: str, item_id: str, event_id: str, record: LoadRecord
) -> None:
    body = {"item_id": item_id, "event_id": event_id}
    try:
        response = client.post(f"/v1/sessions/{session_id}/events?k=5", json=body)
    except httpx.HTTPError as error:
        record.failures.append(repr(error))
        return
    if response.is_error:
        record.failures.append(f"{response.status_code} {response.text[:200]}")
        return
    answer = response.json()
    record.answers[response.status_code, answer["degraded"]] += 1
    record.versions[answer["model_version"]] += 1
    if answer["stored"]:
        record.stored[session_id].append(item_id)


def is_within(acknowledged: list[str], stored: list[str]) -> bool:
    """Tells whether `acknowledged` is a subsequence of `stored`."""
    remaining = iter(stored)
    return all(item_id in remaining for item_id in acknowledged)
