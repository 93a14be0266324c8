"""A process serves the tiny Llama; a scripted server misbehaves."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from proofs.fixtures.processes.waiting import free_port
from tests.conftest import TIMEOUT_SECONDS
from training import teach
from training.data.catalog import Catalog
from training.data.dataset import Dataset
from training.errors import ConfigError, EndpointError
from training.knowledge import load_knowledge
from training.settings.experiment import load_experiment
from training.settings.teacher import TeacherConfig
from training.teacher.endpoint import client
from training.teacher.endpoint.client import KEY_VARIABLE
from training.teacher.generative.engine import LocalEngine
from training.teacher.generative.remote_engine import RemoteEngine, remote_engine
from training.teacher.live.backends import load_live_teacher
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.prompts import prompt_builder
from training.workplace import Workplace

CATALOG = Catalog(("a", "b", "c"), ("Alien", "Brazil", "Clue"), ({},) * 3)
PROGRAM = Path(__file__).parents[1] / "llm_server.py"
KEY = "let me in"


def config_of(url: str, **settings: Any) -> TeacherConfig:
    return TeacherConfig.model_validate(
        {
            "kind": "generative",
            "model": "openai:tiny",
            "writing": {"max_new_tokens": 6},
            "endpoint": {"base_url": url, "retries": 2, **settings},
        }
    )


@pytest.fixture(scope="module")
def url(tiny_language_model_path: Path) -> Iterator[str]:
    """Base URL of a running LLM server."""
    port = free_port()
    program = [sys.executable, str(PROGRAM), str(tiny_language_model_path), str(port)]
    environment = {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(program, cwd=Path.cwd(), env=environment)
    try:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(10 * TIMEOUT_SECONDS):
        assert server.poll() is None, "the LLM's server has ended"
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"port {port}")


@pytest.fixture
def local(tiny_language_model: LanguageModel) -> LocalEngine:
    """An engine of the same LLM without a server."""
    builder = prompt_builder(tiny_language_model.tokenizer, CATALOG)
    return LocalEngine(tiny_language_model, builder, config_of("http://nowhere"))


def test_a_server_writes_and_embeds_as_its_llm_does_locally(url: str, local: LocalEngine) -> None:
    remote = RemoteEngine(config_of(url), CATALOG, KEY)
    histories = [(1,), (1, 2, 3), (3, 2)]
    written, expected = remote.write(histories), local.write(histories)
    assert [line.text for line in written] == [line.text for line in expected]
    titles = [*CATALOG.titles] * 30  # more than fit one request
    np.testing.assert_allclose(remote.embed(titles), local.embed(titles), atol=1e-5)


def test_a_chat_endpoint_answers_with_a_title(url: str) -> None:
    remote = RemoteEngine(config_of(url, api="chat"), CATALOG, KEY)
    (written,) = remote.write([(1, 2)])
    assert written.text
    assert "\n" not in written.text
    assert written.tokens > 6


def test_a_teacher_behind_a_server_can_teach_and_be_served_live(
    url: str, prepared: Callable[[str], Path], chain_dataset: Dataset, monkeypatch: Any
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    experiment = prepared(f'kind = "generative"\nendpoint.base_url = "{url}"')
    lines = experiment.read_text().splitlines()
    remote = ['model = "openai:tiny"' if "model =" in line else line for line in lines]
    experiment.write_text("\n".join(remote))
    work = experiment.parent / "work"
    assert teach.main([str(experiment), "--work", str(work)]) == 0
    workplace = Workplace(work / "chain")
    knowledge = load_knowledge(workplace.knowledge_of("generative"), chain_dataset)
    answer = load_live_teacher(load_experiment(experiment), workplace).recommend(["i1"], 1, [])
    row = int(np.flatnonzero(chain_dataset.history(1) == 1)[0]) + 1
    stored = knowledge.train.rankings[knowledge.train.rows == row][0, 0]
    assert answer.item_ids == [f"i{stored}"]


def test_a_rejected_key_is_reported_without_retries(url: str) -> None:
    remote = RemoteEngine(config_of(url), CATALOG, "wrong")
    with pytest.raises(EndpointError, match=rf"{url}/completions: 401 .*who are you"):
        remote.write([(1,)])


Script = list[tuple[int, Any]]


@contextmanager
def scripted(script: Script) -> Iterator[str]:
    """Runs a server that gives the responses of `script`, one after the other."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = script.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_SECONDS", 0.0)


