"""What the controller builds at its first use, built before the agent's processes are forked.

Building it touches objects all over the heap, and each page of them is then copied: Python keeps an object's reference
count within it. That took 1.5 MiB, for what is built once. Importing all of this after the fork takes 1.2 MiB as well.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 -- by which urllib3 and getaddrinfo encode the API server's name

from slash80.settings.cluster import ClusterSettings


def prebuild() -> None:
    """Build the validators of the cluster's settings."""
    ClusterSettings()
