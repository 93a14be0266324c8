"""Reads and writes tensors as safetensors files, which cannot contain executable code.

A file holds a tree: dictionaries, lists and tuples, whose leaves are tensors, numbers, strings,
booleans and None. Tensors are entries of the file. Its metadata holds the structure and all other
leaves as JSON, and a SHA-256 hash of the whole tree. A tree that is read equals the written one,
bit for bit.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from training.errors import DiskError, TensorFileError
from training.stage import new_file

Tree = Any
METADATA_NAME = "sha256_and_tree"


def write_tensors(path: Path, tree: Tree) -> None:
    """Writes a tree of tensors to `path`, atomically.

    Raises:
        TypeError: a leaf has a type that a tree cannot hold.
        DiskError: the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_described(tree, "", tensors))
    # One entry: safetensors writes several in any order, and equal trees shall be equal bytes.
    metadata = {METADATA_NAME: _hash_of(tensors, text) + text}
    try:
        with new_file(path) as file:  # written by its name, which needs no copy in memory
            save_file(tensors, file.name, metadata=metadata)
    except SafetensorError as error:  # what it raises for an error of the disk is no OSError
        raise DiskError(f"{path}: {error}") from None


def read_tensors(path: Path, device: torch.device | str = "cpu") -> Tree:
    """Reads the tree that `write_tensors` wrote to `path`, with its tensors on `device`.

    Raises:
        FileNotFoundError: there is no such file.
        TensorFileError: the file is damaged, or was not written by `write_tensors`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 no dict
            described = (file.metadata() or {})[METADATA_NAME]
        sha256, text = described[:64], described[64:]
        if _hash_of(tensors, text) != sha256:
            raise TensorFileError(
                f"{path}: damaged (its hash does not match); delete it and run again"
            )
        return _restored(
            json.loads(text), {name: each.to(device) for name, each in tensors.items()}
        )
    except (SafetensorError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise TensorFileError(
            f"{path}: damaged, or not a tensor file ({error}); delete it and run again"
        ) from None


def _described(tree: Tree, name: str, tensors: dict[str, Tensor]) -> Tree:
    """Returns the structure of `tree` as JSON values, and adds its tensors to `tensors`.

    Args:
        tree: the tree, or a part of it.
        name: path of the part in the tree, from which names of tensors are made.
        tensors: mapping from name to tensor, to which the tensors of the tree are added.

    Raises:
        TypeError: a leaf has a type that a tree cannot hold.
    """
    if isinstance(tree, Tensor):
        tensors[name] = _with_memory_of_its_own(tree.detach().cpu(), tensors)
        return {"tensor": name}
    if isinstance(tree, Mapping):
        entries = tree.items()
        return {
            "dict": [[key, _described(each, f"{name}/{key}", tensors)] for key, each in entries]
        }
    if isinstance(tree, list | tuple):
        parts = [_described(each, f"{name}/{index}", tensors) for index, each in enumerate(tree)]
        return {"tuple" if isinstance(tree, tuple) else "list": parts}
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise TypeError(f"{name}: a {type(tree).__name__} cannot be written to a file of tensors")


def _with_memory_of_its_own(tensor: Tensor, others: Mapping[str, Tensor]) -> Tensor:
    """Returns `tensor`, or a contiguous copy if it shares memory with a larger or another tensor.

    Entries of a file must not share memory. Large tensors are rarely copied, so that a file takes
    little memory to write.
    """
    is_whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
    is_alone = all(each.data_ptr() != tensor.data_ptr() for each in others.values())
    return tensor if is_whole and is_alone else tensor.clone(memory_format=torch.contiguous_format)


def _restored(description: Tree, tensors: Mapping[str, Tensor]) -> Tree:
    """Rebuilds a tree from its tensors by name and the structure that `_described` returned."""
    if not isinstance(description, dict):
        return description
    ((kind, content),) = description.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _restored(each, tensors) for key, each in content}
    parts = [_restored(each, tensors) for each in content]
    return tuple(parts) if kind == "tuple" else parts


def _hash_of(tensors: Mapping[str, Tensor], text: str) -> str:
    content = hashlib.sha256(text.encode())
    for part in _parts(tensors):
        content.update(part)
    return content.hexdigest()


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """Yields the bytes to hash: name, type, shape and content of each tensor, ordered by name."""
    for name in sorted(tensors):
        tensor = tensors[name]
        yield f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode()
        yield tensor.reshape(-1).view(torch.uint8).numpy().data
