"""A server with OpenAI's API as title encoder."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Lock, Timer

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tests.conftest import TIMEOUT_SECONDS
from tests.training.teacher.conftest import run_teach
from tests.training.teacher.embeddings_server import (
    EmbeddingsServer,
    embeddings_of,
    vector_of,
)
from training import teach
from training.data.dataset import Dataset
from training.errors import ConfigError, EndpointError, KnowledgeError
from training.knowledge import Knowledge, load_knowledge
from training.settings.endpoint import EndpointConfig
from training.settings.experiment import load_experiment
from training.teacher.encoders import remote
from training.teacher.encoders.encoder import copied_to_duplicates
from training.teacher.encoders.remote import RemoteEncoder
from training.teacher.endpoint import client
from training.teacher.endpoint.client import Endpoint
from training.teacher.live.backends import load_live_teacher
from training.teacher.live.server import create_app
from training.teacher.llm.shards import Cost, Shard, compute_missing
from training.teacher.llm.title_embeddings import stored_embeddings
from training.workplace import Workplace

Prepared = Callable[[str], Path]


@pytest.fixture
def server() -> Iterator[EmbeddingsServer]:
    with EmbeddingsServer() as server:
        yield server


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_SECONDS", 0.01)


def experiment(prepared: Prepared, server: EmbeddingsServer, *lines: str) -> Path:
    """An experiment of a titles teacher by `server`, with five titles a request."""
    endpoint = f'endpoint.base_url = "{server.url}"\nendpoint.titles_per_request = 5'
    path = prepared("\n".join(['kind = "titles"', endpoint, *lines]))
    text = path.read_text().splitlines()
    path.write_text(
        "\n".join('model = "openai:tiny"' if "model =" in line else line for line in text)
    )
    return path


def knowledge_of(path: Path, dataset: Dataset) -> Knowledge:
    return load_knowledge(path.parent / "work" / "chain" / "knowledge-titles", dataset)


def encoder_of(server: EmbeddingsServer, prefix: str = "", **settings: int) -> RemoteEncoder:
    config = EndpointConfig.model_validate(
        {"base_url": server.url, "titles_per_request": 2, "retries": 0, **settings}
    )
    return RemoteEncoder(Endpoint(config), "tiny", prefix)


def embedded(encoder: RemoteEncoder, titles: list[str], folder: Path) -> list[list[float]]:
    work = encoder.plan(titles, folder)
    compute_missing(work)
    found = copied_to_duplicates(stored_embeddings(work, len(titles) + 1), titles)
    rows: list[list[float]] = found.tolist()
    return rows


def test_its_embeddings_become_those_of_the_items_and_its_tokens_are_told(
    prepared: Prepared,
    server: EmbeddingsServer,
    chain_dataset: Dataset,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = run_teach(experiment(prepared, server))

    knowledge = knowledge_of(path, chain_dataset)
    expected = [vector_of(title) for title in chain_dataset.catalog.titles]
    np.testing.assert_array_equal(
        knowledge.item_embeddings, np.array([[0] * 4, *expected]).astype(np.float16)
    )
    assert knowledge.provenance["tokens"] == 120
    assert ", 120 tokens, " in capsys.readouterr().out
    assert sorted(server.answered.values()) == [1] * 12
    assert all(body["model"] == "tiny" for body in server.bodies)


def test_a_killed_server_is_waited_for_and_no_title_is_answered_twice(
    prepared: Prepared,
    server: EmbeddingsServer,
    chain_dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "MAX_PAUSE_SECONDS", 0.05)
    back = Timer(0.3, server.start)

    def killed_after_the_first(texts: list[str]) -> tuple[int, object]:
        if server.requests == 2:
            Timer(0, server.kill).start()
            back.start()
            return 500, "killed"
        return embeddings_of(texts)

    server.answer = killed_after_the_first
    path = run_teach(
        experiment(prepared, server, "endpoint.retries = 1", "endpoint.concurrency = 1")
    )
    back.join()

    assert len(knowledge_of(path, chain_dataset).item_embeddings) == 13
    assert sorted(server.answered.values()) == [1] * 12


def test_a_teacher_that_was_stopped_asks_only_for_titles_that_were_not_answered(
    prepared: Prepared, server: EmbeddingsServer
) -> None:
    path = experiment(prepared, server, "endpoint.retries = 0", "endpoint.outage_seconds = 0")
    server.answer = lambda texts: (400, "no") if server.requests == 3 else embeddings_of(texts)
    work = str(path.parent / "work")
    assert teach.main([str(path), "--work", work]) != 0
    assert sorted(server.answered.values()) == [1] * 10 or len(server.answered) == 7

    assert teach.main([str(path), "--work", work]) == 0

    assert sorted(server.answered.values()) == [1] * 12


def test_a_title_of_several_items_is_sent_once(tmp_path: Path, server: EmbeddingsServer) -> None:
    titles = ["Alien", "エイリアン", "Alien ", "Clue", "Alien"]
    alien, japanese, clue = map(vector_of, ["Alien", "エイリアン", "Clue"])

    found = embedded(encoder_of(server), titles, tmp_path)

    assert found == [[0] * 4, alien, japanese, alien, clue, alien]
    assert server.answered == {"Alien": 1, "エイリアン": 1, "Clue": 1}


def test_titles_are_on_one_line_after_the_prefix_cut_and_never_empty(
    tmp_path: Path, server: EmbeddingsServer
) -> None:
    embedded(encoder_of(server, "query: "), ["a\n b", "", "x" * 1_000], tmp_path)
    assert set(server.answered) == {"query: a b", "query: -", "query: " + "x" * 256}


def test_titles_beyond_the_budget_are_refused_before_the_first_request(
    tmp_path: Path, server: EmbeddingsServer
) -> None:
    with pytest.raises(ConfigError, match=r"budget_tokens = 4: 0 tokens .* left need about 5"):
        encoder_of(server, budget_tokens=4).plan(["a", "b", "c", "d", "e"], tmp_path)
    assert not server.requests


def test_a_server_that_counts_more_tokens_is_stopped_and_a_raised_budget_goes_on(
    tmp_path: Path, server: EmbeddingsServer
) -> None:
    """The server counts 20 tokens a request of two titles, of which 2 were estimated."""
    titles = ["a", "b", "c", "d", "e"]
    with pytest.raises(ConfigError, match=r"budget_tokens = 39: 40 tokens .* needs about 1"):
        embedded(encoder_of(server, budget_tokens=39, concurrency=1), titles, tmp_path)
    assert set(server.answered) == set("abcd")

    found = embedded(encoder_of(server, budget_tokens=50, concurrency=1), titles, tmp_path)

    assert found[1:] == [vector_of(title) for title in titles]
    assert set(server.answered.values()) == {1}


def test_a_server_whose_embeddings_change_their_size_is_refused(
    tmp_path: Path, server: EmbeddingsServer
) -> None:
    embedded(encoder_of(server), ["a", "b"], tmp_path)
    (tmp_path / "titles-00000.json").unlink()
    former = Shard(tmp_path / "titles-00001.npy", [[2]], [1])
    np.save(former.path, np.ones((1, 3)))
    former.write_ledger(Cost(1, 0.1))
    with pytest.raises(KnowledgeError, match="3 numbers, but others have 4; the model has changed"):
        embedded(encoder_of(server), ["a", "b", "c"], tmp_path)


def test_requests_are_sent_together_but_not_more_than_the_settings_allow(
    tmp_path: Path, server: EmbeddingsServer
) -> None:
    under_way, most, lock = 0, 0, Lock()

    def slow(texts: list[str]) -> tuple[int, object]:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1
        return embeddings_of(texts)

    server.answer = slow
    embedded(encoder_of(server, concurrency=3), list("abcdefghijklmnop"), tmp_path)
    assert 1 < most <= 3
    assert server.requests == 8


_INTERRUPTED = """
import signal
import sys
from pathlib import Path

