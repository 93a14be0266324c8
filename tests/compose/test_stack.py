"""What `docker compose up --build --wait` brings."""

import json
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.compose.conftest import ROOT
from tests.compose.load import load
from tests.compose.secret import is_secret

if TYPE_CHECKING:
    from tests.compose.conftest import Stack

MEBIBYTE = 1 << 20
SERVICE_IMAGE = "distilled-recommender/service:test"
BASES = {
    "service": "python:3.13-slim",
    "redis": "redis:8",
    "training": "python:{python}-slim",
    "teacher": "python:{python}-slim",
}


def test_films_are_recommended_by_the_student(client: httpx.Client) -> None:
    answer = client.post("/v1/recommendations", json={"history": ["1", "1196"], "k": 5}).json()
    assert answer["source"] == "student"
    assert not answer["degraded"]
    assert len({item["title"] for item in answer["items"]}) == 5


def test_the_service_holds_no_torch_and_adds_little_to_its_base(stack: "Stack") -> None:
    packages = stack.inside("ls", "/environment/lib/python3.13/site-packages").split()
    assert "onnxruntime" in packages
    assert {"torch", "transformers", "pandas", "onnx", "pip"}.isdisjoint(packages)
    added = stack.inspect(SERVICE_IMAGE)["Size"] - stack.inspect("python:3.13-slim")["Size"]
    assert added <= 350 * MEBIBYTE


def test_the_service_has_no_rights_and_nothing_to_write_on_but_its_volumes(stack: "Stack") -> None:
    assert stack.inside("id", "-u").strip() == "10001"
    (container,) = stack.containers("service")
    host = stack.inspect(container)["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]


def test_the_service_is_ready_within_five_seconds_of_its_start(stack: "Stack") -> None:
    """The one test that looks at a clock: the time is promised."""
    (container,) = stack.containers("service")
    stack.compose("stop", "service")
    started = time.monotonic()
    stack.run("docker", "start", container)
    while stack.inspect(container)["State"]["Health"]["Status"] != "healthy":
        assert time.monotonic() < started + 5
        time.sleep(0.05)
    stack.up()


def test_every_line_of_a_replicas_log_is_an_object(stack: "Stack") -> None:
    (container,) = stack.containers("service")
    lines = stack.run("sh", "-c", f"docker logs {container} 2>&1").splitlines()
    assert lines
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_no_secret_is_in_any_layer_of_any_image(stack: "Stack", tmp_path: Path) -> None:
    stack.compose("--profile", "*", "build", "train", "teacher")
    images = [f"distilled-recommender/{name}:test" for name in BASES]
    stack.run("docker", "save", "--output", tmp_path / "images.tar", *images)
    with tarfile.open(tmp_path / "images.tar") as saved:
        layers = {layer for image in contents(saved) for layer in ours(stack, image)}
        found = {
            name: is_secret(name, file) for each in layers for name, file in files(saved, each)
        }
    (tmp_path / "images.tar").unlink()
    made = {"app/service/app.py", "app/serve-teacher", "app/train", "usr/local/bin/start"}
    assert made <= found.keys()
    assert [name for name, secret in found.items() if secret] == []
    told = ("docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}")
    history = "".join(stack.run(*told, image) for image in images)
    assert not re.search(r"(?i)password=|token|admin_key", history)


def contents(saved: tarfile.TarFile) -> list[dict[str, Any]]:
    """What a saved file says of each of its images."""
    manifest = saved.extractfile("manifest.json")
    assert manifest
    images: list[dict[str, Any]] = json.load(manifest)
    return images


def ours(stack: "Stack", image: dict[str, Any]) -> list[str]:
    """The layers that are not the base image's."""
    name = image["RepoTags"][0].partition("/")[2].partition(":")[0]
    base = BASES[name].format(python=stack.environment.get("TRAINING_PYTHON", "3.13"))
    layers: list[str] = image["Layers"]
    return layers[len(stack.inspect(base)["RootFS"]["Layers"]) :]


def files(saved: tarfile.TarFile, layer: str) -> Iterator[tuple[str, bytes]]:
    """The files of a layer; of large ones, which are libraries, the beginning."""
    with tarfile.open(fileobj=saved.extractfile(layer)) as members:
        for member in members:
            file = members.extractfile(member) if member.isfile() else None
            if file:
                yield member.name, file.read(MEBIBYTE)


def test_metrics_are_not_told_outside(client: httpx.Client) -> None:
    assert client.get("/metrics").status_code == 404
    assert client.get("/readyz").json()["history_store"] == "reachable"


def test_a_killed_redis_degrades_answers_and_forgets_no_session_that_was_acknowledged(
    stack: "Stack", client: httpx.Client
) -> None:
    with load(stack.url, "outage") as heard:
        time.sleep(2)
        stack.compose("kill", "redis")
        time.sleep(3)
        assert heard.answers[200, True] > 0
        stack.compose("up", "--detach", "--wait", "redis")
        whole_before = heard.answers[200, False]
        time.sleep(3)
        assert heard.answers[200, False] > whole_before
    assert heard.is_flawless, heard.failures[:5]
    assert not client.get("/readyz").json()["degraded"]
    for session_id, item_ids in heard.stored.items():
        stored = client.get(f"/v1/sessions/{session_id}").json()["history"]
        assert is_within(item_ids, stored), session_id


def is_within(acknowledged: list[str], stored: list[str]) -> bool:
    """Whether `stored` holds what was acknowledged in that order; more may have been stored."""
    left = iter(stored)
    return all(item_id in left for item_id in acknowledged)


def test_replicas_are_replaced_under_load_without_a_failed_request_and_then_left_alone(
    stack: "Stack",
) -> None:
    stack.up(scale=2)
    before = stack.containers("service")
    with load(stack.url, "roll") as heard:
        time.sleep(1)
        stack.run("docker/roll")
        after = stack.containers("service")
        everything = stack.containers()
        stack.compose("up", "--wait", "--scale", "service=2")
        time.sleep(1)
    assert heard.is_flawless, heard.failures[:5]
    assert len(before) == len(after) == 2
    assert set(before).isdisjoint(after)
    assert set(stack.containers()) == set(everything)


def test_replicas_that_do_not_become_ready_leave_and_the_old_ones_go_on(stack: "Stack") -> None:
    stack.up(scale=2)
    before = stack.containers("service")
    environment = stack.environment | {"MAX_K": "0"}
    with load(stack.url, "broken") as heard:
        done = subprocess.run(
            ["docker/roll"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        time.sleep(1)
    assert done.returncode != 0
    assert "MAX_K" in done.stderr
    assert heard.is_flawless, heard.failures[:5]
    assert set(stack.compose("ps", "--all", "--quiet", "service").split()) == set(before)


def test_replicas_restarted_one_after_the_other_fail_no_request(stack: "Stack") -> None:
    stack.up(scale=2)
    with load(stack.url, "restart") as heard:
        for container in stack.containers("service"):
            stack.run("docker", "restart", "--time", "30", container)
            wait_until_healthy(stack, container)
    assert heard.is_flawless, heard.failures[:5]


def wait_until_healthy(stack: "Stack", container: str) -> None:
    for _ in range(200):
        if stack.inspect(container)["State"]["Health"]["Status"] == "healthy":
            time.sleep(1)  # the balancer looks twice a second
            return
        time.sleep(0.1)
    raise TimeoutError(container)
