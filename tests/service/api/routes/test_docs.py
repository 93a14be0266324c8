import re

import httpx
import pytest

pytestmark = pytest.mark.anyio


async def test_the_docs_load_only_from_this_service(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    addresses = re.findall(r"""(?:src|href|url)\W+["']([^"']+)""", page)
    assert len(addresses) >= 4
    for address in addresses:
        assert address.startswith("/")
        assert (await client.get(address)).is_success


async def test_an_unknown_file_of_the_docs_is_a_problem(client: httpx.AsyncClient) -> None:
    response = await client.get("/docs/nothing.js")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
