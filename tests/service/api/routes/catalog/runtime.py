"""The runtime of a service in this process."""

import httpx
from fastapi import FastAPI

from service.runtime import Runtime


def runtime_of(client: httpx.AsyncClient) -> Runtime:
    """Returns the runtime of the service that `client` asks."""
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    app = transport.app
    assert isinstance(app, FastAPI)
    runtime: Runtime = app.state.runtime
    return runtime
