"""What a worker does next: chosen from a seed, over all verbs, in the ways in which runtimes and accidents use them."""

from dataclasses import asdict, dataclass, field
from itertools import takewhile
from random import Random
from typing import Any

from slash80.failpoints import Failpoint
from soak.world import MAIN, PODS, REQUESTABLE, SPOTS, Json, Spot, World

ADDING = [*takewhile(lambda moment: moment is not Failpoint.DETACHED, Failpoint)]
REMOVING = [Failpoint.LOCKED, Failpoint.DETACHED, Failpoint.RELEASED]
# Verb and manner, how often. Removing a link is slow: 20 ms each, one at a time on the whole machine.
WEIGHTS = {
    "ADD": 300,
    "ADD asked": 25,
    "ADD taken": 25,
    "ADD nowhere": 15,
    "DEL": 110,
    "DEL without netns": 60,
    "DEL other": 20,
    "DEL unknown": 90,
    "CHECK": 250,
    "GC all": 25,
    "GC some": 6,
    "GC unlisted": 15,
    "STATUS": 8,
    "VERSION": 15,
    "renew": 4,
    "flush": 1,
}
LOSING = {"lose": 4, "damage": 4}
MUTATING = ("ADD", "DEL", "GC")


@dataclass
class Operation:
    """One thing to do; what it may change follows from `spot`, and for GC by `gone`."""

    number: str
    kind: str
    spot: str = ""
    frozen: bool = False
    moment: str = ""  # at which the process is killed
    kill_after: float = 0.0  # seconds after which the frozen plugin is killed
    token: str = ""  # of a CHECK: the operation whose result it holds against the kernel
    asked: str = ""
    gone: list[str] = field(default_factory=list)
    pod: int = -1  # whose namespace is renewed

    @property
    def verb(self) -> str:
        """The CNI command, or the name of an accident."""
        return self.kind.partition(" ")[0]

    def record(self) -> Json:
        """Return all that is not as usual, for the log."""
        usual = asdict(Operation("", ""))
        return {key: value for key, value in asdict(self).items() if value != usual[key]}


class Chooser:
    """Chooses operations, and says how each is called."""

    def __init__(self, world: World, random: Random, name: str, *, losing: bool, frozen: float) -> None:
        weights = WEIGHTS | (LOSING if losing else {})
        self._kinds, self._weights = list(weights), list(weights.values())
        self._world, self._random, self._name, self._frozen = world, random, name, frozen
        self._count = 0
        self._spots = list(SPOTS.values())

    def next(self) -> tuple[Operation, dict[str, str], Json]:
        """Return the next operation with the plugin's environment and its configuration (none of an accident)."""
        self._count += 1
        random = self._random
        kind = random.choices(self._kinds, self._weights)[0]
        operation = Operation(f"{self._name}.{self._count}", kind)
        if kind == "renew":
            operation.pod = random.randrange(PODS)
        if kind in {"renew", "flush", "lose", "damage"}:
            return operation, {}, {}
        spot = random.choice(self._spots)
        operation.spot = spot.name
        self._decide_death(operation)
        return operation, *self.call(operation)

    def call(self, operation: Operation) -> tuple[dict[str, str], Json]:
        """Return how an operation is called."""
        spot = SPOTS[operation.spot]
        environ = {
            "CNI_COMMAND": operation.verb,
            "CNI_CONTAINERID": spot.container,
            "CNI_IFNAME": spot.ifname,
            "CNI_NETNS": str(self._world.pods[spot.pod].path),
            "CNI_PATH": "/opt/cni/bin",
        }
        conf = self._world.conf(spot.network)
        extra = {"ADD": self._add, "DEL": self._del, "CHECK": self._check, "GC": self._gc}.get(operation.verb)
        if extra:
            extra(operation, spot, environ, conf)
        return environ, conf

    def _decide_death(self, operation: Operation) -> None:
        random = self._random
        operation.frozen = random.random() < self._frozen
        if operation.verb not in MUTATING:
            return
        if random.random() < 0.015:
            operation.moment = str(random.choice(ADDING if operation.verb == "ADD" else REMOVING))
        elif operation.frozen and random.random() < 0.2:
            operation.kill_after = random.uniform(0.001, 0.12)

    def _add(self, operation: Operation, spot: Spot, environ: dict[str, str], conf: Json) -> None:
        if operation.kind == "ADD nowhere":
            environ["CNI_NETNS"] += "-none"
        if operation.kind == "ADD asked" and spot.network == MAIN:
            self._ask(operation, conf, self._random.choice(REQUESTABLE))
        if operation.kind == "ADD taken" and spot.network == MAIN:
            known = self._world.recall(self._random.choice([s for s in self._spots if s.network == MAIN]))
            if known:
                self._ask(operation, conf, next(iter(addresses(known[1]))))

    def _ask(self, operation: Operation, conf: Json, address: str) -> None:
        operation.asked = address
        conf["runtimeConfig"] = {"ips": [address]}

    def _del(self, operation: Operation, spot: Spot, environ: dict[str, str], conf: Json) -> None:
        random = self._random
        if operation.kind == "DEL unknown":
            environ["CNI_CONTAINERID"], operation.spot = f"u{random.randrange(1000)}", ""
        if operation.kind == "DEL without netns":
            environ["CNI_NETNS"] = random.choice(["", environ["CNI_NETNS"] + "-none"])
        if operation.kind == "DEL other":
            conf["name"], conf["ipv4"] = "renamed", {"prefixes": ["192.168.0.0/24"]}
        if random.random() < 0.5 and (known := self._world.recall(spot)):
            conf["prevResult"] = known[1]

    def _check(self, operation: Operation, spot: Spot, environ: dict[str, str], conf: Json) -> None:
        known = self._world.recall(spot)
        if known:
            operation.token, conf["prevResult"] = known

    def _gc(self, operation: Operation, spot: Spot, environ: dict[str, str], conf: Json) -> None:
        mine = [s.name for s in self._spots if s.network == spot.network]
        if operation.kind == "GC some" and not operation.gone:
            operation.gone = self._random.sample(mine, 2)
        if operation.kind != "GC unlisted":
            gone = {SPOTS[name].container for name in operation.gone}  # which other networks do not list here
            valid = [s for s in self._spots if s.container not in gone]
            conf["cni.dev/valid-attachments"] = [{"containerID": s.container, "ifname": s.ifname} for s in valid]
        operation.spot = ""


def addresses(result: Json) -> list[str]:
    """Return the addresses of a result, in its order."""
    found: list[dict[str, Any]] = result["ips"]
    return [str(ip["address"]).partition("/")[0] for ip in found]
