"""Proves that live figures of simulated experiments are exact and that their intervals hold.

Visitors with a known click-through by variant ask a service with an event log and click by REST. A
collector moves the log. Then each experiment is looked at after every 100 impressions: its counts
must be those of the simulation, and the anytime-valid intervals must cover the truth at all looks.

python -m proofs experiments [--experiments N] [--visitors N]
"""

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from math import comb
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from export.contract.log.live_figures import LiveFigures
from proofs.fixtures.places import EXAMPLE
from proofs.fixtures.processes.service import ServiceProcess
from proofs.fixtures.processes.waiting import free_ports
from proofs.record import Figure
from service.experiments.intervals import proportion
from training.cli import say
from training.events.live_figures import live_figures
from training.events.log_folder import LogFolder
from training.events.reading import read_records

TRUTH: Mapping[str, float] = {"plain": 0.1, "better": 0.15}
"""True click-through by variant."""

_LOOK_EVERY = 100
_COVERAGE = 0.95  # as promised
_LEVEL = 0.05  # probability that an experiment's coverage of 95 % misses the bar by chance
_PATIENCE_SECONDS = 60


@dataclass
class Experiment:
    """A simulated experiment: the lists that were shown, and the number of clicks.

    Attributes:
        shown: ids of the lists in their order.
        clicked: number of clicked lists by variant.
    """

    shown: list[str] = field(default_factory=list)
    clicked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TRUTH, 0))


def prove(
    *, experiments: int = 20, visitors: int = 500, bundle: Path = EXAMPLE
) -> Iterator[Figure]:
    """Simulates experiments by REST, collects their events, and compares figures with the truth.

    Args:
        experiments: number of experiments.
        visitors: number of visitors of an experiment; each is shown one list.
        bundle: bundle of both variants.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        simulated = list(_simulated(folder, bundle, experiments, visitors))
        log = LogFolder(str(folder / "log"))
        shown, events = read_records(log, "impression"), read_records(log, "event")
        yield Figure("impressions", "lists", len(shown), at_least=experiments * visitors)
        wrong = sum(_counts(each, shown, events) != each.clicked for each in simulated)
        yield Figure("experiments with wrong counts", "experiments", wrong, at_most=0)
        covered = [_is_covered(each, shown, events) for each in simulated]
        share = sum(covered) / experiments
        yield Figure("covered at all looks", "share", share, at_least=covered_at_least(experiments))


def covered_at_least(experiments: int) -> float:
    """Returns the least share of covered experiments that agrees with a true coverage of 95 %.

    A smaller one has a probability of 5 % at most: of 20 experiments, 17 have to be covered.
    """
    probability = 0.0
    for missed in range(experiments + 1):
        covered = experiments - missed
        probability += comb(experiments, missed) * _COVERAGE**covered * (1 - _COVERAGE) ** missed
        if probability >= 1 - _LEVEL:
            break
    return covered / experiments


def _simulated(folder: Path, bundle: Path, experiments: int, visitors: int) -> Iterator[Experiment]:
    """Runs a service for the visitors of all experiments, and a collector after them."""
    segments = folder / "segments"
    settings = {
        "EVENT_LOG": "on",
        "EVENT_LOG_PATH": str(segments),
        "VARIANTS": ", ".join(f"{variant}={bundle}:1" for variant in TRUTH),
    }
    service = ServiceProcess(bundle, "", next(free_ports()), **settings)
    try:
        client = HTTPConnection("127.0.0.1", service.port, timeout=_PATIENCE_SECONDS)
        for number in range(experiments):
            yield _visited(client, f"experiment-{number}", visitors)
            say(f"experiment {number + 1} of {experiments}")
        client.close()
    finally:
        service.end()
    command = ["-m", "distilled_recommender", "collect", str(folder / "log"), "--once"]
    collect = [sys.executable, *command, "--segments", str(segments)]
    subprocess.run(collect, check=True, stdout=subprocess.DEVNULL)


def _visited(client: HTTPConnection, name: str, visitors: int) -> Experiment:
    """Lets visitors ask for a list, and click with the probability of its variant."""
    experiment, chance = Experiment(), random.Random(name)  # noqa: S311 - no secret
    for number in range(visitors):
        session = f"{name}-{number}"
        answer = _post(client, "/v1/recommendations", {"session_id": session, "k": 3})
        shown = str(answer["recommendation_id"])
        experiment.shown.append(shown)
        if chance.random() < TRUTH[answer["variant"]]:
            click = {"item_id": answer["items"][0]["item_id"], "recommendation_id": shown}
            _post(client, f"/v1/sessions/{session}/events", click)
            experiment.clicked[answer["variant"]] += 1
    return experiment


def _post(client: HTTPConnection, path: str, body: Mapping[str, object]) -> dict[str, Any]:
    """Sends a request; returns its answer.

    Raises:
        OSError: it was refused.
    """
    client.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = client.getresponse()
    content = response.read()
    if response.status != 200:
        raise OSError(f"{path}: {response.status} {content!r}")
    answer: dict[str, Any] = json.loads(content)
    return answer


def _counts(experiment: Experiment, shown: pa.Table, events: pa.Table) -> dict[str, int]:
    figures = live_figures(events, _lists(shown, experiment.shown))
    found = dict.fromkeys(TRUTH, 0)
    for each in figures:
        found[each.variant] += each.clicked
    return found


def _is_covered(experiment: Experiment, shown: pa.Table, events: pa.Table) -> bool:
    """Whether the intervals of both variants cover the truth at every look."""
    ends = range(_LOOK_EVERY, len(experiment.shown) + 1, _LOOK_EVERY)
    return all(_covers(live_figures(events, _lists(shown, experiment.shown[:end]))) for end in ends)


def _lists(shown: pa.Table, ids: Sequence[str]) -> pa.Table:
    """Returns the impressions with these ids."""
    return shown.filter(pc.is_in(shown["recommendation_id"], pa.array(ids, pa.large_string())))


def _covers(figures: Sequence[LiveFigures]) -> bool:
    intervals = [(proportion(each.clicked, each.impressions), each.variant) for each in figures]
    return all(found.low <= TRUTH[variant] <= found.high for found, variant in intervals)
