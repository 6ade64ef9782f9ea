"""The C library's heap: what a large call took goes back to the kernel, and no thread keeps memory of its own."""

from __future__ import annotations

import ctypes

LARGE = 256 << 10  # bytes; what a usual call needs is less
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # mallopt(3)


def configure() -> None:
    """Have large pieces mapped by themselves, and one arena for all threads.

    By itself the C library learns from the first large piece that is freed to keep as much, in each thread's arena.
    Python's lock lets one thread allocate at a time, so one arena is as fast as many.
    """
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, LARGE)
    libc.mallopt(_M_TRIM_THRESHOLD, 4 * LARGE)
    libc.mallopt(_M_ARENA_MAX, 1)


def trim() -> None:
    """Return free memory to the kernel that lies below what is used (malloc_trim(3)); the heap's end goes by itself."""
    ctypes.CDLL(None).malloc_trim(0)
