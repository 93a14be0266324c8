"""Tests of docker/redis/password, which reads the password from the secret `redis_url`."""

import subprocess
from pathlib import Path

import pytest
from redis import Redis

SCRIPT = Path(__file__).parents[2] / "docker/redis/password"


def run_with(folder: Path, secret: str) -> subprocess.CompletedProcess[str]:
    (folder / "redis_url").write_text(f"{secret}\n", encoding="utf-8")
    return run_script(folder)


def run_script(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "SECRETS_PATH": str(folder)}
    return subprocess.run(
        ["sh", SCRIPT], env=environment, capture_output=True, text=True, check=False
    )


def test_without_a_secret_there_is_no_password(tmp_path: Path) -> None:
    done = run_script(tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("password", ["c0ffee", "A-z_0.9~", "-"])
def test_redis_gets_the_password_that_its_clients_read(tmp_path: Path, password: str) -> None:
    url = f"redis://:{password}@redis:6379/0"
    assert run_with(tmp_path, url).stdout == f"{password}\n"
    over_tls = url.replace("redis://", "rediss://") + "?ssl_ca_certs=/run/secrets/redis_tls_cert"
    assert run_with(tmp_path, over_tls).stdout == f"{password}\n"
    with Redis.from_url(url) as client:
        assert client.get_connection_kwargs()["password"] == password


@pytest.mark.parametrize(
    "url",
    [
        "redis://:p%40ss%23word@redis:6379/0",
        "redis://:p@ss@redis:6379/0",
        "redis://:p:ss@redis:6379/0",
        "redis://:two words@redis:6379/0",
        "redis://:two\nlines@redis:6379/0",
        "redis://user:secret@redis:6379/0",
        "redis://secret@redis:6379/0",
        "redis://:@redis:6379/0",
        "redis://:secret@",
        "redis://:secret",
        "redis://redis:6379/0",
        "secret@redis:6379/0",
        "",
    ],
)
def test_a_url_that_redis_and_its_clients_could_read_differently_is_refused_with_the_reason(
    tmp_path: Path, url: str
) -> None:
    done = run_with(tmp_path, url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "must be redis://:PASSWORD@HOST:PORT/0 without a user" in done.stderr
    assert done.stderr.endswith("PASSWORD of A-Z a-z 0-9 _ . ~ - alone\n")
    assert "secret" not in done.stderr.removeprefix(str(tmp_path))
