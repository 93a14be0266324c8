"""Keeps a trained model for later runs, with a note of what it was trained from.

`rectools_trained` and `recbole_trained` import it in their libraries' environments, so it needs
nothing but the standard library.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

NOTE = "trained.json"
CHECKPOINT = "checkpoint"

Facts = Mapping[str, Any]


def train_once(checkpoint: Path, facts: Facts, train: Callable[[Path], None]) -> None:
    """Trains a model into the file `checkpoint`, unless it exists and was trained with `facts`.

    A note beside the checkpoint has the facts and the checkpoint's hash. A checkpoint without its
    note, or with another one, is trained anew, and standard error says why.

    Args:
        checkpoint: file of the model.
        facts: whatever decides how the model comes out: library, settings, data. JSON can hold it.
        train: trains the model and writes it to the given path, in the folder of `checkpoint`.
    """
    reasons = differences(checkpoint, facts)
    if not reasons:
        return
    if checkpoint.exists():
        sys.stderr.write(f"{checkpoint}: trained anew: {'; '.join(reasons)}\n")
    note = checkpoint.with_name(NOTE)
    note.unlink(missing_ok=True)
    unfinished = checkpoint.with_suffix(".unfinished")
    train(unfinished)
    unfinished.rename(checkpoint)
    write_note(checkpoint, facts)


def facts_of(library: str, model: str, settings: Mapping[str, Any], training: Path) -> Facts:
    """Returns the facts of a model that `library` trains on the file `training`."""
    return {
        "library": f"{library} {version(library)}, torch {version('torch')}",
        "model": model,
        "settings": settings,
        "data": hash_of(training),
    }


def differences(checkpoint: Path, facts: Facts) -> list[str]:
    """Says why `checkpoint` is no model that was trained with `facts`; empty if it is one."""
    if not checkpoint.exists():
        return ["there is no model"]
    try:
        noted = json.loads(checkpoint.with_name(NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [f"{NOTE} is missing or not readable"]
    if not isinstance(noted, dict):
        return [f"{NOTE} has no facts"]
    wanted = json.loads(json.dumps({**facts, CHECKPOINT: hash_of(checkpoint)}))
    return [
        f"{name} is {wanted.get(name)!r}, was {noted.get(name)!r}"
        for name in sorted(wanted.keys() | noted.keys())
        if wanted.get(name) != noted.get(name)
    ]


def write_note(checkpoint: Path, facts: Facts) -> None:
    """Notes beside `checkpoint` that it was trained with `facts`."""
    text = json.dumps({**facts, CHECKPOINT: hash_of(checkpoint)}, indent=2)
    checkpoint.with_name(NOTE).write_text(text, encoding="utf-8")


def hash_of(path: Path) -> str:
    """Returns the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
