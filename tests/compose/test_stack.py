"""Tests of the stack that `docker compose up --build --wait` starts."""

import json
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING

import httpx

from tests.compose.conftest import ROOT
from tests.compose.load import is_within, load
from tests.compose.secret import is_secret

if TYPE_CHECKING:
    from tests.compose.conftest import Stack

MEBIBYTE = 1 << 20
SERVICE_IMAGE = "distilled-recommender/service:test"
BASES = {
    "service": "python:3.13-slim",
    "redis": "redis:8",
    "training": "{training}",
    "teacher": "{training}",
}


def test_films_are_recommended_by_the_student(client: httpx.Client) -> None:
    answer = client.post("/v1/recommendations", json={"history": ["1", "1196"], "k": 5}).json()
    assert answer["source"] == "student"
    assert not answer["degraded"]
    assert len({item["title"] for item in answer["items"]}) == 5


def test_the_service_image_has_no_torch_and_adds_little_to_its_base(stack: "Stack") -> None:
    packages = stack.inside("ls", "/environment/lib/python3.13/site-packages").split()
    assert "onnxruntime" in packages
    assert {"torch", "transformers", "pandas", "onnx", "pip"}.isdisjoint(packages)
    added = stack.inspect(SERVICE_IMAGE)["Size"] - stack.inspect("python:3.13-slim")["Size"]
    assert added <= 350 * MEBIBYTE


def test_no_container_has_root_capabilities_a_writable_root_or_unlimited_resources(
    stack: "Stack",
) -> None:
    assert stack.inside("id", "-u").strip() == "10001"
    containers = [stack.inspect(each) for each in stack.containers()]
    names = {each["Config"]["Labels"]["com.docker.compose.service"] for each in containers}
    assert names >= {"balancer", "redis", "service"}  # and those of profiles, after their tests
    for container in containers:
        host = container["HostConfig"]
        assert container["Config"]["User"] not in {"", "0", "root"}
        assert host["ReadonlyRootfs"]
        assert not host["Privileged"]
        assert host["CapDrop"] == ["ALL"]
        assert host["CapAdd"] is None
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert 0 < host["PidsLimit"] <= 1024
        assert 0 < host["Memory"] <= 4 << 30


def test_a_replica_cannot_replace_the_bundles_that_it_serves(
    stack: "Stack", client: httpx.Client
) -> None:
    (container,) = stack.containers("service")
    mounts = {each["Destination"]: each["RW"] for each in stack.inspect(container)["Mounts"]}
    assert mounts == {"/bundles": False, "/journal": True}
    version = client.get("/v1/model").json()["model_version"]
    program = "import pathlib; pathlib.Path('/bundles/new').touch()"
    inside = ("docker", "exec", container, "python", "-c", program)
    done = subprocess.run(inside, capture_output=True, text=True, check=False)
    assert "Read-only file system" in done.stderr
    publish = ("run", "--rm", "publish", "python", "-m", "export.contract.publish")
    stack.compose(*publish, f"/bundles/{version}", "/bundles")


def test_a_replica_that_starts_again_is_found_by_the_balancer(
    stack: "Stack", client: httpx.Client
) -> None:
    """How long a start takes, `python -m benchmarks cold_start` measures."""
    (container,) = stack.containers("service")
    (balancer,) = stack.containers("balancer")
    stack.compose("stop", "service")
    stack.run("docker", "start", container)
    stack.wait_until_healthy(container)
    deadline = time.monotonic() + 60
    while not client.get("/readyz").is_success:
        assert time.monotonic() < deadline, "the balancer does not find the replica"
        time.sleep(0.1)
    stack.wait_until_healthy(balancer)


def test_every_log_line_of_a_replica_is_a_json_object(stack: "Stack") -> None:
    (container,) = stack.containers("service")
    lines = stack.run("sh", "-c", f"docker logs {container} 2>&1").splitlines()
    assert lines
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_no_secret_is_in_any_layer_of_any_image(stack: "Stack") -> None:
    stack.build("train", "teacher")
    images = [f"distilled-recommender/{name}:test" for name in BASES]
    found = files_of_own_layers(stack, images)
    expected = {"app/service/app.py", "app/serve-teacher", "app/train", "usr/local/bin/start"}
    assert expected <= {name for name, _ in found}
    assert [name for name, secret in found if secret] == []
    command = ("docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}")
    history = "".join(stack.run(*command, image) for image in images)
    assert not re.search(r"(?i)password=|token|admin_key", history)


