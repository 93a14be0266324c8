"""Tests of the files of tensors: exact, and refused when they are damaged."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch

from training.compute import tensor_file
from training.compute.tensor_file import read_tensors, write_tensors
from training.errors import DiskError, TensorFileError

TREE: dict[str, Any] = {
    "optimiser": {0: {"step": torch.tensor(3.0), "betas": (0.9, 0.999)}, 1: {}},
    "numbers": [None, True, 2, 0.1, float("inf"), "text"],
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "half": torch.tensor([1.1, -0.0, float("nan")]).bfloat16(),
    "random": torch.get_rng_state(),
    "empty": torch.zeros(0, 3),
}


def test_a_tree_is_read_as_it_was_written_bit_for_bit(tmp_path: Path) -> None:
    write_tensors(tmp_path / "tree", TREE)
    read = read_tensors(tmp_path / "tree")
    assert read["optimiser"][0]["betas"] == (0.9, 0.999)
    assert read["optimiser"][1] == {}
    assert read["numbers"] == TREE["numbers"]
    assert torch.equal(read["transposed"], torch.tensor([[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]))
    assert read["half"].dtype == torch.bfloat16
    assert read["half"].view(torch.int16).tolist() == TREE["half"].view(torch.int16).tolist()
    assert torch.equal(read["random"], TREE["random"])
    assert read["empty"].shape == (0, 3)
    assert read["optimiser"][0]["step"].shape == ()


def test_equal_trees_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_tensors(tmp_path / name, TREE)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_two_names_of_one_tensor_are_both_written(tmp_path: Path) -> None:
    weights = torch.arange(4.0)
    write_tensors(tmp_path / "tree", {"first": weights, "second": weights, "part": weights[:2]})
    read = read_tensors(tmp_path / "tree")
    assert torch.equal(read["first"], read["second"])
    assert read["part"].tolist() == [0.0, 1.0]


@pytest.mark.usefixtures("full_disk")
def test_a_disk_that_is_full_while_tensors_are_written_is_named_with_the_file_that_stays(
    tmp_path: Path,
) -> None:
    write_tensors(tmp_path / "tree", {"weights": torch.zeros(8)})
    with pytest.raises(DiskError, match=rf"{tmp_path}/tree: .*File too large"):
        write_tensors(tmp_path / "tree", {"weights": torch.zeros(8_000)})
    assert torch.equal(read_tensors(tmp_path / "tree")["weights"], torch.zeros(8))


def test_a_damaged_byte_anywhere_is_noticed(tmp_path: Path) -> None:
    write_tensors(tmp_path / "tree", {"weights": torch.arange(3.0), "epoch": 2})
    whole = (tmp_path / "tree").read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (tmp_path / "tree").write_bytes(damaged)
        with pytest.raises(TensorFileError, match="tree: damaged"):
            read_tensors(tmp_path / "tree")


def test_a_file_of_torch_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save({"weights": torch.zeros(3)}, file)
    (tmp_path / "old").write_bytes(file.getvalue())
    with pytest.raises(TensorFileError, match=r"old: damaged, or not a tensor file .* delete it"):
        read_tensors(tmp_path / "old")


def test_what_json_cannot_hold_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="/progress/when: a PosixPath cannot be written"):
        write_tensors(tmp_path / "tree", {"progress": {"when": tmp_path}})
    assert not (tmp_path / "tree").exists()


def test_large_tensors_are_written_without_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(tensor_file, "save_file", lambda tensors, *_, **__: written.update(tensors))
    tree = {"weights": torch.arange(4.0), "bias": torch.arange(2.0)}

    write_tensors(tmp_path / "tree", tree)

    assert {written[f"/{name}"].data_ptr() for name in tree} == {
        each.data_ptr() for each in tree.values()
    }
