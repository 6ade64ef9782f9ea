"""The table of rooms in docs/architecture.md is what the source is."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/slash80"


def _room(path: Path) -> str:
    part = path.relative_to(SOURCE).parts[0]
    return part if part.endswith(".py") else f"{part}/"


def _imported(path: Path) -> set[str]:
    """Return the rooms that a module imports, also inside of functions."""
    found = set()
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").partition(".")[0] == "slash80":
            _, *parts = f"{statement.module}.".split(".")
            found |= {parts[0]} if parts[0] else {alias.name for alias in statement.names}
        elif isinstance(statement, ast.Import):
            found |= {alias.name.split(".")[1] for alias in statement.names if alias.name.startswith("slash80.")}
    names = {path.stem: path.name for path in SOURCE.glob("*.py")}
    return {names.get(name, f"{name}/") for name in found if not name.startswith("__")}


def _imports() -> dict[str, set[str]]:
    rooms: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        if path != SOURCE / "__init__.py":
            rooms.setdefault(_room(path), set()).update(_imported(path) - {_room(path)})
    return rooms


def _table() -> dict[str, set[str]]:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w/.]+)` \|[^|]*\|([^|]*)\|$", page, re.MULTILINE)
    return {room: set(filter(None, re.split(r",\s*", cell.strip()))) - {"-"} for room, cell in rows}


def test_the_table_lists_every_room_with_the_rooms_it_imports() -> None:
    """No room is missing, none is left over, and the third column is what the modules of a room really import."""
    assert _imports() == _table()


def test_the_table_is_in_the_order_of_the_linter() -> None:
    """A room stands below those that it may import, as the layers of `make check` say."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers" and contract["containers"] == ["slash80"]
    )
    floors = {name: floor for floor, layer in enumerate(reversed(layers)) for name in layer.split(" | ")}
    order = [floors[room.rstrip("/").removesuffix(".py")] for room in _table()]

    assert sorted(order) == order
    assert len(floors) == len(order)
