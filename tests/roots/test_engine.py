"""The engine's directory: where it may lie, what it does not let in, and what lies in it."""

import importlib.util
import py_compile
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from lab.topology import Site
from roots.root import BIN, ENGINE, LAUNCHER, NFT, Root
from roots.systems import TRAPPED

BUILD = Path(__file__).parents[2] / "cni/collect.py"
BUSYBOX = "/bin/busybox"


def _version(root: Root, path: str) -> Path:
    """Return the directory, in the root, to which the link at `path` leads."""
    link = root.path / path.lstrip("/")
    return (link.parent / link.readlink()).parent


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("place", ["elsewhere", "deep/er/than", "a blank", "ünïcode"])
def test_it_may_be_copied_elsewhere(bare_node: Root, place: str) -> None:
    """Every program finds what lies beside it, also where the first place is gone."""
    shutil.copytree(_version(bare_node, ENGINE), bare_node.path / place)
    shutil.rmtree(bare_node.path / BIN.lstrip("/"))

    for words in ((f"/{place}/engine", "version"), (f"/{place}/nft", "--version")):
        done = bare_node.run(*words)
        assert (0, b"") == (done.returncode, done.stderr)


@pytest.mark.parametrize("options", [frozenset({"proc", "null"}), frozenset[str]()], ids=["proc", "no proc"])
@pytest.mark.parametrize("words", [(ENGINE, "version"), (LAUNCHER, "version"), (NFT, "--version")])
def test_a_symbolic_link_is_followed(bare_node: Root, options: frozenset[str], words: tuple[str, ...]) -> None:
    """Links of links too, and a path that is not absolute."""
    (bare_node.path / "here").symlink_to(words[0])
    (bare_node.path / "bin/there").symlink_to("../here")
    root = Root(bare_node.folder, options=options)

    for path in ("/here", "/bin/there", "bin/there"):
        done = root.run(path, *words[1:])
        assert (0, b"") == (done.returncode, done.stderr)


@pytest.mark.parametrize("sign", [":", ";", "$"])
def test_a_path_that_the_loader_would_misread_is_refused(bare_node: Root, plugin: Path, sign: str) -> None:
    """By the program itself in one sentence, and by an install, which says the same."""
    place = f"a{sign}b"
    shutil.copytree(_version(bare_node, ENGINE), bare_node.path / place)
    done = bare_node.run(f"/{place}/engine", "version")
    assert (127, b"") == (done.returncode, done.stdout)
    assert done.stderr.startswith(f"slash80: /{place}/engine: ':', ';' and '$' mean something".encode())
    assert 1 == done.stderr.count(b"\n")

    command = [str(plugin / ".slash80/engine"), "install", f"--bin-dir={bare_node.folder / place}"]
    refused = subprocess.run(command, capture_output=True, check=False)
    assert 1 == refused.returncode
    assert b"':', ';' and '$' mean something" in refused.stderr


@pytest.mark.parametrize("variable", ["LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH"])
@pytest.mark.parametrize("words", [(ENGINE, "version"), (LAUNCHER, "version"), (NFT, "--version")])
def test_libraries_of_the_caller_are_harmless(trapped: Root, variable: str, words: tuple[str, ...]) -> None:
    """They were made for another C library, as those that the node has loaded into every program."""
    value = "/lib/x86_64-linux-gnu" if variable == "LD_LIBRARY_PATH" else "/trap.so"
    done = trapped.run(BUSYBOX, "env", f"{variable}={value}", *words)
    assert (0, b"") == (done.returncode, done.stderr)


def test_the_traps_work(trapped: Root) -> None:
    """The loader as Debian has it dies of what the node wants to be loaded first: ours was kept from it."""
    libexec = f"/{_version(trapped, ENGINE).relative_to(trapped.path)}/libexec"
    shutil.copy("/lib64/ld-linux-x86-64.so.2", trapped.path / "loader")
    words = ("--inhibit-cache", "--library-path", libexec, f"{libexec}/nft", "--version")

    assert TRAPPED == trapped.run("/loader", *words).returncode
    assert 0 == trapped.run(f"{libexec}/loader", *words).returncode