COMPLETION = (200, {"choices": [{"text": "  Brazil\nClue"}]})


@pytest.mark.usefixtures("no_pause")
def test_transient_errors_are_retried() -> None:
    with scripted([(500, {}), (429, {}), COMPLETION]) as url:
        (written,) = RemoteEngine(config_of(url), CATALOG).write([(1,)])
    assert written.text == "Brazil"


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([(503, {"error": "loading"})] * 3, "503 .*loading"),
        ([(404, {"error": "no such model"})], "404 .*no such model"),
        ([(200, b"<html>")], "the response is not JSON: <html>"),
        ([(200, {"choices": []})], "the response is not a completion"),
        ([(200, ["Brazil"])], "the response is not a completion"),
    ],
)
def test_a_failing_server_is_named_with_its_response(script: Script, message: str) -> None:
    with (
        scripted(list(script)) as url,
        pytest.raises(EndpointError, match=rf"{url}/completions.*{message}"),
    ):
        RemoteEngine(config_of(url), CATALOG).write([(1,)])


def test_half_of_an_emoji_in_an_answer_is_written_as_a_question_mark() -> None:
    with scripted([(200, rb'{"choices": [{"text": "Dune \ud83d"}]}')]) as url:
        (written,) = RemoteEngine(config_of(url), CATALOG).write([(1,)])
    assert written.text == "Dune ?"


def test_an_endless_line_of_a_server_is_cut() -> None:
    with scripted([(200, {"choices": [{"text": "Dune" * 10_000}]})]) as url:
        (written,) = RemoteEngine(config_of(url), CATALOG).write([(1,)])
    assert written.text == "Dune" * 128


@pytest.mark.parametrize("usage", ["5", [5], {"total_tokens": "5"}, {"total_tokens": -5}])
def test_tokens_are_estimated_where_a_server_counts_none(usage: object) -> None:
    with scripted([(200, {"choices": [{"text": "Dune"}], "usage": usage})]) as url:
        engine = RemoteEngine(config_of(url), CATALOG)
        (written,) = engine.write([(1,)])
    assert written.tokens == engine.prompt_lengths([(1,)])[0]


@pytest.mark.parametrize(
    "data", [None, [{"index": 0}], [{"index": 0, "embedding": [1.0]}], [{"index": "x"}]]
)
def test_malformed_embeddings_are_refused(data: object) -> None:
    with (
        scripted([(200, {"data": data})]) as url,
        pytest.raises(EndpointError, match=rf"{url}/embeddings: .*embeddings"),
    ):
        RemoteEngine(config_of(url), CATALOG).embed(["Alien", "Brazil"])


@pytest.mark.usefixtures("no_pause")
def test_an_unreachable_server_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(EndpointError, match=f"{url}/completions: ConnectError"):
        RemoteEngine(config_of(url), CATALOG).write([(1,)])


def test_beam_search_is_refused_for_a_server() -> None:
    config = config_of("http://nowhere").model_copy(
        update={"writing": TeacherConfig().writing.model_copy(update={"num_beams": 4})}
    )
    with pytest.raises(ConfigError, match=r"teacher\.writing\.num_beams = 4"):
        remote_engine(config, CATALOG)


def test_concurrent_requests_stay_within_the_limit() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        with lock:
            under_way -= 1
        return httpx.Response(200, json=COMPLETION[1])

    config = config_of("http://nowhere", concurrency=3)
    RemoteEngine(config, CATALOG, transport=httpx.MockTransport(answer)).write([(1,)] * 20)
    assert 1 < most <= 3
