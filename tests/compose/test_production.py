"""Tests of docker-compose.production.yml: secrets are files, and missing values are named."""

import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.compose.conftest import ROOT
from tests.compose.load import is_within, load

if TYPE_CHECKING:
    from tests.compose.conftest import Stack

FILES = ("--file", "docker-compose.yml", "--file", "docker-compose.production.yml")
PORT = 18100
NEEDED = (
    *(
        "LISTEN",
        "REDIS_MAXMEMORY",
        "REDIS_MEMORY",
        "REDIS_TLS_CERT_FILE",
        "REDIS_TLS_KEY_FILE",
        "REDIS_URL_FILE",
        "ADMIN_KEY_FILE",
    ),
    *("SESSION_SECRET_FILE", "KEYS_FOLDER"),
)
GIVEN = {*NEEDED, "COMPOSE_FILE", "REPLICAS"}


@dataclass
class Production:
    """A stack that was deployed by the commands in docs/operations.md."""

    folder: Path
    environment: dict[str, str]

    def attempt(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the folder of the stack; it may fail."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, *command: str) -> str:
        """Runs a command that must succeed in the folder of the stack; returns its output."""
        done = self.attempt(*command)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def compose(self, *arguments: str) -> str:
        """Runs `docker compose`."""
        return self.run("docker", "compose", *arguments)

    def secret(self, name: str) -> str:
        """Returns the text of a secret."""
        return (self.folder / "secrets" / name).read_text(encoding="utf-8").strip()

    def key(self) -> dict[str, str]:
        """Returns the header with the key of the documented commands."""
        return {"Authorization": f"Bearer {self.secret('backend_key')}"}


@pytest.fixture(scope="module")
def production(stack: "Stack", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """A production stack beside the first one, in a copy of the files that git lists."""
    folder = tmp_path_factory.mktemp("production")
    known = stack.run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, known.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    environment = {name: value for name, value in stack.environment.items() if name not in GIVEN}
    environment |= {"COMPOSE_PROJECT_NAME": "recommender-production-test"}
    production = Production(folder, environment | {"LISTEN": f"127.0.0.1:{PORT}"})
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(mkdir -p -m 700 secrets.*?)```", text, re.S)
    try:
        production.run("bash", "-euc", commands)
        yield production
    finally:
        production.compose(*FILES, "down", "--volumes")


def test_the_documented_commands_deploy_a_public_service(production: Production) -> None:
    replicas = production.compose("ps", "--quiet", "service").split()
    assert len(replicas) == 2
    ready = httpx.get(f"http://127.0.0.1:{PORT}/readyz", trust_env=False).json()
    assert ready["history_store"] == "reachable"
    production.environment.pop("LISTEN")
    try:
        settings = json.loads(production.compose("config", "--format", "json"))
    finally:
        production.environment["LISTEN"] = f"127.0.0.1:{PORT}"
    (port,) = settings["services"]["balancer"]["ports"]
    assert (port["host_ip"], port["published"]) == ("0.0.0.0", "8000")  # noqa: S104


def test_only_the_owner_can_open_the_folder_of_secrets(production: Production) -> None:
    assert stat.S_IMODE((production.folder / "secrets").stat().st_mode) == 0o700


def test_redis_requires_its_password_and_the_service_has_it(production: Production) -> None:
    inside = ("docker", "compose", "exec", "--no-TTY", "redis", "redis-cli")
    assert production.attempt(*inside, "ping").returncode != 0  # without TLS
    over_tls = (*inside, "--tls", "--cacert", "/run/secrets/redis_tls_cert", "ping")
    assert "NOAUTH" in production.run(*over_tls)
    assert "PONG" in production.compose("exec", "--no-TTY", "redis", "ask", "ping")
    headers = {"Authorization": f"Bearer {production.secret('admin_key')}"}
    rollback = f"http://127.0.0.1:{PORT}/v1/model/rollback"
    answer = httpx.post(rollback, json={}, headers=headers, trust_env=False)
    assert answer.status_code == 409  # the key is accepted; there is no earlier bundle


def test_no_secret_is_in_docker_inspect_process_lists_or_the_environment(
    production: Production,
) -> None:
    containers = production.compose("ps", "--quiet").split()
    output = production.run("docker", "inspect", *containers) + production.compose("top")
    output += production.compose("exec", "--no-TTY", "service", "env")
    assert "redis-server" in output
    assert production.secret("redis_url").partition("@")[0].rpartition(":")[2] not in output
    assert production.secret("admin_key") not in output
    assert production.secret("session_secret") not in output
    assert production.secret("backend_key").partition(".")[2] not in output


def test_nobody_is_let_in_without_a_key(production: Production) -> None:
    url = f"http://127.0.0.1:{PORT}/v1/items"
    assert httpx.get(url, trust_env=False).status_code == 401
    assert httpx.get(url, headers=production.key(), trust_env=False).status_code == 200
    # The key may read and write, but not change items.
    assert httpx.post(url, json={}, headers=production.key(), trust_env=False).status_code == 403


def test_a_key_that_is_revoked_in_the_mounted_folder_is_refused_without_a_restart(
    production: Production,
) -> None:
    program = ("python", "-m", "service.access")
    run = ("run", "--rm", "--no-TTY", "--no-deps", "--user", str(os.getuid()))
    volume = ("--volume", f"{production.folder}/secrets/keys:/keys", "service")
    file = ("--file", "/keys/keys.json")
    made = production.compose(*run, *volume, *program, "create", *file, "--scopes", "read")
    key = made.strip().splitlines()[-1]
    headers = {"Authorization": f"Bearer {key}"}
    url = f"http://127.0.0.1:{PORT}/v1/items"
    wait_for_status(url, headers, 200)
    production.compose(*run, *volume, *program, "revoke", key.partition(".")[0], *file)
    wait_for_status(url, headers, 401)
    assert httpx.get(url, headers=production.key(), trust_env=False).status_code == 200


def test_a_backup_made_while_redis_rewrites_its_file_is_restored_completely(
    production: Production,
) -> None:
    production.compose("exec", "--no-TTY", "redis", "ask", "FLUSHALL")
    with load(f"http://127.0.0.1:{PORT}", "kept", headers=production.key()) as record:
        time.sleep(2)
        acknowledged = {name: [*item_ids] for name, item_ids in record.stored.items()}
        production.compose("exec", "--no-TTY", "redis", "ask", "BGREWRITEAOF")
        production.run("docker/backup", "sessions.tar")
    assert stat.S_IMODE((production.folder / "sessions.tar").stat().st_mode) == 0o600
    rewrites = ("exec", "--no-TTY", "redis", "ask", "CONFIG", "GET", "auto-aof-rewrite-percentage")
    assert production.compose(*rewrites).split()[-1] == "100"
    production.compose("exec", "--no-TTY", "redis", "ask", "FLUSHALL")
    production.run("docker/restore", "sessions.tar")
    url, key = f"http://127.0.0.1:{PORT}", production.key()
    with httpx.Client(base_url=url, headers=key, trust_env=False) as client:
        for session_id, item_ids in acknowledged.items():
            stored = stored_history(client, session_id)
            assert item_ids
            # An event that was not acknowledged in time may be stored, too.
            assert is_within(item_ids, stored)


def test_a_truncated_backup_is_refused_and_the_data_of_redis_stays(
    production: Production,
) -> None:
    ask = ("exec", "--no-TTY", "redis", "ask")
    production.compose(*ask, "SET", "held", "before")
    production.compose(*ask, "BGREWRITEAOF")  # a base file, and one with later commands
    production.compose(*ask, "SET", "held", "now")
    production.run("docker/backup", "whole.tar")
    whole = (production.folder / "whole.tar").read_bytes()
    with tarfile.open(production.folder / "whole.tar") as archive:
        _, *offsets = [member.offset for member in archive]
    assert len(offsets) == 3
    for size in (*offsets, *(offset + 440 for offset in offsets)):  # cuts that tar does not notice
        (production.folder / "cut.tar").write_bytes(whole[:size])
        done = production.attempt("docker/restore", "cut.tar")
        assert done.returncode == 1, size
        assert "this is no backup of Redis" in done.stderr, size
        assert production.compose(*ask, "GET", "held").strip() == "now", size


def wait_for_status(url: str, headers: Mapping[str, str], status: int) -> None:
    """Waits until each of 20 requests in a row, which reach both replicas, has this status."""
    for _ in range(50):
        answers = [httpx.get(url, headers=headers, trust_env=False) for _ in range(20)]
        if all(each.status_code == status for each in answers):
            return
        time.sleep(0.1)
    raise TimeoutError


def stored_history(client: httpx.Client, session_id: str) -> list[str]:
    """Returns the history of a session, once the replica that is asked has Redis again."""
    for _ in range(100):
        answer = client.get(f"/v1/sessions/{session_id}").json()
        if not answer["degraded"]:
            history: list[str] = answer["history"]
            return history
        time.sleep(0.1)
    raise TimeoutError


def test_redis_ends_by_itself_after_the_signal_to_stop(production: Production) -> None:
    production.compose("stop", "redis")
    (container,) = production.compose("ps", "--all", "--quiet", "redis").split()
    (description,) = json.loads(production.run("docker", "inspect", container))
    assert description["State"]["ExitCode"] == 0
    production.compose("up", "--detach", "--wait", "redis")


@pytest.mark.parametrize("missing", NEEDED)
def test_a_value_that_is_not_set_is_named_with_what_to_do(stack: "Stack", missing: str) -> None:
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
