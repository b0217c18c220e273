"""Memory, SQLite and PostgreSQL do what a plain dict does, whatever is said to them and in whatever order.

A machine says random verbs to the stores and to `tests.store.model.Model`, in transactions and savepoints
that are kept or undone, across restarts and jumps of time, with leases that hold, that are stale and that are
forged. After every step all must say the same of everything that can be asked.

STORE_MACHINE_EXAMPLES=5000 searches longer.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from qm.errors import BadRequest
from qm.limits import PRIORITY_MAX
from qm.messages import Details, Fail, Finish, ListQuery, NewTask, Progress, Retry, Slot, WorkerInfo
from qm.policy.decision import Again, Back, Bury, Cancel, Decision
from qm.store.base import Recovery
from qm.store.memory import MemoryStore
from qm.store.postgres import PostgresStore
from qm.store.sqlite import SQLiteStore
from qm.task import MOVES, Lease, Outcome, PackedTask, State
from tests.postgres import want_postgres
from tests.store.model import Model
from tests.store.side import Side, answer
from tests.store.strategies import (
    IDS,
    SESSIONS,
    TYPES,
    Picks,
    again_or_never,
    buried,
    details,
    errors,
    keeps,
    new_tasks,
    outcomes,
    picks,
    slots,
    some_ids,
    some_states,
    some_types,
    workers,
)

#: The model's tokens are positive, so this one was never given out.
FORGED = -1


class Undo(Exception):
    """Why a transaction or savepoint is rolled back."""


class Walk(NamedTuple):
    """A list that is read page by page while other things happen."""

    query: ListQuery
    #: Tasks of the list at its beginning, as they were; those that changed since are gone from it.
    untouched: dict[str, PackedTask]
    #: By side: the ids shown so far, and the cursor.
    shown: list[list[str]]
    cursors: list[str | None]


class StoreMachine(RuleBasedStateMachine):
    """Rules are verbs; each is said to the model and to all sides."""

    #: How many of the leases seen last are picked from.
    MEMORY: ClassVar[int] = 12

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name, "queue.db")
        self.model = Model()
        self.sides = [Side(MemoryStore), Side(lambda: SQLiteStore.open(path, durability="relaxed"))]
        self.sides += self.more_sides()
        self.now = 1_700_000_000.0
        self.leases: list[Lease] = []
        self.levels: list[list[AbstractContextManager[Any]]] = []
        self.states: dict[str, State | None] = dict.fromkeys(IDS)
        self.walk: Walk | None = None

    def more_sides(self) -> list[Side]:
        """Stores beside these two."""
        return []

    def teardown(self) -> None:
        while self.levels:
            self.keep()
        for side in self.sides:
            side.store.close()
        self.folder.cleanup()

    def say(self, verb: str, *args: Any) -> Any:
        """Says a verb to all and compares their answers."""
        expected = answer(self.model, verb, args)
        for side in self.sides:
            found = answer(side.desk, verb, [side.real(arg) for arg in args])
            if verb == "take":
                side.learn(expected, found)
            assert side.plain(found) == expected, f"{side.store.kind} says otherwise to {verb}"
        return expected

    def pick(self, wanted: Picks) -> list[Lease]:
        held = [one.lease for session in SESSIONS for one in self.model.held(session=session)]
        found = []
        for kind, number in wanted:
            pool = held if kind == "held" else self.leases[-self.MEMORY :]
            lease = pool[number % len(pool)] if pool else self.leases[-1]
            found.append(replace(lease, token=FORGED) if kind == "forged" else lease)
        return found

    def decision(self, then: float | Bury | Cancel) -> Decision:
        return Again(self.now + then) if isinstance(then, float) else then

    @initialize(
        tasks=st.lists(new_tasks, min_size=4, max_size=7, unique_by=lambda task: task.id),
        slot=slots,
        limit=st.integers(0, 4),
    )
    def begin_with_some(self, tasks: list[NewTask], slot: Slot, limit: int) -> None:
        self.say("add", tasks, self.now)
        self.check_moves()
        self.take(slot, TYPES, limit)

    @rule(tasks=st.lists(new_tasks, min_size=1, max_size=4), bad=st.sampled_from([False, False, False, True]))
    def add(self, tasks: list[NewTask], bad: bool) -> None:
        if bad:
            broken = replace(tasks[-1], priority=PRIORITY_MAX + 1)
            assert self.say("add", [*tasks, broken], self.now) is BadRequest
        else:
            self.say("add", tasks, self.now)

    @rule(slot=slots, types=some_types, limit=st.integers(0, 4))
    def take(self, slot: Slot, types: list[str], limit: int) -> None:
        known = {worker.session: worker for worker in self.model.sessions()}
        bare = WorkerInfo(session=slot.session, host="h", pid=1, processes=1, types={})
        self.say(
            "attach", known.get(slot.session, bare), self.now
        )  # a restarted manager serves no session yet
        self.leases += [taken.lease for taken in self.say("take", slot, types, limit, self.now, 60.0)]
        self.say("held", slot)

    @rule(slot=slots, limit=st.integers(1, 4))
    def take_anything(self, slot: Slot, limit: int) -> None:
        self.take(slot, TYPES, limit)

    @precondition(lambda self: self.leases)
    @rule(wanted=picks, output=st.sampled_from([b"", b"out"]), keep=keeps)
    def finish(self, wanted: Picks, output: bytes, keep: float) -> None:
        details = Details(log=output.decode()) if output else None
        self.say("finish", [Finish(lease, output, details) for lease in self.pick(wanted)], self.now, keep)

    @precondition(lambda self: self.leases)
    @rule(wanted=picks, error=errors, then=again_or_never, keep=keeps, details=st.none() | details)
    def fail(
        self, wanted: Picks, error: bytes, then: float | Bury | Cancel, keep: float, details: Details | None
    ) -> None:
        decision = self.decision(then)
        outcome = Outcome.TIMEOUT if details else Outcome.ERROR
        items = [(Fail(lease, error, True, outcome, details), decision) for lease in self.pick(wanted)]
        self.say("fail", items, self.now, keep)

    @precondition(lambda self: self.leases)
    @rule(wanted=picks, error=st.none() | errors, then=again_or_never, keep=keeps)
    def retry(self, wanted: Picks, error: bytes | None, then: float | Bury | Cancel, keep: float) -> None:
        decision = self.decision(then)
        self.say("retry", [(Retry(lease, error), decision) for lease in self.pick(wanted)], self.now, keep)

    @precondition(lambda self: self.leases)
    @rule(wanted=picks)
    def release(self, wanted: Picks) -> None:
        self.say("release", self.pick(wanted), self.now)

    @precondition(lambda self: self.leases)
    @rule(wanted=picks, outcome=outcomes, decision=st.sampled_from([Back(), Cancel()]) | buried, keep=keeps)
    def recover(self, wanted: Picks, outcome: Outcome, decision: Back | Bury | Cancel, keep: float) -> None:
        items = [
            Recovery(lease=lease, outcome=outcome, decision=decision, cause="SIGKILL")
            for lease in self.pick(wanted)
        ]
        self.say("recover", items, self.now, keep)

    @precondition(lambda self: self.leases)
    @rule(wanted=picks, fraction=st.sampled_from([0.25, 0.5]), note=st.sampled_from(["", "on it"]))
    def progress(self, wanted: Picks, fraction: float, note: str) -> None:
        leases = self.pick(wanted)
        self.say("leased", leases)
        self.say("progress", [Progress(lease, fraction, note) for lease in leases])

    @rule(ids=some_ids, verb=st.sampled_from(["cancel", "requeue", "forget"]), seconds=keeps)
    def operate(self, ids: list[str], verb: str, seconds: float) -> None:
        if verb == "cancel":
            self.say("cancel", ids, self.now, seconds)
        elif verb == "requeue":
            self.say("requeue", ids, self.now)
        else:
            self.say("forget", ids, self.now + seconds)

    @rule(worker=workers, leaves=st.booleans())
    def attach_or_detach(self, worker: WorkerInfo, leaves: bool) -> None:
        if leaves:
            self.say("detach", worker.session)
        else:
            self.say("attach", worker, self.now)

    @rule(
        seconds=st.sampled_from([0.0, 1.0, 10.0, 10.0, 30.0, 500.0, -5.0]),
        limit=st.integers(0, 4),
        known=keeps,
    )
    def time_goes_on_or_jumps_back(self, seconds: float, limit: int, known: float) -> None:
        self.now += seconds
        self.say("promote", self.now, limit)
        self.check_moves()
        self.say("expire", self.now, self.now + known, limit)

    @precondition(lambda self: len(self.levels) < 3)
    @rule()
    def begin(self) -> None:
        """A transaction, or a savepoint in the one that is open."""
        if self.levels:
            level = [desk.savepoint() for desk in (self.model, *(side.desk for side in self.sides))]
            for manager in level:
                manager.__enter__()
        else:
            level = [self.model.begin(), *(side.store.begin() for side in self.sides)]
            _, *desks = [manager.__enter__() for manager in level]
            for side, desk in zip(self.sides, desks, strict=True):
                side.desk = desk
        self.levels.append(level)

    @precondition(lambda self: self.levels)
    @rule()
    def keep(self) -> None:
        for manager in self.levels.pop():
            manager.__exit__(None, None, None)
        self.after_a_level()

    @precondition(lambda self: self.levels)
    @rule()
    def undo(self) -> None:
        for manager in self.levels.pop():
            assert not manager.__exit__(Undo, Undo(), None)
        self.after_a_level()
        self.states = self.states_in(self.model)

    def after_a_level(self) -> None:
        if not self.levels:
            for side in self.sides:
                side.desk = side.store

    @precondition(lambda self: not self.levels)
    @rule()
    def restart(self) -> None:
        """All but memory, of which nothing would be left."""
        for side in self.sides[1:]:
            side.reopen()

    @rule(states=some_states, type_=st.sampled_from([None, *TYPES]), limit=st.integers(1, 3))
    def begin_a_list(self, states: tuple[State, ...], type_: str | None, limit: int) -> None:
        query = ListQuery(states=states, type=type_, limit=limit)
        expected = self.model.list(replace(query, limit=99)).tasks
        for side in self.sides:
            assert side.whole(query) == expected
            assert [*side.desk.get(IDS)] == [*self.model.get(IDS)]
        self.walk = Walk(
            query, {task.id: task for task in expected}, [[] for _ in self.sides], [None] * len(self.sides)
        )
        self.go_on()

    @precondition(lambda self: self.walk)
    @rule()
    def go_on_with_the_list(self) -> None:
        self.go_on()

    def go_on(self) -> None:
        """The next page of the list, for each side; at its end, what did not change was shown once."""
        assert self.walk
        over = []
        for number, side in enumerate(self.sides):
            page = side.desk.list(replace(self.walk.query, cursor=self.walk.cursors[number]))
            self.walk.shown[number] += [task.id for task in page.tasks]
            self.walk.cursors[number] = page.next
            over.append(page.next is None)
        assert len(set(over)) == 1
        if all(over):
            for shown in self.walk.shown:
                unchanged = [id_ for id_ in shown if id_ in self.walk.untouched]
                assert unchanged == [*self.walk.untouched]
            self.walk = None

    @staticmethod
    def states_in(desk: Any) -> dict[str, State | None]:
        return {id_: task and task.state for id_, task in zip(IDS, desk.get(IDS), strict=True)}

    @invariant()
    def all_say_the_same(self) -> None:
        held = [self.model.held(session=session) for session in SESSIONS]
        for side in self.sides:
            desk = side.desk
            assert desk.list(ListQuery()).tasks == self.model.list(ListQuery()).tasks
            assert [side.plain(desk.held(session=session)) for session in SESSIONS] == held
            assert sorted(desk.sessions(), key=lambda one: one.session) == self.model.sessions()
            for some in (None, IDS[:3]):
                cancelling = sorted(map(list, self.model.cancelling(some)))
                assert sorted(side.plain(desk.cancelling(some))) == cancelling
            assert [desk.attempts(id_) for id_ in IDS] == [self.model.attempts(id_) for id_ in IDS]
            assert desk.next_due() == self.model.next_due()
            assert desk.next_expiry() == self.model.next_expiry()

    @invariant()
    def counts_are_what_a_recount_gives(self) -> None:
        recount = Counter((task.type, task.state) for task in self.model.get(IDS) if task)
        for side in self.sides:
            kept = {(t, s): n for t, by_state in side.desk.counts().items() for s, n in by_state.items() if n}
            assert kept == recount

    @invariant()
    def only_legal_moves_happen(self) -> None:
        self.check_moves()

    def check_moves(self) -> None:
        """Asked of one store: the others are found to say the same."""
        states = self.states_in(self.sides[0].desk)
        moves = {(self.states[id_], states[id_]) for id_ in IDS if states[id_] is not self.states[id_]}
        assert moves <= MOVES
        self.states = states

    @invariant()
    def note_what_changed_under_a_list(self) -> None:
        if self.walk:
            for task, id_ in zip(self.model.get([*self.walk.untouched]), [*self.walk.untouched], strict=True):
                if task != self.walk.untouched[id_]:
                    del self.walk.untouched[id_]


class PostgresMachine(StoreMachine):
    """The same with PostgreSQL as a third side: ten times as slow, so with fewer examples."""

    def more_sides(self) -> list[Side]:
        url = want_postgres().emptied()
        return [Side(lambda: PostgresStore.open(url, durability="relaxed"))]


EXAMPLES = int(os.environ.get("STORE_MACHINE_EXAMPLES", "200"))
StoreMachine.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=50, suppress_health_check=[HealthCheck.too_slow]
)
PostgresMachine.TestCase.settings = settings(
    StoreMachine.TestCase.settings, max_examples=max(EXAMPLES // 10, 1)
)

TestStoresAgree = pytest.mark.slow(StoreMachine.TestCase)
TestPostgresAgrees = pytest.mark.slow(PostgresMachine.TestCase)
