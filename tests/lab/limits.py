"""What a runtime's own limits do to the programs that it starts."""

import ctypes
import resource
from collections.abc import Callable

_PR_CAPBSET_DROP, _CAP_SYS_RESOURCE = 24, 24
_libc = ctypes.CDLL(None, use_errno=True)


def soft(which: int, value: int) -> Callable[[], None]:
    """Return what limits a process that is about to be started, which may raise the limit again."""
    return lambda: resource.setrlimit(which, (value, resource.getrlimit(which)[1]))


def hard(which: int, value: int) -> Callable[[], None]:
    """Return what limits it for good: without CAP_SYS_RESOURCE, as in a container."""

    def limit() -> None:
        _libc.prctl(_PR_CAPBSET_DROP, _CAP_SYS_RESOURCE)
        resource.setrlimit(which, (value, value))

    return limit
