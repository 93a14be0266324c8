"""A load from several clients that remembers what it was told."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

CLIENTS = 4
PAUSE_SECONDS = 0.02


@dataclass
class Heard:
    """What the clients were answered.

    Attributes:
        answers: how many by status and by whether they were degraded.
        versions: how many by the model that answered.
        failures: what was no answer.
        stored: the events of each session that the service says are stored, in order.
    """

    answers: Counter[tuple[int, bool]] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stored: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_flawless(self) -> bool:
        """Whether every request was answered, and by success."""
        return not self.failures and {status for status, _ in self.answers} == {200}


@contextmanager
def load(url: str, name: str) -> Iterator[Heard]:
    """Clicks and asks from several clients until the block ends."""
    heard, stop = Heard(), threading.Event()
    clients = [
        threading.Thread(target=_visit, args=(url, f"{name}-{number}", heard, stop))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    try:
        yield heard
    finally:
        stop.set()
        for client in clients:
            client.join()


def _visit(url: str, session_id: str, heard: Heard, stop: threading.Event) -> None:
    heard.stored[session_id] = []
    with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
        number = 0
        while not stop.is_set():
            number += 1
            _click(client, session_id, str(number), f"click-{number}", heard)
            time.sleep(PAUSE_SECONDS)


def _click(
    client: httpx.Client, session_id: str, item_id: str, event_id: str, heard: Heard
) -> None:
    body = {"item_id": item_id, "event_id": event_id}
    try:
        response = client.post(f"/v1/sessions/{session_id}/events?k=5", json=body)
    except httpx.HTTPError as error:
        heard.failures.append(repr(error))
        return
    if response.is_error:
        heard.failures.append(f"{response.status_code} {response.text[:200]}")
        return
    answer = response.json()
    heard.answers[response.status_code, answer["degraded"]] += 1
    heard.versions[answer["model_version"]] += 1
    if answer["stored"]:
        heard.stored[session_id].append(item_id)
