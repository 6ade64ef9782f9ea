"""Members of clustersets, whose certificates are made once."""

from datetime import date
from functools import cache
from ipaddress import ip_network

from slash80.clusterset import identity
from slash80.clusterset.identity import Identity
from slash80.settings.clusterset import Clusterset, Member, Place, render

PREFIXES = {"eu": "2001:db8:1::/56", "us": "2001:db8:2::/56", "ap": "2001:db8:3::/56"}


@cache
def key(name: str) -> Identity:
    """Return the key of a cluster."""
    return identity.create()


def member(name: str) -> Member:
    """Return a cluster's entry."""
    return Member(
        id=name,
        prefixes=(ip_network(PREFIXES[name]),),
        certificates=(key(name).der,),
        at=(Place(f"{name}.example.net", 8180),),
        since=date(2026, 11, 27),
        namespaces=("*",),
    )


def file_of(*names: str) -> str:
    """Return the text of a file with these members."""
    return render(Clusterset(name="world", members=tuple(map(member, names))))
