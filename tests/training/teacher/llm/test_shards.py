"""Results of shards on the disk."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from training.progress import Advance
from training.stage import write_array, write_arrays, write_text
from training.teacher.llm.shards import Cost, Shard, ShardedWork, compute_missing


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


def test_a_damaged_header_is_no_readable_result_of_a_former_release(tmp_path: Path) -> None:
    for name, header, damaged in (
        ("titles-00000.npy", b"(9,)", b"(9,,"),
        ("texts-00000.npz", b"\x08\x00", b"\x63\x00"),  # the method of compression
    ):
        shard = Shard(tmp_path / name, [[1]], [7])
        write_results(shard.path)
        write_text(shard.ledger, json.dumps({"tokens": 7, "seconds": 1.5}))
        shard.path.write_bytes(shard.path.read_bytes().replace(header, damaged))
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
    assert not shard.is_complete


def test_a_shard_that_is_damaged_under_a_whole_ledger_is_computed_again(tmp_path: Path) -> None:
    shards = [Shard(tmp_path / f"titles-{number:05d}.npy", [[1]], [7]) for number in range(3)]
    computed: list[str] = []

    def compute(shard: Shard[int], _: Advance) -> int:
        write_results(shard.path)
        computed.append(shard.path.name)
        return 7

    work = ShardedWork("reading titles", shards, compute)
    compute_missing(work)
    content = bytearray(shards[1].path.read_bytes())
    content[-64:] = bytes(byte ^ 0xFF for byte in content[-64:])  # NumPy would still read it
    shards[1].path.write_bytes(content)
    compute_missing(work)

    assert computed == [*(each.path.name for each in shards), "titles-00001.npy"]
    assert np.load(shards[1].path).tolist() == [*range(9)]
