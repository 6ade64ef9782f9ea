"""A clock in which waiting takes no time, and a kind of object with a namespace."""

import threading
from dataclasses import dataclass
from typing import Any

from slash80.cluster.objects.reading import Document, Resource, mapping, text

PATH = "/api/v1/pods"


class FakeClock:
    """Lets time pass when a thread waits, notes the waits, and ends what waits after so many of them."""

    def __init__(self, waits: int = 1 << 30) -> None:
        self.time = 1000.0
        self.rests: list[float] = []
        self._waits = waits

    def now(self) -> float:
        """Return the time."""
        return self.time

    def wait(self, stopping: threading.Event, seconds: float) -> None:
        """Let time pass at once."""
        self.rests.append(seconds)
        self.time += seconds
        if len(self.rests) >= self._waits:
            stopping.set()


@dataclass(frozen=True, slots=True)
class Pod:
    """What is kept of a Pod here."""

    name: str
    namespace: str
    address: str


def read_pod(document: Document) -> Pod | None:
    """Read a Pod; one that has ended is not kept."""
    metadata, status = mapping(document, "metadata"), mapping(document, "status")
    if text(status, "phase") == "Succeeded":
        return None
    return Pod(text(metadata, "name"), text(metadata, "namespace"), text(status, "podIP"))


PODS = Resource(PATH, read_pod)
INDEXES = {"namespace": lambda pod: [pod.namespace], "address": lambda pod: [pod.address] if pod.address else []}


def pod(name: str, address: object = "", *, phase: str = "Running", namespace: str = "ns", **more: Any) -> Document:  # noqa: ANN401 -- JSON
    """Make a Pod; `more` goes into its metadata."""
    metadata = {"name": name, "namespace": namespace, **more}
    return {"metadata": metadata, "status": {"phase": phase, "podIP": address}}
