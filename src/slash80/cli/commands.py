"""The command line: which commands there are, and what each of them runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from slash80 import __version__
from slash80.cli import attachments
from slash80.cni import versions

STATE_DIR = Path("/run/slash80")


def main(arguments: Sequence[str]) -> int:
    """Run a command; give 0 when all is well, 1 when it failed. Exit with 2 when it is used wrongly."""
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
    agent.add_argument("--cni-only", action="store_true", help="without Kubernetes, for now the only way")
    shown = _command(commands, "attachments", "list what is attached, and what is being removed", run=attachments.show)
    _output(shown)
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


def _agent(chosen: argparse.Namespace) -> int:
    if not chosen.cni_only:
        print("slash80 agent: this version has no Kubernetes part yet; give --cni-only", file=sys.stderr)
        return 2
    if not chosen.state_dir.is_absolute():
        print(f"slash80 agent: --state-dir is {chosen.state_dir}, but must be an absolute path", file=sys.stderr)
        return 2
    from slash80.agent.run import run  # noqa: PLC0415 -- everything; no other command needs it

    return run(chosen.state_dir)


def _version(chosen: argparse.Namespace) -> int:
    if chosen.output == "json":
        print(json.dumps({"version": __version__, "cniVersions": list(versions.SUPPORTED)}))
    else:
        print(f"slash80 {__version__}, CNI {versions.SUPPORTED[0]} to {versions.NEWEST}")
    return 0
