"""Tests of what reads the password in `redis_url`: docker/redis/password, and the exporter."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from redis import Redis

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docker/redis/password"


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


def test_the_exporter_gets_the_password_from_a_file_and_no_environment_has_it(
    tmp_path: Path,
) -> None:
    production = (ROOT / "docker-compose.production.yml").read_text("utf-8")
    exporter = yaml.safe_load(production.replace("!override", ""))["services"]["redis-exporter"]
    *shell, script = exporter["entrypoint"]
    url = "rediss://:A-z_0.9~@redis:6379/0?ssl_ca_certs=/run/secrets/redis_tls_cert\n"
    (tmp_path / "redis_url").write_text(url, encoding="utf-8")
    passwords = exporter["environment"]["REDIS_PASSWORD_FILE"]
    assert passwords.startswith("/tmp/")  # noqa: S108 the container's own, which is in memory
    assert exporter["tmpfs"] == ["/tmp"]  # noqa: S108
    for name, local in (
        ("/run/secrets/redis_url", str(tmp_path / "redis_url")),
        (passwords, str(tmp_path / "passwords")),
        ("/redis_exporter", "env"),
        ("$$", "$"),
    ):
        assert name in script
        script = script.replace(name, local)
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run([*shell, script], env=environment, capture_output=True, check=True)
    assert b"REDIS_ADDR=rediss://redis:6379/0\n" in done.stdout
    assert b"A-z_0.9~" not in done.stdout
    found = json.loads((tmp_path / "passwords").read_text(encoding="utf-8"))
    assert found == {"rediss://redis:6379/0": "A-z_0.9~"}
    assert (tmp_path / "passwords").stat().st_mode & 0o777 == 0o600
