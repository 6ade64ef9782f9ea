"""Calls that stop at a named moment, and who waits meanwhile."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from lab.namespaces import Namespace
from lab.rig import Rig
from lab.waiting import PATIENCE, wait_until
from slash80.failpoints import Failpoint


@contextmanager
def stopped(rig: Rig, verb: str, pod: Namespace, moment: Failpoint) -> Iterator[Callable[[], int]]:
    """Have the plugin stop when it gets to the moment; the block gets what lets it go on and gives its exit code."""
    environ = {
        "CNI_CONTAINERID": pod.name,
        "CNI_NETNS": str(pod.path),
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin",
    }
    environ |= {"CNI_COMMAND": verb, "SLASH80_FAILPOINT": f"{moment}:STOP"}
    program = Path(os.environ["SLASH80_ROOT"], "opt/cni/bin/slash80")
    conf = rig.state_dir.with_name("conf.json")
    conf.write_text(json.dumps(rig.conf))
    with conf.open() as stdin:
        start = partial(subprocess.Popen, [program], env=environ, stdin=stdin, stdout=subprocess.DEVNULL)
        process = rig.host.run(start)
    status = Path(f"/proc/{process.pid}/stat")
    wait_until(lambda: status.read_text().rpartition(")")[2].split()[0] == "T")

    def resume() -> int:
        process.send_signal(signal.SIGCONT)
        return process.wait(timeout=300 * PATIENCE)

    try:
        yield resume
    finally:
        process.kill()
        process.wait()


def is_waited_for(lock: Path) -> bool:
    """Report whether a process waits for a lock on that file."""
    waiting = [line for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(f":{lock.stat().st_ino} " in line for line in waiting)
