"""Stores what torch's exporter makes of an encoder, so that a run of the tests makes it once.

Torch needs three seconds for an encoder, and most tests that export have the same students. To
compare its graphs with it after a thousand random histories takes as long, so here they are fewer;
tests/export/parity/test_check.py compares after all of them.
"""

import copyreg
import hashlib
import pickle
from collections.abc import Callable, Iterator
from copy import copy
from fcntl import LOCK_EX, flock
from io import BytesIO
from pathlib import Path
from typing import Any

import onnx
import pytest
from torch import Tensor
from torch.nn import Module

from export.freeze import export_graphs
from export.graphs import encoder, query_encoder
from tests.run_folder import run_folder
from training.students.student import Student

NUM_RANDOM_HISTORIES = 20
APART = {"item_table", "pair_bonus"}
ON_LOADING = "_load_state_dict_pre_hooks"

Export = Callable[[Student, Tensor], onnx.GraphProto]
EXPORTS: dict[str, Export] = {
    "unpadded_encoder": encoder.unpadded_encoder,
    "padded_encoder": encoder.padded_encoder,
}


class _ContentPickler(pickle.Pickler):
    """Pickles students by their content, so that equal ones have equal pickles.

    What a module does when its weights are loaded is left out: no encoder depends on it, and torch
    numbers it anew in each module.
    """

    def reducer_override(self, thing: object) -> Any:
        if isinstance(thing, Tensor):
            content = thing.detach().contiguous().numpy()
            return tuple, ((str(thing.dtype), content.shape, content.tobytes()),)
        if isinstance(thing, Module):
            parts = {name: each for name, each in vars(thing).items() if name != ON_LOADING}
            return copyreg.__newobj__, (type(thing),), parts  # type: ignore[attr-defined]
        return NotImplemented


def _content_hash(*things: object) -> str:
    file = BytesIO()
    _ContentPickler(file).dump(things)
    return hashlib.sha256(file.getvalue()).hexdigest()


def _encoder_alone(student: Student) -> Student:
    """A copy without the parts `APART`, so that its encoder cannot depend on them."""
    bare = copy(student)
    bare.__dict__.pop("pair_bonus", None)  # where it is None, it is no module
    modules = {name: each for name, each in student.named_children() if name not in APART}
    bare.__dict__["_modules"] = modules
    return bare


def stored(folder: Path, name: str, make: Export) -> Export:
    """Returns `make`, which reads from `folder` what it has made of an equal student before."""

    def export(student: Student, table: Tensor) -> onnx.GraphProto:
        bare = _encoder_alone(student.eval())
        path = folder / f"{name}-{_content_hash(bare, table.shape)}.graph"
        with path.with_suffix(".lock").open("w") as lock:
            flock(lock, LOCK_EX)  # of several processes, one makes it and the others wait
            if not path.exists():
                new = path.with_suffix(".new")
                new.write_bytes(make(bare, table).SerializeToString())
                new.rename(path)
        return onnx.GraphProto.FromString(path.read_bytes())

    return export


@pytest.fixture(scope="session", autouse=True)
def exported_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Lets students be exported from encoders that are stored for this run of the tests.

    By default the graphs are compared with the students after few random histories.
    """
    folder = run_folder(tmp_path_factory) / "encoders"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for name, make in EXPORTS.items():
            patch.setattr(query_encoder, name, stored(folder, name, make))
        defaults = {**(export_graphs.__kwdefaults__ or {}), "num_random": NUM_RANDOM_HISTORIES}
        patch.setattr(export_graphs, "__kwdefaults__", defaults)
        yield


@pytest.fixture
def torch_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets torch export every encoder in this test."""
    for name, make in EXPORTS.items():
        monkeypatch.setattr(query_encoder, name, make)
