"""The image that ships, before any cluster: what is in it, and that its programs run where there is nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.image import Contents, Podman, loaded
from kind import __main__ as kind
from kind import ourimage
from kind.sandbox import Sandbox
from lab.waiting import wait_until

_LIMIT = 70_000_000  # bytes
_STATE = "--tmpfs=/run/slash80:mode=0700"


@pytest.fixture(scope="module")
def archive() -> Path:
    """Return the image's archive."""
    return ourimage.ensure(kind.CACHE)


@pytest.fixture(scope="module")
def contents(archive: Path) -> Contents:
    """Return what is in the image."""
    return Contents(archive)


@pytest.fixture(scope="module")
def podman(sandbox: Sandbox, archive: Path) -> Iterator[Podman]:
    """Have podman with the image."""
    with loaded(sandbox, archive) as found:
        yield found


def test_size(podman: Podman) -> None:
    """The image takes no more than 70 MB of a node's disk."""
    assert int(podman.run("image", "inspect", ourimage.NAME, "--format", "{{.Size}}")) <= _LIMIT


def test_programs(contents: Contents) -> None:
    """The only programs are the launcher, the engine, nft and the C library's loader: no shell, no script."""
    programs = {name for name, file in contents.files.items() if file.isfile() and file.mode & 0o111}
    names = {Path(name).name for name in programs if ".so" not in name}
    assert {"slash80", "engine", "nft", "loader"} == names
    assert all(contents.read(name).startswith(b"\x7fELF") for name in programs)


def test_nobody_else_can_write(contents: Contents) -> None:
    """All files are root's and writable for root only, and none is setuid or has capabilities."""
    for name, file in contents.files.items():
        assert (0, 0) == (file.uid, file.gid), name
        assert file.issym() or not file.mode & 0o6022, f"{name} has mode {file.mode:o}"


def test_licences(contents: Contents) -> None:
    """The licence of slash80, the offer of source, and the licence of every Debian package are in it."""
    (readme,) = (name for name in contents.files if name.endswith("/licenses/README"))
    licences = readme.removesuffix("README")
    assert b"Apache License" in contents.read(f"{licences}LICENSE")
    assert b"Offer of source" in contents.read(readme)
    packages = contents.read(f"{licences}debian-packages").decode().splitlines()
    assert packages
    for package in packages:
        assert contents.read(f"{licences}debian/{package.split()[0]}"), package


def test_sbom(contents: Contents) -> None:
    """The list of components is where the label says, and has all Debian packages and every locked Python package."""
    sbom = json.loads(contents.read(contents.config["Labels"]["io.slash80.sbom"]))
    (listed,) = (name for name in contents.files if name.endswith("/licenses/debian-packages"))
    packages = {line.split()[0] for line in contents.read(listed).decode().splitlines()}
    locked = {line.split("==")[0] for line in (kind.ROOT / "requirements.txt").read_text().splitlines() if "==" in line}
    found = {index: _names(sbom, f"pkg:{index}/") for index in ("deb", "pypi")}
    assert {"deb": packages, "pypi": locked} == found


def _names(sbom: dict[str, Any], kind: str) -> set[str]:
    return {one["name"] for one in sbom["components"] if one["purl"].startswith(kind)}


@pytest.mark.parametrize("program", ["slash80", "/opt/cni/bin/.slash80/engine"])
def test_version(podman: Podman, program: str) -> None:
    """VERSION is answered by launcher and engine in a container that may do nothing and write nowhere."""
    options = ["--env=CNI_COMMAND=VERSION", f"--entrypoint={program}"]
    done = podman.contained(options=options, stdin='{"cniVersion": "1.0.0"}')
    assert (0, "") == (done.returncode, done.stderr)
    assert "1.1.0" in json.loads(done.stdout)["supportedVersions"]


def test_nft(podman: Podman) -> None:
    """The nft in it is found by its name, and makes and lists a table."""
    options = ["--cap-add=NET_ADMIN", "--entrypoint=nft"]
    assert "nftables v" in podman.contained("--version", options=options).stdout
    done = podman.contained("add table inet probe; list ruleset", options=options)
    assert (0, "table inet probe {\n}\n", "") == (done.returncode, done.stdout, done.stderr)


def test_shell(podman: Podman) -> None:
    """A shell asked for is not found."""
    done = podman.contained("-c", "true", options=["--entrypoint=sh"])
    assert 127 == done.returncode
    assert "not found" in done.stderr


def test_status_without_an_agent(podman: Podman) -> None:
    """`status` of an empty state directory says that no agent serves, and that there are no pods; its code is 1."""
    done = podman.contained("status", "-o", "json", options=[_STATE])
    assert (1, "") == (done.returncode, done.stderr)
    found = json.loads(done.stdout)
    assert (False, False, 0) == (found["agent"], found["ready"], sum(found["attachments"].values()))


def test_status_of_a_cluster(podman: Podman) -> None:
    """`status --cluster` takes a kubeconfig that holds its certificates, and needs no folder for temporary files."""
    data = {f"{key}-data": "eA==" for key in ("client-certificate", "client-key")}
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": "eA=="}
    kubeconfig = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": cluster}],
        "users": [{"name": "x", "user": data}],
    }
    done = podman.contained(
        "status", "--cluster", options=["--env=KUBECONFIG=/dev/stdin"], stdin=json.dumps(kubeconfig)
    )
    assert 1 == done.returncode
    assert "slash80 status: https://127.0.0.1:1 cannot be reached" in done.stderr


def test_agent(podman: Podman) -> None:
    """The agent serves in a container with the capabilities of the DaemonSet's; `exec` has its status; it ends well."""
    options = [_STATE, "--cap-add=NET_ADMIN,SYS_ADMIN", "--security-opt=no-new-privileges"]
    with podman.running("agent", "--cni-only", options=options) as name:
        asking = ("exec", name, "slash80", "status", "-o", "json")
        wait_until(lambda: podman.call(*asking).returncode == 0)
        assert json.loads(podman.run(*asking))["agent"]
        podman.run("stop", "--time=20", name)
        assert "0" == podman.run("inspect", name, "--format", "{{.State.ExitCode}}")
