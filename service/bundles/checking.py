"""Checks bundles in a child process, before this process loads them.

The graphs of a bundle are programs: they may run for ever, use all memory or crash onnxruntime. If
this happens in a child process, the bundle is refused, and the service goes on. A bundle that has
passed is not checked again on this machine: an empty marker file, named by a hash, records this.
"""

import asyncio
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakValueDictionary

import anyio
import onnxruntime as ort

from export.contract.bundle import BundleError, BundleLayout, Trust
from export.contract.folders import readable_folder
from export.contract.layout import MAX_MANIFEST_SIZE
from export.contract.publish import trust_of
from export.contract.reading import read_file
from service.ranking.onnx_session import CPU
from service.settings import Settings

_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV")
"""Environment variables of this process that the child process gets; none holds a secret."""


class _Turn(asyncio.Lock):
    """The right to check one bundle.

    Attributes:
        refusal: why the last check refused the bundle, for the calls that waited for it.
    """

    refusal: BundleError | None = None


class BundleChecks:
    """Checks bundles by loading them in a child process; remembers the bundles that have passed."""

    def __init__(
        self,
        max_k: int,
        seconds: float,
        stamps: Path | None = None,
        trust: Trust | None = None,
        providers: Sequence[str] = CPU,
    ) -> None:
        """Sets up the checks.

        Args:
            max_k: maximum number of items that a check ranks.
            seconds: maximum time of one check, in seconds.
            stamps: folder of the marker files, which only this user may write; None: a folder of
                this user in the system's folder for temporary files.
            trust: accepts or refuses a manifest by its signature, even if the bundle has passed
                before; None: a bundle needs no signature.
            providers: names of onnxruntime's execution providers, the preferred one first.
        """
        self.trust = trust
        self.providers = providers
        self._max_k = max_k
        self._seconds = seconds
        self._stamps = _default_stamps() if stamps is None else stamps
        self._passed: set[str] = set()
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

    def has_passed(self, folder: Path) -> bool:
        """Returns whether the bundle in `folder` has passed a check on this machine.

        Raises:
            BundleError: the bundle's manifest cannot be read, or its signature is not accepted.
        """
        key = self._key(folder)
        if key not in self._passed and (self._stamps / key).is_file() and _is_own(self._stamps):
            self._passed.add(key)
        return key in self._passed

    def check(self, folder: Path) -> None:
        """Checks the bundle in `folder` in a child process, unless it has passed before.

        Raises:
            BundleError: the bundle is refused, or its check took too long or crashed.
        """
        if self.has_passed(folder):
            return
        key = self._key(folder)
        try:
            done = subprocess.run(  # noqa: S603 - this program
                self._command(folder),
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._late(folder) from None
        self._conclude(folder, key, done)

    async def check_async(self, folder: Path) -> None:
        """Checks the bundle in `folder` in a child process, without blocking the event loop.

        Does nothing if the bundle has passed before. A call that waits for another one that checks
        the same bundle shares its result. Kills the child if cancelled.

        Raises:
            BundleError: the bundle is refused, or its check took too long or crashed.
        """
        if await anyio.to_thread.run_sync(self.has_passed, folder):
            return
        key = await anyio.to_thread.run_sync(self._key, folder)
        # Many clients may activate one bundle at once; a child for each would take all memory.
        turn = self._turns.setdefault(key, _Turn())
        has_waited = turn.locked()
        async with turn:
            if key in self._passed:
                return
            if has_waited and turn.refusal:
                raise BundleError(str(turn.refusal))
            turn.refusal = None  # none if the check is cancelled
            try:
                await self._check_in_child(folder, key)
            except BundleError as error:
                turn.refusal = error
                raise

    async def _check_in_child(self, folder: Path, key: str) -> None:
        try:
            with anyio.fail_after(self._seconds):
                done = await anyio.run_process(
                    self._command(folder),
                    env=_environment(),
                    stderr=subprocess.DEVNULL,
                    check=False,
                )
        except TimeoutError:
            raise self._late(folder) from None
        await anyio.to_thread.run_sync(self._conclude, folder, key, done)

    def _key(self, folder: Path) -> str:
        """Returns the name of the marker file, which exists if the bundle in `folder` has passed.

        The name is a hash of everything that can change the result of the check. It covers the
        manifest, `max_k`, the execution providers, the versions of Python and onnxruntime, and the
        time of the last change of `loading.py`.

        Raises:
            BundleError: the manifest cannot be read, or its signature is not accepted.
        """
        manifest = BundleLayout(readable_folder(folder.resolve())).manifest
        content = read_file(manifest, MAX_MANIFEST_SIZE)
        if self.trust is not None:
            self.trust.verify(manifest, content)
        digest = hashlib.sha256(content)
        digest.update(f"{ort.__version__} {sys.version} {self._max_k} {_program_time()}".encode())
        digest.update(",".join(self.providers).encode())
        return digest.hexdigest()

    def _command(self, folder: Path) -> list[str]:
        numbers = (str(self._max_k), str(self._seconds), str(os.getpid()))
        arguments = (str(folder), *numbers, *self.providers)
        return [sys.executable, "-m", "service.bundles.child", *arguments]

    def _conclude(self, folder: Path, key: str, done: "subprocess.CompletedProcess[bytes]") -> None:
        if done.returncode == -signal.SIGALRM:
            raise self._late(folder)
        try:
            # The last line: an execution provider may write to the standard output before.
            verdict = json.loads(done.stdout.splitlines()[-1])
        except (ValueError, IndexError):
            reason = f"its check ended with exit code {done.returncode}"
            raise BundleError(f"{folder}: {reason}") from None
        if verdict:
            raise BundleError(verdict["refused"])
        if key != self._key(folder):
            raise BundleError(f"{folder}: changed while it was checked")
        self._passed.add(key)
        self._write_stamp(key)

    def _late(self, folder: Path) -> BundleError:
        return BundleError(
            f"{folder}: not loaded and checked within {self._seconds:g} s (LOAD_SECONDS)"
        )

    def _write_stamp(self, key: str) -> None:
        try:
            self._stamps.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_own(self._stamps):
                (self._stamps / key).touch(mode=0o600)
        except OSError:
            return  # the folder cannot be written: every process checks for itself


def checks_of(settings: Settings) -> BundleChecks:
    """Makes BundleChecks from the settings; reads the file of BUNDLE_PUBLIC_KEYS once.

    Raises:
        BundleError: the file of public keys cannot be used.
    """
    trust = trust_of(settings.bundle_public_keys)
    return BundleChecks(
        settings.max_k, settings.load_seconds, trust=trust, providers=settings.providers
    )


def _default_stamps() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"distilled-recommender-{user}-checked-bundles"


def _is_own(folder: Path) -> bool:
    """Returns whether `folder` is no symlink, and this user owns it and alone may write to it."""
    status = folder.lstat()
    is_mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return stat.S_ISDIR(status.st_mode) and is_mine and not status.st_mode & 0o022


def _program_time() -> float:
    """Returns the Unix time of the last change of `loading.py`, whose code checks a bundle."""
    from service.bundles import loading

    return Path(loading.__file__).stat().st_mtime


def _environment() -> dict[str, str]:
    found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return found | one_thread | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
