"""The production file: secrets are files, and what is missing is said."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.compose.conftest import ROOT

if TYPE_CHECKING:
    from tests.compose.conftest import Stack

FILES = ("--file", "docker-compose.yml", "--file", "docker-compose.production.yml")
PORT = 18100
KEY = "a-key-for-the-tests"


@pytest.fixture
def production(stack: "Stack", tmp_path: Path) -> Iterator["Stack"]:
    """A second stack beside the first, as others would reach it."""
    secrets = {"redis_url": "redis://:a-password@redis:6379/0", "admin_key": KEY}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret + "\n", encoding="utf-8")
    before = stack.environment
    stack.environment = before | {
        "COMPOSE_PROJECT_NAME": "recommender-production-test",
        "LISTEN": f"127.0.0.1:{PORT}",
        "REDIS_MAXMEMORY": "64mb",
        **{f"{name.upper()}_FILE": str(tmp_path / name) for name in secrets},
    }
    stack.compose(*FILES, "up", "--wait")
    yield stack
    stack.compose(*FILES, "down", "--volumes")
    stack.environment = before


def test_redis_wants_its_password_and_the_service_knows_it(production: "Stack") -> None:
    ping = ("exec", "--no-TTY", "redis", "redis-cli", "ping")
    assert "NOAUTH" in production.compose(*FILES, *ping)
    ready = httpx.get(f"http://127.0.0.1:{PORT}/readyz", trust_env=False).json()
    assert ready["history_store"] == "reachable"
    headers = {"Authorization": f"Bearer {KEY}"}
    rollback = f"http://127.0.0.1:{PORT}/v1/model/rollback"
    answer = httpx.post(rollback, json={}, headers=headers, trust_env=False)
    assert answer.status_code == 409  # the key is right, there is nothing to roll back to
    told = production.compose(*FILES, "exec", "--no-TTY", "service", "env")
    assert "a-password" not in told
    assert KEY not in told


NEEDED = ("LISTEN", "REDIS_MAXMEMORY", "REDIS_URL_FILE", "ADMIN_KEY_FILE")


@pytest.mark.parametrize("missing", NEEDED)
def test_what_is_not_set_is_said_in_a_sentence(stack: "Stack", missing: str) -> None:
    environment = stack.environment | dict.fromkeys(NEEDED, "given")
    environment |= {"LISTEN": "127.0.0.1:1", "COMPOSE_FILE": "", missing: ""}
    done = subprocess.run(
        ["docker", "compose", *FILES, "config", "--quiet"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"set {missing} to" in done.stderr or f"set {missing}, by" in done.stderr
