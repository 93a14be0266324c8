import httpx
import pytest

pytestmark = pytest.mark.anyio


async def test_the_model_route_shows_the_manifest(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/v1/model")).json()
    assert (answer["student"], answer["num_items"]) == ("ring", 8)
    assert answer["metrics"] == {"NDCG@20": 0.5}
    assert answer["provenance"] == {"made_by": "tests"}
    assert (answer["origin"], answer["protocol"], answer["trained_until"]) == (
        "distilled",
        "validation",
        1_000_209_600_000,
    )
    assert [(each["row"], each["low"]) for each in answer["figures"]] == [("popularity", 0.25)]
    assert (answer["verdict"], answer["scorer"]) == ("It is above popularity.", None)
    assert answer["variants"] == [
        {
            "variant": "default",
            "weight": 1,
            "model_version": answer["model_version"],
            "bundle": "bundle",
            "previous_bundle": None,
            "refused": None,
        }
    ]


async def test_the_process_is_alive(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}


async def test_a_started_service_is_ready_and_names_its_model(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/readyz")).json()
    assert answer.pop("model_version")
    assert answer == {
        "status": "ready",
        "degraded": False,
        "history_store": "reachable",
        "history_writes": "working",
        "last_write_at": None,
        "teacher": "none",
    }
