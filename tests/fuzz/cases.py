r"""One call as a file: what the fuzz target runs, what its seeds and findings are.

The form is that of the hand-over to the agent (environment as `K=V`, then standard input, parted by NULs), so a finding
is read with `tr '\0' '\n'`. `@POD@` stands for a live sandbox, `@STATE@` for a state directory.
"""

from dataclasses import dataclass
from typing import Self

_MAGIC = b"slash80/1"


@dataclass(frozen=True)
class Case:
    """The environment and standard input of one call."""

    environ: dict[str, str]
    stdin: bytes

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read a case; any other bytes are a call of ADD with them as standard input."""
        head, end, stdin = data.partition(b"\0\0")
        magic, *pairs = head.split(b"\0")
        if magic != _MAGIC or not end:
            return cls({"CNI_COMMAND": "ADD"}, data)
        parts = (pair.decode("utf-8", "surrogateescape").partition("=") for pair in pairs)
        return cls({name: value for name, _, value in parts if name}, stdin)

    def pack(self) -> bytes:
        """Write the case."""
        pairs = [
            f"{name}={value}".replace("\0", "").encode("utf-8", "surrogateescape")
            for name, value in self.environ.items()
        ]
        return b"\0".join([_MAGIC, *pairs]) + b"\0\0" + self.stdin

    def placed(self, pod: str, state: str) -> Self:
        """Return the case with a real sandbox and state directory."""
        environ = {name: value.replace("@POD@", pod) for name, value in self.environ.items()}
        stdin = self.stdin.replace(b"@POD@", pod.encode()).replace(b"@STATE@", state.encode())
        return type(self)(environ, stdin)
