"""The command line: which commands there are, and what each of them runs."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from slash80 import __version__
from slash80.cli import attachments
from slash80.cli.clusterset.arguments import of_clusterset
from slash80.cni import versions

STATE_DIR = Path("/run/slash80")
DATA_DIR = "/var/lib/slash80"


def main(arguments: Sequence[str]) -> int:
    """Run a command; return 0 when all is well, 1 when it failed. Exit with 2 when it is used wrongly."""
    chosen = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = chosen.run
    return run(chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slash80",
        description="A CNI plugin for dual-stack pods with public IPv6. Runtimes call it with CNI_COMMAND set.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    agent = _command(commands, "agent", "answer CNI calls until stopped, with everything kept open", run=_agent)
    _of_agent(agent)
    shown = _command(commands, "attachments", "list what is attached, and what is being removed", run=attachments.show)
    _output(shown)
    shown = _command(commands, "status", "say how it stands with this node, or with the cluster", run=_status)
    shown.add_argument(
        "--cluster", action="store_true", help="ask the Kubernetes API, as kubectl does, about all nodes"
    )
    _path(shown, "--conf-dir", "/etc/cni/net.d", text="where the network configurations are")
    _output(shown)
    _output(_command(commands, "prefixes", "list the prefixes of this node and where they are from", run=_prefixes))
    _of_firewall(commands)
    _of_policies(commands)
    _of_install(commands)
    of_clusterset(commands)
    _command(commands, "pause", "do nothing until stopped: for a container that only has to be there", run=_pause)
    _output(_command(commands, "version", "say which version this is", run=_version))
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    *,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument(
        "--state-dir", type=Path, default=STATE_DIR, metavar="DIR", help=f"where attachments are kept ({STATE_DIR})"
    )
    command.set_defaults(run=run)
    return command


def _output(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", choices=["text", "json"], default="text", help="for people or programs")


def _of_agent(agent: argparse.ArgumentParser) -> None:
    agent.add_argument("--cni-only", action="store_true", help="answer calls only, without Kubernetes")
    of_cluster = agent.add_argument_group("on Kubernetes")
    of_cluster.add_argument("--node", default=os.environ.get("NODE_NAME", ""), help="this node's name ($NODE_NAME)")
    _path(of_cluster, "--config", "/etc/slash80/config.yaml", text="what ConfigMap slash80 says")
    _path(of_cluster, "--conf-dir", "/etc/cni/net.d", text="where the conflist belongs")
    _path(of_cluster, "--data-dir", DATA_DIR, text="where the last good settings are kept")
    of_cluster.add_argument("--prefix", action="append", default=[], help="a prefix of this node; repeat it for more")
    of_cluster.add_argument("--prefix-file", type=Path, metavar="FILE", help="a file with a prefix on each line")
    _settings(of_cluster)
    of_cluster.add_argument("--health", default="127.0.0.1:9180", help="where probes are answered (127.0.0.1:9180)")


def _of_firewall(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "show the firewall that is in force on this node, or put it back"
    firewall = commands.add_parser("firewall", help=text, description=text[0].upper() + text[1:] + ".")
    parts = firewall.add_subparsers(required=True, metavar="COMMAND")
    _output(_command(parts, "show", "say which rules are in force, and what they have dropped", run=_firewall))
    _command(parts, "repair", "put it back where another program has changed it, as an agent does", run=_repair)


def _of_policies(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    asked = _command(
        commands, "why", "say whether a connection is let in, by which rule, and what would change it", run=_why
    )
    named = "namespace/name of a pod, node/NAME, {}an address"
    asked.add_argument("source", metavar="SRC", help=f"who begins it: {named.format('')}")
    asked.add_argument("destination", metavar="DST", help=f"where to: {named.format('service/NAME, ')}")
    asked.add_argument("port", metavar="PROTO/PORT", nargs="?", help="tcp/80, udp/53, sctp/9, or icmp for a ping")
    for version in (4, 6):
        text = f"ask about IPv{version} only"
        asked.add_argument(f"-{version}", dest="family", action="store_const", const=version, default=0, help=text)
    _of_api(asked)
    text = "show the NetworkPolicies that apply to a pod"
    policy = commands.add_parser("policy", help=text, description=text[0].upper() + text[1:] + ".")
    parts = policy.add_subparsers(required=True, metavar="COMMAND")
    shown = _command(parts, "show", "say what a pod may receive and send, and which policies say so", run=_policy)
    shown.add_argument("pod", metavar="POD", help="namespace/name")
    _of_api(shown)


def _of_api(command: argparse.ArgumentParser) -> None:
    command.add_argument("-n", "--namespace", default="default", help="that of names without one (default)")
    command.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="which kubeconfig ($KUBECONFIG, ~/.kube/config)"
    )
    command.add_argument("--context", default="", help="which context of it (the current one)")
    _output(command)


def _of_install(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    laid = _command(commands, "install", "copy this program and its launcher to where runtimes look", run=_install)
    taken = _command(commands, "uninstall", "remove everything that slash80 made on this node", run=_uninstall)
    for command in (laid, taken):
        _path(command, "--bin-dir", "/opt/cni/bin", text="where runtimes look for plugins")
    laid.add_argument("--launcher", type=Path, metavar="FILE", help="the launcher, if it is not beside this program")
    laid.add_argument("--host-root", type=Path, metavar="DIR", help="the node's root, in which it is tried out")
    _path(taken, "--conf-dir", "/etc/cni/net.d", text="where the conflist is")
    _path(taken, "--data-dir", DATA_DIR, text="where the last good settings are kept")
    _settings(taken)
    taken.add_argument("--force", action="store_true", help="even with pods, which lose their network")


def _settings(group: argparse._ActionsContainer) -> None:
    _path(group, "--proc-sys-net", "/proc/sys/net", text="where the kernel's network settings can be written")


def _path(group: argparse._ActionsContainer, name: str, default: str, *, text: str) -> None:
    metavar = "FILE" if Path(default).suffix else "DIR"
    group.add_argument(name, type=Path, default=Path(default), metavar=metavar, help=f"{text} ({default})")


def _agent(chosen: argparse.Namespace) -> int:
    if not chosen.state_dir.is_absolute():
        print(f"slash80 agent: --state-dir is {chosen.state_dir}, but must be an absolute path", file=sys.stderr)
        return 2
    from slash80.agent.run import run  # noqa: PLC0415 -- everything; no other command needs it
    from slash80.agent.shared import Shared  # noqa: PLC0415 -- the same

    if chosen.cni_only:
        return run(chosen.state_dir)
    if not chosen.node:
        print("slash80 agent: which node is this? Give --node or NODE_NAME, or --cni-only", file=sys.stderr)
        return 2
    host, _, port = chosen.health.rpartition(":")
    if not host or not port.isdigit():
        print(f"slash80 agent: --health is {chosen.health}, but must be ADDRESS:PORT", file=sys.stderr)
        return 2
    from slash80.wiring import sysctl  # noqa: PLC0415 -- the same

    sysctl.write_below(chosen.proc_sys_net)

    # before the processes that answer calls are forked: each page that an import touches later is copied
    from slash80.agent.reconcilers.controller import Controller  # noqa: PLC0415 -- HTTP and YAML
    from slash80.agent.reconcilers.part import Options  # noqa: PLC0415 -- the same
    from slash80.agent.reconcilers.prebuilt import prebuild  # noqa: PLC0415 -- the same
    from slash80.cluster import credentials  # noqa: PLC0415 -- the same
    from slash80.cluster.api import Api  # noqa: PLC0415 -- the same
    from slash80.prefixes.static import Static  # noqa: PLC0415 -- the same

    static = Static(tuple(chosen.prefix), chosen.prefix_file)
    health = host.strip("[]"), int(port)
    options = Options(chosen.node, chosen.config, chosen.conf_dir, chosen.data_dir, static, health)

    def controller(shared: Shared) -> Controller:
        return Controller(options, chosen.state_dir, Api(credentials.in_cluster(os.environ)), shared=shared)

    prebuild()
    return run(chosen.state_dir, controller)


def _status(chosen: argparse.Namespace) -> int:
    from slash80.cli.status import status  # noqa: PLC0415 -- YAML and HTTP, which no other command needs

    return status(chosen)


def _prefixes(chosen: argparse.Namespace) -> int:
    from slash80.cli.status import prefixes  # noqa: PLC0415 -- the same

    return prefixes(chosen)


def _firewall(chosen: argparse.Namespace) -> int:
    from slash80.cli.firewall import show  # noqa: PLC0415 -- the firewall's rooms, which few commands need

    return show(chosen)


def _repair(chosen: argparse.Namespace) -> int:
    from slash80.cli.firewall_repair import repair  # noqa: PLC0415 -- as above

    return repair(chosen)


def _why(chosen: argparse.Namespace) -> int:
    from slash80.cli.why import why  # noqa: PLC0415 -- YAML, HTTP and the firewall, which few commands need

    return why(chosen)


def _policy(chosen: argparse.Namespace) -> int:
    from slash80.cli.policy import show  # noqa: PLC0415 -- the same

    return show(chosen)


def _install(chosen: argparse.Namespace) -> int:
    from slash80.cli.install import install  # noqa: PLC0415 -- subprocess, which no other command needs

    return install(chosen)


def _uninstall(chosen: argparse.Namespace) -> int:
    from slash80.cli.uninstall import uninstall  # noqa: PLC0415 -- the rooms, which no other command needs
    from slash80.wiring import sysctl  # noqa: PLC0415 -- the same

    sysctl.write_below(chosen.proc_sys_net)
    return uninstall(chosen)


def _pause(_: argparse.Namespace) -> int:
    # blocked first: where it is process 1 of a container the kernel would throw them away
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    signal.sigwait(ending)
    return 0


def _version(chosen: argparse.Namespace) -> int:
    if chosen.output == "json":
        print(json.dumps({"version": __version__, "cniVersions": list(versions.SUPPORTED)}))
    else:
        print(f"slash80 {__version__}, CNI {versions.SUPPORTED[0]} to {versions.NEWEST}")
    return 0
