"""Reads the memory of this process."""

from collections.abc import Mapping
from pathlib import Path

NAMES: Mapping[str, str] = {
    "VmHWM": "peak_mib",
    "VmRSS": "resident_mib",
    "RssAnon": "anonymous_mib",
}


def forget_peak() -> None:
    """Makes the present resident memory the most so far, from which `memory_mib` counts on."""
    Path("/proc/self/clear_refs").write_text("5")


def memory_mib() -> dict[str, float]:
    """Returns the most and the present resident memory, and the anonymous part of it, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[field].split()[0]) / 1_024 for field, name in NAMES.items()}
