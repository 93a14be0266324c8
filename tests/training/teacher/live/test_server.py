import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from training import serve_teacher
from training.settings.experiment import load_experiment
from training.teacher.live.backends import load_live_teacher
from training.teacher.live.server import MAX_WAITING, create_app
from training.teacher.live.teacher import LiveAnswer, LiveTeacher
from training.workplace import Workplace

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def client(live_teacher: LiveTeacher) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(live_teacher, threads=1)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://teacher") as client,
    ):
        yield client


async def test_a_history_is_answered_by_the_teacher(
    client: httpx.AsyncClient, live_teacher: LiveTeacher
) -> None:
    body = {"history": ["i1", "i2"], "k": 3, "exclude": ["i5"]}
    answer = (await client.post("/recommendations", json=body)).json()
    assert answer.pop("seconds") > 0
    expected = live_teacher.recommend(["i1", "i2"], 3, ["i5"])
    assert answer == {
        "teacher_version": live_teacher.version,
        "item_ids": expected.item_ids,
        "distances": expected.distances,
        "tokens": expected.tokens,
        "generated_text": None,
    }


async def test_the_response_contains_the_generated_text(prepared: Callable[[str], Path]) -> None:
    experiment = prepared('kind = "generative"')
    workplace = Workplace(experiment.parent / "work" / "chain")
    teacher = load_live_teacher(load_experiment(experiment), workplace)
    expected = teacher.recommend(["i1", "i2"], 3, [])
    app = create_app(teacher, threads=1)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://teacher") as client,
    ):
        body = {"history": ["i1", "i2"], "k": 3}
        answer = (await client.post("/recommendations", json=body)).json()
    assert answer["generated_text"] == expected.generated_text is not None
    assert answer["item_ids"] == expected.item_ids


async def test_titles_are_embedded(client: httpx.AsyncClient, live_teacher: LiveTeacher) -> None:
    answer = (await client.post("/embeddings", json={"titles": ["Heat", "Up"]})).json()
    assert answer["embeddings"] == live_teacher.embed(["Heat", "Up"]).tolist()
    assert answer["teacher_version"] == live_teacher.version


async def test_readiness_names_the_loaded_teacher(
    client: httpx.AsyncClient, live_teacher: LiveTeacher
) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {
        "status": "ready",
        "model": live_teacher.name,
        "teacher_version": live_teacher.version,
        "num_items": 12,
    }


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/recommendations", {"history": []}, "history: List should have at least 1 item"),
        ("/recommendations", {"history": ["x"]}, "history: none of the 1 ids is in the teacher's"),
        ("/recommendations", {"history": ["i1"], "k": 0}, "k: Input should be greater"),
        ("/recommendations", {"history": ["i1"], "top": 3}, "top: Extra inputs"),
        ("/embeddings", {"titles": [""]}, "titles.0: String should have at least 1"),
        ("/embeddings", {"titles": ["x"] * 65}, "titles: List should have at most 64"),
    ],
)
async def test_an_invalid_field_is_named(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], detail: str
) -> None:
    response = await client.post(path, json=body)
    assert (response.status_code, response.headers["content-type"]) == (
        422,
        "application/problem+json",
    )
    assert response.json()["detail"].startswith(detail)


async def test_a_request_beyond_the_queue_is_turned_away(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()

    def wait(*_: object, **__: object) -> LiveAnswer:
        free.wait()
        return LiveAnswer([], [], 0)

    monkeypatch.setattr(LiveTeacher, "recommend", wait)
    requests = {asyncio.create_task(ask(client)) for _ in range(MAX_WAITING + 1)}
    first, waiting = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
    free.set()
    (turned_away,) = [task.result() for task in first]
    assert (turned_away.status_code, turned_away.headers["retry-after"]) == (503, "1")
    assert "16 requests are waiting" in turned_away.json()["detail"]
    assert {response.status_code for response in await asyncio.gather(*waiting)} == {200}


async def test_an_internal_error_reveals_no_details(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Sequence[str]:
        raise RuntimeError("secret")

    monkeypatch.setattr(LiveTeacher, "recommend", fail)
    response = await ask(client)
    assert (response.status_code, "secret" in response.text) == (500, False)


async def ask(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/recommendations", json={"history": ["i1"], "k": 3})


async def test_a_server_without_knowledge_does_not_start(
    taught: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = taught.parent / "work"
    (work / "chain" / "knowledge" / "matcher.safetensors").unlink()
    assert serve_teacher.main([str(taught), "--work", str(work)]) == 2
    problem = capsys.readouterr().err
    assert "matcher.safetensors: missing; make it with `" in problem
    assert "CONFIG --again`" in problem
