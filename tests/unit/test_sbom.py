"""The list of what the image is made of."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_package_of_the_lock_file_is_listed() -> None:
    """With its version, its place in the package index and its hashes."""
    lock = ROOT / "requirements.txt"
    done = subprocess.run([sys.executable, ROOT / "cni/sbom.py", lock], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert ("CycloneDX", "1.5") == (found["bomFormat"], found["specVersion"])
    locked = {line.split()[0] for line in lock.read_text().splitlines() if "==" in line and not line.startswith("#")}
    python = [one for one in found["components"] if one["purl"].startswith("pkg:pypi/")]
    assert locked == {f"{one['name']}=={one['version']}" for one in python}
    assert all(one["hashes"] for one in python)
