"""Results of shards on the disk."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from training.stage import write_array, write_arrays, write_text
from training.teacher.llm.shards import Cost, Shard


def write_results(path: Path) -> None:
    if path.suffix == ".npy":
        write_array(path, np.arange(9))
    else:
        write_arrays(path, texts=np.arange(9))


@pytest.mark.parametrize("has_hash", [True, False])  # ledgers of former releases have none
@pytest.mark.parametrize("name", ["titles-00000.npy", "texts-00000.npz"])
def test_results_are_whole_if_all_of_their_bytes_are_there(
    name: str, has_hash: bool, tmp_path: Path
) -> None:
    shard = Shard(tmp_path / name, [[1]], [7])
    assert shard.sha256_if_whole() is None
    write_results(shard.path)
    shard.write_ledger(Cost(7, 1.5))
    if not has_hash:
        write_text(shard.ledger, json.dumps({"tokens": 7, "seconds": 1.5}))
    content = shard.path.read_bytes()
    assert shard.sha256_if_whole() == sha256(content).hexdigest()
    assert shard.cost == Cost(7, 1.5)
    for torn in (content[:-1], b""):
        shard.path.write_bytes(torn)
        assert shard.sha256_if_whole() is None
    shard.path.unlink()
    assert not shard.is_complete
