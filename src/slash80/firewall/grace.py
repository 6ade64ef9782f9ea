"""Waiting until no packet is under way any more that has begun in rules of before.

The kernel keeps a packet with the rules of the generation in which it came to a chain, but has it look into sets and
maps as they are now (nft_do_chain, nft_set_elem_active). So a set may be deleted when nothing leads there any more, and
the packets have gone that began before.
"""

from __future__ import annotations

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_NUMBERS = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "ppc64le": 365, "s390x": 356}  # of membarrier(2)
_MEMBARRIER_CMD_GLOBAL = 1


def wait() -> None:
    """Wait for an RCU grace period, 8 to 30 ms: the kernel has packets pass its hooks within rcu_read_lock.

    membarrier(2) waits for one (synchronize_rcu in kernel/sched/membarrier.c). Where the kernel has no such call, or
    some of its processors no tick (nohz_full), the next run of nft begins some milliseconds later all the same.
    """
    if (number := _NUMBERS.get(os.uname().machine)) is not None:
        _LIBC.syscall(number, _MEMBARRIER_CMD_GLOBAL, 0, 0)
