"""A fresh site for every test, and the plugin on it: called as an agent calls it, or in each shape that ships."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lab.agent import Agent
from lab.attacker import Attacker
from lab.namespaces import Namespace
from lab.night import NIGHT
from lab.plugin import Frozen, InProcess, Plugin, Resident, Served
from lab.rig import Rig, configuration
from lab.topology import ATTACKER4, ATTACKER6, Site

MakeRig = Callable[..., Rig]
SHAPES, USUAL = ("inprocess", "frozen", "served"), ("resident",)
MARKED = {"every_shape": SHAPES, "with_and_without_agent": ("inprocess", "served")}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let everything be called in every shape, however little that can matter."""
    parser.addoption("--every-shape", action="store_true", help="call the plugin in all of its shapes in every test")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers of the tests for which one shape is not enough."""
    config.addinivalue_line("markers", "every_shape: the way in which the plugin is called may matter here")
    config.addinivalue_line("markers", "with_and_without_agent: what an agent has, but no engine, may matter here")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have calls answered as in an agent; in other shapes where a marker says so, in all with the option.

    The marker of a test goes before that of its module. A test that names its shapes by `parametrize`, and a module
    with a fixture `shape` of its own, have decided already.
    """
    chosen = any(mark.args[0] == "shape" for mark in metafunc.definition.iter_markers("parametrize"))
    if "shape" not in metafunc.fixturenames or chosen or hasattr(metafunc.module, "shape"):
        return
    marked = [MARKED[mark.name] for mark in metafunc.definition.iter_markers() if mark.name in MARKED]
    shapes = SHAPES if _every_shape(metafunc.config) else [*marked, USUAL][0]
    metafunc.parametrize("shape", shapes, indirect=True)


def _every_shape(config: pytest.Config) -> bool:
    return bool(config.getoption("--every-shape")) or NIGHT


@pytest.fixture
def shape(request: pytest.FixtureRequest) -> str:
    """The shape in which the plugin is called."""
    return str(request.param)


@pytest.fixture
def make_rig(shape: str, tmp_path: Path) -> Iterator[MakeRig]:
    """Provide a function that builds a site from `Site`'s arguments with the plugin on it."""
    with ExitStack() as stack:

        def make(**site: Any) -> Rig:  # noqa: ANN401 - handed on to Site as they are
            built = stack.enter_context(Site(**site))
            conf = configuration(built.node, tmp_path / "state")
            if shape == "served":
                stack.enter_context(Agent(built.node.namespace, root(), Path(conf["stateDir"])))
            if shape == "resident":
                return Rig(built, built.node, Resident(built.node.namespace, Path(conf["stateDir"]), stack), conf)
            return Rig(built, built.node, plugin_of(shape, built.node.namespace), conf)

        yield make


@pytest.fixture
def quick(request: pytest.FixtureRequest) -> Callable[[Rig], Rig]:
    """Provide what makes the calls around those that a test is about: the same rig, in this process if that may be."""
    if _every_shape(request.config):
        return lambda rig: rig
    return lambda rig: rig.in_process() if type(rig.plugin) is Frozen else rig


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """Put the plugin on the usual site."""
    return make_rig()


@pytest.fixture
def routed(make_rig: MakeRig) -> Rig:
    """Put the plugin on a site whose router sends the IPv4 pod ranges to the nodes as well."""
    return make_rig(route_ipv4_pods=True)


@pytest.fixture(params=["ipv6", "ipv4"])
def family(request: pytest.FixtureRequest) -> str:
    """Each family, as the name of the attribute that holds an address of it."""
    return str(request.param)


@pytest.fixture
def attacker(routed: Rig) -> Iterator[Attacker]:
    """Set the attacker on the site of `routed`."""
    with Attacker(routed.site.attacker, (ATTACKER6, ATTACKER4)) as attacker:
        yield attacker


def plugin_of(shape: str, host: Namespace) -> Plugin:
    """Return the plugin in one shape; the frozen ones are what is laid out below $SLASH80_ROOT."""
    if shape == "inprocess":
        return InProcess(host)
    return Served(host, root=root()) if shape == "served" else Frozen(host, root=root())


def root() -> Path:
    """Return the folder below which the plugin is laid out."""
    if found := os.environ.get("SLASH80_ROOT"):
        return Path(found)
    if "MAKELEVEL" in os.environ:
        pytest.fail("SLASH80_ROOT is not set: the Makefile must install the frozen plugin and say where")
    pytest.skip("SLASH80_ROOT is not set")
