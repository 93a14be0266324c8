"""Every value of the stack is documented, and what must be set says so."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
PRODUCTION = ROOT / "docker-compose.production.yml"


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(text(COMPOSE))["services"]
    return found


def passed_on() -> set[str]:
    """Settings of the service that come from whoever starts the stack."""
    return {name for name, value in services()["service"]["environment"].items() if value is None}


def documented() -> dict[str, str]:
    lines = re.findall(r"^#?([A-Z_]+)=(.*)$", text(ROOT / ".env.example"), re.M)
    return dict(lines)


def test_every_value_is_in_the_example_and_no_other() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", text(COMPOSE) + text(PRODUCTION)))
    assert used | passed_on() == documented().keys() - {"COMPOSE_FILE"}


def test_the_example_holds_the_defaults() -> None:
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^}]+)\}", text(COMPOSE)))
    assert len(defaults) >= 8
    assert {name: documented()[name] for name in defaults} == defaults


def test_what_is_passed_on_is_a_setting_of_the_service_with_its_default_shown() -> None:
    others = {"OTEL_EXPORTER_OTLP_ENDPOINT"}
    for name in passed_on() - others:
        default = Settings.model_fields[name.lower()].default
        shown = documented()[name]
        assert type(default)(shown if shown != "false" else "") == default, name


@pytest.mark.parametrize("name", ["LISTEN", "REDIS_MAXMEMORY", "REDIS_URL_FILE", "ADMIN_KEY_FILE"])
def test_what_production_needs_fails_with_a_sentence(name: str) -> None:
    (sentence,) = re.findall(rf"\${{{name}:\?([^}}]+)}}", text(PRODUCTION))
    assert sentence.startswith((f"set {name} to ", f"set {name}, "))


def test_everything_runs_without_rights_and_is_hardened() -> None:
    for name, each in services().items():
        assert each["read_only"], name
        assert each["cap_drop"] == ["ALL"], name
        assert each["logging"]["options"], name


def test_images_of_others_have_a_version() -> None:
    images = {each["image"] for each in services().values() if "}" not in each["image"]}
    assert len(images) == 4
    assert all(re.search(r":v?\d+\.\d+", image) for image in images)


def test_the_layers_that_training_and_teacher_share_are_told_in_the_same_words() -> None:
    training, teacher = (
        text(ROOT / f"docker/{name}.Dockerfile").partition("ARG PYTHON_VERSION")[2]
        for name in ("training", "teacher")
    )
    assert training.partition("USER 10001")[0] == teacher.partition("USER 10001")[0]


def test_the_service_is_made_of_exact_versions() -> None:
    pinned = re.findall(r"^([\w.-]+)==[\w.]+(?: ;.*)?$", text(ROOT / "locks/service.txt"), re.M)
    names = {name.lower().replace("_", "-") for name in pinned}
    dependencies = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]["dependencies"]
    wanted = {re.split(r"[^\w-]", each)[0] for each in dependencies}
    assert len(wanted) > 5
    assert wanted <= names


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs git's checkout")
@pytest.mark.parametrize("name", [".env", "secrets/redis_url", "sessions.tar"])
def test_git_takes_no_secret_and_no_backup(name: str) -> None:
    done = subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False)
    assert done.returncode == 0
