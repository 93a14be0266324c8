import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distilled_recommender.app import main
from export.contract.bundle import read_manifest
from export.contract.manifest import render, with_version


@pytest.fixture
def bundle(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))


def test_an_intact_bundle_is_verified(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "verify", str(bundle)]) == 0
    assert "intact, version" in capsys.readouterr().out


def test_a_damaged_bundle_is_named_on_one_line_and_is_exit_code_1(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = bundle / "items.jsonl"
    items.write_text(items.read_text() + "\n")

    assert main(["bundle", "verify", str(bundle)]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "items.jsonl" in line


def test_a_bundle_is_shown_in_lines_or_as_its_manifest(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())

    assert main(["bundle", "show", str(bundle)]) == 0
    assert f"version {manifest['model_version']}, schema" in capsys.readouterr().out
    assert main(["bundle", "show", str(bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == manifest


@pytest.mark.parametrize(
    "odd",
    [
        {"provenance": {"dataset": "films"}},
        {"provenance": {"dataset": None}},
        {"metrics": {"test": {"HR@10": "high", "NDCG@10": 0.5}}},
        {"verdict": "\x1b[2Jgood"},
    ],
)
def test_what_a_stranger_wrote_into_a_manifest_is_shown_without_harm(
    odd: dict[str, Any], bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = with_version(replace(read_manifest(bundle), **odd))
    (bundle / "manifest.json").write_bytes(render(manifest))

    assert main(["bundle", "show", str(bundle)]) == 0

    assert capsys.readouterr().out.replace("\n", "").isprintable()


def test_a_folder_without_a_bundle_cannot_be_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "show", str(tmp_path)]) == 2
    assert "manifest.json: missing" in capsys.readouterr().err


def test_a_password_that_nobody_can_be_asked_for_is_told_with_the_variable_that_holds_it(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret_key = pytest.importorskip("minisign").KeyPair.generate().secret_key
    secret_key.encrypt("secret")
    (tmp_path / "our.key").write_bytes(bytes(secret_key))

    def ask_nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("distilled_recommender.bundle.getpass", ask_nobody)

    assert main(["bundle", "sign", str(bundle), "--key", str(tmp_path / "our.key")]) == 2

    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: no terminal to ask for the password of {tmp_path / 'our.key'}; set "
        "MINISIGN_PASSWORD"
    )


def test_a_published_bundle_is_the_active_one_and_first_leaves_it(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bundles"

    assert main(["bundle", "publish", str(bundle), str(folder), "--first"]) == 0

    version = json.loads((bundle / "manifest.json").read_text())["model_version"]
    assert (folder / "active").readlink() == Path(version)
    assert main(["bundle", "publish", "nowhere", str(folder), "--first"]) == 0
    assert main(["bundle", "publish", "nowhere", str(folder)]) == 2
    assert "nowhere" in capsys.readouterr().err
