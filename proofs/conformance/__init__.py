"""Proves that every route answers as OpenAPI says, whatever Schemathesis generates.

A service with Redis, a teacher and an event log gets examples, border cases and random values of
every route, with a fixed seed. No request may be answered with a 5xx.

python -m proofs conformance [--examples N] [--bundle FOLDER]
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx
from cyclopts import Parameter

from export.contract.bundles_folder import BundleLink
from proofs.fixtures.places import EXAMPLE
from proofs.fixtures.processes.film_teacher import running_teacher
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.service import ServiceProcess
from proofs.fixtures.processes.waiting import free_ports
from proofs.record import Figure
from service.admission.caller import MAX_WAIT_SECONDS
from service.api.openapi import examples as shown

KEY = "a-key-for-schemathesis"
SETTINGS = """
seed = 1
workers = 1
request-timeout = 120
suppress-health-check = ["too_slow"]

[generation]
max-examples = {examples}
database = "none"

[phases.stateful]
enabled = false

[checks]
enabled = false
not_a_server_error.enabled = true
status_code_conformance.enabled = true
content_type_conformance.enabled = true
response_headers_conformance.enabled = true
response_schema_conformance.enabled = true
"""

Counts = dict[tuple[str, str], dict[str, int]]


def published(bundle: Path, folder: Path) -> BundleLink:
    """Publishes two copies of a bundle in `folder`; returns the link to the active one.

    The other copy has the name that the examples of the API activate.
    """
    link = BundleLink(folder / "active")
    for name in (shown.BODIES["Activation"]["bundle"], "served-first"):
        shutil.copytree(bundle, link.folder(name))
        link.move(name)
    return link


def run_schemathesis(
    url: str, key: str, folder: Path, examples: int
) -> "subprocess.CompletedProcess[str]":
    """Runs Schemathesis with a fixed seed against the service at `url`.

    The exit code of the result is 0 if all answers conform to the OpenAPI schema.
    """
    # The examples ask for this session before they make it.
    event = {"item_id": "260"}
    headers = {"Authorization": f"Bearer {key}"}
    path = f"{url}/v1/sessions/ada/events"
    httpx.post(path, json=event, headers=headers, timeout=120).raise_for_status()
    config = folder / "schemathesis.toml"
    config.write_text(SETTINGS.format(examples=examples))
    program = str(Path(sys.executable).with_name("schemathesis"))
    # Schemathesis counts a 503 as an error, so it waits for as long as a request may.
    headers["Prefer"] = f"wait={MAX_WAIT_SECONDS}"
    arguments = ["run", f"{url}/openapi.json"]
    for name, value in headers.items():
        arguments += ["--header", f"{name}: {value}"]
    return subprocess.run(
        [program, "--config-file", str(config), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def answers_of(url: str) -> Counts:
    """Reads from the metrics how many answers each route gave with each status.

    The result maps method and route to counts by status.
    """
    counts: Counts = {}
    pattern = r'request_seconds_count{method="(.*?)",route="(.*?)",status="(.*?)"} (\S+)'
    for method, route, status, number in re.findall(
        pattern, httpx.get(f"{url}/metrics", timeout=120).text
    ):
        counts.setdefault((method, route), {})[status] = int(float(number))
    return counts


def prove(
    *,
    examples: Annotated[
        int, Parameter(help="Schemathesis' examples of each route and kind of value.")
    ] = 500,
    bundle: Annotated[Path, Parameter(help="Bundle that the service serves.")] = EXAMPLE,
) -> Iterator[Figure]:
    """Compare the answers of all routes with OpenAPI.

    If an answer does not conform, prints the output of Schemathesis.
    """
    ports = free_ports()
    with ExitStack() as parts:
        folder = Path(parts.enter_context(TemporaryDirectory())).resolve()
        redis = RedisNode(folder / "redis", next(ports))
        parts.callback(redis.client.close)
        parts.callback(redis.kill)
        service = ServiceProcess(
            published(bundle, folder / "bundles").path,
            f"redis://127.0.0.1:{redis.port}",
            next(ports),
            ADMIN_KEY=KEY,
            TEACHER_URL=parts.enter_context(running_teacher()),
            MAX_ADDED_ITEMS="50",
            MAX_SESSION_LENGTH="50",
            EVENT_LOG="on",
        )
        parts.callback(service.end)
        url = f"http://127.0.0.1:{service.port}"
        run = run_schemathesis(url, KEY, folder, examples)
        counts = answers_of(url)
    if run.returncode:
        print(run.stdout[-20_000:])  # noqa: T201 - what a reader needs to repair it
    total = sum(sum(each.values()) for each in counts.values())
    failed = [each.get(status, 0) for each in counts.values() for status in each if status >= "5"]
    yield Figure("routes", "routes", len(counts))
    yield Figure("answers", "answers", total, at_least=1)
    yield Figure("answered 5xx", "answers", sum(failed), at_most=0)
    unfit = int(run.returncode != 0)
    yield Figure("runs with an answer outside of OpenAPI", "runs", unfit, at_most=0)
