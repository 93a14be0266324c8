"""Builds the files of a release from a folder of committed files.

All of them are reproducible: the same commit and tools give the same bytes. Times in them are that
of the commit, which the tools read from the environment variable SOURCE_DATE_EPOCH.
"""

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from release.versions import CLIENT

CHECKSUMS = "SHA256SUMS"
LOCKS: Mapping[str, Sequence[str]] = {
    "service": ("service-trace",),
    "training": ("training", "torch"),
}
"""Locks of the packages that each list of components has."""


@dataclass(frozen=True)
class Source:
    """The committed files of a release.

    Attributes:
        folder: folder with the files.
        seconds: time of the commit, in seconds since 1970.
    """

    folder: Path
    seconds: int

    def run(self, folder: Path, *command: str | Path) -> None:
        """Runs a command in `folder`, with the time of the commit and the modules of the source.

        Raises:
            subprocess.CalledProcessError: the command fails; `stderr` has its messages.
        """
        variables = {
            "SOURCE_DATE_EPOCH": str(self.seconds),
            "PYTHONPATH": str(self.folder),
            "NO_MKDOCS_2_WARNING": "1",
        }
        subprocess.run(
            command, cwd=folder, env={**os.environ, **variables}, capture_output=True, check=True
        )


def build_packages(source: Source, out: Path) -> None:
    """Writes wheel and source distribution of the package and of its Python client into `out`."""
    for folder in (source.folder, (source.folder / CLIENT).parent):
        source.run(folder, sys.executable, "-m", "hatchling", "build", "--directory", out)


def build_site(source: Source, out: Path, name: str) -> None:
    """Builds the documentation site and packs it as the file `out/NAME`; a warning is an error."""
    site = source.folder / "build" / "site"
    source.run(  # without --quiet, which hides warnings from --strict
        source.folder,
        *(sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site),
    )
    (out / name).write_bytes(compressed(packed(site, source.seconds), source.seconds))


def list_components(source: Source, out: Path, cyclonedx: Path) -> None:
    """Writes a list in CycloneDX's format for each entry of `LOCKS`, by the program `cyclonedx`.

    A list has the locked packages with the hashes of their wheels.
    """
    for name, locks in LOCKS.items():
        texts = [(source.folder / "locks" / f"{lock}.txt").read_text("utf-8") for lock in locks]
        lock = source.folder / f"{name}.txt"
        lock.write_text("\n".join(texts), encoding="utf-8")
        source.run(
            source.folder,
            *(cyclonedx, "requirements", "--output-reproducible", "--spec-version", "1.6"),
            *("--pyproject", "pyproject.toml", "--output-file", out / f"{name}.cdx.json", lock),
        )


def packed(folder: Path, seconds: int) -> bytes:
    """Returns the files of `folder` as an uncompressed tar archive; `seconds` is their time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            content = path.read_bytes()
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size, entry.mtime, entry.mode = len(content), seconds, 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def compressed(content: bytes, seconds: int) -> bytes:
    """Returns `content` compressed by gzip, with the time `seconds` and no name of a file."""
    return gzip.compress(content, mtime=seconds)


def write_checksums(out: Path) -> None:
    """Writes the SHA-256 of each file of `out` to SHA256SUMS there, in the format of sha256sum."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(out).as_posix()}\n"
        for path in sorted(out.rglob("*"))
        if path.is_file()
    ]
    (out / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
