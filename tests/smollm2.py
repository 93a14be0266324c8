"""Loads SmolLM2 from its package once for a run of the tests, since that takes twenty seconds."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests.run_folder import run_folder
from training.teacher.llm import language_model
from training.teacher.llm.language_model import PACKAGED_MODEL, load_language_model


@pytest.fixture(scope="session")
def smollm2_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the real SmolLM2, which loads in a second."""
    folder = run_folder(tmp_path_factory) / "smollm2"
    with folder.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)  # of several processes, one makes it and the others wait
        if not folder.exists():
            model, new = load_language_model(PACKAGED_MODEL), folder.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            model.causal.save_pretrained(new)  # a quantised model would refuse
            model.tokenizer.save_pretrained(new)
            new.rename(folder)
    return folder


@contextmanager
def loaded_from(folder: Path) -> Iterator[None]:
    """Lets this process load `smollm2` from that folder for the duration of a `with` block."""

    def load(_: Path) -> tuple[object, object]:
        name = str(folder)
        return language_model._load_unquantised(name), AutoTokenizer.from_pretrained(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_model, "_load_gguf", load)
        yield
