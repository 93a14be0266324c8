"""Memory that training frees is kept for what it asks for next.

A step of a student makes and frees tens of megabytes. glibc hands them back to the kernel, which
fills them with zeros for the next step: 9,000 page faults in each step of amazon-games' SASRec, an
eighth of its time.
"""

import ctypes

# Of mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER = 2**31 - 1  # bytes, the most that mallopt can be told
MOST_OF_OLD = 2**25  # that a threshold of blocks may be in older releases


def keep_freed_memory() -> None:
    """Has this process keep what it frees; where glibc is not the allocator, nothing changes."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS and musl know no mallopt, Windows no None
        return
    # A refusal first: told to trim never, glibc would map and unmap every block above 128 KiB.
    if mallopt(M_MMAP_THRESHOLD, NEVER) or mallopt(M_MMAP_THRESHOLD, MOST_OF_OLD):
        mallopt(M_TRIM_THRESHOLD, NEVER)
