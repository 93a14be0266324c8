"""Fixtures: the stack of docker-compose.yml on a real Docker engine (`make compose-test`)."""

import fcntl
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PROJECT = "recommender-test"
PORT = 18000
PROMETHEUS_PORT = 19090
GRAFANA_PORT = 13000


class Stack:
    """The stack, with a project name and ports that no other stack of the machine uses."""

    url = f"http://127.0.0.1:{PORT}"
    prometheus_url = f"http://127.0.0.1:{PROMETHEUS_PORT}"

    grafana_url = f"http://127.0.0.1:{GRAFANA_PORT}"

    def __init__(self) -> None:
        wheels = torch_wheels()
        self.environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_FILE": "docker-compose.yml" + (":tests/compose/wheels.yml" if wheels else ""),
            "TAG": "test",
            "MAX_SESSION_LENGTH": "10000",  # no load is longer
            "LISTEN": f"127.0.0.1:{PORT}",
            "PROMETHEUS_LISTEN": f"127.0.0.1:{PROMETHEUS_PORT}",
            "GRAFANA_LISTEN": f"127.0.0.1:{GRAFANA_PORT}",
            **wheels,
        }
        self._built: set[str] = set()
        self.run(HERE / "base-images")

    def run(self, *command: str | Path) -> str:
        """Runs a command that must succeed in the checkout; returns its output."""
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def compose(self, *arguments: str) -> str:
        """Runs `docker compose`."""
        return self.run("docker", "compose", *arguments)

    def up(self, *services: str, scale: int = 1, profile: str = "") -> None:
        """Starts the containers that are not running, and waits until they are healthy.

        Images that this run has not built yet are built. What they are made of does not change.
        """
        new = set(services or ["service", "redis"]) - self._built
        self.compose(
            *(["--profile", profile] if profile else []),
            *("up", *(["--build"] if new else []), "--wait", *services),
            *([] if services else ["--scale", f"service={scale}"]),
        )
        self._built |= new

    def build(self, *services: str) -> None:
        """Builds the images of services that this run has not built yet."""
        new = [each for each in services if each not in self._built]
        if new:
            self.compose("--profile", "*", "build", *new)
            self._built |= set(new)

    def remove(self) -> None:
        """Removes all containers and volumes of the stack, and images that have lost their name."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans")
        # What another build replaced: gigabytes a run.
        own = f"label=com.docker.compose.project={PROJECT}"
        self.run("docker", "image", "prune", "--force", "--filter", own)

    def containers(self, *services: str) -> list[str]:
        """Returns the container ids of some services, by default of all."""
        return self.compose("ps", "--quiet", *services).split()

    def inspect(self, name: str) -> dict[str, Any]:
        """Returns the description of an image or a container by `docker inspect`."""
        (known,) = json.loads(self.run("docker", "inspect", name))
        found: dict[str, Any] = known
        return found

    def wait_until_healthy(self, container: str) -> None:
        """Waits until the health check of a running container succeeds."""
        deadline = time.monotonic() + 60
        while self.inspect(container)["State"]["Health"]["Status"] != "healthy":
            assert time.monotonic() < deadline, f"{container} is not healthy"
            time.sleep(0.05)

    def inside(self, *command: str) -> str:
        """Runs a command in a replica of the service; returns its output."""
        return self.compose("exec", "--no-TTY", "service", *command)


def torch_wheels() -> Mapping[str, str]:
    """Returns variables for the training images, if PIP_FIND_LINKS has a CPU build of torch."""
    folder = Path(os.environ.get("PIP_FIND_LINKS", "/nowhere"))
    for wheel in folder.glob(f"torch-*_{platform.machine()}.whl"):
        version, python = re.findall(r"torch-([^-]+)-cp3(\d+)-", wheel.name)[0]
        return {
            "WHEELS": str(folder),
            "TORCH_LOCK": lock_torch(version, wheel),
            "TRAINING_IMAGE": f"python:3.{python}-slim",
            "INTERPRETER": sys.base_prefix,
        }
    return {}


def lock_torch(version: str, wheel: Path) -> str:
    """Writes the lock that `make lock-torch` makes of an index; returns its name."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (ROOT / "locks/torch-cpu.txt").write_text(f"torch=={version} --hash=sha256:{digest}\n", "utf-8")
    return "locks/torch-cpu.txt"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The running stack with one replica; its volumes are removed at the end."""
    if os.environ.get("COMPOSE_TESTS") != "true":
        pytest.skip("builds and starts containers: make compose-test")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers")
    with exclusive_use():
        stack = Stack()
        # A killed run leaves its volumes, in which another bundle may be active.
        stack.remove()
        try:
            stack.up()
            yield stack
        finally:
            if not os.environ.get("COMPOSE_KEEP"):
                stack.remove()


@contextmanager
def exclusive_use() -> Iterator[None]:
    """Waits until no other run has the project name and ports; a killed run frees them."""
    with (Path(tempfile.gettempdir()) / f"{PROJECT}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    """An HTTP client of the balancer."""
    with httpx.Client(base_url=stack.url, trust_env=False, timeout=30) as client:
        yield client