from training.settings.endpoint import EndpointConfig
from training.teacher.encoders.remote import RemoteEncoder
from training.teacher.endpoint.client import Endpoint
from training.teacher.llm.shards import compute_missing

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it
config = EndpointConfig(base_url=sys.argv[1], titles_per_request=1, concurrency=2)
compute_missing(RemoteEncoder(Endpoint(config), "tiny").plan(list("abcdef"), Path(sys.argv[2])))
"""


class Held:
    """Answers in which the server holds the titles `b` to `f` back until they are let go."""

    def __init__(self) -> None:
        self.let_go = Event()

    def __call__(self, texts: list[str]) -> tuple[int, object]:
        if texts != ["a"]:
            self.let_go.wait(TIMEOUT_SECONDS)
        return embeddings_of(texts)


def test_a_program_that_is_interrupted_ends_while_the_server_holds_its_requests(
    tmp_path: Path, server: EmbeddingsServer
) -> None:
    held = server.answer = Held()
    command = [sys.executable, "-c", _INTERRUPTED, server.url, str(tmp_path)]
    try:
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as program:
            try:
                until(lambda: server.requests == 3)
                program.send_signal(signal.SIGINT)
                assert program.wait(TIMEOUT_SECONDS) == -signal.SIGINT
            finally:
                program.kill()
        assert server.requests == 3
    finally:
        held.let_go.set()


def test_an_error_does_not_wait_for_requests_that_the_server_holds(
    tmp_path: Path, server: EmbeddingsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "GRACE_SECONDS", 0.1)
    held = Held()
    server.answer = lambda texts: (400, "no") if texts == ["a"] else held(texts)
    encoder = encoder_of(
        server, titles_per_request=1, concurrency=2, timeout_seconds=TIMEOUT_SECONDS
    )
    with pytest.raises(EndpointError, match="400"):
        embedded(encoder, list("abcdef"), tmp_path)
    assert not server.answered
    held.let_go.set()


def test_what_the_server_answers_soon_after_an_error_is_stored(
    tmp_path: Path, server: EmbeddingsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests are under way when the third fails; four others are not begun."""
    monkeypatch.setattr(remote, "GRACE_SECONDS", TIMEOUT_SECONDS)
    failed = Event()

    def answer(texts: list[str]) -> tuple[int, object]:
        if texts == ["c"]:
            until(lambda: server.requests == 3)
            failed.set()
            return 400, "no"
        failed.wait(TIMEOUT_SECONDS)
        time.sleep(0.2)
        return embeddings_of(texts)

    server.answer = answer
    titles = list("abcdefg")
    with pytest.raises(EndpointError, match="400"):
        embedded(encoder_of(server, titles_per_request=1, concurrency=3), titles, tmp_path)
    assert set(server.answered) == {"a", "b"}

    server.answer = embeddings_of
    embedded(encoder_of(server, titles_per_request=1), titles, tmp_path)

    assert server.answered == dict.fromkeys(titles, 1)


