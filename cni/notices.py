"""Writes `.slash80/licenses/`: whose parts these are, under which licences, and where the source of each is.

Everybody who hands the directory or an image of it on needs it: nft and libraries are under the GPL and the LGPL.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

_DOC, _COMMON = Path("/usr/share/doc"), Path("/usr/share/common-licenses")
PACKAGES = "debian-packages"
_LICENCE = re.compile(r"(?i)licen[sc]e|copying|authors|notice")
_COLUMNS = "${Package} ${Version} ${source:Package} ${source:Version}\\n"
_NOTICE = """slash80 is under the Apache licence 2.0: the file LICENSE.

The other parts of this directory are other people's, under licences of their own. They were taken as they are, but
for two paths in libc.so.6 and the loader, of which the list in cni/collect.py of slash80's source tells.

Debian packages: the file debian-packages has, in each line, a package and its version, and the source package and its
version of which it was built; the licences are in debian/, and those that they refer to in common-licenses/.
Python packages: python/ has a folder for each, with its licence.

nft is a program of its own, under the GNU General Public License 2. It and slash80 know each other by command line,
standard input and output only. nft and its libraries are as Debian built them; but at its start the loader puts
libexec/libnft-preload.so before them, which changes what nft reads of sets that a newer one has written. That library
is slash80's, made for nft: it may be used under the GNU General Public License 2 or the Apache licence 2.0, its
complete source is the file nft_preload.c beside this one, and `gcc -shared -fPIC` builds it.
Some libraries in libexec/ are under the GNU Lesser General Public License; you may replace them by others with the
same interface.

Offer of source. The complete source of each package in debian-packages is the source package that its line names:
`apt-get source SOURCE=VERSION` on a Debian with deb-src lines, or https://snapshot.debian.org/package/SOURCE/VERSION/.
For three years from the day on which this directory, or an image that holds it, was distributed, anyone who asks
for it is given a machine-readable copy of the source of the parts under the GPL and the LGPL, for no more than the cost
of handing it over. To ask, open an issue of the project slash80.
"""


def write(engine: Path, own: Iterable[Path], files: Iterable[Path], linked: Iterable[str]) -> None:
    """Write it for our own files, the Debian packages of `files` and those `linked` in, and the Python packages."""
    target = engine / "licenses"
    target.mkdir()
    (target / "README").write_text(_NOTICE)
    for path in own:
        shutil.copy(path, target)
    packages = _debian_packages(files, linked)
    (target / PACKAGES).write_text("".join(f"{line}\n" for line in packages))
    for package in (line.split()[0] for line in packages):
        text = (_DOC / package / "copyright").read_text("utf-8", "replace")
        _put(target / "debian" / package, text)
        for name in re.findall(rf"{_COMMON}/([A-Za-z]+[A-Za-z0-9.-]*[A-Za-z0-9])", text):
            if (_COMMON / name).is_file():
                _put(target / "common-licenses" / name, (_COMMON / name).read_text())
    for distribution, texts in _python_packages(engine):
        for path in texts:
            _put(target / "python" / distribution / path.name, path.read_text("utf-8"))


def _debian_packages(files: Iterable[Path], further: Iterable[str]) -> list[str]:
    """Return these packages, and those of the files that are of any, as `_COLUMNS` says."""
    patterns: set[str] = set()
    for file in files:
        # a package may say /lib, and mean the /usr/lib to which that is a link
        patterns |= {f"/usr{name}".replace("/usr/usr/", "/usr/") for name in (str(file), str(file.resolve()))}
    patterns |= {pattern.removeprefix("/usr") for pattern in patterns}
    owners = _told("dpkg-query", "-S", *sorted(patterns), check=False)
    names = {line.partition(": ")[0].partition(":")[0] for line in owners.splitlines()}
    return sorted({*_told("dpkg-query", "-Wf", _COLUMNS, *names, *further).splitlines()})


def _python_packages(engine: Path) -> Iterator[tuple[str, list[Path]]]:
    """Yield the distributions of which there is a module, with the files of their licences."""
    for distribution in metadata.distributions(path=[path for path in sys.path if path.endswith("site-packages")]):
        files = [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
        modules = {
            file.parts[0].partition(".")[0] for file in distribution.files or () if file.suffix in {".py", ".so"}
        }
        if any((engine / name).is_dir() or [*engine.glob(f"{name}.*")] for name in modules):
            yield distribution.name, [file for file in files if _LICENCE.match(file.name)]


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _told(*command: str, check: bool = True) -> str:
    # a program that fails shows its words to the person who builds; one that may fail shows nothing
    stderr = None if check else subprocess.DEVNULL
    return subprocess.run(command, check=check, stdout=subprocess.PIPE, stderr=stderr, text=True).stdout
