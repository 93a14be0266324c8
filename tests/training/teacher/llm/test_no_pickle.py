"""Weights of a language model are never read from a pickle."""

from pathlib import Path

import pytest

from tests.training.teacher.conftest import random_llama, saved
from tests.trap import pickled
from training.teacher.llm.language_model import load_language_model


def test_a_model_with_pickled_weights_is_refused_and_none_of_its_code_runs(
    tmp_path: Path,
) -> None:
    folder = saved(random_llama, tmp_path / "llm")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickled(tmp_path / "sprung"))
    with pytest.raises(Exception, match="safetensors"):
        load_language_model(str(folder))
    assert not (tmp_path / "sprung").exists()