def files_of_own_layers(stack: "Stack", images: list[str]) -> list[tuple[str, bool]]:
    """Returns the name of each file in the images' own layers, and whether the file is a secret.

    The images are read as the engine writes them: a file of them beside the engine's own copy may
    be larger than the free space of the disk. They are written together, so that a layer of several
    images is written once; which layers are whose comes last.
    """
    known: dict[str, list[tuple[str, bool]]] = {}
    for path, file in saved(images):
        if path == "manifest.json":
            manifest = json.load(file)
        else:
            known[path] = [(name, is_secret(name, text)) for name, text in files(file)]
    layers = {tag: each["Layers"] for each in manifest for tag in each["RepoTags"]}
    own = {layer for image in images for layer in layers[image][base_layers(stack, image) :]}
    return [file for layer in own for file in known[layer]]


def base_layers(stack: "Stack", image: str) -> int:
    """Returns the number of layers that an image has from its base."""
    name = image.partition("/")[2].partition(":")[0]
    base = BASES[name].format(training=stack.environment.get("TRAINING_IMAGE", "python:3.13-slim"))
    return len(stack.inspect(base)["RootFS"]["Layers"])


def saved(images: list[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yields name and content of each file that `docker save` writes; each is read at once."""
    command = ("docker", "save", *images)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as saving:
        tar = saving.stdout
        assert tar
        with tarfile.open(fileobj=tar, mode="r|") as members:
            for member in members:
                file = members.extractfile(member) if member.isfile() else None
                if file:
                    yield member.name, file
        tar.read()  # what pads the archive: the engine would fail to write it
    assert saving.returncode == 0


def files(layer: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of the files of a layer; the first MiB of large files.

    A file that is no archive, as the configuration of an image, has none.
    """
    with suppress(tarfile.ReadError), tarfile.open(fileobj=layer, mode="r|*") as members:
        for member in members:
            file = members.extractfile(member) if member.isfile() else None
            if file:
                yield member.name, file.read(MEBIBYTE)


def test_metrics_are_not_public(client: httpx.Client) -> None:
    assert client.get("/metrics").status_code == 404
    assert client.get("/readyz").json()["history_store"] == "reachable"


def test_a_killed_redis_degrades_answers_and_loses_no_acknowledged_event(
    stack: "Stack", client: httpx.Client
) -> None:
    with load(stack.url, "outage") as record:
        time.sleep(2)
        stack.compose("kill", "redis")
        time.sleep(3)
        assert record.answers[200, True] > 0
        stack.compose("up", "--detach", "--wait", "redis")
        before = record.answers[200, False]
        time.sleep(3)
        assert record.answers[200, False] > before
    assert record.is_flawless, record.failures[:5]
    assert not client.get("/readyz").json()["degraded"]
    for session_id, item_ids in record.stored.items():
        stored = client.get(f"/v1/sessions/{session_id}").json()["history"]
        assert is_within(item_ids, stored), session_id


def test_replicas_are_replaced_under_load_without_a_failed_request_and_then_kept(
    stack: "Stack",
) -> None:
    stack.up(scale=2)
    before = stack.containers("service")
    with load(stack.url, "roll") as record:
        time.sleep(1)
        stack.run("docker/roll")
        after = stack.containers("service")
        all_containers = stack.containers()
        stack.compose("up", "--wait", "--scale", "service=2")
        time.sleep(1)
    assert record.is_flawless, record.failures[:5]
    assert len(before) == len(after) == 2
    assert set(before).isdisjoint(after)
    assert set(stack.containers()) == set(all_containers)


def test_new_replicas_that_do_not_become_ready_are_removed_and_the_old_ones_stay(
    stack: "Stack",
) -> None:
    stack.up(scale=2)
    before = stack.containers("service")
    environment = stack.environment | {"MAX_K": "0"}
    with load(stack.url, "broken") as record:
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
    assert record.is_flawless, record.failures[:5]
    assert set(stack.compose("ps", "--all", "--quiet", "service").split()) == set(before)


def test_replicas_restarted_one_after_the_other_fail_no_request(stack: "Stack") -> None:
    stack.up(scale=2)
    with load(stack.url, "restart") as record:
        for container in stack.containers("service"):
            stack.run("docker", "restart", "--time", "30", container)
            wait_until_healthy(stack, container)
    assert record.is_flawless, record.failures[:5]


def wait_until_healthy(stack: "Stack", container: str) -> None:
    for _ in range(200):
        if stack.inspect(container)["State"]["Health"]["Status"] == "healthy":
            time.sleep(1)  # the balancer checks twice a second
            return
        time.sleep(0.1)
    raise TimeoutError(container)
