"""Tests of deploy/kubernetes: valid, hardened, and the same programs as in docker-compose.yml."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from export.contract.bundles_folder import BundleLink, publish
from service.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"


def kustomization() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
    return found


def manifests() -> list[dict[str, Any]]:
    texts = [(FOLDER / name).read_text("utf-8") for name in kustomization()["resources"]]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text)]


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = (
        each for each in manifests() if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def pods() -> dict[str, dict[str, Any]]:
    """Returns the pod specifications by name."""
    templates = {
        name: named(kind, name)["spec"]["template"]
        for kind, name in (
            ("Deployment", "service"),
            ("StatefulSet", "redis"),
            ("Deployment", "teacher"),
            ("Deployment", "collect"),
        )
    }
    for name in ("train", "learn"):
        templates[name] = named("CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]
    return {name: template["spec"] for name, template in templates.items()}


def test_every_file_is_listed_and_every_manifest_is_valid() -> None:
    listed = kustomization()["resources"]
    assert len(listed) == len(set(listed))
    values = {name for each in kustomization()["configMapGenerator"] for name in each["envs"]}
    assert {*listed, *values, "kustomization.yaml"} == {file.name for file in FOLDER.iterdir()}
    for manifest in manifests():
        kubernetes_validate.validate(manifest, "1.32", strict=True)


def test_the_kustomization_has_only_known_keys_and_names_each_image() -> None:
    found = kustomization()
    assert found["apiVersion"] == "kustomize.config.k8s.io/v1beta1"
    assert found["kind"] == "Kustomization"
    known = {"apiVersion", "kind", "resources", "configMapGenerator", "labels", "images"}
    assert found.keys() == known
    run = {
        container["image"]
        for pod in pods().values()
        for container in [*pod["containers"], *pod.get("initContainers", ())]
    }
    assert {image["name"] for image in found["images"]} == run


def test_the_same_programs_run_as_in_the_compose_stack() -> None:
    stack = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    ours = {name for name, each in stack.items() if "build" in each and name != "bench"}
    assert ours | {"learn", "collect"} == pods().keys()
    assert stack["learn"]["image"] == stack["train"]["image"]


def test_the_service_reads_the_keys_of_its_secret_and_lets_nobody_in_without_one() -> None:
    (container,) = pods()["service"]["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert "ALLOW_ANONYMOUS" not in environment
    folder, _, name = environment["KEYS_FILE"].rpartition("/")
    (mount,) = [each for each in container["volumeMounts"] if each["mountPath"] == folder]
    assert (mount["name"], name) == ("secrets", "keys.json")
    # A mounted `subPath` would keep the old file when the secret changes.
    assert "subPath" not in mount


@pytest.mark.parametrize("name", ["service", "redis", "teacher", "train", "learn", "collect"])
def test_every_pod_is_unprivileged_with_a_read_only_root_and_a_memory_limit(name: str) -> None:
    pod = pods()[name]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    for container in [*pod["containers"], *pod.get("initContainers", ())]:
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]


def test_replicas_mount_bundles_read_only_and_have_no_private_key() -> None:
    (container,) = pods()["service"]["containers"]
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    assert mounts["bundles"]["readOnly"]
    volumes = {each["name"]: each for each in pods()["service"]["volumes"]}
    secrets = {item["key"] for item in volumes["secrets"]["secret"]["items"]}
    assert secrets == {"redis_url", "redis_tls_cert", "admin_key", "session_secret", "keys.json"}


def test_a_rollback_job_serves_the_previous_bundle_and_reaches_no_network(tmp_path: Path) -> None:
    job = named("CronJob", "rollback")["spec"]
    assert job["suspend"]
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    policy = named("NetworkPolicy", "rollback")["spec"]
    assert policy == {
        "podSelector": {"matchLabels": {"app": "rollback"}},
        "policyTypes": ["Ingress", "Egress"],
    }
    bundles = tmp_path / "bundles"
    first = publish(ROOT / "assets/movielens/bundle", bundles).bundle
    second = publish(ROOT / "tests/export/contract/schema_3", bundles).bundle
    *shell, script = container["command"]
    local = script.replace("/bundles", str(bundles)).replace("python", sys.executable)
    for expected in (first, second):
        subprocess.run([*shell, local], cwd=ROOT, check=True, capture_output=True)
        assert BundleLink(bundles / "active").bundle == expected


def test_what_publishes_into_the_served_claim_has_the_services_keys_of_bundles() -> None:
    service = pods()["service"]
    rollback = named("CronJob", "rollback")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    key = {"name": "settings", "key": "BUNDLE_PUBLIC_KEYS", "optional": True}
    writers = (
        *service["initContainers"],
        *rollback["containers"],
        *pods()["train"]["containers"],
    )
    for container in writers:
        assert {
            "name": "BUNDLE_PUBLIC_KEYS",
            "valueFrom": {"configMapKeyRef": key},
        } in container["env"], container["name"]
    for container in (*service["initContainers"], *service["containers"], *rollback["containers"]):
        mounted = {"name": "bundle-keys", "mountPath": "/run/keys", "readOnly": True}
        assert mounted in container["volumeMounts"], container["name"]
    for pod in (service, rollback):
        keys = {"name": "bundle-keys", "configMap": {"name": "bundle-keys", "optional": True}}
        assert keys in pod["volumes"]


def values_of(name: str) -> dict[str, str]:
    """Returns the lines of a file of values, by name."""
    lines = (FOLDER / name).read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_the_values_of_the_service_are_settings_with_their_defaults_and_reach_it() -> None:
    (container,) = pods()["service"]["containers"]
    assert container["envFrom"] == [{"configMapRef": {"name": "settings"}}]
    generators = {each["name"]: each["envs"] for each in kustomization()["configMapGenerator"]}
    assert generators == {"settings": ["settings.env"], "learn": ["learn.env"]}
    values = values_of("settings.env")
    assert "EVENT_LOG" in values
    for name, value in values.items():
        default = Settings.model_fields[name.lower()].default
        assert type(default)(value) == default, name
    # `env` of the container would take precedence over them.
    assert not values.keys() & {each["name"] for each in container["env"]}


def test_collector_and_learning_share_one_log_and_only_learning_compacts_it() -> None:
    (collect,), (learn,) = (pods()[name]["containers"] for name in ("collect", "learn"))
    variables = {each["name"]: each["value"] for each in learn["env"]}
    *program, folder = collect["command"]
    assert program == ["python", "-m", "distilled_recommender", "collect"]
    assert variables["COLLECT_LOG"] == folder
    assert collect["envFrom"] == learn["envFrom"] == [{"configMapRef": {"name": "learn"}}]
    assert {"name": "COLLECT_COMPACT_MINUTES", "value": "0"} in collect["env"]
    mounts = [{"name": "learnt", "mountPath": "/work"}] * 2
    assert [each["volumeMounts"][0] for each in (collect, learn)] == mounts
    # The pods may run on two nodes.
    assert named("PersistentVolumeClaim", "learnt")["spec"]["accessModes"] == ["ReadWriteMany"]
    script = (ROOT / "docker/learn").read_text("utf-8")
    assert {"CONFIG", "EXPERIMENT_DAYS"} <= values_of("learn.env").keys()
    for name in ("CONFIG", "COLLECT_LOG", "EXPERIMENT_DAYS"):
        assert f"${{{name}" in script or f"${name}" in script


@pytest.mark.parametrize("name", ["learn", "collect"])
def test_learning_reaches_redis_and_nothing_else_but_dns(name: str) -> None:
    policy = named("NetworkPolicy", name)["spec"]
    assert policy["podSelector"]["matchLabels"] == {"app": name}
    to_redis, to_dns = policy["egress"]
    assert to_redis["to"] == [{"podSelector": {"matchLabels": {"app": "redis"}}}]
    assert {each["port"] for each in to_dns["ports"]} == {53}
    ((allowed,),) = ([each["from"]] for each in named("NetworkPolicy", "redis")["spec"]["ingress"])
    assert {"podSelector": {"matchLabels": {"app": name}}} in allowed


@pytest.mark.parametrize("name", ["service", "redis", "teacher"])
def test_every_server_has_probes_and_a_network_policy(name: str) -> None:
    (container,) = pods()[name]["containers"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
    assert named("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"] == {"app": name}


def test_replicas_are_replaced_and_scaled_without_downtime() -> None:
    assert "replicas" not in named("Deployment", "service")["spec"]  # set by the autoscaler
    rolling = named("Deployment", "service")["spec"]["strategy"]["rollingUpdate"]
    assert rolling["maxUnavailable"] == 0
    assert named("PodDisruptionBudget", "service")["spec"]["minAvailable"] == 1
    assert named("HorizontalPodAutoscaler", "service")["spec"]["minReplicas"] == 2


def test_the_guide_replaces_the_secret_with_all_the_files_that_it_was_made_of() -> None:
    """`replace` removes what is not named."""
    made, replaced = (
        (ROOT / path).read_text("utf-8")
        for path in ("docs/operations.md", "docs/how-to/kubernetes.md")
    )
    commands = [
        re.findall(r"create secret generic recommender (.*?)(?=^[^ ])", text, re.S | re.M)
        for text in (made, replaced)
    ]
    files = [{*re.findall(r"--from-file=(\S+)", command)} for (command,) in commands]
    assert files[0] == files[1]
    assert {file.rpartition("/")[2] for file in files[1]} >= {
        item["key"]
        for name in ("service", "redis")
        for volume in pods()[name]["volumes"]
        for item in volume.get("secret", {}).get("items", ())
    }


def test_the_overlay_of_the_guide_keeps_on_what_each_apply_would_switch_off() -> None:
    guide = (ROOT / "docs/how-to/kubernetes.md").read_text("utf-8")
    (text,) = re.findall(r"^```yaml\n(replicas:.*?)^```$", guide, re.S | re.M)
    overlay = yaml.safe_load(text)
    (scaled,), (patched,) = overlay["replicas"], overlay["patches"]
    assert named("Deployment", scaled["name"])["spec"]["replicas"] == 0 < scaled["count"]
    (change,) = yaml.safe_load(patched["patch"])
    assert (change["op"], change["path"]) == ("replace", "/spec/suspend")
    target = named(patched["target"]["kind"], patched["target"]["name"])
    assert target["spec"]["suspend"] is not change["value"]
