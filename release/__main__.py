"""Makes a release of the commit that is checked out: `make release`.

python -m release --cyclonedx .venv/sbom/bin/cyclonedx-py

The folder dist/VERSION gets wheels and source distributions of the package and of its Python
client, all committed files, the documentation site, the lists of components, and SHA256SUMS. It is
built from the committed files alone, and exists complete or not at all. Images are a part of it, so
that a release is refused where no Docker engine answers, unless `--images no` leaves them out.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

from cyclopts import Parameter

from release import artifacts, images
from release.artifacts import Source, compressed
from release.checkout import Checkout
from release.versions import problems, version_of
from training.cli import run, say
from training.errors import TrainingError
from training.stage import whole_folder

ROOT = Path(__file__).parents[1]
PACKAGE = "distilled-recommender"


class ReleaseError(TrainingError):
    """A release that cannot be made; the message has all reasons."""


def command(
    *,
    root: Annotated[Path, Parameter(help="The checkout to release.")] = ROOT,
    dist: Annotated[Path, Parameter(help="Folder of all releases.")] = Path("dist"),
    cyclonedx: Annotated[
        Path | None, Parameter(help="Path of cyclonedx-py; without it, no lists of components.")
    ] = None,
    with_images: Annotated[
        Literal["yes", "no"],
        Parameter(name="--images", help="Whether images are built, by a Docker engine."),
    ] = "yes",
) -> None:
    """Make the files and images of a release; nothing is uploaded."""
    checkout, version = Checkout(root), version_of(root)
    out = dist.absolute() / version
    refuse_problems(checkout, version, out, images_wanted=with_images == "yes")
    with TemporaryDirectory() as name, whole_folder(out) as building:
        source = Source(Path(name), checkout.seconds)
        checkout.extract(source.folder)
        build_files(checkout, source, building, f"{PACKAGE}-{version}", cyclonedx)
        if with_images == "yes":
            make_images(checkout, version, building)
        else:
            shown = images.build_command(version, checkout.commit)
            say(f"no images, as asked; this builds them: {shown}")
        artifacts.write_checksums(building)
    for line in (out / artifacts.CHECKSUMS).read_text(encoding="utf-8").splitlines():
        say(line)
    say(f"{out}: release {version} of commit {checkout.commit[:12]}")


def refuse_problems(checkout: Checkout, version: str, out: Path, *, images_wanted: bool) -> None:
    """Raises ReleaseError with all reasons why the checkout cannot be released into `out`."""
    found = [*problems(checkout.root), *checkout.problems(version)]
    if out.exists():
        found.append(f"{out} exists, and a release is never overwritten; move it away")
    if images_wanted and not images.engine_answers():
        found.append("no Docker engine answers, to build its images; --images no leaves them out")
    if found:
        raise ReleaseError(f"{version} cannot be released: {'; '.join(found)}")


def build_files(
    checkout: Checkout, source: Source, out: Path, name: str, cyclonedx: Path | None
) -> None:
    """Writes all files of the release but the checksums into `out`, and says what it does."""
    say("files of the commit")
    tree = compressed(checkout.archive(), source.seconds)
    (out / f"{name}-repository.tar.gz").write_bytes(tree)
    _step("packages", lambda: artifacts.build_packages(source, out))
    _step("documentation site", lambda: artifacts.build_site(source, out, f"{name}-site.tar.gz"))
    if cyclonedx:
        program = cyclonedx.absolute()
        _step("lists of components", lambda: artifacts.list_components(source, out, program))
    else:
        say("no lists of components: --cyclonedx names no program")


def make_images(checkout: Checkout, version: str, out: Path) -> None:
    """Builds the images and copies their lists of components."""
    _step("images", lambda: images.build_images(checkout.root, version, checkout.commit))
    _step("the images' components", lambda: images.copy_components(version, out))


def _step(name: str, build: Callable[[], None]) -> None:
    """Runs a step; its failure becomes a ReleaseError with the last lines of its messages."""
    say(name)
    try:
        build()
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        raise ReleaseError(f"{name}: {error.cmd[0]} fails: {' '.join(lines[-5:])}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    return run(command, "release", arguments)


if __name__ == "__main__":
    sys.exit(main())
