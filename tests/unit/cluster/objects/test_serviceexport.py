"""ServiceExports, and the conditions that they have."""

from typing import Any

import pytest

from slash80.cluster.objects.conditions import Condition, read_conditions
from slash80.cluster.objects.managed import NOTHING
from slash80.cluster.objects.reading import Unreadable
from slash80.cluster.objects.serviceexport import read_service_export, service_exports

METADATA = {
    "namespace": "shop",
    "name": "web",
    "uid": "u",
    "generation": 3,
    "creationTimestamp": "1970-01-02T00:00:00Z",
}


def document(**more: Any) -> dict[str, Any]:  # noqa: ANN401 -- JSON
    """Return a ServiceExport."""
    return {"metadata": {**METADATA}, **more}


def test_an_export_says_what_is_exported_with_it() -> None:
    """Labels and annotations come from the spec; those of the object itself are never exported (KEP-1645)."""
    found = read_service_export(
        {
            "metadata": {**METADATA, "labels": {"own": "x"}, "annotations": {"own": "x"}},
            "spec": {"exportedLabels": {"b": "2", "a": "1"}, "exportedAnnotations": {"c": "3"}},
        },
        "us",
    )

    assert ((("a", "1"), ("b", "2")), (("c", "3"),)) == (found.labels, found.annotations)
    assert (86400, 3, NOTHING) == (found.created, found.generation, found.status)


def test_conditions_are_read_as_they_are_written() -> None:
    """What is read of a condition is what would be written of it."""
    condition = Condition("Ready", "True", "Ready", "It is.", 3, "2026-11-28T12:00:00Z")

    assert (condition,) == read_conditions({"conditions": [condition.document()]})
    assert (condition,) == read_service_export(document(status={"conditions": [condition.document()]}), "us").conditions


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"creationTimestamp": "yesterday"}, "creationTimestamp is 'yesterday', which is not a time"),
        ({"name": ""}, "name is missing"),
    ],
)
def test_an_export_that_cannot_be_understood_is_refused(metadata: dict[str, Any], reason: str) -> None:
    """The reason names the field and its value."""
    with pytest.raises(Unreadable, match=reason):
        read_service_export({"metadata": METADATA | metadata}, "us")


@pytest.mark.parametrize("labels", [{str(number): "" for number in range(300)}, {"k" * 400: ""}, {"k": "v" * 5000}])
def test_labels_are_bounded(labels: dict[str, str]) -> None:
    """The schema of the API does not bound them, so that one object could fill every other cluster."""
    with pytest.raises(Unreadable):
        read_service_export(document(spec={"exportedLabels": labels}), "us")


def test_the_kind_has_two_versions() -> None:
    """The path has the version that the API server serves."""
    assert "/apis/multicluster.x-k8s.io/v1alpha1/serviceexports" == service_exports("v1alpha1", "us").path
