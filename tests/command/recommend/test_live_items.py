"""With `--live-items`, a whole base gets the items of a running service: added, hidden, changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from anyio.to_thread import run_sync as in_thread

from distilled_recommender.recommend.live_items import LiveItems, keep, kept_or_present
from distilled_recommender.recommend.parts import Parts
from export.contract.bundle import Item
from service.app import create_app
from service.settings import Settings
from service.stores.items.edits import ItemEdit
from service.stores.items.protocol import AddedItem
from service.stores.opening import open_item_store
from tests.command.recommend.test_recommend import BUNDLE, films, run
from training.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EMBEDDING_SIZE = 576
NEW = AddedItem(
    Item("new", "Toy Story 5 (2026)", attributes={"genres": ["Comedy"]}),
    np.ones(EMBEDDING_SIZE, "<f4").tobytes(),
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def items_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the service and the command keep added items and edits, without a Redis."""
    path = tmp_path / "added-items.jsonl"
    monkeypatch.setenv("ITEMS_PATH", str(path))
    return path


@pytest.fixture
async def client(items_path: Path) -> "AsyncIterator[httpx.AsyncClient]":
    """The service on films, with an added item."""
    settings = Settings(bundle_path=BUNDLE, items_path=items_path)
    store = open_item_store(settings)
    await store.put(NEW)
    await store.close()
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as found,
    ):
        yield found


def answers(path: Path) -> tuple[list[list[str]], list[list[float]]]:
    table = pq.read_table(path)
    return table.column("item_ids").to_pylist(), table.column("scores").to_pylist()


@pytest.mark.anyio
async def test_answers_have_the_added_items_and_edits_of_the_service(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    histories = films(tmp_path / "in.parquet", 60)
    assert run(BUNDLE, histories, tmp_path / "before.parquet", "--k", "3") == 0
    best = answers(tmp_path / "before.parquet")[0][1][0]
    changes: dict[str, dict[str, Any]] = {
        best: {"hidden": True},
        "new": {"attributes": {"shelf": ["front"]}},
    }
    for item_id, change in changes.items():
        (await client.patch(f"/v1/items/{item_id}", json=change)).raise_for_status()

    options = ("--k", "3", "--live-items")
    assert await in_thread(run, BUNDLE, histories, tmp_path / "all.parquet", *options) == 0
    shelf = (*options, "--allow", "shelf=front")
    assert await in_thread(run, BUNDLE, histories, tmp_path / "shelf.parquet", *shelf) == 0

    lists, scores = answers(tmp_path / "all.parquet")
    assert all(best not in each for each in lists)
    for row, history in enumerate(pq.read_table(histories).column("history").to_pylist()):
        answer = await client.post("/v1/recommendations", json={"history": history, "k": 3})
        items = answer.raise_for_status().json()["items"]
        assert lists[row] == [each["item_id"] for each in items]
        assert scores[row] == pytest.approx([each["score"] for each in items], abs=1e-5)
    assert {tuple(each) for each in answers(tmp_path / "shelf.parquet")[0]} == {("new",)}


@pytest.mark.usefixtures("items_path")
def test_a_run_that_goes_on_has_the_items_that_it_began_with(tmp_path: Path) -> None:
    hidden = LiveItems(edits={"260": ItemEdit("260", hidden=True)})
    out = tmp_path / "out.parquet"
    kept = Parts(out).folder / "live-items.json"
    kept.parent.mkdir()
    kept.write_bytes(hidden.to_json())

    histories = films(tmp_path / "in.parquet", 60)
    assert run(BUNDLE, histories, out, "--live-items") == 0
    assert run(BUNDLE, histories, tmp_path / "anew.parquet", "--live-items") == 0

    assert any("260" in each for each in answers(tmp_path / "anew.parquet")[0])
    assert all("260" not in each for each in answers(out)[0])


def test_items_are_the_same_after_they_were_kept(tmp_path: Path) -> None:
    items = LiveItems({"new": NEW}, {"260": ItemEdit("260", title="Krieg der Sterne")})
    keep(items, tmp_path / "kept.json")
    assert kept_or_present(tmp_path / "kept.json") == items
    assert items.fingerprint != LiveItems({"new": NEW}).fingerprint


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"added": [{}], "edits": []}'])
def test_damaged_kept_items_are_told(content: str, tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text(content)
    with pytest.raises(ConfigError, match=r"kept\.json: damaged"):
        kept_or_present(tmp_path / "kept.json")


def test_a_store_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    histories = films(tmp_path / "in.parquet", 3)
    assert run(BUNDLE, histories, tmp_path / "out.parquet", "--live-items") == 2
    assert "--live-items: " in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.usefixtures("items_path")
def test_a_run_that_was_refused_keeps_no_items(tmp_path: Path) -> None:
    histories, out = films(tmp_path / "in.parquet", 3), tmp_path / "out.parquet"
    assert run(BUNDLE, histories, out, "--live-items", "--allow", "shelf=front") == 2
    assert not Parts(out).folder.exists()


@pytest.mark.usefixtures("items_path")
def test_the_number_of_live_items_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.parquet"
    other_size = AddedItem(Item("odd", "Odd"), np.ones(4, "<f4").tobytes())
    items = LiveItems({"new": NEW, "odd": other_size}, {"260": ItemEdit("260", hidden=True)})
    Parts(out).folder.mkdir()
    keep(items, Parts(out).folder / "live-items.json")
    assert run(BUNDLE, films(tmp_path / "in.parquet", 3), out, "--live-items") == 0
    told = "live items: 1 of 2 added ones that fit this bundle, 1 edits"
    assert told in capsys.readouterr().out


def test_a_wrong_setting_of_the_service_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "http://127.0.0.1")
    histories = films(tmp_path / "in.parquet", 3)
    assert run(BUNDLE, histories, tmp_path / "out.parquet", "--live-items") == 2
    assert "--live-items: the service's settings are wrong" in capsys.readouterr().err
