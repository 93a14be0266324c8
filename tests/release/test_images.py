"""Images are a part of a release, which is refused where no Docker engine answers."""

from pathlib import Path

import pytest
import yaml

from release.__main__ import main, make_images
from release.checkout import Checkout
from release.images import IMAGES

ROOT = Path(__file__).parents[2]
LISTING = '{"bomFormat": "CycloneDX"}'


def stand_in(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a program in the place of `docker`."""
    folder.mkdir()
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_all_images_of_the_stack_are_built_with_version_and_commit(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    script = f"echo \"$TAG $REVISION $*\" >>{log}\ncase $1 in run) echo '{LISTING}' ;; esac"
    stand_in(tmp_path / "bin", script, monkeypatch)
    checkout = Checkout(root)

    make_images(checkout, "0.1.0", tmp_path)

    built, *copied = log.read_text().splitlines()
    services = " ".join(IMAGES)
    assert built == f"0.1.0 {checkout.commit} compose --profile * build {services}"
    assert len(copied) == len(IMAGES)
    for name in ("redis", "service", "teacher", "training"):
        assert (tmp_path / f"image-{name}.cdx.json").read_text().strip() == LISTING


def test_a_release_is_refused_where_no_engine_can_build_its_images(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stand_in(tmp_path / "bin", "exit 1", monkeypatch)

    assert main(["--root", str(root), "--dist", str(tmp_path / "dist")]) == 2

    reason = "no Docker engine answers, to build its images; --images no leaves them out"
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "dist/0.1.0").exists()


def test_the_images_are_all_that_the_stack_builds() -> None:
    stack = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    built = {name: each["image"] for name, each in stack.items() if "build" in each}
    built.pop("bench", None)
    assert {name: image.partition(":")[0] for name, image in built.items()} == dict(IMAGES)
