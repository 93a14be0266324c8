"""Sends clicks at a constant rate to a running stack of docker-compose.yml (profile `bench`).

python -m benchmarks.load.stack PORT --rate 200 --seconds 20
"""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from http.client import HTTPConnection
from itertools import islice
from math import inf

import numpy as np

from benchmarks.load.clicks import Click, interleaved, power_law_sessions, predecessors_of
from benchmarks.load.connection import post
from benchmarks.load.generator import OK, run
from benchmarks.load.plan import Outcome, Plan, even

# This program runs in the image of the service, which has no psutil, torch or matplotlib. So it may
# import only NumPy, and modules of `benchmarks.load` that need nothing else.
WARM_UP_SECONDS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program with `arguments`, and prints the outcome as JSON.

    Returns:
        The exit code: 1 if a request failed, 2 if the stack cannot be asked or an option has no
        use, else 0.
    """
    parser = ArgumentParser(
        prog="python -m benchmarks.load.stack", description="Sends clicks to a running stack."
    )
    parser.add_argument("port", type=int, help="port of the balancer on this machine")
    parser.add_argument("--rate", type=_positive, default=200, help="requests per second")
    parser.add_argument("--seconds", type=_positive, default=20, help="duration of the run")
    options = parser.parse_args(arguments)
    try:
        outcome = run(_plan(options.port, options.rate, WARM_UP_SECONDS + options.seconds))
    except (OSError, ValueError) as error:
        parser.exit(2, f"error: port {options.port}: {error}\n")
    sys.stdout.write(json.dumps(_summary(outcome)) + "\n")
    return bool(outcome.num_failed)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < inf:
        raise ArgumentTypeError(f"{text!r}: must be above 0 and finite")
    return number


def _plan(port: int, rate: float, seconds: float) -> Plan:
    """Plans evenly spaced clicks of random sessions, whose lengths follow a power law."""
    generator = np.random.default_rng()
    name = f"bench-{generator.integers(1 << 31)}"  # prefix that no earlier run has used
    due = even(rate, seconds)
    visits = interleaved(power_law_sessions(_popular_items(port), generator), generator)
    clicks = list(islice(visits, len(due)))
    return Plan(
        port=port,
        requests=[_request(name, click) for click in clicks],
        predecessors=predecessors_of(clicks),
        due=due,
        warm_up_seconds=WARM_UP_SECONDS,
        proofs=(b'"source":"student"', b'"degraded":false'),
    )


def _request(name: str, click: Click) -> bytes:
    path = f"/v1/sessions/{name}-{click.session_id}/events?k=20"
    return post(path, json.dumps({"item_id": click.item_id}).encode())


def _popular_items(port: int) -> list[str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path := "/v1/items?limit=100")
    response = connection.getresponse()
    if response.status != OK:
        raise ConnectionError(f"{path} is answered {response.status}, not {OK}")
    items = json.loads(response.read())["items"]
    connection.close()
    return [item["item_id"] for item in items]


def _summary(outcome: Outcome) -> dict[str, object]:
    percentiles = {f"p{each}_ms": round(outcome.percentile(each), 3) for each in (50, 90, 99)}
    return {
        "requests": len(outcome.latencies),
        "rate": round(outcome.rate, 1),
        **percentiles,
        "failures": outcome.failures,
    }


if __name__ == "__main__":
    sys.exit(main())
