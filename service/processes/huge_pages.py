"""Puts the memory of a worker on huge pages, which makes access to it faster.

A request reads a few rows of large tables, and objects all over the heap. With pages of 4 KB, most
of these reads miss the processor's TLB, so that the page table must be read first. Linux 6.1 and
later merges small pages into huge pages on request.
"""

import ctypes
import mmap
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SYSTEM = Path("/sys/kernel/mm/transparent_hugepage")
"""Folder of the system's settings for huge pages."""

PROCESS = Path("/proc/self")
"""Folder in which the system describes this process."""

_MADV_COLLAPSE = 25
_LEAST_IN_USE = 0.75
"""Share of a huge page that must be in use before the merge, which fills the rest with zeros."""

# Pause after each merge, which takes up to a millisecond, so that requests can run.
_PAUSE_SECONDS = 0.001

_ENTRY_BYTES = 8  # of an entry of `pagemap`, which describes one small page
_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\])?$", re.MULTILINE)


def use_huge_pages() -> int:
    """Merges this process's memory in use into huge pages; returns the number of merged bytes.

    Merges nothing if the system forbids huge pages, or if the kernel is older than Linux 6.1.
    """
    size = _huge_page_bytes()
    if size == 0:
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    merged = 0
    for address in _ranges_in_use(size):
        # A failure is ignored: the range keeps its small pages, or exists no more.
        if madvise(address, size, _MADV_COLLAPSE) == 0:
            merged += size
        time.sleep(_PAUSE_SECONDS)
    return merged


def use_huge_pages_soon() -> None:
    """Calls `use_huge_pages` in a background thread; the call takes some tenths of a second."""
    threading.Thread(target=use_huge_pages, name="huge-pages", daemon=True).start()


def _huge_page_bytes() -> int:
    """Returns the size of a huge page; 0 if the system has none or forbids them."""
    if sys.platform != "linux":
        return 0
    try:
        if "[never]" in (SYSTEM / "enabled").read_text():
            return 0
        return int((SYSTEM / "hpage_pmd_size").read_text())
    except (OSError, ValueError):
        return 0


def _ranges_in_use(size: int) -> Sequence[int]:
    """Returns the address of each range of `size` bytes that can become a huge page.

    Each range is aligned and lies in a private memory mapping, and most of its pages are in use.
    The result is empty if the system does not tell which pages are in use.
    """
    try:
        return list(_find_ranges(size))
    except OSError:
        return ()


def _find_ranges(size: int) -> Iterator[int]:
    num_pages = size // mmap.PAGESIZE
    mappings = _MAPPING.findall((PROCESS / "maps").read_text())
    with (PROCESS / "pagemap").open("rb", buffering=0) as pages:
        for start, end in [(int(each[0], 16), int(each[1], 16)) for each in mappings]:
            for address in range(-(-start // size) * size, end - size + 1, size):
                pages.seek(address // mmap.PAGESIZE * _ENTRY_BYTES)
                entries = pages.read(num_pages * _ENTRY_BYTES)
                # The highest bit of an entry, in its last byte, says whether its page is in use.
                in_use = sum(each >> 7 for each in entries[_ENTRY_BYTES - 1 :: _ENTRY_BYTES])
                if in_use >= _LEAST_IN_USE * num_pages:
                    yield address
