"""The service keeps to its OpenAPI schema: with the shipped bundle, Redis, a teacher and a key."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from export.contract.publish import BundleLink
from service.api import openapi_examples

if TYPE_CHECKING:
    from tests.service.conftest import Serve

FILMS = Path(__file__).parents[3] / "assets/movielens/bundle"
KEY = "a-key-for-the-tests"
SCHEMATHESIS = """
seed = 1
workers = 1
request-timeout = 120
suppress-health-check = ["too_slow"]

[generation]
max-examples = 30
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


def film_teacher() -> FastAPI:
    """Makes a teacher with the API of `training.teacher.live.server` and fixed answers."""
    lines = (FILMS / "items.jsonl").read_text(encoding="utf-8").splitlines()
    films = [json.loads(line)["item_id"] for line in lines]
    app = FastAPI()

    @app.post("/recommendations")
    async def recommend(query: dict[str, Any]) -> dict[str, Any]:
        forbidden = {*query["exclude"], *(query["history"] if query["mask_seen"] else ())}
        item_ids = [item_id for item_id in films if item_id not in forbidden][: query["k"]]
        distances = [float(place) for place in range(len(item_ids))]
        return {"teacher_version": "1", "item_ids": item_ids, "distances": distances}

    @app.post("/embeddings")
    async def embed(query: dict[str, Any]) -> dict[str, Any]:
        embedding = [1.0] * 576
        return {"teacher_version": "1", "embeddings": [embedding for _ in query["titles"]]}

    return app


@pytest.fixture
def teacher_url() -> Iterator[str]:
    """The address of a running teacher."""
    server = uvicorn.Server(uvicorn.Config(film_teacher(), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    (address,) = [listener.getsockname() for each in server.servers for listener in each.sockets]
    yield f"http://{address[0]}:{address[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def link(tmp_path: Path) -> BundleLink:
    """A link to the shipped bundle, beside a copy with the name that the examples have."""
    link = BundleLink(tmp_path / "active")
    for name in (openapi_examples.BODIES["Activation"]["bundle"], "served-first"):
        shutil.copytree(FILMS, link.folder(name))
        link.move(name)
    return link


def run_schemathesis(url: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    config = folder / "schemathesis.toml"
    config.write_text(SCHEMATHESIS)
    program = str(Path(sys.executable).with_name("schemathesis"))
    arguments = ["run", f"{url}/openapi.json", "--header", f"Authorization: Bearer {KEY}"]
    return subprocess.run(
        [program, "--config-file", str(config), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_every_route_answers_as_openapi_says_to_whatever_it_allows_or_forbids(
    serve: "Serve", link: BundleLink, teacher_url: str, tmp_path: Path
) -> None:
    """Schemathesis calls every route with examples, border cases and random values."""
    url = serve(bundle_path=link.path, admin_key=KEY, teacher_url=teacher_url, max_added_items=50)
    # The examples ask for this session before they make it.
    event = {"item_id": "260"}
    httpx.post(f"{url}/v1/sessions/ada/events", json=event, timeout=120).raise_for_status()
    run = run_schemathesis(url, tmp_path)
    assert run.returncode == 0, run.stdout
    metrics = httpx.get(f"{url}/metrics", timeout=120).text
    pattern = r'request_seconds_count{method="(.*?)",route="(.*?)",status="(.*?)"}'
    answered = set(re.findall(pattern, metrics))
    schema = httpx.get(f"{url}/openapi.json", timeout=120).json()
    for path, verbs in schema["paths"].items():
        for verb, operation in verbs.items():
            statuses = {status for *route, status in answered if route == [verb.upper(), path]}
            assert statuses <= set(operation["responses"]), (verb, path)
            assert statuses & {"200", "204"}, (verb, path)
    assert 'source="teacher"' in metrics
