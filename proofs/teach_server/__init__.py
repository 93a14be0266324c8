"""Proves that parts of teaching survive `kill -9` of the server that runs their LLM.

Processes of `teach --part` share one folder, and ask one server with OpenAI's API for titles and
embeddings, through a proxy that counts. The server is killed while it writes, and started again.
`teach --store` makes the knowledge, which is compared with that of one process whose server was not
killed.

python -m proofs teach_server --server COMMAND [--batching-server COMMAND]

COMMAND starts the server on port `{port}`, such as llama.cpp's:

    llama-server OPTIONS --model FILE --port {port}

With `OPTIONS` below it reads one prompt at a time and keeps nothing of it, so its answers are the
same in any order. A server that reads several prompts at a time may round otherwise:
`--batching-server` tells how much.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from proofs.fixtures.data.tables import write_tables
from proofs.fixtures.data.taught import differing_files, succeed, workplace_of
from proofs.fixtures.processes.counting_proxy import CountingProxy
from proofs.fixtures.processes.embedding_server import ServerProcess
from proofs.record import Figure
from proofs.teach_server.parts import Written, prepared, run_parts, written
from training import teach
from training.teacher.llm.prompts import INSTRUCTION

OPTIONS = "--embeddings --pooling mean --parallel 1 --no-cache-prompt"
DOWN_SECONDS = 3.0
KILLED_AFTER = 0.4  # share of the requests of one process, and when a shard is complete


def prove(
    *,
    server: str,
    batching_server: str | None = None,
    parts: int = 2,
    rows: int = 5_000,
    sequences: int = 60,
    held_out: int = 15,
) -> Iterator[Figure]:
    """Yields what the parts of a killed server lost or asked twice, and how the knowledge differs.

    Args:
        server: command of the server; `{port}` is replaced by the port.
        batching_server: command of a server that may answer differently in another order; it is
            not killed, and its titles are compared with those of `server`.
        parts: number of processes of `teach --part`.
        rows: number of random interactions, whose histories the LLM reads.
        sequences: number of training examples that the teacher answers.
        held_out: number of validation examples, and of test examples, that it answers.

    Raises:
        RuntimeError: a program fails, or takes too long.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        with ServerProcess(server) as process, CountingProxy(process.url) as proxy:
            config = write_config(folder, rows, proxy.url, sequences, held_out)
            alone = prepared(folder, config, "alone")
            succeed(teach.main([str(config), "--work", str(alone)]))
            expected = proxy.requests.total()
            yield Figure("requests of one process", "", expected)
            proxy.reset()
            merged = prepared(folder, config, "merged")
            yield from killed(merged, config, parts, process, proxy, expected)
            differing = differing_files(config, workplace_of(alone), workplace_of(merged))
            yield Figure("files that differ from those of one process", "", differing, at_most=0)
        if batching_server:
            with ServerProcess(batching_server) as other:
                config = write_config(folder / "batching", rows, other.url, sequences, held_out)
                batched = prepared(folder, config, "batched")
                succeed(teach.main([str(config), "--work", str(batched)]))
            yield from differences(written(alone), written(batched))


def write_config(folder: Path, rows: int, url: str, sequences: int, held_out: int) -> Path:
    """Writes random tables and a config whose teacher lets the server at `url` write titles."""
    folder.mkdir(exist_ok=True)
    config = write_tables(folder, rows, seed=1)
    with config.open("a", encoding="utf-8") as file:
        # So many tokens at most, though titles have few: then 16 histories are a shard.
        file.write(
            f'[teacher]\nkind = "generative"\nmodel = "openai:llm"\ntokens_per_batch = 512\n'
            f"budget_sequences = {sequences}\nbudget_held_out = {held_out}\n"
            "max_titles = 10\noverlap = 2\nwriting.max_new_tokens = 256\n"
            f'endpoint.base_url = "{url}"\nendpoint.concurrency = 4\n'
            "endpoint.timeout_seconds = 600\nendpoint.retries = 30\n"  # while the model is loaded
        )
    return config


def killed(
    merged: Path,
    config: Path,
    parts: int,
    process: ServerProcess,
    proxy: CountingProxy,
    expected: int,
) -> Iterator[Figure]:
    """Kills the server while parts ask it, and merges; yields what was lost or asked twice.

    Args:
        merged: work folder that gets the knowledge.
        config: experiment file.
        parts: number of processes.
        process: the server.
        proxy: the proxy that the teacher asks.
        expected: number of requests that one process needs.
    """
    store = merged.parent / "store"
    complete: dict[Path, bytes] = {}  # ledgers of the shards that were complete at the kill

    def kill_once(_: int) -> None:
        if process.kills or proxy.requests.total() < KILLED_AFTER * expected:
            return
        complete.update((path, path.read_bytes()) for path in store.rglob("*.json"))
        if complete:  # else nothing shows what becomes of complete shards
            process.kill_once(DOWN_SECONDS)

    proxy.after_answer = kill_once
    run_parts(merged.parent, config, parts, store)
    shards = set(store.rglob("*.json"))
    yield Figure("kills of the server", "", process.kills, at_least=1)
    yield Figure("requests that the killed server left unanswered", "", proxy.unanswered)
    yield Figure("shards", "", len(shards))
    most = len(shards) - 1
    yield Figure("shards complete at the kill", "", len(complete), at_least=1, at_most=most)
    changed = sum(path.read_bytes() != content for path, content in complete.items())
    yield Figure("complete shards computed again", "", changed, at_most=0)
    succeed(teach.main([str(config), "--work", str(merged), "--store", str(store)]))
    computed = len(set(store.rglob("*.json")) - shards)
    yield Figure("shards computed when merging", "", computed, at_most=0)
    prompts = [text for text in proxy.answered if text.startswith(INSTRUCTION)]
    yield Figure("histories", "", len(prompts))
    twice = sum(proxy.answered[prompt] > 1 for prompt in prompts)
    yield Figure("histories that were answered twice", "", twice, at_most=0)
    more = proxy.requests.total() - expected
    yield Figure("answered requests beyond those of one process", "", more, at_most=0)


def differences(one: Written, other: Written) -> Iterator[Figure]:
    """Yields how many titles another server wrote differently, and how their embeddings differ."""
    pairs = [(one[name], other[name]) for name in one]
    differs = [mine[0] != its[0] for mine, its in pairs]
    differing = sum(int(each.sum()) for each in differs)
    yield Figure(
        "titles that a server that reads several at a time writes otherwise", "", differing
    )
    gaps = [
        float(np.abs(mine[1][~each].astype(np.float32) - its[1][~each]).max(initial=0))
        for (mine, its), each in zip(pairs, differs, strict=True)
    ]
    yield Figure("largest difference of an embedding of the others", "", max(gaps))
