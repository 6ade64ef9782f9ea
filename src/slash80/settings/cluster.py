"""The agent's settings for the whole cluster: `config.yaml` of ConfigMap `slash80`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field

from slash80.errors import CniError, InvalidConfig
from slash80.settings import values
from slash80.settings.network import ExposeFrom, Firewall, Model, Mtu, Trusted
from slash80.settings.node import Options4, Options6

_BYTES = 1 << 20  # of a ConfigMap, as of every object in etcd
SourceName = Literal["static", "annotation", "spec"]


class ClusterOptions6(Options6):
    """The keys of `ipv6` but its prefixes; one that is not known is a mistake here."""

    model_config = ConfigDict(extra="forbid")


class ClusterOptions4(Options4):
    """The keys of `ipv4` but its prefixes; one that is not known is a mistake here."""

    model_config = ConfigDict(extra="forbid")


class ClusterFirewall(Firewall):
    """The keys of `firewall`, for the whole cluster."""

    expose_from: ExposeFrom = Field("labelled", description="See `firewall`.")


class PolicySettings(Model):
    """How NetworkPolicies are enforced."""

    enforce: bool = Field(
        default=True,
        description="Whether NetworkPolicies are in force; with `false` they are not even read, and isolate no pod.",
    )
    end_connections: bool = Field(
        default=True,
        description="Whether connections are ended that the policies of now would not let begin.",
    )
    mark: int = Field(
        31,
        ge=0,
        le=31,
        description="Number of the bit of conntrack's mark (`ct mark`) that such a connection gets; no other program "
        "may use it.",
    )


class ClusterSettings(Model):
    """What is the same on every node."""

    firewall: ClusterFirewall = Field(
        ClusterFirewall(),
        description="The keys of `firewall`. Without `clusterPrefixes` they are every node's `spec.podCIDRs`, without "
        "`nodePrefixes` every node's addresses, without `serviceCIDRs` what the API's ServiceCIDRs say.",
    )
    prefix_sources: list[SourceName] = Field(
        ["static", "annotation", "spec"],
        min_length=1,
        description="Where a node's prefixes come from; for each family the first that answers. `static`: `--prefix` "
        "and `--prefix-file` of the agent; `annotation`: `slash80.io/prefix-override` of the Node; `spec`: its "
        "`spec.podCIDRs`.",
    )
    node_routes: Literal["auto", "none"] = Field(
        "auto",
        description="`auto`: routes to the prefixes of the nodes that are on this node's own links; `none`: the "
        "network routes them.",
    )
    node_prefixes: list[Trusted] = Field([], description="The same as `firewall.nodePrefixes`.")
    policy: PolicySettings = Field(PolicySettings(), description="How NetworkPolicies are enforced.")
    ipv6: ClusterOptions6 = Field(ClusterOptions6(), description="The keys of `ipv6` but `prefixes`.")
    ipv4: ClusterOptions4 = Field(ClusterOptions4(), description="The keys of `ipv4` but `prefixes`.")
    mtu: Mtu = Field(0, description="MTU of pods, 1280 to 65535; 0: that of the default route's link, IPv6 first.")

    @property
    def all_node_prefixes(self) -> tuple[Any, ...]:
        """The nodes' prefixes, under whichever key they were given."""
        return (*self.firewall.node_prefixes, *self.node_prefixes)


def read(path: Path) -> str | None:
    """Return the text of the file, None where there is no file; raise InvalidConfig when it cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(_BYTES + 1)
        if len(raw) > _BYTES:
            raise InvalidConfig(f"{path} has more than {_BYTES} bytes; fix the ConfigMap slash80")
        return raw.decode()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"{path} cannot be read: {error}; fix the ConfigMap slash80") from error


def parse(text: str, path: Path) -> ClusterSettings:
    """Check the text; what it does not say has its default. Raise InvalidConfig naming the file, key and value."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date such as 2026-02-30
        reason = " ".join(str(error).split())
        raise InvalidConfig(f"{path} cannot be read: {reason}; fix the ConfigMap slash80") from error
    try:
        with values.translated():
            return ClusterSettings.model_validate(document or {})
    except CniError as error:
        raise InvalidConfig(f"{path}: {error.msg}") from error
