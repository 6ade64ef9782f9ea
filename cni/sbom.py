"""Print a CycloneDX 1.5 document of what the plugin is made of: `sbom.py LOCK-FILE ENGINE-DIRECTORY`.

Python packages are those of the lock file; interpreter, C library, nft and libraries are the Debian packages that the
engine's own list names. An image holds nothing else.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote


def main() -> int:
    """Print the document."""
    components = [*python_packages(Path(sys.argv[1]).read_text()), *debian_packages(Path(sys.argv[2]))]
    head = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1}
    print(json.dumps(head | {"components": components}, indent=2))
    return 0


def python_packages(lock: str) -> Iterator[dict[str, Any]]:
    """Return the components of a lock file as pip-compile writes it."""
    for name, version, rest in re.findall(r"^([a-z0-9.-]+)==(\S+)((?: \\\n +--hash=\S+)*)", lock, re.MULTILINE):
        hashes = [{"alg": "SHA-256", "content": digest} for digest in re.findall(r"sha256:([0-9a-f]+)", rest)]
        purl = f"pkg:pypi/{name}@{version}"
        yield {"type": "library", "name": name, "version": version, "purl": purl, "hashes": hashes}


def debian_packages(engine: Path) -> Iterator[dict[str, Any]]:
    """Yield the Debian packages of which a part is in the engine's directory, with what each was built of."""
    for line in (engine / "licenses/debian-packages").read_text().splitlines():
        name, version, source, source_version = line.split()
        purl = f"pkg:deb/debian/{name}@{quote(version)}?upstream={source}@{quote(source_version)}"
        yield {"type": "library", "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    sys.exit(main())
