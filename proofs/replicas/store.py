"""A store that speaks S3, in a process, and publishers that fail in their ways."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from export.contract.addresses.object_store import ObjectStore
from proofs.fixtures.processes.waiting import free_port, wait_until

BUCKET = "bundles"
TORN = "model.onnx"


@contextmanager
def s3_store() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Context manager that runs moto's S3; yields an address in it and the environment to use it.

    Raises:
        RuntimeError: the server ended at its start.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(url, process))
        httpx.put(f"{url}/{BUCKET}", trust_env=False).raise_for_status()
        yield (
            f"s3://{BUCKET}/shop",
            {
                "AWS_ENDPOINT_URL": url,
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "anybody",
                "AWS_SECRET_ACCESS_KEY": "anything",
                "AWS_REGION": "us-east-1",
            },
        )
    finally:
        process.terminate()
        process.wait()


def _answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"moto's server ended with exit code {process.returncode}")
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


class _Wrapped:
    """A store whose other methods are those of `store`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Torn(_Wrapped):
    """A store at which the upload of the model ends in the middle, and nobody notices."""

    def upload(self, name: str, path: Path) -> None:
        """Uploads a file; of a model, its first half."""
        with TemporaryDirectory() as folder:
            part = Path(shutil.copy(path, folder))
            if name.endswith(TORN):
                part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
            self._store.upload(name, part)


class Raced(_Wrapped):
    """A store to which somebody else publishes while a bundle is uploaded."""

    def __init__(self, store: ObjectStore, publish: Callable[[], object]) -> None:
        """`publish`: what somebody else does, before the upload of the manifest ends."""
        super().__init__(store)
        self._publish = publish

    def upload(self, name: str, path: Path) -> None:
        """Uploads a file."""
        self._store.upload(name, path)
        if name.endswith("manifest.json"):
            self._publish()
