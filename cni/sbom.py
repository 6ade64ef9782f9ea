"""Print a CycloneDX 1.5 document of what the frozen engine is made of: `sbom.py LOCK-FILE`.

Python packages are those of the lock file; the interpreter and its libraries are the Debian packages of this machine.
What else an image holds its own dpkg database tells.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BUNDLED = ("libexpat1", "libffi8", "libgcc-s1", "libpython3.11", "libsqlite3-0", "libssl3", "libuuid1", "zlib1g")


def main() -> int:
    """Print the document."""
    components = [*python_packages(Path(sys.argv[1]).read_text()), *debian_packages()]
    head = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1}
    print(json.dumps(head | {"components": components}, indent=2))
    return 0


def python_packages(lock: str) -> Iterator[dict[str, Any]]:
    """Give the components of a lock file as pip-compile writes it."""
    for name, version, rest in re.findall(r"^([a-z0-9.-]+)==(\S+)((?: \\\n +--hash=\S+)*)", lock, re.MULTILINE):
        hashes = [{"alg": "SHA-256", "content": digest} for digest in re.findall(r"sha256:([0-9a-f]+)", rest)]
        purl = f"pkg:pypi/{name}@{version}"
        yield {"type": "library", "name": name, "version": version, "purl": purl, "hashes": hashes}


def debian_packages() -> Iterator[dict[str, Any]]:
    """Give those packages of this machine whose libraries are frozen in."""
    command = ["dpkg-query", "-Wf", "${Package} ${Version}\\n", *_BUNDLED]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for name, version in map(str.split, told.splitlines()):
        yield {"type": "library", "name": name, "version": version, "purl": f"pkg:deb/debian/{name}@{version}"}


if __name__ == "__main__":
    sys.exit(main())
