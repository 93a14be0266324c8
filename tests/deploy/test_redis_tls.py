"""Tests of docker/redis/tls: Redis of the production stack speaks TLS, and nothing else."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import ConnectionError as RedisConnectionError
from redis import Redis

from proofs.fixtures.processes.waiting import free_port
from tests.conftest import RedisServer, tls_redis_program

ROOT = Path(__file__).parents[2]


def certificate(folder: Path) -> Path:
    """Makes a certificate and its key by the command in docs/operations.md; returns the first."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^openssl req (?:.*\\\n)*.*$", text, re.M)
    (folder / "secrets").mkdir(parents=True)
    command = command.replace("DNS:redis", "DNS:redis,IP:127.0.0.1")
    subprocess.run(["bash", "-euc", command], cwd=folder, check=True, capture_output=True)
    return folder / "secrets/redis_tls_cert"


def tls(secrets: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "SECRETS_PATH": str(secrets)}
    command: list[str | Path] = ["sh", ROOT / "docker/redis/tls"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a Redis with the settings that docker/redis/tls prints."""
    if (program := tls_redis_program()) is None or shutil.which("openssl") is None:
        pytest.skip("no `redis-server` built with TLS or no `openssl` on the PATH")
    secrets, port = certificate(tmp_path).parent, free_port()
    (secrets / "redis_url").write_text("rediss://:secret@redis:6379/0\n", encoding="utf-8")
    printed = tls(secrets).stdout
    assert printed
    settings = printed.replace("6379", str(port)) + "requirepass secret\n"
    options = [option for line in settings.splitlines() for option in as_options(line)]
    url = f"rediss://:secret@127.0.0.1:{port}?ssl_ca_certs={secrets}/redis_tls_cert"
    server = RedisServer(tmp_path, *options, url=url, program=program)
    try:
        yield port
    finally:
        server.kill()


def as_options(line: str) -> list[str]:
    name, _, value = line.partition(" ")
    return [f"--{name}", value.strip('"')]


def test_a_client_that_trusts_the_certificate_is_answered(port: int, tmp_path: Path) -> None:
    trusted = tmp_path / "secrets/redis_tls_cert"
    url = f"rediss://:secret@127.0.0.1:{port}/0?ssl_ca_certs={trusted}"
    with Redis.from_url(url) as client:
        assert client.ping()


def test_without_tls_or_with_another_certificate_nothing_is_answered(
    port: int, tmp_path: Path
) -> None:
    other = certificate(tmp_path / "other")
    for url in (
        f"redis://:secret@127.0.0.1:{port}/0",
        f"rediss://:secret@127.0.0.1:{port}/0?ssl_ca_certs={other}",
    ):
        with Redis.from_url(url) as client, pytest.raises(RedisConnectionError):
            client.ping()


def test_without_secrets_redis_has_no_tls(tmp_path: Path) -> None:
    assert (tls(tmp_path).returncode, tls(tmp_path).stdout) == (0, "")


@pytest.mark.parametrize(
    ("url", "key"), [("rediss://:a@redis:6379", ""), ("redis://:a@redis:6379", "k")]
)
def test_an_address_that_contradicts_the_certificates_is_refused(
    tmp_path: Path, url: str, key: str
) -> None:
    (tmp_path / "redis_url").write_text(url, encoding="utf-8")
    if key:
        (tmp_path / "redis_tls_key").write_text(key, encoding="utf-8")
    done = tls(tmp_path)
    assert done.returncode == 1
    assert "rediss://" in done.stderr
