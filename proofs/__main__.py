"""Runs a proof and writes its record: `python -m proofs NAME [OPTIONS]`.

Each module or package of this folder is a proof, except those in `PARTS`. A proof defines a
function `prove`, which returns figures. The parameters of `prove` are the options of the command.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import proofs
from proofs.record import FOLDER, Figure, save_proof
from training.cli import USER_ERROR, execute, new_app
from training.provenance import commit

PARTS = ("__main__", "fixtures", "record")  # modules that are not proofs

Prove = Callable[..., Iterable[Figure]]


def proof_names() -> list[str]:
    """Returns the names of all proofs in alphabetical order, without importing them."""
    return sorted(each.name for each in iter_modules(proofs.__path__) if each.name not in PARTS)


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Runs the proof that the first argument names, and writes its record into `folder`.

    Returns:
        The exit code: 0 if all targets are met, 1 if one is missed, 2 for wrong arguments.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0] if words else ""
    if name not in proof_names():
        sys.stderr.write(f"error: no proof {name!r}: choose one of {', '.join(proof_names())}\n")
        return USER_ERROR
    prove: Prove = import_module(f"proofs.{name}").prove

    @wraps(prove)
    def command(*values: object, **options: object) -> int:
        proven = commit()  # a plot that is drawn meanwhile is no change of what is proven
        figures = list(prove(*values, **options))
        return 0 if save_proof(folder / f"{name}.json", words, proven, figures) else 1

    app = new_app(f"python -m proofs {name}")
    app.default(command)
    return execute(app, words[1:])


if __name__ == "__main__":
    sys.exit(main())
