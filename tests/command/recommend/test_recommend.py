"""A whole base of histories on the ring: after `c` come d, e, f; a and e are vowels."""

import errno
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distilled_recommender.app import main
from distilled_recommender.recommend import program
from distilled_recommender.recommend.parts import Parts
from export.contract.bundle import read_manifest
from export.contract.manifest import render, with_version
from service.app import create_app
from service.settings import Settings
from tests.conftest import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from distilled_recommender.recommend.answers import Answering
    from distilled_recommender.recommend.workers import Task

BUNDLE = Path(__file__).parents[3] / "assets/movielens/bundle"
PATIENCE_SECONDS = TIMEOUT_SECONDS


def save(path: Path, histories: "Sequence[Sequence[str] | None]", **columns: Any) -> Path:
    kind = pa.list_(pa.string())
    pq.write_table(pa.table({**columns, "history": pa.array(histories, kind)}), path)
    return path


def run(bundle: Path, histories: Path, out: Path, *options: str) -> int:
    workers = () if "--workers" in options else ("--workers", "1")
    return main(["recommend", str(bundle), str(histories), str(out), *workers, *options])


def films(path: Path, number: int) -> Path:
    """Histories of films, some of which are unknown."""
    return save(
        path,
        [[str(1 + (7 * row + step) % 500) for step in range(row % 9)] for row in range(number)],
        user=list(range(number)),
    )


def test_each_history_gets_its_items_and_keeps_its_other_columns(tmp_path: Path) -> None:
    histories = save(tmp_path / "in.parquet", [["1196"], [], ["no such"], None], user=[4, 3, 2, 1])
    assert run(BUNDLE, histories, tmp_path / "out.parquet", "--k", "2") == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["user", "item_ids", "scores", "source"]
    assert table.column("user").to_pylist() == [4, 3, 2, 1]
    assert table.column("source").to_pylist() == ["student", "popular", "popular", "popular"]
    assert [len(each) for each in table.column("item_ids").to_pylist()] == [2, 2, 2, 2]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def client_of_films() -> "AsyncIterator[httpx.AsyncClient]":
    """The service on films, in this process."""
    app = create_app(Settings(bundle_path=BUNDLE))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client


