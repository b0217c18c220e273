"""The oracle can fail: whatever breaks a promise in the queue, or below it, is caught within a few worlds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from msgspec.structs import replace

from qm.errors import NotCommitted
from qm.messages import Verdict
from qm.policy import retry, strikes
from qm.queue import session, take
from qm.queue.sessions import Sessions
from qm.store.memory.ordered import Place
from qm.store.memory.rows import Row
from qm.store.memory.settling import Settling
from qm.store.memory.store import MemoryStore
from qm.store.memory.tables import Tables
from qm.store.memory.transaction import MemoryTransaction
from qm.store.sql import Query, queries
from qm.task import Outcome, State
from tests.simulation import manager, storehouse
from tests.simulation.ledger import Violation
from tests.simulation.simulation import simulate

#: Worlds in which a mutant must be caught.
WORLDS = 60


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """As in test_simulation."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def caught(kind: str = "memory") -> str:
    """What the first world says in which something is wrong."""
    for seed in range(WORLDS):
        try:
            simulate(seed, kind)
        except Violation as violation:
            return str(violation)
    pytest.fail(f"{WORLDS} worlds, and nobody has noticed")


Mutant = Callable[[pytest.MonkeyPatch], None]


def any_lease_settles(patch: pytest.MonkeyPatch) -> None:
    def running(self: Any, lease: Any) -> Row | None:
        row = self._tables.rows.get(lease.id)
        return row if row is not None and row.state is State.RUNNING else None

    patch.setattr(Settling, "_running", running)


def an_add_is_acknowledged_without_a_commit(patch: pytest.MonkeyPatch) -> None:
    honest = storehouse.FaultyMemory.begin

    @contextmanager
    def begin(self: Any, *, sync: bool = True) -> Iterator[MemoryTransaction]:
        with suppress(NotCommitted), honest(self, sync=sync) as tx:
            yield tx

    patch.setattr(storehouse.FaultyMemory, "begin", begin)


def a_release_counts_as_a_crash(patch: pytest.MonkeyPatch) -> None:
    honest = session.recover

    def recover(tx: Any, held: Any, charged: Any, outcome: Outcome, *rest: Any) -> None:
        honest(tx, held, held, Outcome.CRASHED, *rest)

    patch.setattr(session, "recover", recover)


def two_strikes_are_enough(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(strikes, "STRIKES", 2)


def a_fourth_strike_is_allowed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(strikes, "STRIKES", 4)


def one_failure_more_is_allowed(patch: pytest.MonkeyPatch) -> None:
    honest = retry.after_failure
    patch.setattr("qm.queue.settle.after_failure", lambda failures, *rest: honest(failures - 1, *rest))


def priority_means_nothing(patch: pytest.MonkeyPatch) -> None:
    honest = Row.place

    def place(self: Row) -> Place:
        return (0, self.seq, self.id) if self.state is State.WAITING else honest(self)

    patch.setattr(Row, "place", place)


def a_released_task_goes_to_the_tail(patch: pytest.MonkeyPatch) -> None:
    honest = Row.waiting
    patch.setattr(Row, "waiting", lambda self, seq: replace(honest(self, seq), seq=seq + self.attempt * 1000))


def late_calls_are_heard(patch: pytest.MonkeyPatch) -> None:
    honest = Sessions.enter

    def enter(self: Any, claim: Any, parked: Any) -> Any:
        slot = honest(self, claim, parked)
        return slot or self._sessions[claim.slot.session].slots[claim.slot.index]

    patch.setattr(Sessions, "enter", enter)
    patch.setattr(Sessions, "is_latest", lambda self, claim: True)


def what_a_lost_answer_gave_stays_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(take, "_give_back", lambda *args: None)


def a_repetition_is_refused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Settling, "_refusal", lambda self, lease, verb: Verdict.LOST)


def a_restart_forgets_the_sessions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryStore, "sessions", lambda self: [])


def a_manager_that_slept_judges_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(manager, "forgive", lambda core, late: None)


def the_ids_of_forgotten_tasks_are_free(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Tables, "bury", lambda self, tombstone: None)


def a_requeued_task_keeps_its_strikes(patch: pytest.MonkeyPatch) -> None:
    def renewed(self: Row, seq: int) -> Row:
        return replace(self, ended=None, expires=None).waiting(seq)

    patch.setattr(Row, "renewed", renewed)


def a_dead_child_can_still_take(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sessions, "bury", lambda self, slot: None)


def a_silent_session_lives_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sessions, "end_overdue", lambda self, monotonic: [])


MUTANTS: Sequence[Mutant] = (
    any_lease_settles,
    an_add_is_acknowledged_without_a_commit,
    a_release_counts_as_a_crash,
    two_strikes_are_enough,
    a_fourth_strike_is_allowed,
    one_failure_more_is_allowed,
    priority_means_nothing,
    a_released_task_goes_to_the_tail,
    late_calls_are_heard,
    what_a_lost_answer_gave_stays_lost,
    a_repetition_is_refused,
    a_restart_forgets_the_sessions,
    a_manager_that_slept_judges_at_once,
    the_ids_of_forgotten_tasks_are_free,
    a_requeued_task_keeps_its_strikes,
    a_dead_child_can_still_take,
    a_silent_session_lives_on,
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    assert caught()


def test_a_fence_without_the_lease_is_caught_in_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    fence = "AND tasks.attempt = given.attempt AND tasks.lease = given.lease"
    known = queries("sqlite")
    text = " /* rows */".join(known["finish"].text(1).partition("(?, ?, ?, ?)")[:2])
    text += known["finish"].text(1).partition("(?, ?, ?, ?)")[2]
    assert fence in text
    monkeypatch.setitem(known, "finish", Query("finish", text.replace(fence, "")))
    assert caught("sqlite")


def test_nothing_is_caught_where_nothing_is_wrong() -> None:
    for seed in range(5):
        simulate(seed, "memory")
