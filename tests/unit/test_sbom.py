"""The list of what the image is made of."""

import json
import sys
from pathlib import Path
from typing import Any

from lab import programs

ROOT = Path(__file__).parents[2]


def _sbom(lock: Path, engine: Path, packages: str) -> dict[str, Any]:
    (engine / "licenses").mkdir()
    (engine / "licenses/debian-packages").write_text(packages)
    found: dict[str, Any] = json.loads(programs.run([sys.executable, ROOT / "cni/sbom.py", lock, engine]))
    return found


def test_sbom_lists_every_python_package(tmp_path: Path) -> None:
    """Each is listed with version, place in the package index and hashes."""
    lock = ROOT / "requirements.txt"
    found = _sbom(lock, tmp_path, "")
    assert ("CycloneDX", "1.5") == (found["bomFormat"], found["specVersion"])
    locked = {line.split()[0] for line in lock.read_text().splitlines() if "==" in line and not line.startswith("#")}
    python = [one for one in found["components"] if one["purl"].startswith("pkg:pypi/")]
    assert locked == {f"{one['name']}=={one['version']}" for one in python}
    assert all(one["hashes"] for one in python)


def test_sbom_lists_every_debian_package_of_the_engine(tmp_path: Path) -> None:
    """Each is listed with its source package, under which its vulnerabilities are known."""
    found = _sbom(ROOT / "requirements.txt", tmp_path, "libgmp10 2:6.2.1+dfsg1-1.1 gmp 2:6.2.1+dfsg1-1.1\n")
    (package,) = [one for one in found["components"] if one["purl"].startswith("pkg:deb/")]
    assert ("libgmp10", "2:6.2.1+dfsg1-1.1") == (package["name"], package["version"])
    assert "pkg:deb/debian/libgmp10@2%3A6.2.1%2Bdfsg1-1.1?upstream=gmp@2%3A6.2.1%2Bdfsg1-1.1" == package["purl"]
