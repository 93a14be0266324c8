"""Loads and checks a bundle in a child process, so that the service survives a faulty bundle.

`service.bundles.checking` runs `python -m service.bundles.child FOLDER MAX_K SECONDS PARENT
PROVIDER …`. PARENT is the process id of the service, and each PROVIDER is an execution provider.
The child writes one line of JSON: `{}` if the bundle has passed, else `{"refused": REASON}`.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from export.contract.bundle import BundleError, BundleLayout
from export.contract.columns.writing import check_columns
from service.bundles.memory_left import bytes_left

_BASE_MEMORY = 2 * 2**30
_MEMORY_PER_BYTE = 8
"""Bytes of address space that a check may use for each byte of the bundle, plus `_BASE_MEMORY`."""

_MARGIN = 64 * 2**20  # of a container's memory, into which the service may grow during a check

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    """Checks a bundle and writes the result to the standard output.

    `arguments`: FOLDER, MAX_K, SECONDS, PARENT and PROVIDER …, as in the module's docstring.
    """
    folder, max_k, seconds = Path(arguments[0]), int(arguments[1]), float(arguments[2])
    _end_with(int(arguments[3]))
    try:
        _limit(folder, seconds)
        _load(folder, max_k, arguments[4:])
        verdict = {}
    except BundleError as error:
        verdict = {"refused": str(error)}
    except MemoryError:
        verdict = {"refused": f"{folder}: needs more memory than a check may use"}
    except Exception as error:  # damage that no check foresees refuses the bundle too
        verdict = {"refused": f"{folder}: {type(error).__name__}: {error}"[:1_000]}
    sys.stdout.write(json.dumps(verdict) + "\n")


def _load(folder: Path, max_k: int, providers: Sequence[str]) -> None:
    # Imported here, after the limits have been set.
    from service.bundles.loading import load_recommender

    load_recommender(folder, max_k, providers=providers)
    layout = BundleLayout(folder)
    if layout.item_columns.exists():  # workers do not parse all items, so this process does
        with TemporaryDirectory() as scratch:
            check_columns(layout.items, layout.item_columns, Path(scratch) / "columns")


def _end_with(parent: int) -> None:
    """On Linux, makes the kernel kill this process when the process `parent` ends.

    Exits if `parent` has already ended.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)


def _limit(folder: Path, seconds: float) -> None:
    """Limits the memory and the time of this process; does nothing on Windows.

    The limit of address space rises with the size of the bundle in `folder`. In a container, data
    is limited to what the container has left, since the kernel might kill the service otherwise.
    The process ends after `seconds` and one more second at the latest, even if its parent has died
    and cannot end it.
    """
    try:
        import resource  # missing on Windows
    except ImportError:
        return
    layout = BundleLayout(folder)
    paths = (*layout.required, *layout.optional)
    size = sum(path.lstat().st_size for path in paths if path.is_file())
    memory = _BASE_MEMORY + _MEMORY_PER_BYTE * min(size, 2**33)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if (left := bytes_left()) is not None:
        data = max(0, min(memory, left - _MARGIN))
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)


if __name__ == "__main__":
    main(sys.argv[1:])
