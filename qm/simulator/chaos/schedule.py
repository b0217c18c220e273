"""What a run is to do, and which fault comes at which moment. Pure: the same plan gives the same schedule."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from random import Random
from typing import Final, Literal

from msgspec import Struct

from qm.errors import BadRequest
from qm.simulator.plan import PRODUCERS_MAX

#: Workers killed for each manager, as 5 to 2.
_WORKERS_PER_MANAGER: Final = 2.5

#: Of the workers killed, so many are whole pools; the others are children.
_POOLS_PART: Final = 0.2

#: Seconds between two cuts in the proxy, on average.
_CUT_EVERY: Final = 0.4

#: Seconds between two stops, on average.
_STOP_EVERY: Final = 3.0

#: Stops of more than a session's term: one in so many seconds, and none in a run shorter than two terms.
_LONG_STOP_EVERY: Final = 60.0

#: Seconds for which a manager that shares its store may say nothing; then others take over what it serves.
MANAGER_TERM: Final = 10.0

#: Managers of one store, at most: each is a program with connections of its own to the database.
_MANAGERS_MAX: Final = 16

#: Kills of managers for each crash of their database, and for each end of all their connections to it.
_KILLS_PER_CRASH: Final = 5

#: Seconds of a short stop.
_SHORT: Final = (0.05, 2.0)

#: Seconds that a manager needs to start again: killed more often it would do nothing else.
_KILL_EVERY_MIN: Final = 1.0


class Deed(StrEnum):
    """What can be done. `stop` is SIGSTOP and later SIGCONT."""

    KILL_MANAGER = "manager killed"
    KILL_POOL = "pool killed"
    KILL_CHILD = "child killed"
    STOP_MANAGER = "manager stopped"
    STOP_MANAGER_LONG = "manager stopped over its term"
    STOP_CHILD = "child stopped"
    STOP_PARENT = "parent stopped"
    STOP_PARENT_LONG = "parent stopped over its term"
    STOP_POOL_LONG = "pool stopped over its term"
    RESET = "connection reset"
    SILENCE = "connection silent"
    DELAY = "connection slow"
    LOSE_REPLY = "reply lost"
    LATE = "request late"
    HALF = "frame cut"
    END_CONNECTIONS = "database connections ended"
    CRASH_DATABASE = "database crashed"


_CUTS: Final = (Deed.RESET, Deed.SILENCE, Deed.DELAY, Deed.LOSE_REPLY, Deed.LATE, Deed.HALF)
_STOPS: Final = (Deed.STOP_MANAGER, Deed.STOP_CHILD, Deed.STOP_CHILD, Deed.STOP_PARENT)
_LONG_STOPS: Final = (Deed.STOP_PARENT_LONG, Deed.STOP_POOL_LONG)


class Step(Struct, frozen=True):
    """A fault: when, in seconds from the start, for how many seconds, and to whom (`draw`, 0 to 1)."""

    at: float
    deed: Deed
    seconds: float
    draw: float


class ChaosPlan(Struct, frozen=True, kw_only=True):
    """How much of what. `kills` are those of managers; `store` None: an SQLite file of the run's own.
    `database_crash`: the shell command that crashes the database and starts it again; without one it is let
    alone, but for its connections."""

    seed: int = 0
    duration: float = 60.0
    kills: int = 10
    managers: int = 1
    producers: int = 2
    pools: int = 2
    processes: int = 2
    store: str | None = None
    durability: Literal["full", "relaxed"] = "full"
    database_crash: str | None = None

    def __post_init__(self) -> None:
        """Raises `BadRequest` for numbers that make no sense."""
        if not 1 <= self.duration < float("inf"):
            raise BadRequest("the duration of the faults is at least 1 s")
        if not 0 <= self.kills <= self.duration / _KILL_EVERY_MIN:
            raise BadRequest(
                f"{self.kills} kills in {self.duration:g} s: the manager would only start, and never serve",
                hint=f"at most one in {_KILL_EVERY_MIN:g} s: a longer --duration or fewer --kills",
            )
        if not 1 <= self.producers <= PRODUCERS_MAX:
            raise BadRequest(f"there can be 1 to {PRODUCERS_MAX} producers, not {self.producers}")
        if self.pools < 1 or self.processes < 1:
            raise BadRequest("somebody has to work: at least one pool of one process")
        if self.store is not None and self.store.startswith("memory:"):
            raise BadRequest("a store in memory ends with its manager, which is killed here")
        self._check_managers()

    def _check_managers(self) -> None:
        if not 1 <= self.managers <= _MANAGERS_MAX:
            raise BadRequest(f"there can be 1 to {_MANAGERS_MAX} managers, not {self.managers}")
        if self.managers > 1 and not self.has_database:
            raise BadRequest(
                f"{self.managers} managers cannot share a {self.store_kind} store",
                hint="name a PostgreSQL database: --store postgresql://user@host/database",
            )
        if self.database_crash is not None and not self.has_database:
            raise BadRequest(f"a {self.store_kind} store has no server that could crash")

    @property
    def worker_kills(self) -> int:
        """How many children and pools are killed."""
        return int(self.kills * _WORKERS_PER_MANAGER)

    @property
    def has_database(self) -> bool:
        """Whether the store is a server of its own, which several managers can share."""
        return self.store_kind in ("postgresql", "postgres")

    @property
    def database_crashes(self) -> int:
        """How often the database crashes."""
        return 0 if self.database_crash is None else max(1, self.kills // _KILLS_PER_CRASH)

    @property
    def store_kind(self) -> str:
        """The kind of the store; its whole address may hold a password."""
        return "sqlite" if self.store is None else self.store.partition(":")[0]

    def __str__(self) -> str:
        managers = "the manager" if self.managers == 1 else f"{self.managers} managers"
        crashes = ""
        if number := self.database_crashes:
            crashes = f", {number} {'crash' if number == 1 else 'crashes'} of the database"
        return (
            f"{self.duration:g} s of faults under load from {self.producers} producers to {self.pools} pools "
            f"of {self.processes}: {self.kills} kills of {managers}{crashes} and {self.worker_kills} of "
            "workers"
        )


def schedule(plan: ChaosPlan, term: float, manager_term: float = MANAGER_TERM) -> list[Step]:
    """All steps of a run, in order. `term`: the sessions', in seconds; `manager_term`: that of a manager
    which shares its store."""
    rng = Random(f"chaos {plan.seed}")
    steps = [_step(rng, plan, [Deed.KILL_MANAGER]) for _ in range(plan.kills)]
    pools = round(plan.worker_kills * _POOLS_PART)
    steps += [_step(rng, plan, [Deed.KILL_POOL]) for _ in range(pools)]
    steps += [_step(rng, plan, [Deed.KILL_CHILD]) for _ in range(plan.worker_kills - pools)]
    steps += [_step(rng, plan, _CUTS) for _ in range(int(plan.duration / _CUT_EVERY))]
    steps += [_step(rng, plan, _STOPS) for _ in range(int(plan.duration / _STOP_EVERY))]
    if plan.duration > 2 * term:
        steps += _long_stops(rng, plan, _LONG_STOPS, term)
    # drawn last: what one manager on SQLite goes through by a seed does not depend on what others could
    if plan.managers > 1 and plan.duration > 2 * manager_term:
        steps += _long_stops(rng, plan, [Deed.STOP_MANAGER_LONG], manager_term)
    if plan.has_database and plan.kills:
        number = max(1, plan.kills // _KILLS_PER_CRASH)
        steps += [_step(rng, plan, [Deed.END_CONNECTIONS]) for _ in range(number)]
    steps += [_step(rng, plan, [Deed.CRASH_DATABASE]) for _ in range(plan.database_crashes)]
    return sorted(steps, key=lambda step: step.at)


def _long_stops(rng: Random, plan: ChaosPlan, deeds: Iterable[Deed], term: float) -> list[Step]:
    number = max(1, int(plan.duration / _LONG_STOP_EVERY))
    steps = [_step(rng, plan, deeds) for _ in range(number)]
    return [Step(step.at, step.deed, term + 1 + step.seconds, step.draw) for step in steps]


def _step(rng: Random, plan: ChaosPlan, deeds: Iterable[Deed]) -> Step:
    deed = rng.choice(list(deeds))
    return Step(rng.uniform(0, plan.duration), deed, rng.uniform(*_SHORT), rng.random())
