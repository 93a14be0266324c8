"""Sends the clicks of all visits from several clients, and kills processes meanwhile."""

import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException

from proofs.fixtures.data.visits import Click, Progress, Visit, sendings
from proofs.fixtures.processes.waiting import wait_until
from proofs.loop.stack import PATIENCE_SECONDS, Stack
from training.cli import say

_FIRST_OF_ERRORS = 300
_NO_ANSWER = (OSError, HTTPException, ValueError)


def replay(visits: Sequence[Visit], stack: Stack, kills: int, clients: int) -> None:
    """Sends all clicks from several clients, and kills processes at random moments meanwhile."""
    progress = Progress()
    threads = [
        threading.Thread(
            target=Client(stack.service.port, progress).send, args=(visits[n::clients],)
        )
        for n in range(clients)
    ]
    chance = random.Random(len(visits))  # noqa: S311 - no secret
    total = sum(len(visit.clicks) for visit in visits)
    names = ["service", "collector", *(["redis"] if stack.redis else [])] * kills
    moments = sorted((chance.uniform(0.05, 0.95) * total, name) for name in names)
    for thread in threads:
        thread.start()
    for moment, name in moments:
        wait_until(partial(progress.reached, moment), PATIENCE_SECONDS)
        stack.kill(name)
        say(f"killed {name} after {progress.acknowledged:,} of {total:,} clicks")
    for thread in threads:
        thread.join()


class Client:
    """Sends the clicks of visits, each until it is acknowledged as logged."""

    def __init__(self, port: int, progress: Progress) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)
        self._progress = progress
        self._chance = random.Random(port)  # noqa: S311 - no secret

    def send(self, visits: Sequence[Visit]) -> None:
        """Sends all clicks of each visit, and erases those sessions that shall be."""
        for visit in visits:
            path = f"/v1/sessions/{visit.session_id}"
            for click, times in sendings(visit.clicks, self._chance):
                for _ in range(times):
                    self._until_logged(f"{path}/events", click)
                self._progress.count()
            if visit.is_erased:
                while self._ask("DELETE", path) is None:
                    time.sleep(0.05)
        self._connection.close()

    def _until_logged(self, path: str, click: Click) -> None:
        event = {
            "event_id": click.event_id,
            "item_id": click.item_id,
            "timestamp": click.timestamp,
        }
        while True:
            answer = self._ask("POST", path, json.dumps(event))
            if answer is not None and answer.get("logged"):
                return
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: str | None = None) -> Mapping[str, object] | None:
        """Returns the answer to a request; None if it failed."""
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            content = response.read()
            found: Mapping[str, object] = json.loads(content) if content else {}
        except _NO_ANSWER:
            with suppress(OSError):
                self._connection.close()
            return None
        return found if response.status < _FIRST_OF_ERRORS else None
