"""Makes the allocator keep freed memory for the next allocation.

A training step allocates and frees tens of megabytes. By default glibc returns them to the kernel,
which zeroes them for the next step: 9,000 page faults in each step of amazon-games' SASRec, an
eighth of its time.
"""

import ctypes

# Options of mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER = 2**31 - 1  # bytes, the largest value that mallopt accepts
MAX_OF_OLD_GLIBC = 2**25  # largest M_MMAP_THRESHOLD that older releases accept


def keep_freed_memory() -> None:
    """Makes this process keep freed memory; does nothing if glibc is not the allocator."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (
        AttributeError,
        OSError,
        TypeError,
    ):  # macOS and musl have no mallopt, Windows no CDLL(None)
        return
    # In this order: with only M_TRIM_THRESHOLD set, glibc maps and unmaps each block over 128 KiB.
    if mallopt(M_MMAP_THRESHOLD, NEVER) or mallopt(M_MMAP_THRESHOLD, MAX_OF_OLD_GLIBC):
        mallopt(M_TRIM_THRESHOLD, NEVER)
