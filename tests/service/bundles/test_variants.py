"""Several variants side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.settings import Settings

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio


@pytest.fixture
def variants(save_bundle_with: Callable[..., Path]) -> Settings:
    one, two = save_bundle_with(name="a"), save_bundle_with(name="b", scale=-1)
    return Settings(variants=f"one={one}:3, two={two}:1")


async def test_a_session_keeps_its_variant_and_shares_follow_the_weights(
    variants: Settings, connect: "Connect"
) -> None:
    async def variant_of(client: httpx.AsyncClient, session_id: int) -> Any:
        path = f"/v1/sessions/{session_id}/recommendations"
        answer = (await client.get(path)).json()
        by_body = await client.post("/v1/recommendations", json={"session_id": str(session_id)})
        assert by_body.json()["variant"] == answer["variant"]
        return answer["variant"]

    async with connect(variants) as client:
        assigned = [await variant_of(client, number) for number in range(300)]
        control = await client.post("/v1/recommendations", json={"history": ["c"]})
        metrics = (await client.get("/metrics")).text
    async with connect(variants) as client:
        assert [await variant_of(client, number) for number in range(300)] == assigned
    assert control.json()["variant"] == "one"
    assert 0.65 < assigned.count("one") / 300 < 0.85
    answered = 2 * assigned.count("two")
    assert (
        f'recommender_answers_total{{degraded="false",source="popular",variant="two"}} {answered}.0'
    ) in metrics
