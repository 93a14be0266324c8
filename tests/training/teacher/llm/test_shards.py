"""Results of shards on the disk."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from training.stage import write_array, write_arrays, write_text
from training.teacher.llm.shards import Cost, Shard, missing_shards


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


@pytest.mark.parametrize(
    "ledger",
    [
        *(b"", b"\0\0\0", b'{"tokens": 7, "sec', b"[]", b"{}", b"null", b"7", b'"tokens"'),
        *(b'\xff{"tokens": 7, "seconds": 1.5}', b'{"tokens": null, "seconds": 1.5}'),
    ],
)
def test_a_ledger_that_is_torn_counts_as_absent(ledger: bytes, tmp_path: Path) -> None:
    shard = Shard(tmp_path / "titles-00000.npy", [[1]], [7])
    write_results(shard.path)
    shard.ledger.write_bytes(ledger)

    assert shard.sha256_if_whole() is None
    assert missing_shards([shard]) == [shard]
