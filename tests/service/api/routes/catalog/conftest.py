from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.settings import Settings

if TYPE_CHECKING:
    from tests.service.conftest import Connect


@pytest.fixture
def max_edited_items() -> int:
    return 2


@pytest.fixture(params=["file", "redis"])
def settings(
    request: pytest.FixtureRequest, bundle_path: Path, tmp_path: Path, max_edited_items: int
) -> Settings:
    """Settings of a service whose items are in a file or in Redis, few of each kind at most."""
    chosen: dict[str, Any] = {"bundle_path": bundle_path, "items_path": tmp_path / "items.jsonl"}
    if request.param == "redis":
        chosen |= {"redis_url": request.getfixturevalue("redis_server").url}
    limits = {"max_added_items": 2, "max_edited_items": max_edited_items}
    return Settings.model_validate({**chosen, **limits, "items_poll_seconds": 0.05})


@pytest.fixture
async def client(settings: Settings, connect: "Connect") -> AsyncIterator[httpx.AsyncClient]:
    async with connect(settings) as client:
        yield client
