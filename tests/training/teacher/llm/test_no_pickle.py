"""Weights of a language model are never read from a pickle."""

import pickle
from pathlib import Path

import pytest

from tests.training.teacher.conftest import random_llama, saved
from training.teacher.llm.language_model import load_language_model


class Trap:
    """Leaves a file when it is read from a pickle."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._path,)


def test_a_model_with_pickled_weights_is_refused_and_none_of_its_code_runs(
    tmp_path: Path,
) -> None:
    folder = saved(random_llama, tmp_path / "llm")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(Exception, match="safetensors"):
        load_language_model(str(folder))
    assert not (tmp_path / "sprung").exists()
