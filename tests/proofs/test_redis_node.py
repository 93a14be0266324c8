"""The process of redis-server that proofs start."""

from pathlib import Path

import pytest

from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.waiting import free_port


def test_a_server_that_does_not_know_an_option_is_told_of_at_once(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(RuntimeError, match=f"redis-server on port {port} ended with exit code 1"):
        RedisNode(tmp_path / "redis", port, "--no-such-setting", "1")
