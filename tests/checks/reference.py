"""docs/configuration.md out of the configuration's models; `make docs` writes it, a unit test keeps it so."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from slash80.settings.cluster import ClusterSettings, PolicySettings
from slash80.settings.network import Firewall, Ipv4, Ipv6, NetConf, Route
from slash80.settings.node import NodeFile, NodePrefix4, NodePrefix6

HEAD = """# Configuration

The keys of a network configuration of type `slash80`, beside those that the CNI specification gives every plugin
(`cniVersion`, `cniVersions`, `name`, `type`, `capabilities`, `runtimeConfig`, `args`, `prevResult`). Keys match without
regard to case, `null` means absent. A value that cannot be used is refused with code 7, a key inside an object that
does not exist with code 2; both name the key and the value. Unknown keys at the top are left to other plugins, except
`ipam`, which is refused with code 2: slash80 hands out addresses itself.

A complete example is `/usr/share/slash80/05-slash80.conflist`. Changed firewall settings take effect with the
next ADD, on Kubernetes within two minutes of a change of the ConfigMap.

This page is made from the models in `src/slash80/settings/network.py` by `make docs`. It documents three files:

| file | who writes it | what it holds |
|---|---|---|
| [the network configuration](#the-network-configuration) | you, or the agent on Kubernetes; `/etc/cni/net.d/05-slash80.conflist` | what a runtime passes to the plugin |
| [node.json](#nodejson) | the agent, or you; in `stateDir` | prefixes and firewall of a node, with `"source": "node"` |
| [config.yaml](#configyaml) | you; ConfigMap `slash80` in namespace `slash80-system` | the settings of a cluster |

## The network configuration
"""

NODE = """
## node.json

With `"source": "node"` prefixes, firewall and a few more keys come from `node.json` in `stateDir`. On Kubernetes the agent
writes it; elsewhere a person or a program may, by renaming a finished file into place. Until it is there ADD answers
with code 11 and STATUS with 50. Keys that this version does not know are ignored.
"""

CLUSTER = """
## config.yaml

The settings of a cluster: key `config.yaml` of ConfigMap `slash80` in namespace `slash80-system`. See
[kubernetes.md](kubernetes.md) for what follows from them.

Every value is checked before any is used. Settings that cannot be used, or do not fit a node's prefixes, change nothing on
that node, and neither does a ConfigMap that is gone: the last ones that were used stay in force, also after the agent or
the node has started again, since the agent keeps them in `/var/lib/slash80/config.yaml` (mode 0600). A node that has never
had good ones attaches no pods, and `slash80 status` names the key and the value. An empty `config.yaml` means the defaults.
"""

TAIL = """
### What a runtime may request

| capability or argument | what |
|---|---|
| `ips` | at most one address of each family, inside the prefixes; refused when it is in use, never replaced by another |
| `mac` | the interface's MAC; with `ipv6.suffix` `mac` the IPv6 address too |
| `dns` | handed on in the result instead of the key `dns` |
| `io.kubernetes.cri.pod-annotations` | pod annotation `slash80.io/ipv4: "false"`: this pod gets no IPv4; `slash80.io/expose: "tcp/443, udp/8000-8100"`: these ports of this pod are open to everybody, if `firewall.exposeFrom` lets it; at most 64 entries of tcp, udp or sctp |
| CNI_ARGS `IP=`, `MAC=`; `args.cni.ips`, `args.cni.mac` | the same requests; runtimeConfig beats `args.cni`, which beats CNI_ARGS |
| `portMappings` | [host ports](operations.md#host-ports): `hostPort`, `containerPort`, `protocol` (tcp, udp, sctp), `hostIP`; at most 1000 |
| `bandwidth`, `ipRanges` | refused with code 2; put the plugin `bandwidth` after this one |
"""


def reference() -> str:
    """Write the whole page."""
    sections: list[tuple[str, str, type[BaseModel]]] = [
        ("", "", NetConf),
        ("ipv6", "ipv6.", Ipv6),
        ("ipv4", "ipv4.", Ipv4),
    ]
    sections += [("routes", "routes[].", Route), ("firewall", "firewall.", Firewall)]
    node: list[tuple[str, str, type[BaseModel]]] = [
        ("", "", NodeFile),
        ("ipv6[]", "ipv6[].", NodePrefix6),
        ("ipv4[]", "ipv4[].", NodePrefix4),
    ]
    cluster: list[tuple[str, str, type[BaseModel]]] = [("", "", ClusterSettings), ("policy", "policy.", PolicySettings)]
    parts = [HEAD, _tables(sections), TAIL, NODE, _tables(node), CLUSTER, _tables(cluster)]
    return "".join(parts)


def _tables(sections: list[tuple[str, str, type[BaseModel]]]) -> str:
    return "".join("\n".join(_section(*section)) + "\n" for section in sections)


def _section(title: str, before: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"\n### `{title}`: {_first_line(model)}\n" if title else ""
    yield from ("| key | values | default | meaning |", "|---|---|---|---|")
    properties = model.model_json_schema(mode="validation")["properties"]
    for field in model.model_fields.values():
        alias = str(field.alias)
        values = _values(properties[alias], field)
        yield f"| `{before}{alias}` | {values} | {_default(field)} | {field.description} |"


def _first_line(model: type[BaseModel]) -> str:
    line = (model.__doc__ or "").splitlines()[0].removesuffix(".")
    return line[:1].lower() + line[1:]


def _values(schema: dict[str, Any], field: FieldInfo) -> str:
    """Name a field's values: words, bounds or the kind of thing."""
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    schema = schema | options[0]
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"`{field.default}`, list" if isinstance(field.default, str) else "list"
    low, high = (schema.get(key, schema.get(other)) for key, other in _BOUNDS)
    if low is not None and high is not None:
        return f"{low:g} to {high}"
    return _NAMES.get(str(schema.get("type")), "object")


_BOUNDS = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
_NAMES = {"boolean": "`true`, `false`", "integer": "number", "number": "number", "string": "string"}


def _default(field: FieldInfo) -> str:
    """Show a default; an object's are in its own section."""
    if field.is_required():
        return "must be given"
    if field.default is None or isinstance(field.default, BaseModel):
        return ""
    value = field.default if isinstance(field.default, bool | int | float | list) else str(field.default)
    return f"`{json.dumps(value).strip(chr(34))}`"


if __name__ == "__main__":
    print(reference(), end="")
