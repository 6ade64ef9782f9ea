"""What is kept of a ConfigMap."""

import pytest

from slash80.cluster.objects.configmap import CLUSTERSET, CLUSTERSET_FILE, read_config_map
from slash80.cluster.objects.reading import Unreadable
from slash80.settings import clusterset


def test_the_clusterset_has_one_name() -> None:
    """Agents follow it by that without loading what reads it, which takes memory also where a cluster is alone."""
    assert (clusterset.NAME, clusterset.KEY) == (CLUSTERSET, CLUSTERSET_FILE)


def test_the_texts_are_kept() -> None:
    """Those of `data`, by their keys; a ConfigMap may have none."""
    assert {"a": "1", "b": ""} == read_config_map({"data": {"a": "1", "b": None}})
    assert {} == read_config_map({"metadata": {"name": "x"}, "binaryData": {"a": "AA=="}})


@pytest.mark.parametrize("data", [[], {"a": 5}, {"a": "x" * ((1 << 20) + 1)}])
def test_what_no_config_map_has_is_refused(data: object) -> None:
    """A proxy in between may send anything, and the agent's memory is bounded."""
    with pytest.raises(Unreadable, match=r"^(data|a) "):
        read_config_map({"data": data})
