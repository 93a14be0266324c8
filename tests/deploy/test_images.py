"""Tests of docker/lock, which pins base images, and of docker/audit."""

import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "0123456789abcdef" * 4
PLATFORM = "sha256:" + "f" * 64
# As buildx answers for an image of several platforms.
ANSWER = f"""cat <<'END'
{{
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "digest": "{DIGEST}",
  "size": 9,
  "manifests": [{{"digest": "{PLATFORM}", "platform": {{"architecture": "amd64"}}}}]
}}
END"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the files that docker/lock reads."""
    (tmp_path / "docker").mkdir()
    shutil.copy(ROOT / "docker/lock", tmp_path / "docker/lock")
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    return tmp_path


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    return folder


def lock(checkout: Path, docker: str) -> subprocess.CompletedProcess[str]:
    """Runs docker/lock with a program in the place of `docker`, which asks the registry."""
    programs = program(checkout / "bin", "docker", docker)
    return subprocess.run(
        [checkout / "docker/lock"],
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def defaults() -> dict[str, str]:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    return dict(re.findall(r"\$\{([A-Z]+_IMAGE):-([^}]+)\}", compose))


def test_the_digests_that_the_registry_gives_are_written_for_docker_compose(checkout: Path) -> None:
    (checkout / ".env").write_text("REPLICAS=2\nREDIS_IMAGE=mirror:5000/redis:8@sha256:old\n")
    done = lock(checkout, ANSWER)
    assert done.returncode == 0, done.stderr
    written = dict(line.split("=") for line in (checkout / ".env").read_text().splitlines())
    wanted = defaults() | {"REDIS_IMAGE": "mirror:5000/redis:8"}
    assert written.pop("REPLICAS") == "2"
    assert written == {name: f"{image}@{DIGEST}" for name, image in wanted.items()}
    assert lock(checkout, ANSWER).returncode == 0
    assert (checkout / ".env").read_text().count("REDIS_IMAGE") == 1


@pytest.mark.parametrize(
    "docker",
    ["exit 1", "echo nothing", f"case $6 in redis:*) exit 1;; esac; {ANSWER}", "echo sha256:1"],
)
def test_without_an_answer_for_each_image_no_digest_is_written(checkout: Path, docker: str) -> None:
    (checkout / ".env").write_text("REPLICAS=2\n")
    done = lock(checkout, docker)
    assert done.returncode == 1
    assert "no registry gives a digest of" in done.stderr
    assert (checkout / ".env").read_text() == "REPLICAS=2\n"
    assert {path.name for path in checkout.iterdir()} == {
        ".env",
        "bin",
        "docker",
        "docker-compose.yml",
    }


def test_other_lines_of_the_env_file_and_its_mode_stay(checkout: Path) -> None:
    own = "SHOP_IMAGE=registry.example.com/shop:1\nREPLICAS=2\n"
    (checkout / ".env").write_text(own, encoding="utf-8")
    (checkout / ".env").chmod(0o600)
    assert lock(checkout, ANSWER).returncode == 0
    assert (checkout / ".env").read_text(encoding="utf-8").startswith(own)
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600


def test_every_base_image_is_an_argument_with_the_default_of_the_stack() -> None:
    images = defaults()
    assert len(images) == 7
    for name in ("service", "training", "teacher", "redis"):
        dockerfile = (ROOT / f"docker/{name}.Dockerfile").read_text(encoding="utf-8")
        arguments = dict(re.findall(r"^ARG ([A-Z]+_IMAGE)=(\S+)$", dockerfile, re.M))
        stages = set(re.findall(r" AS (\w+)$", dockerfile, re.M))
        assert arguments.items() <= images.items()
        for base in re.findall(r"^FROM (\S+)", dockerfile, re.M):
            assert base in {"scratch", *stages, *(f"${{{each}}}" for each in arguments)}


def audit(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    programs = program(tmp_path, "pip-audit", script)
    command: list[str | Path] = [ROOT / "docker/audit", programs / "pip-audit"]
    command += ["locks/service.txt", "locks/sbom.txt"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_audit_without_a_database_says_that_nothing_was_checked(tmp_path: Path) -> None:
    done = audit(tmp_path, "echo 'ConnectionError: no route' >&2; exit 1")
    assert done.returncode == 2
    assert "no route" in done.stdout
    assert "NOT CHECKED: locks/service.txt: no database of vulnerabilities answered" in done.stderr


def test_an_audit_by_a_database_that_knows_no_package_says_so(tmp_path: Path) -> None:
    """pip-audit itself ends with 0 where a mirror has no advisories at all."""
    line = "redis Dependency not found on PyPI and could not be audited: redis (8.1.0)"
    done = audit(tmp_path, f"echo 'No known vulnerabilities found'; echo '{line}'")
    assert done.returncode == 2
    assert (
        "NOT CHECKED: locks/service.txt: the database that answered does not know 1" in done.stderr
    )


def test_an_audit_fails_for_a_vulnerability_and_checks_the_other_locks_too(tmp_path: Path) -> None:
    found = 'case "$*" in *service*) echo "Found 1 known vulnerability in 1 package"; exit 1;; esac'
    done = audit(tmp_path, found)
    assert done.returncode == 1
    assert "Found 1 known vulnerability" in done.stdout
    assert "locks/sbom.txt:" in done.stdout
    assert audit(tmp_path, "exit 0").returncode == 0
