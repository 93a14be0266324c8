from pathlib import Path

import pytest

from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.waiting import free_port


def test_a_redis_that_ends_at_its_start_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="redis-server ended with exit code 1"):
        RedisNode(tmp_path / "redis", free_port(), "--an-option-of-another-version", "1")