def test_names_are_looked_up_without_the_nodes_modules(trapped: Root) -> None:
    """By /etc/hosts and the name servers only: the protocol's name is found, and so is the API server's address."""
    (trapped.path / "etc/protocols").write_text("tcp 6 TCP\n")
    (trapped.path / "kubeconfig").write_text(
        "current-context: a\n"
        "contexts: [{name: a, context: {cluster: a, user: a}}]\n"
        "clusters: [{name: a, cluster: {server: 'http://api.example:1'}}]\n"
        "users: [{name: a, user: {}}]\n"
    )
    with Site() as site:
        host = site.node.namespace
        rules = b"table inet t {\nchain c {\nmeta l4proto tcp accept\n}\n}\n"
        assert 0 == trapped.run(NFT, "-f", "-", host=host, stdin=rules).returncode
        done = trapped.run(ENGINE, "status", "--cluster", host=host, KUBECONFIG="/kubeconfig")
    assert 1 == done.returncode
    assert b"Connection refused" in done.stderr


def test_no_variable_of_ours_is_in_the_environment(bare_node: Root) -> None:
    """It is the caller's, less what was meant for a loader; so children get nothing of ours."""
    with Site() as site, bare_node.agent(site.node.namespace, A="1", LD_LIBRARY_PATH="/trap") as pid:
        found = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert {b"A", b"PATH", b""} == {line.partition(b"=")[0] for line in found} - {b"OLDPWD", b"PWD", b"_", b"SHLVL"}


def test_a_key_and_its_certificate_are_made(bare_node: Root) -> None:
    """The engine has all that this takes, and a Secret that holds them can be read again."""
    (bare_node.folder / "main.py").write_text(
        "from slash80.clusterset import identity\nmade = identity.create()\nassert identity.load(made.data()) == made\n"
        "import sys\nsys.stdout.buffer.write(made.der)"
    )
    main = _version(bare_node, ENGINE) / "slash80/__main__.pyc"
    py_compile.compile(str(bare_node.folder / "main.py"), cfile=str(main), doraise=True)

    done = bare_node.run(ENGINE)
    assert b"" == done.stderr
    assert b"0\x82" == done.stdout[:2]


def test_a_damaged_directory_is_told(bare_node: Root) -> None:
    """In one sentence, with what to do."""
    (_version(bare_node, ENGINE) / "libexec/loader").unlink()
    done = bare_node.run(ENGINE, "version")
    assert (127, b"") == (done.returncode, done.stdout)
    assert done.stderr.endswith(b"libexec/loader: No such file or directory; install the plugin again\n")


@pytest.mark.parametrize("name", ["libz.so.1", "libmnl.so.0", "libssl.so.3"])
def test_a_library_from_outside_ends_the_build(plugin: Path, tmp_path: Path, name: str) -> None:
    """Where one is missing, the loader would take the node's."""
    engine = tmp_path / "engine"
    shutil.copytree((plugin / ".slash80/engine").resolve().parent, engine)
    collect = _module(BUILD)
    collect._demand_closed(engine)
    (engine / "libexec" / name).unlink()
    with pytest.raises(SystemExit, match=f"needs what is not here: {name}"):
        collect._demand_closed(engine)


def test_every_part_has_its_licence(plugin: Path) -> None:
    """Versions, source and licence of every Debian package; the GPL's text, and the offer of source."""
    folder = (plugin / ".slash80/engine").resolve().parent / "licenses"
    packages = [line.split() for line in (folder / "debian-packages").read_text().splitlines()]
    assert {"libc6", "nftables", "libnftables1", "libgmp10", "musl-dev"} <= {line[0] for line in packages}
    assert [4] * len(packages) == [len(line) for line in packages]
    assert {line[0] for line in packages} == {path.name for path in (folder / "debian").iterdir()}
    assert {"GPL-2", "LGPL-2.1", "LGPL-3"} <= {path.name for path in (folder / "common-licenses").iterdir()}
    assert {"cffi", "cryptography", "pydantic", "pyroute2", "rich", "urllib3"} <= {
        path.name for path in (folder / "python").iterdir()
    }
    # by the Apache licence, 4 (d)
    assert "Prometheus Authors" in (folder / "python/prometheus_client/NOTICE").read_text()
    assert "Offer of source" in (folder / "README").read_text()
    assert "GPL-2.0-only" in (folder / "nft_preload.c").read_text()
