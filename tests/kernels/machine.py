"""An emulated machine that boots a kernel, runs one command and goes: no disk, no network, the first x86-64's CPU.

All its files are in its initramfs. What the command writes to the second serial line are its results, an object of JSON
to a line.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernels.archive import pack
from kernels.debian import Kernel

RESULTS = "/dev/ttyS1"
_CPU = "qemu64"  # without SSSE3 and all that came later: whatever the plugin brings must not need them
_MEMORY = "1024"  # MB; all files are in it too, and twenty engines run at once
# an oops ends the machine, and so the run; what guards against other users of a CPU only costs time here
_KERNEL_OPTIONS = "console=ttyS0 quiet panic=-1 oops=panic mitigations=off"
_INIT = """#!/busybox/busybox sh
/busybox/busybox --install -s /busybox
export PATH=/usr/sbin:/usr/bin:/busybox HOME=/root
mkdir -p /dev /etc /proc /root /run /sys /tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
echo /busybox/modprobe > /proc/sys/kernel/modprobe
stty -F {results} raw
{command}
poweroff -f
"""


@dataclass(frozen=True)
class Run:
    """What came of it: the lines of the results, and all that was said on the console."""

    results: list[dict[str, Any]]
    console: str


def boot(
    kernel: Kernel,
    archives: Sequence[Path],
    command: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    seconds: float,
) -> Run:
    """Boot a kernel over its initramfs and more archives, and run the command in a folder there.

    All of it is killed after `seconds`.
    """
    with tempfile.TemporaryDirectory(prefix="slash80-kernel-") as text:
        work = Path(text)
        variables = " ".join(f"{key}={shlex.quote(value)}" for key, value in environ.items())
        script = f"cd {shlex.quote(str(folder))}\n{variables} {shlex.join(command)}"
        (work / "init").write_text(_INIT.format(results=RESULTS, command=script))
        (work / "init").chmod(0o755)
        with (work / "initramfs").open("wb") as initramfs:
            for path in (kernel.initramfs, *archives):
                initramfs.write(path.read_bytes())
            initramfs.flush()
            pack(work, ["init"], initramfs.fileno())
        return _run(kernel, work, seconds)


def _run(kernel: Kernel, work: Path, seconds: float) -> Run:
    console, results = work / "console", work / "results"
    argv = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", _CPU, "-smp", "2", "-m", _MEMORY]
    argv += ["-nodefaults", "-display", "none", "-no-reboot"]
    argv += ["-kernel", str(kernel.image), "-initrd", str(work / "initramfs"), "-append", _KERNEL_OPTIONS]
    argv += ["-serial", f"file:{console}", "-serial", f"file:{results}"]
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False).stderr
    except subprocess.TimeoutExpired:
        ended = f"killed after {seconds:g} s"
    said = console.read_text(errors="replace") if console.exists() else ""
    lines = results.read_bytes().splitlines() if results.exists() else []
    return Run([json.loads(line) for line in lines if line.endswith(b"}")], said + ended)