@pytest.mark.anyio
async def test_items_and_scores_are_those_of_the_service(
    client_of_films: httpx.AsyncClient, tmp_path: Path
) -> None:
    histories = films(tmp_path / "in.parquet", 100)
    options = ("--k", "5", "--allow", "genres=Comedy", "--allow", "genres=Drama")
    assert run(BUNDLE, histories, tmp_path / "out.parquet", *options, "--deny", "year=1995") == 0
    table = pq.read_table(tmp_path / "out.parquet")
    for history, item_ids, scores in zip(
        pq.read_table(histories).column("history").to_pylist(),
        table.column("item_ids").to_pylist(),
        table.column("scores").to_pylist(),
        strict=True,
    ):
        filters = {"allow": {"genres": ["Comedy", "Drama"]}, "deny": {"year": ["1995"]}}
        body = {"history": history, "k": 5, **filters}
        items = (await client_of_films.post("/v1/recommendations", json=body)).json()["items"]
        assert item_ids == [item["item_id"] for item in items]
        assert scores == pytest.approx([item["score"] for item in items], abs=1e-5)


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_file(
    tmp_path: Path,
) -> None:
    histories = films(tmp_path / "in.parquet", 20_000)
    out, parts = tmp_path / "out.parquet", Parts(tmp_path / "out.parquet")
    command = [sys.executable, "-m", "distilled_recommender", "recommend"]
    with subprocess.Popen(
        [*command, str(BUNDLE), str(histories), str(out), "--workers", "2", "--k", "2"],
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not list(parts.folder.glob("part-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    stored = sorted(parts.folder.glob("part-*"))
    assert stored
    assert not out.exists()
    assert run(BUNDLE, histories, out, "--k", "2") == 0
    assert not parts.folder.exists()
    assert run(BUNDLE, histories, tmp_path / "whole.parquet", "--k", "2") == 0
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def after_the_check(monkeypatch: pytest.MonkeyPatch, change: "Callable[[], object]") -> None:
    """Calls `change` when a run has checked its bundle, before its workers start."""
    missing = program._missing

    def changed(*arguments: Any) -> "Iterator[Task]":
        change()
        return missing(*arguments)

    monkeypatch.setattr(program, "_missing", changed)


def test_a_run_keeps_to_the_bundle_that_a_link_pointed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, histories = tmp_path / "active", films(tmp_path / "in.parquet", 3)
    link.symlink_to(BUNDLE)
    after_the_check(monkeypatch, link.unlink)
    assert run(link, histories, tmp_path / "out.parquet") == 0


def test_a_bundle_that_was_replaced_during_a_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, histories = tmp_path / "bundle", films(tmp_path / "in.parquet", 3)
    shutil.copytree(BUNDLE, bundle)
    version = read_manifest(bundle).model_version
    after_the_check(monkeypatch, lambda: relabel(bundle))
    assert run(bundle, histories, tmp_path / "out.parquet") == 2
    assert f"is not the bundle {version!r} that this run began with" in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()


def relabel(bundle: Path) -> None:
    """Gives a bundle the version of another one."""
    manifest = replace(read_manifest(bundle), student="another")
    (bundle / "manifest.json").write_bytes(render(with_version(manifest)))


def test_parts_of_another_question_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    histories, out = films(tmp_path / "in.parquet", 3), tmp_path / "out.parquet"
    with Parts(out).open("the stamp of another run"):
        pass
    assert run(BUNDLE, histories, out) == 2
    assert "remove this folder to begin anew" in capsys.readouterr().err


def test_of_two_runs_for_one_file_the_second_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    histories, out = films(tmp_path / "in.parquet", 3), tmp_path / "out.parquet"
    with Parts(out).open("the stamp of another run"):
        assert run(BUNDLE, histories, out) == 2
    assert f"{out}: another run writes this file" in capsys.readouterr().err


def test_a_full_disk_is_told_on_one_line_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    histories, out = films(tmp_path / "in.parquet", 0), tmp_path / "out.parquet"

    def full(_: object, path: Path, **__: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    assert run(BUNDLE, histories, out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {out} is not finished: ")
    assert "No space left on device" in line
    assert [each.name for each in Parts(out).folder.iterdir()] == ["stamp"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--k", "0"], "--k: must be from 1 to 20,000,000, not 0"),
        (["--k", f"{10**30}"], f"--k: must be from 1 to 20,000,000, not {10**30}"),
        (["--allow", "genres"], "--allow: 'genres' is not of the form NAME=VALUE"),
        (["--deny", "colour=red"], "--deny.colour: no item has this attribute"),
        (["--workers", "-1"], 'Invalid value "-1" for --workers. Must be >= 1.'),
        (["--workers", "0"], 'Invalid value "0" for --workers. Must be >= 1.'),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    options: "Sequence[str]", message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(BUNDLE, films(tmp_path / "in.parquet", 3), tmp_path / "out.parquet", *options) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_a_file_without_histories_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"history": [1, 2]}), tmp_path / "in.parquet")
    assert run(BUNDLE, tmp_path / "in.parquet", tmp_path / "out.parquet") == 2
    assert "needs a column 'history' of lists of strings" in capsys.readouterr().err
    assert run(BUNDLE, tmp_path / "no such", tmp_path / "out.parquet") == 2


def test_a_file_with_two_columns_of_histories_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    column = pa.array([["260"]])
    pq.write_table(pa.table([column, column], ["history", "history"]), tmp_path / "in.parquet")
    assert run(BUNDLE, tmp_path / "in.parquet", tmp_path / "out.parquet") == 2
    assert "of lists of strings, only one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "kind",
    [
        pa.large_list(pa.large_string()),
        pa.list_(pa.string(), 2),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
        pa.list_view(pa.string_view()),
    ],
    ids=str,
)
def test_lists_of_texts_are_histories_however_they_are_stored(
    kind: pa.DataType, tmp_path: Path
) -> None:
    lists = [["260", "1196"], ["1196", "260"]]
    table = pa.table({"history": pa.array(lists, kind)})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=1)
    with program._opened(tmp_path / "in.parquet") as file:
        (table,) = program._tables(file, 2)
    assert table.column("history").to_pylist() == lists


def test_an_empty_file_gives_an_empty_file(tmp_path: Path) -> None:
    paths = (str(films(tmp_path / "in.parquet", 0)), str(tmp_path / "out.parquet"))
    assert main(["recommend", str(BUNDLE), *paths]) == 0, "with a worker per core"
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


def test_parts_have_the_same_rows_whatever_the_row_groups(tmp_path: Path) -> None:
    table = pa.table({"history": pa.array([[str(each)] for each in range(25)])})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=7)
    tables = list(program._tables(pq.ParquetFile(tmp_path / "in.parquet"), 10))
    assert [len(each) for each in tables] == [10, 10, 5]
    assert pa.concat_tables(tables).equals(table)


def test_parts_of_long_lists_have_fewer_histories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories, out = films(tmp_path / "in.parquet", 50), tmp_path / "out.parquet"
    rows: list[int] = []
    write = Parts.write

    def counted(parts: Parts, number: int, table: pa.Table) -> None:
        rows.append(len(table))
        write(parts, number, table)

    monkeypatch.setattr(program, "_MAX_PART_ITEMS", 20 * 3_496)  # lists of all films
    monkeypatch.setattr(program, "answered", in_this_process)
    monkeypatch.setattr(Parts, "write", counted)
    assert run(BUNDLE, histories, out, "--k", "20000000") == 0
    assert rows == [20, 20, 10]
    assert pq.read_table(out).column("user").to_pylist() == list(range(50))


def in_this_process(
    tasks: "Iterator[Task]", parts: Parts, load: "Callable[[], Answering]", _: int
) -> "Iterator[int]":
    """Answers parts as the worker processes do."""
    answering = load()
    for number, histories in tasks:
        parts.write(number, answering(histories))
        yield len(histories)


def test_memory_for_reading_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path, kind, random = tmp_path / "in.parquet", pa.list_(pa.string()), np.random.default_rng(0)
    with pq.ParquetWriter(path, pa.schema([("history", kind)])) as writer:
        for _ in range(100):
            ids = [[random.bytes(50).hex()] for _ in range(1_000)]
            writer.write_table(pa.table({"history": pa.array(ids, kind)}))
    before = pa.total_allocated_bytes()
    with program._opened(path) as file:
        num_bytes = [pa.total_allocated_bytes() - before for _ in program._tables(file, 8192)]
    assert max(num_bytes) < path.stat().st_size / 2
