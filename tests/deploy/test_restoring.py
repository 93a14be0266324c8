"""Tests of deploy/restoring: a pod that may do as much as Redis, and the commands for it."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from tests.deploy.test_kubernetes import named

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/restoring"


def manifests() -> dict[str, dict[str, Any]]:
    """Returns the manifests by kind."""
    texts = yaml.safe_load_all((FOLDER / "restore.yaml").read_text("utf-8"))
    return {manifest["kind"]: manifest for manifest in texts}


def test_the_manifests_are_valid_and_listed() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
    assert {file.name for file in FOLDER.iterdir()} == {"restore.yaml", "kustomization.yaml"}
    assert kustomization["resources"] == ["restore.yaml"]
    for manifest in manifests().values():
        kubernetes_validate.validate(manifest, "1.32", strict=True)
    (container,) = manifests()["Pod"]["spec"]["containers"]
    assert [each["name"] for each in kustomization["images"]] == [container["image"]]


def test_the_pod_writes_the_claim_of_redis_as_redis_does_and_reaches_no_network() -> None:
    redis = named("StatefulSet", "redis")["spec"]
    (claim,) = redis["volumeClaimTemplates"]
    (original,) = redis["template"]["spec"]["containers"]
    pod = manifests()["Pod"]["spec"]
    (container,) = pod["containers"]
    (volume,) = pod["volumes"]
    name = f"{claim['metadata']['name']}-redis-0"
    assert volume["persistentVolumeClaim"]["claimName"] == name
    assert container["volumeMounts"][0] in [
        {**each, "name": volume["name"]} for each in original["volumeMounts"]
    ]
    assert container["image"] == original["image"]
    assert pod["securityContext"] == redis["template"]["spec"]["securityContext"]
    assert container["securityContext"] == original["securityContext"]
    assert manifests()["NetworkPolicy"]["spec"] == {
        "podSelector": {"matchLabels": manifests()["Pod"]["metadata"]["labels"]},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_the_guide_stops_redis_before_the_pod_writes_and_starts_it_when_the_pod_is_gone() -> None:
    guide = (ROOT / "docs/operations.md").read_text("utf-8")
    told = re.findall(
        r"kubectl --namespace recommender (.+)",
        guide.partition("- **Restore**: ")[2].split("```")[1],
    )
    assert told == [
        "scale statefulset/redis --replicas=0",
        "wait --for=delete pod/redis-0 --timeout=120s",
        "apply --kustomize deploy/restoring",
        "wait --for=condition=Ready pod/restore --timeout=120s",
        "exec --stdin restore -- restore < sessions.tar",
        "delete --kustomize deploy/restoring",
        "scale statefulset/redis --replicas=1",
    ]
