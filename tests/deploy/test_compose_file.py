"""Tests of docker-compose.yml, docker-compose.production.yml, .env.example and the Dockerfiles."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.http.connections import MAX_CLIENT_CONNECTIONS
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
    """Returns the settings of the service that Compose passes on from its own environment."""
    return {name for name, value in services()["service"]["environment"].items() if value is None}


def documented() -> dict[str, str]:
    """Returns the values of .env.example by name, also those that are commented out."""
    lines = re.findall(r"^#?([A-Z_]+)=(.*)$", text(ROOT / ".env.example"), re.M)
    return dict(lines)


def test_env_example_has_every_value_of_the_stack_and_no_other() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", text(COMPOSE) + text(PRODUCTION)))
    assert used | passed_on() == documented().keys() - {"COMPOSE_FILE"}


def test_env_example_has_the_defaults_of_the_stack() -> None:
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^}]+)\}", text(COMPOSE)))
    assert len(defaults) >= 8
    assert {name: documented()[name] for name in defaults} == defaults


def test_every_variable_passed_on_is_a_setting_with_its_default_in_env_example() -> None:
    others = {"OTEL_EXPORTER_OTLP_ENDPOINT", "BUNDLE_PUBLIC_KEYS"}
    for name in passed_on() - others:
        default = Settings.model_fields[name.lower()].default
        shown = documented()[name]
        read = str if default is None else type(default)
        assert read(shown if shown != "false" else "") == (default or read()), name


def test_the_stack_without_the_production_file_can_be_given_an_admin_key() -> None:
    """With ALLOW_ANONYMOUS no route of scope admin is open on loopback, so it needs a key."""
    assert {"ADMIN_KEY"} <= passed_on()


@pytest.mark.parametrize(
    "name",
    [
        *("LISTEN", "REDIS_MAXMEMORY", "REDIS_URL_FILE", "ADMIN_KEY_FILE"),
        *("SESSION_SECRET_FILE", "KEYS_FOLDER"),
    ],
)
def test_a_missing_value_of_production_is_named_with_what_to_do(name: str) -> None:
    (sentence,) = re.findall(rf"\${{{name}:\?([^}}]+)}}", text(PRODUCTION))
    assert sentence.startswith((f"set {name} to ", f"set {name}, "))


def test_production_lets_nobody_in_without_a_key_and_the_file_on_loopback_everybody() -> None:
    service = yaml.safe_load(text(PRODUCTION).replace("!override", ""))["services"]["service"]
    assert service["environment"]["KEYS_FILE"] == "/run/keys/keys.json"
    assert service["environment"]["ALLOW_ANONYMOUS"] == ""
    (mounted,) = service["volumes"]
    assert (mounted["target"], mounted["read_only"]) == ("/run/keys", True)
    assert "KEYS_FILE" not in services()["service"]["environment"]
    # Its admin key is a secret, and so not in the environment, which `docker inspect` shows.
    assert service["environment"]["ADMIN_KEY"] == ""
    assert "admin_key" in service["secrets"]
    assert documented()["ALLOW_ANONYMOUS"] == "read,write,teacher"
    assert documented()["LISTEN"].startswith("127.0.0.1:")


def test_every_container_is_read_only_without_capabilities_and_with_bounded_logs() -> None:
    for name, each in services().items():
        assert each["read_only"], name
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert each["logging"]["options"], name


def test_every_container_has_a_limit_of_memory_and_of_processes() -> None:
    for name, each in services().items():
        assert each["mem_limit"], name
        assert 0 < each["pids_limit"] <= 1024, name


def test_only_training_learning_and_publishing_can_write_bundles() -> None:
    mounts = {name: each.get("volumes", []) for name, each in services().items()}
    writers = {name for name, volumes in mounts.items() if "bundles:/bundles" in volumes}
    assert writers == {"publish", "train", "learn"}
    assert "bundles:/bundles:ro" in mounts["service"]
    assert services()["service"]["depends_on"]["publish"] == {
        "condition": "service_completed_successfully"
    }


def test_what_publishes_into_the_served_volume_has_the_services_keys_of_bundles() -> None:
    production = yaml.safe_load(text(PRODUCTION).replace("!override", ""))["services"]
    for name in ("service", "publish", "train"):
        assert services()[name]["environment"].get("BUNDLE_PUBLIC_KEYS", "") is None, name
    assert production["publish"]["volumes"] == production["service"]["volumes"]


def test_redis_and_the_teacher_are_on_internal_networks_which_the_balancer_does_not_reach() -> None:
    networks = {name: {*each.get("networks", ())} for name, each in services().items()}
    internal = {
        name
        for name, each in yaml.safe_load(text(COMPOSE))["networks"].items()
        if each.get("internal")
    }
    assert networks["redis"] | networks["teacher"] == internal
    assert not networks["balancer"] & internal
    (only,) = networks["teacher"]
    assert {name for name, of in networks.items() if only in of} == {"service", "teacher"}


def test_the_balancer_bounds_the_requests_of_a_replica_and_their_wait() -> None:
    balancer = text(ROOT / "docker/balancer/haproxy.cfg")
    (limit,) = re.findall(r"default-server maxconn (\d+)", balancer)
    assert int(limit) * 2 <= MAX_CLIENT_CONNECTIONS
    assert "timeout queue 1s" in balancer
    assert re.search(r"http-error status 503 .* hdr Retry-After 1$", balancer, re.M)


def test_the_balancer_logs_what_fails_in_it_without_paths_and_addresses() -> None:
    balancer = text(ROOT / "docker/balancer/haproxy.cfg")
    assert re.search(r"^ +log stdout .* info$", balancer, re.M)  # a request's line is an `info`
    public = balancer.partition("\nfrontend recommender\n")[2].partition("\nbackend ")[0]
    assert "    option dontlog-normal\n" in public
    (line,) = re.findall(r'log-format "(.*)"', public)
    assert {*re.findall(r"%(\w+)", line)} == {
        *("ST", "ts", "b", "s", "TR", "Tw", "Tc", "Tr", "Ta", "rc", "bc"),
    }
    assert not re.search(r"option (httplog|tcplog)|capture", balancer)


def test_the_runbook_asks_the_balancer_for_its_clients_where_it_tells_them() -> None:
    balancer = text(ROOT / "docker/balancer/haproxy.cfg")
    (port,) = re.findall(r"stats socket ipv4@127\.0\.0\.1:(\d+) level operator", balancer)
    (asked, table) = re.findall(
        r"/dev/tcp/127\.0\.0\.1/(\d+); echo \"show table (\w+) data\.http_req_rate gt",
        text(ROOT / "docs/operations.md"),
    )[0]
    assert asked == port
    assert f"http-request track-sc0 src table {table}\n" in balancer
    assert re.search(rf"backend {table}\n    stick-table .* store http_req_rate", balancer)


def test_images_of_others_have_a_version() -> None:
    images = re.findall(r"\$\{[A-Z]+_IMAGE:-([^}]+)\}", text(COMPOSE))
    assert len(set(images)) == 6
    assert all(re.search(r":v?\d+", image) for image in images)


def test_training_and_teacher_share_the_text_of_their_common_layers() -> None:
    training, teacher = (
        text(ROOT / f"docker/{name}.Dockerfile").partition("ARG PYTHON_IMAGE")[2]
        for name in ("training", "teacher")
    )
    assert training.partition("USER 10001")[0] == teacher.partition("USER 10001")[0]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout with .git")
@pytest.mark.parametrize("name", [".env", "secrets/redis_url", "sessions.tar"])
def test_git_ignores_secrets_and_backups(name: str) -> None:
    done = subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False)
    assert done.returncode == 0
