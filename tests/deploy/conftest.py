"""Fixtures of tests/service, for tests that read the metrics of the service."""

from tests.service.conftest import anyio_backend, bundle_path, connect

__all__ = ["anyio_backend", "bundle_path", "connect"]
