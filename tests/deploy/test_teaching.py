"""Tests of deploy/teaching: valid, hardened, and a part for each pod."""

import os
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from training.cli import parse
from training.teach import command
from training.teacher.parts.part import parse_part

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/teaching"


def manifests() -> dict[str, dict[str, Any]]:
    """Returns the manifests by kind."""
    texts = yaml.safe_load_all((FOLDER / "teach.yaml").read_text("utf-8"))
    return {manifest["kind"]: manifest for manifest in texts}


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, str]:
    """An environment in which `python` writes its arguments to a file and does nothing else."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\n')
    python.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


def test_the_manifests_are_valid_and_listed() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
    assert kustomization["resources"] == ["teach.yaml"]
    assert {file.name for file in FOLDER.iterdir()} == {"teach.yaml", "kustomization.yaml"}
    for manifest in manifests().values():
        kubernetes_validate.validate(manifest, "1.32", strict=True)
    (container,) = manifests()["Job"]["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in kustomization["images"]] == [container["image"]]


def test_the_pods_are_unprivileged_with_a_read_only_root_and_reach_no_network() -> None:
    pod = manifests()["Job"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert not pod["spec"]["automountServiceAccountToken"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    policy = manifests()["NetworkPolicy"]["spec"]
    assert policy == {
        "podSelector": {"matchLabels": pod["metadata"]["labels"]},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_each_pod_computes_the_part_of_its_index(tmp_path: Path, programs: dict[str, str]) -> None:
    spec = manifests()["Job"]["spec"]
    assert (spec["completionMode"], spec["completions"]) == ("Indexed", spec["parallelism"])
    (container,) = spec["template"]["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]} | programs
    for index in range(spec["completions"]):
        environment["JOB_COMPLETION_INDEX"] = str(index)
        subprocess.run(container["command"], env=environment, check=True)
    lines = (tmp_path / "arguments").read_text().splitlines()
    assert lines[::2] == [f"-m training.prepare {environment['CONFIG']} --work /work"] * 4
    parts = []
    for line in lines[1::2]:
        _, module, *words = line.split()
        assert module == "training.teach"
        options = parse(command, words)["options"]
        assert options.store == container["volumeMounts"][1]["mountPath"]
        parts.append(parse_part(options.part))
    assert [(part.number, part.count) for part in parts] == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("keys", "options"), [("", " --publish /bundles"), ("/run/keys/bundles.pub", "")]
)
def test_a_training_publishes_only_where_no_signature_is_asked_for(
    keys: str, options: str, tmp_path: Path, programs: dict[str, str]
) -> None:
    environment = programs | {"CONFIG": "shop.toml", "BUNDLE_PUBLIC_KEYS": keys}
    subprocess.run([ROOT / "docker/train"], env=environment, check=True)
    lines = (tmp_path / "arguments").read_text().splitlines()
    assert lines[-1] == f"-m export shop.toml --work /work{options}"


@pytest.mark.parametrize(("store", "options"), [("", ""), ("/store", " --store /store")])
def test_a_training_takes_the_shards_of_the_store_that_it_is_given(
    store: str, options: str, tmp_path: Path, programs: dict[str, str]
) -> None:
    environment = programs | {"CONFIG": "shop.toml", "TEACH_STORE": store}
    subprocess.run([ROOT / "docker/train"], env=environment, check=True)
    lines = (tmp_path / "arguments").read_text().splitlines()
    assert f"-m training.teach shop.toml --work /work{options}" in lines
