"""The service of tests/service, for its metrics."""

from tests.service.conftest import anyio_backend, bundle_path, connect

__all__ = ["anyio_backend", "bundle_path", "connect"]
