"""The process of an embeddings server, which is killed and started again."""

import shlex
import socket
import subprocess
import threading
import time
from typing import Self

from proofs.wheel import free_port

READY_SECONDS = 120
LOOK_SECONDS = 0.1


class ServerProcess:
    """A server that a command starts; its port stays the same.

    Attributes:
        kills: number of kills.
        url: address of its API.
    """

    def __init__(self, command: str) -> None:
        """Stores the command, in which `{port}` is replaced by the port."""
        port = free_port()
        self.kills = 0
        self.url = f"http://127.0.0.1:{port}/v1"
        self._lock = threading.Lock()
        self._restart: threading.Timer | None = None
        self._port, self._words = port, shlex.split(command.format(port=port))

    def __enter__(self) -> Self:
        """Starts the server, and waits until it listens."""
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the server."""
        if self._restart:
            self._restart.join()
        self._process.kill()
        self._process.wait()

    def kill_once(self, seconds: float) -> None:
        """Kills the server, unless it was killed before; a thread starts it after `seconds`."""
        with self._lock:
            if self.kills:
                return
            self.kills = 1
        self._process.kill()
        self._process.wait()
        self._restart = threading.Timer(seconds, self._start)
        self._restart.start()

    def _start(self) -> None:
        self._process = subprocess.Popen(self._words, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{shlex.join(self._words)}: has ended")
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
            except ConnectionRefusedError:
                time.sleep(LOOK_SECONDS)
            else:
                return
        raise TimeoutError(f"{shlex.join(self._words)}: does not listen on port {self._port}")
