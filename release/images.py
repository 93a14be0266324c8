"""Builds the images of a release, by a Docker engine."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

IMAGES: Mapping[str, str] = {
    "redis": "distilled-recommender/redis",
    "service": "distilled-recommender/service",
    "teacher": "distilled-recommender/teacher",
    "train": "distilled-recommender/training",
}
"""The images by the service of docker-compose.yml that builds each."""
ENGINE_SECONDS = 20


def build_command(version: str, commit: str) -> str:
    """Returns the shell command that builds all images."""
    services = " ".join(IMAGES)
    return f"TAG={version} REVISION={commit} docker compose --profile '*' build {services}"


def engine_answers() -> bool:
    """Returns whether a Docker engine can be reached."""
    try:
        done = subprocess.run(
            ["docker", "info"], capture_output=True, timeout=ENGINE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def build_images(root: Path, version: str, commit: str) -> None:
    """Builds all images from the checkout `root`, whose `.env` may name other base images.

    Raises:
        subprocess.CalledProcessError: an image cannot be built.
    """
    variables = {"TAG": version, "REVISION": commit}
    command = ["docker", "compose", "--profile", "*", "build", *IMAGES]
    subprocess.run(command, cwd=root, env={**os.environ, **variables}, check=True)


def copy_components(version: str, out: Path) -> None:
    """Copies the list of components of each image to `out/image-NAME.cdx.json`."""
    for image in IMAGES.values():
        name = image.rpartition("/")[2]
        words = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "sh"]
        found = _output([*words, f"{image}:{version}", "-c", "cat /usr/share/sbom/*.cdx.json"])
        (out / f"image-{name}.cdx.json").write_bytes(found)


def _output(command: Sequence[str]) -> bytes:
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
