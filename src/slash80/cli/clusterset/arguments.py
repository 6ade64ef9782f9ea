"""Which commands `slash80 clusterset` has, and what each of them runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path


def of_clusterset(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    text = "share Services with other clusters"
    clusterset = commands.add_parser("clusterset", help=text, description=text[0].upper() + text[1:] + ".")
    parts = clusterset.add_subparsers(required=True, metavar="COMMAND")
    _of_add(_of_contexts(parts, "add", "write an entry for each cluster into the file of the clusterset", run=_add))
    _of_apply(_of_contexts(parts, "apply", "put the file of the clusterset into each cluster", run=_apply))
    _of_dns(_of_contexts(parts, "dns", "show what CoreDNS needs to answer for clusterset.local", run=_dns))
    _yes(_of_contexts(parts, "leave", "delete what a clusterset has put into each cluster", run=_leave))
    _of_contexts(parts, "status", "say how members, exports and imports stand, and what was refused", run=_status)
    _of_serve(_command(parts, "serve", "exchange exports with the other members, as the Deployment does", run=_serve))


def _command(
    parts: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    *,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    command = parts.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=run)
    return command


def _of_contexts(
    parts: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    *,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    command = _command(parts, name, text, run=run)
    command.add_argument("contexts", metavar="CONTEXT", nargs="+", help="the clusters, as contexts of the kubeconfig")
    command.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="which kubeconfig ($KUBECONFIG, ~/.kube/config)"
    )
    command.add_argument("-o", "--output", choices=["text", "json"], default="text", help="for people or programs")
    return command


def _of_add(command: argparse.ArgumentParser) -> None:
    _file(command)
    command.add_argument("--namespaces", metavar="NAMES", help="which it may export from: a,b, or '*' for all")
    command.add_argument("--id", default="", help="its id among the members (the name of the context)")
    command.add_argument("--name", default="", help="the name of a new clusterset (that of the file)")
    command.add_argument("--at", default="", metavar="HOST:PORT", help="where it is asked first (its pod's address)")
    command.add_argument("--with-ipv4", action="store_true", help="also its IPv4 prefixes, where they are routed")


def _of_apply(command: argparse.ArgumentParser) -> None:
    _file(command)
    _yes(command)
    command.add_argument("--leaving", action="store_true", help="even where the file does not list the cluster itself")
    command.add_argument("--force", action="store_true", help="even where another program has written the ConfigMap")


def _of_dns(command: argparse.ArgumentParser) -> None:
    command.add_argument("--apply", action="store_true", help="make the change, too")
    command.add_argument(
        "--coredns-version", default="", metavar="VERSION", help="which one runs, where its image's tag does not say it"
    )


def _file(command: argparse.ArgumentParser) -> None:
    command.add_argument("-f", "--file", type=Path, required=True, metavar="FILE", help="the file of the clusterset")


def _yes(command: argparse.ArgumentParser) -> None:
    command.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _of_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--listen", default="[::]:8180", metavar="ADDRESS:PORT", help="where members are answered")
    serve.add_argument(
        "--without-admission-policy",
        action="store_true",
        help="even where nothing holds a stolen token of this account to its own objects",
    )


def _add(chosen: argparse.Namespace) -> int:
    from slash80.cli.clusterset.add import add  # noqa: PLC0415 -- HTTP and YAML, which few commands need

    return add(chosen)


def _apply(chosen: argparse.Namespace) -> int:
    from slash80.cli.clusterset.apply import apply  # noqa: PLC0415 -- the same

    return apply(chosen)


def _dns(chosen: argparse.Namespace) -> int:
    from slash80.cli.clusterset.dns import dns  # noqa: PLC0415 -- the same

    return dns(chosen)


def _leave(chosen: argparse.Namespace) -> int:
    from slash80.cli.clusterset.leave import leave  # noqa: PLC0415 -- the same

    return leave(chosen)


def _status(chosen: argparse.Namespace) -> int:
    from slash80.cli.clusterset.status import status  # noqa: PLC0415 -- the same

    return status(chosen)


def _serve(chosen: argparse.Namespace) -> int:
    host, _, port = chosen.listen.rpartition(":")
    if not host or not port.isdigit():
        print(f"slash80 clusterset serve: --listen is {chosen.listen}, but must be ADDRESS:PORT", file=sys.stderr)
        return 2
    from slash80.clusterset.run import Options, run  # noqa: PLC0415 -- HTTP, YAML and TLS, which few commands need

    return run(Options((host.strip("[]"), int(port)), unrestricted=chosen.without_admission_policy))
