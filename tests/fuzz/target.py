"""The fuzz target: any environment and standard input through `engine.run`, in namespaces of its own.

    python tests/fuzz/target.py DIRECTORY [libFuzzer's options]     fuzz on, with DIRECTORY/corpus
    python tests/fuzz/target.py DIRECTORY FILE...                   run findings again

Needs root and atheris. What must hold: an answer that `oracle` allows, and nothing left behind by a call that failed,
nor by one that succeeded and was taken back.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import atheris

from fuzz import mutations, oracle
from fuzz.cases import Case
from fuzz.world import World

with atheris.instrument_imports(include=["slash80"]):
    from slash80 import engine
    from slash80.verbs import add, check, delete, gc, status

LARGEST = 8192  # bytes of one case; larger ones are in the tests, by name


class Target:
    """Runs cases in a world of their own."""

    def __init__(self, world: World) -> None:
        self._world = world

    def run(self, data: bytes) -> None:
        """Run one case; raise AssertionError for a violation, or whatever escapes the engine."""
        case = self._world.place(Case.unpack(data))
        stdout = io.BytesIO()
        exit_code = engine.run(case.environ, io.BytesIO(case.stdin), stdout)
        verb = case.environ.get("CNI_COMMAND", "")
        oracle.judge(verb, exit_code, stdout.getvalue())
        if verb == "ADD":
            if not exit_code:
                self._take_back(case)
            self._world.assert_empty()

    def _take_back(self, case: Case) -> None:
        environ = {**case.environ, "CNI_COMMAND": "DEL"}
        stdout = io.BytesIO()
        exit_code = engine.run(environ, io.BytesIO(case.stdin), stdout)
        assert exit_code == 0, f"DEL after ADD failed: {stdout.getvalue()!r}"


def mutator(data: bytes, max_size: int, seed: int) -> bytes:
    """Change a case for libFuzzer."""
    return mutations.mutate(data, seed, atheris.Mutate)[:max_size]


def main(arguments: Sequence[str]) -> None:
    """Fuzz until libFuzzer's options say stop, or run the files that are named."""
    directory, *more = arguments
    corpus = Path(directory).resolve() / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    files = [str(Path(file).resolve()) for file in more if not file.startswith("-")]
    options = [option for option in more if option.startswith("-")]
    target = Target(World(corpus.parent))
    assert all((add, check, delete, gc, status))  # loaded, and instrumented, before the first case
    limits = [f"-max_len={LARGEST}", "-timeout=20", f"-artifact_prefix={corpus.parent}/"]
    where = files or [str(corpus), str(Path(__file__).parent / "seeds")]
    atheris.Setup([sys.argv[0], *limits, *options, *where], target.run, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
