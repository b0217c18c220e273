"""The producers' verbs that are the same in every dialect: cancel, requeue, forget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qm.store.sql.part import Part, Row
from qm.task import ENDED, State

_CANCELLABLE = (State.BLOCKED, State.SCHEDULED, State.WAITING)


class Changing(Part):
    """See `qm.store.base.Verbs`."""

    def cancel(self, ids: Sequence[str], now: float, keep: float) -> list[State | None]:
        found = self._states(ids)
        numbers = []
        for _, state, name, n, _ in _of(found, _CANCELLABLE):
            numbers.append((n,))
            self.entry.move(name, State(state), State.CANCELLED)
        self.connection.run_many("cancel", numbers, (now, keep))
        running = [(row[3],) for row in _of(found, (State.RUNNING,))]
        self.connection.run_many("cancel_running", running, (now,))
        return _before(found, ids, _CANCELLABLE, State.CANCELLED)

    def requeue(self, ids: Sequence[str], now: float) -> list[State | None]:
        found = self._states(ids)
        places = []
        for _, _, name, n, _ in _of(found, (State.FAILED,)):
            places.append((n, self.entry.number()))
            self.entry.move(name, State.FAILED, State.WAITING)
        self.connection.run_many("requeue", places)
        return _before(found, ids, (State.FAILED,), State.WAITING)

    def forget(self, ids: Sequence[str], until: float) -> list[State | None]:
        found = self._states(ids)
        self.remove(_of(found, ENDED), until)
        return _before(found, ids, ENDED, None)

    def remove(self, rows: Sequence[Row], until: float) -> None:
        """Deletes tasks given as (id, state, type, n, digest); their ids stay known."""
        numbers = [(row[3],) for row in rows]
        self.connection.run_many("bury_id", [(row[0], row[4], until) for row in rows])
        for name in ("forget_attempts", "forget_details", "forget_inputs", "forget_outputs", "forget"):
            self.connection.run_many(name, numbers)
        for _, state, name, _, _ in rows:
            self.entry.move(name, State(state), None)

    def _states(self, ids: Iterable[str]) -> dict[str, Row]:
        """(id, state, type, n, digest) by id, each once, in the order given: a batch keeps it at the tail."""
        unique = [(id_,) for id_ in dict.fromkeys(ids)]
        found = {row[0]: row for row in self.connection.run_many("states", unique)}
        return {id_: found[id_] for (id_,) in unique if id_ in found}


def _of(found: dict[str, Row], states: Iterable[State]) -> list[Row]:
    wanted = {state.value for state in states}
    return [row for row in found.values() if row[1] in wanted]


def _before(
    found: dict[str, Row], ids: Iterable[str], moved: Sequence[State], to: State | None
) -> list[State | None]:
    """The state of each id before its turn: an id named twice is found the second time where it went."""
    now: dict[str, State | None] = {id_: State(row[1]) for id_, row in found.items()}
    states = []
    for id_ in ids:
        state = now.get(id_)
        states.append(state)
        if state in moved:
            now[id_] = to
    return states