def until(holds: Callable[[], bool]) -> None:
    for _ in range(100 * TIMEOUT_SECONDS):
        if holds():
            return
        time.sleep(0.01)
    raise TimeoutError


def test_titles_of_added_items_are_read_by_the_same_server_which_is_not_waited_for(
    prepared: Prepared, server: EmbeddingsServer
) -> None:
    path = run_teach(experiment(prepared, server, 'title_prefix = "query: "'))
    live = load_live_teacher(load_experiment(path), Workplace(path.parent / "work" / "chain"))
    expected = np.array([vector_of("query: Neuer Titel")], dtype=np.float16)
    with TestClient(create_app(live, 1), raise_server_exceptions=False) as http:
        answer = http.post("/embeddings", json={"titles": ["Neuer Titel"]})
        assert answer.json()["embeddings"] == expected.tolist()
        server.answer = lambda _: (500, "secret")
        answer = http.post("/embeddings", json={"titles": ["Neuer Titel"]})
    assert answer.status_code == 502
    assert "the LLM's server does not answer" in answer.json()["detail"]
    assert server.url not in answer.text


def test_an_unknown_model_is_an_error_with_the_servers_words(
    tmp_path: Path, server: EmbeddingsServer
) -> None:
    server.answer = lambda _: (404, {"error": "no such model"})
    with pytest.raises(EndpointError, match=r"/v1/embeddings: 404 .*no such model"):
        embedded(encoder_of(server), ["a"], tmp_path)
