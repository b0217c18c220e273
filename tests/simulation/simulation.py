"""One simulation from its seed to its end: a while of faults, then calm, in which everything must come to an
end, then the judgement, and at last the months in which all that has ended goes by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from tests.simulation.book import Book
from tests.simulation.ledger import Violation, demand
from tests.simulation.manager import Manager
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle
from tests.simulation.pool import Pool
from tests.simulation.producer import Producer
from tests.simulation.storehouse import InFile, InMemory, Storehouse
from tests.simulation.world import World

#: Seconds of faults; and of calm in which all must have ended, the longest pauses between attempts included.
ROUGH: Final = 45.0
CALM_AT_MOST: Final = 1500.0

DAY: Final = 86400.0

#: Where a store in files is fast: no disk behind it.
RAM: Final = Path("/dev/shm")


class Outcome(Struct, frozen=True):
    """What a simulation has seen, if nothing was wrong."""

    calls: int
    lives: int
    runs: int
    tasks: int


class Simulation:
    """The world of a seed, and who lives in it."""

    def __init__(self, seed: int, storehouse: Storehouse, *, traced: bool = False) -> None:
        self.world = World(seed, traced=traced)
        self.book = Book()
        self.oracle = Oracle(self.world.clock)
        self.network = Network(self.world)
        self.manager = Manager(self.world, storehouse, self.oracle)
        self._pools: list[Pool] = []
        self._names = 0
        rng = self.world.rng
        for _ in range(rng.randint(1, 2)):
            self._start_pool()
        self.producers = [
            Producer(self.world, self.network, self.manager, self.book, f"p{n}", rng.randint(2, 8))
            for n in range(rng.randint(1, 2))
        ]
        self.world.after(1.0, self._weather)

    def run(self) -> Outcome:
        """Raises `Violation`, or whatever else is wrong."""
        self.world.run(ROUGH)
        self.world.calm_down()
        self._last_surprise = self.network.quiet_from
        self.world.run(ROUGH + CALM_AT_MOST, self._over)
        demand(self._over(), "the queue does not drain:", self.oracle.ledger.line(["mail", "sms"]))
        self.oracle.compare()
        self.oracle.compare_lists()
        self.book.balance(self.manager.queue)
        self._let_expire()
        return Outcome(self.oracle.calls, self.manager.lives, self.book.runs, len(self.book.acknowledged))

    def _over(self) -> bool:
        if self.world.time < self._last_surprise or self.manager.life is None:
            return False
        if not all(producer.done for producer in self.producers):
            return False
        return all(record.ended for record in self.oracle.ledger.tasks.values())

    def _let_expire(self) -> None:
        """After a month, and a day, nothing is left: no task, and no id."""
        for pool in self._pools:
            pool.kill()
        for _ in range(2):
            self.world.jump(31 * DAY)
            self.world.run(self.world.time + 6.0)
        self.oracle.compare()
        demand(not self.oracle.ledger.tasks, "these do not go:", self.oracle.ledger.tasks)
        demand(not self.oracle.ledger.gone, "these ids do not go:", self.oracle.ledger.gone)

    def _start_pool(self) -> None:
        self._names += 1
        processes = self.world.rng.randint(1, 2)
        name = f"pool-{self._names}"
        self._pools.append(Pool(self.world, self.network, self.manager, self.book, name, processes))

    def _weather(self) -> None:
        """What happens to whole machines."""
        world, odds, rng = self.world, self.world.odds, self.world.rng
        for pool in [pool for pool in self._pools if pool.dead]:
            self._pools.remove(pool)
            world.after(rng.uniform(0.0, 10.0), self._start_pool)
        for pool in self._pools:
            if world.chance(odds.vanish):
                world.note(pool.name, "vanishes")
                pool.kill()
            elif world.chance(odds.freeze):
                seconds = rng.uniform(1.0, 60.0)
                world.note(pool.name, "stands still for", seconds)
                pool.freeze(seconds)
            elif world.chance(odds.child_crash / 5):
                pool.lose_a_child()
            elif world.chance(odds.leave):
                world.note(pool.name, "leaves")
                pool.drain()
        if world.chance(odds.sleep):
            seconds = rng.uniform(1.0, 60.0)
            world.note("the manager stands still for", seconds)
            self.manager.freeze(seconds)
        if world.chance(odds.full):
            world.note("the disk is full")
            self.manager.fill_disk(rng.uniform(1.0, 15.0))
        if world.chance(odds.jump):
            world.jump(rng.choice((-1, 1)) * rng.uniform(1.0, 3600.0))
        if self._pools or not world.calm:
            world.after(1.0, self._weather)


@contextmanager
def storehouse(kind: str) -> Iterator[Storehouse]:
    """A place for a store: ``memory`` or ``sqlite``."""
    if kind == "memory":
        yield InMemory()
        return
    with TemporaryDirectory(dir=RAM if RAM.is_dir() else None) as folder:
        house = InFile(Path(folder))
        try:
            yield house
        finally:
            house.close()


def simulate(seed: int, kind: str) -> Outcome:
    """Runs one seed over one kind of store. Raises `Violation` with seed and kind in it."""
    with storehouse(kind) as house:
        try:
            return Simulation(seed, house).run()
        except Exception as error:
            raise Violation(
                f"seed {seed} over {kind}: {error}; scripts/simulate --store {kind} --seed {seed} shows how"
            ) from error
