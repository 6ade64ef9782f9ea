"""Which Kubernetes the specs belong to."""

import re
from pathlib import Path

import pytest

_SETS = Path(__file__).parents[2] / "tools"
_REQUIRED = re.compile(r"^\s(k8s\.io/kubernetes v\S+)", re.MULTILINE)


@pytest.mark.parametrize("pattern", [_REQUIRED, re.compile(r"^\s(k8s\.io/\S+ => k8s\.io/\S+ v\S+)", re.MULTILINE)])
def test_specs_and_cluster_are_of_one_version(pattern: re.Pattern[str]) -> None:
    """The end-to-end tests are built from the very modules that the cluster's programs are built from."""
    cluster, specs = ((_SETS / name / "go.mod").read_text() for name in ("cluster/kubernetes", "conformance/e2e"))

    assert pattern.findall(cluster)
    assert set(pattern.findall(cluster)) == set(pattern.findall(specs))
