"""Computes how much memory the control groups of this process have left.

The memory of a container is limited by its control group. Beyond that limit the kernel kills a
process of the container, or all of them.
"""

from collections.abc import Iterator
from pathlib import Path

_PROCESS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")

_FILES = (
    ("memory.max", "memory.current", ("inactive_file", "active_file")),
    (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)
"""Names of each version of control groups: of limit, usage, and page cache in `memory.stat`."""


def bytes_left(process: Path = _PROCESS, groups: Path = _GROUPS) -> int | None:
    """Returns how many bytes a process may still take; None if no control group limits it.

    Page cache counts as left, since the kernel frees it before it kills a process. The number can
    be negative.

    Args:
        process: the file that names the control groups of the process.
        groups: the folder of all control groups.
    """
    found = [_left_in(each) for each in _folders(process, groups)]
    return min((left for left in found if left is not None), default=None)


def _folders(process: Path, groups: Path) -> Iterator[Path]:
    """Yields the folder of each control group whose limit of memory holds for a process."""
    try:
        lines = process.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = groups / "memory" if controllers else groups
        own = top / path.lstrip("/")
        # In a container only the top exists, which is then that of the container.
        yield from (each for each in (own, *own.parents) if each.is_relative_to(top))


def _left_in(folder: Path) -> int | None:
    for limit, usage, caches in _FILES:
        try:
            left = int((folder / limit).read_text()) - int((folder / usage).read_text())
            statistics = (folder / "memory.stat").read_text().splitlines()
        except (OSError, ValueError):  # no such file, or the limit is `max`
            continue
        values = dict(line.split() for line in statistics)
        return left + sum(int(values.get(name, 0)) for name in caches)
    return None
