"""Tests of deploy/kubernetes: valid, hardened, and the same programs as in docker-compose.yml."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from export.contract.bundles_folder import BundleLink, publish

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
        )
    }
    for name in ("train", "learn"):
        templates[name] = named("CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]
    return {name: template["spec"] for name, template in templates.items()}


def test_every_file_is_listed_and_every_manifest_is_valid() -> None:
    listed = kustomization()["resources"]
    assert len(listed) == len(set(listed))
    assert {*listed, "kustomization.yaml"} == {file.name for file in FOLDER.iterdir()}
    for manifest in manifests():
        kubernetes_validate.validate(manifest, "1.32", strict=True)


def test_the_kustomization_has_only_known_keys_and_names_each_image() -> None:
    found = kustomization()
    assert found["apiVersion"] == "kustomize.config.k8s.io/v1beta1"
    assert found["kind"] == "Kustomization"
    assert found.keys() == {"apiVersion", "kind", "resources", "labels", "images"}
    run = {
        container["image"]
        for pod in pods().values()
        for container in [*pod["containers"], *pod.get("initContainers", ())]
    }
    assert {image["name"] for image in found["images"]} == run


def test_the_same_programs_run_as_in_the_compose_stack() -> None:
    stack = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    ours = {name for name, each in stack.items() if "build" in each and name != "bench"}
    assert ours | {"learn"} == pods().keys()
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


@pytest.mark.parametrize("name", ["service", "redis", "teacher", "train", "learn"])
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
