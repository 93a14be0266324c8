"""Reads the checkout's state from git: its commit, tags, changes and committed files."""

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

SHOWN_CHANGES = 3  # maximum number of changed files that a message names


@dataclass(frozen=True)
class Checkout:
    """A git working copy.

    Attributes:
        root: its folder.
    """

    root: Path

    @property
    def commit(self) -> str:
        """Hash of the commit that is checked out, 40 hexadecimal digits."""
        return self._git("rev-parse", "HEAD").decode().strip()

    @property
    def seconds(self) -> int:
        """Time of the commit, in seconds since 1970."""
        return int(self._git("log", "-1", "--format=%ct"))

    def problems(self, version: str) -> list[str]:
        """Returns what keeps the commit from being released as `version`."""
        found = []
        changes = self._git("status", "--porcelain").decode().splitlines()
        if changes:
            shown = ", ".join(line[3:] for line in changes[:SHOWN_CHANGES])
            found.append(f"{len(changes)} files are not as committed, such as {shown}; commit them")
        tag = f"v{version}"
        tags = self._git("tag", "--points-at", "HEAD").decode().split()
        if tag not in tags:
            others = ", ".join(tags) or "none"
            found.append(
                f"commit {self.commit[:12]} has not the tag {tag}, but {others}; "
                f"`git tag {tag}` sets it"
            )
        return found

    def archive(self) -> bytes:
        """Returns all committed files as an uncompressed tar archive."""
        return self._git("archive", "--format=tar", "HEAD")

    def extract(self, folder: Path) -> None:
        """Writes all committed files into `folder`."""
        with tarfile.open(fileobj=io.BytesIO(self.archive())) as archive:
            archive.extractall(folder, filter="data")

    def _git(self, *arguments: str) -> bytes:
        command = ["git", "-C", str(self.root), *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
