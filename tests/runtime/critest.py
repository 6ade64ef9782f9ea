"""critest, the kubelet's expectations of a runtime, and what its report says."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtime.containerd import SOCKET
from runtime.sandbox import Sandbox


@dataclass(frozen=True)
class Report:
    """The specs that ran to their end: the passed, and the failed with what they said."""

    passed: set[str]
    failed: dict[str, str]


def critest(box: Sandbox, program: Path, focus: Iterable[str]) -> Report:
    """Run the specs whose names match one of `focus`, in an order that changes from run to run."""
    junit = box.scratch / "critest.xml"
    argv = [
        str(program),
        f"-runtime-endpoint=unix://{SOCKET}",
        f"-image-endpoint=unix://{SOCKET}",
        f"-ginkgo.junit-report={junit}",
        f"-ginkgo.focus={'|'.join(focus)}",
    ]
    done = box.try_run(argv, seconds=800)
    assert junit.exists(), f"critest wrote no report:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    report = _read(junit)
    assert done.returncode == 0 or report.failed, f"critest failed, but none of its specs:\n{done.stdout[-3000:]}"
    return report


def _read(junit: Path) -> Report:
    """Read a report; specs that were not chosen, or chose not to run, are in it as skipped."""
    report = Report(set(), {})
    for case in ET.parse(junit).getroot().iter("testcase"):
        name = case.attrib["name"].removeprefix("[It] [k8s.io] ")
        complaints = [found for kind in ("failure", "error") for found in case.findall(kind)]
        if complaints:
            report.failed[name] = "\n".join(found.text or found.attrib.get("message", "") for found in complaints)
        elif case.attrib["name"].startswith("[It]") and not case.findall("skipped"):
            report.passed.add(name)
    return report
