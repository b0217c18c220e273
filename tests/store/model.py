"""A store as a plain dict of plain tasks: slow, and simple enough to be seen to be right.

The real stores are compared with it. It looks at every task for every question, copies everything for the way
back from a transaction, and shares no code with them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from qm.errors import BadRequest, WrongState
from qm.limits import PAGE_MAX, PRIORITY_MAX, PRIORITY_MIN
from qm.messages import (
    AddStatus,
    Details,
    Fail,
    Finish,
    ListQuery,
    NewTask,
    PackedPage,
    Progress,
    Retry,
    Slot,
    Taken,
    TypeOptions,
    Verdict,
    WorkerInfo,
)
from qm.policy.decision import Bury, Cancel, Decision
from qm.store.base import Held, Recovery
from qm.task import ENDED, Lease, Outcome, PackedAttempt, PackedTask, State


class Entry(Struct):
    """A task with what it does not show."""

    task: PackedTask
    new: NewTask
    n: int
    seq: int
    token: int = 0
    slot: Slot | None = None
    #: Somebody cancelled it while it ran.
    cancelling: bool = False
    #: How attempts ended, by number: the token, the verb, and what is kept.
    past: dict[int, tuple[int, str, PackedAttempt]] = field(default_factory=dict)


class Ending(Struct):
    """How an attempt ends, and what is kept of it."""

    verb: str
    outcome: Outcome
    now: float
    cause: str | None = None
    error: bytes | None = None
    details: Details | None = None

    def attempt(self, task: PackedTask) -> PackedAttempt:
        details = self.details or Details()
        return PackedAttempt(
            attempt=task.attempt,
            outcome=self.outcome,
            started=task.started or 0.0,
            ended=self.now,
            worker=task.worker,
            cause=self.cause,
            error=self.error,
            pid=details.pid,
            exitcode=details.exitcode,
            peak_memory=details.peak_memory,
            log=details.log,
        )


class Contents(Struct):
    """All there is."""

    tasks: dict[str, Entry] = field(default_factory=dict)
    #: Ids whose tasks are gone: digest, and until when they stay known.
    gone: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    options: dict[str, TypeOptions] = field(default_factory=dict)
    workers: dict[str, WorkerInfo] = field(default_factory=dict)


class Model:
    """Keeps a store's contract for one thread, payloads so small that no bound of bytes matters."""

    kind: str = "model"

    def __init__(self) -> None:
        self.all = Contents()
        self._numbers = 0

    @contextmanager
    def begin(self, *, sync: bool = True) -> Iterator[Model]:
        with self.savepoint():
            yield self

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        before = copy.deepcopy(self.all)
        try:
            yield
        except BaseException:
            self.all = before
            raise

    def close(self) -> None:
        self.all = Contents()

    def get(self, ids: Sequence[str]) -> Generator[PackedTask | None, None, None]:
        for id_ in ids:
            yield _shown(self.all.tasks[id_]) if id_ in self.all.tasks else None

    def list(self, query: ListQuery) -> PackedPage:
        """The cursor is how many tasks were shown: right as long as nothing changes between two pages."""
        found: list[Entry] = []
        for state in dict.fromkeys(State.DONE if state in ENDED else state for state in query.states):
            group = [s for s in ENDED if s in query.states] if state in ENDED else [state]
            found += sorted(self._entries(*group, type_=query.type), key=_order)
        start = int(query.cursor or 0)
        end = start + min(max(query.limit, 1), PAGE_MAX)
        return PackedPage(
            [_shown(entry) for entry in found[start:end]], str(end) if end < len(found) else None
        )

    def counts(self) -> dict[str, dict[State, int]]:
        found: dict[str, dict[State, int]] = {}
        for entry in self._entries(*State):
            by_state = found.setdefault(entry.task.type, {})
            by_state[entry.task.state] = by_state.get(entry.task.state, 0) + 1
        return found

    def held(self, slot: Slot | None = None, *, session: str | None = None) -> Sequence[Held]:
        held = [e for e in self._entries(State.RUNNING) if e.slot and _holds(e.slot, slot, session)]
        held.sort(key=lambda e: (e.task.started, -e.task.priority, e.seq))
        return [self._held(entry) for entry in held]

    def leased(self, leases: Sequence[Lease]) -> Sequence[Held | None]:
        return [self._held(entry) if (entry := self._running(lease)) else None for lease in leases]

    def cancelling(self, ids: Sequence[str] | None = None) -> Sequence[tuple[str, Lease]]:
        return [
            (e.slot.session, Lease(e.task.id, e.task.attempt, e.token))
            for e in self._entries(State.RUNNING)
            if e.cancelling and e.slot and (ids is None or e.task.id in ids)
        ]

    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]:
        entry = self.all.tasks.get(id)
        past = entry.past if entry else {}
        return [past[number][2] for number in sorted(past, reverse=True) if number < (before or 2**63)]

    def sessions(self) -> Sequence[WorkerInfo]:
        return [self.all.workers[session] for session in sorted(self.all.workers)]

    def next_due(self) -> float | None:
        return min(
            (e.task.due for e in self._entries(State.SCHEDULED) if e.task.due is not None), default=None
        )

    def next_expiry(self) -> float | None:
        ends = [entry.task.expires for entry in self._entries(*ENDED)]
        return min((end for end in ends if end is not None), default=None)

    def add(self, tasks: Sequence[NewTask], now: float) -> Sequence[AddStatus]:
        if any(not PRIORITY_MIN <= task.priority <= PRIORITY_MAX or not task.id for task in tasks):
            raise BadRequest("a bad value")
        return [self._add(task, now) for task in tasks]

    def cancel(self, ids: Sequence[str], now: float, keep: float) -> Sequence[State | None]:
        def end(entry: Entry) -> None:
            self._end(entry, State.CANCELLED, now, keep)

        before = self._each(ids, (State.BLOCKED, State.SCHEDULED, State.WAITING), end)
        for entry in self._entries(State.RUNNING):
            entry.cancelling |= entry.task.id in ids
        return before

    def requeue(self, ids: Sequence[str], now: float) -> Sequence[State | None]:
        def renew(entry: Entry) -> None:
            entry.task = replace(
                entry.task,
                state=State.WAITING,
                failures=0,
                crashes=0,
                lost=0,
                ended=None,
                expires=None,
                reason=None,
            )
            entry.seq = self._number()
            entry.cancelling = False

        return self._each(ids, (State.FAILED,), renew)

    def forget(self, ids: Sequence[str], until: float) -> Sequence[State | None]:
        def bury(entry: Entry) -> None:
            del self.all.tasks[entry.task.id]
            self.all.gone[entry.task.id] = (entry.new.digest, until)

        return self._each(ids, ENDED, bury)

    def take(
        self, slot: Slot, types: Sequence[str], limit: int, now: float, timeout: float
    ) -> Sequence[Taken]:
        line = sorted((e for e in self._entries(State.WAITING) if e.task.type in types), key=_order)
        suspects = [place for place, entry in enumerate(line) if entry.task.crashes + entry.task.lost]
        if suspects:
            limit = min(limit, max(suspects[0], 1))
        return [self._take(entry, slot, now, timeout) for entry in line[: max(limit, 0)]]

    def finish(self, items: Sequence[Finish], now: float, keep: float) -> Sequence[Verdict]:
        return [self._finish(item, now, keep) for item in items]

    def fail(self, items: Sequence[tuple[Fail, Decision]], now: float, keep: float) -> Sequence[Verdict]:
        return [self._fail("fail", item, decision, now, keep) for item, decision in items]

    def retry(self, items: Sequence[tuple[Retry, Decision]], now: float, keep: float) -> Sequence[Verdict]:
        return [self._fail("retry", item, decision, now, keep) for item, decision in items]

    def release(self, leases: Sequence[Lease], now: float) -> Sequence[Verdict]:
        def back(entry: Entry) -> None:
            entry.task = replace(entry.task, state=State.WAITING)

        how = Ending("release", Outcome.RELEASED, now)
        return [self._settle(how, lease, back) for lease in leases]

    def recover(self, items: Sequence[Recovery], now: float, keep: float) -> Sequence[Verdict]:
        return [self._recover(item, now, keep) for item in items]

    def progress(self, items: Sequence[Progress]) -> Sequence[Verdict]:
        said = []
        for item in items:
            entry = self._running(item.lease)
            if entry:
                entry.task = replace(entry.task, progress=item.fraction, note=item.note or None)
            said.append(Verdict.ACCEPTED if entry else Verdict.LOST)
        return said

    def attach(self, worker: WorkerInfo, now: float) -> None:
        self.all.workers[worker.session] = worker
        self.all.options |= worker.types

    def detach(self, session: str) -> None:
        if any(entry.slot and entry.slot.session == session for entry in self._entries(State.RUNNING)):
            raise WrongState("it holds tasks")
        self.all.workers.pop(session, None)

    def promote(self, now: float, limit: int) -> dict[str, int]:
        due = [e for e in self._entries(State.SCHEDULED) if e.task.due is not None and e.task.due <= now]
        promoted: dict[str, int] = {}
        for entry in sorted(due, key=_order)[: max(limit, 0)]:
            entry.task = replace(entry.task, state=State.WAITING, due=None)
            entry.seq = self._number()
            promoted[entry.task.type] = promoted.get(entry.task.type, 0) + 1
        return promoted

    def expire(self, now: float, until: float, limit: int) -> int:
        over = [e for e in self._entries(*ENDED) if e.task.expires is not None and e.task.expires <= now]
        over.sort(key=lambda e: (e.task.expires, e.n))
        over = over[: max(limit, 0)]
        self.forget([entry.task.id for entry in over], until)
        faded = sorted((end, id_) for id_, (_, end) in self.all.gone.items() if end <= now)[: max(limit, 0)]
        for _, id_ in faded:
            del self.all.gone[id_]
        return len(over) + len(faded)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _entries(self, *states: State, type_: str | None = None) -> Sequence[Entry]:
        every = self.all.tasks.values()
        return [e for e in every if e.task.state in states and type_ in (None, e.task.type)]

    def _each(
        self, ids: Sequence[str], states: Sequence[State], change: Callable[[Entry], None]
    ) -> Sequence[State | None]:
        before: list[State | None] = []
        for id_ in ids:
            entry = self.all.tasks.get(id_)
            before.append(entry.task.state if entry else None)
            if entry and entry.task.state in states:
                change(entry)
        return before

    def _add(self, task: NewTask, now: float) -> AddStatus:
        digests = {id_: digest for id_, (digest, _) in self.all.gone.items()}
        digests |= {id_: entry.new.digest for id_, entry in self.all.tasks.items()}
        if task.id in digests:
            return AddStatus.DUPLICATE if digests[task.id] == task.digest else AddStatus.CONFLICT
        number = self._number()
        later = task.delay > 0
        shown = PackedTask(
            id=task.id,
            type=task.type,
            input=task.input,
            input_size=len(task.input),
            state=State.SCHEDULED if later else State.WAITING,
            due=now + task.delay if later else None,
            priority=task.priority,
            attempts=task.attempts,
            timeout=task.timeout,
            added=now,
        )
        self.all.tasks[task.id] = Entry(task=shown, new=task, n=number, seq=number)
        return AddStatus.CREATED

    def _option(self, entry: Entry, name: str, default: Any) -> Any:
        """The task's own word, else its type's, else the default."""
        for options in (entry.new, self.all.options.get(entry.task.type)):
            if options is not None and getattr(options, name) is not None:
                return getattr(options, name)
        return default

    def _take(self, entry: Entry, slot: Slot, now: float, timeout: float) -> Taken:
        worker = self.all.workers.get(slot.session)
        entry.token = self._number()
        entry.slot = slot
        entry.task = replace(
            entry.task,
            state=State.RUNNING,
            attempt=entry.task.attempt + 1,
            started=now,
            worker=worker.name if worker else None,
            progress=None,
            note=None,
            error=None,
        )
        task = entry.task
        return Taken(
            lease=Lease(task.id, task.attempt, entry.token),
            type=task.type,
            input=task.input,
            failures=task.failures,
            timeout=self._option(entry, "timeout", timeout),
            added=task.added,
            priority=task.priority,
        )

    def _running(self, lease: Lease) -> Entry | None:
        entry = self.all.tasks.get(lease.id)
        if entry is None or entry.task.state is not State.RUNNING:
            return None
        return entry if (entry.task.attempt, entry.token) == (lease.attempt, lease.token) else None

    def _held(self, entry: Entry) -> Held:
        task = entry.task
        return Held(
            lease=Lease(task.id, task.attempt, entry.token),
            type=task.type,
            failures=task.failures,
            crashes=task.crashes,
            lost=task.lost,
            attempts=self._option(entry, "attempts", None),
            started=task.started or 0.0,
            cancelling=entry.cancelling,
        )

    def _settle(self, how: Ending, lease: Lease, change: Callable[[Entry], None]) -> Verdict:
        entry = self._running(lease)
        if entry:
            entry.past[lease.attempt] = (lease.token, how.verb, how.attempt(entry.task))
            change(entry)
            return Verdict.ACCEPTED
        known = self.all.tasks.get(lease.id)
        past = known.past.get(lease.attempt) if known else None
        repeated = past is not None and past[:2] == (lease.token, how.verb)
        return Verdict.REPEATED if repeated else Verdict.LOST

    def _finish(self, item: Finish, now: float, keep: float) -> Verdict:
        def change(entry: Entry) -> None:
            self._end(entry, State.DONE, now, keep)
            entry.task = replace(entry.task, output=item.output, output_size=len(item.output))

        how = Ending("finish", Outcome.OK, now, details=item.details)
        return self._settle(how, item.lease, change)

    def _fail(self, verb: str, item: Fail | Retry, decision: Decision, now: float, keep: float) -> Verdict:
        def change(entry: Entry) -> None:
            entry.task = replace(entry.task, error=item.error)
            if isinstance(decision, Cancel):
                self._end(entry, State.CANCELLED, now, keep)
                return
            entry.task = replace(entry.task, failures=entry.task.failures + 1)
            if isinstance(decision, Bury):
                self._end(entry, State.FAILED, now, keep, decision.reason)
            elif decision.at > now:
                entry.task = replace(entry.task, state=State.SCHEDULED, due=decision.at)
            else:
                entry.task = replace(entry.task, state=State.WAITING)
                entry.seq = self._number()

        outcome, details = (item.outcome, item.details) if isinstance(item, Fail) else (Outcome.ERROR, None)
        how = Ending(verb, outcome, now, error=item.error, details=details)
        return self._settle(how, item.lease, change)

    def _recover(self, item: Recovery, now: float, keep: float) -> Verdict:
        def change(entry: Entry) -> None:
            entry.task = replace(
                entry.task,
                crashes=entry.task.crashes + (item.outcome is Outcome.CRASHED),
                lost=entry.task.lost + (item.outcome is Outcome.LOST),
            )
            if isinstance(item.decision, Bury):
                self._end(entry, State.FAILED, now, keep, item.decision.reason)
            elif isinstance(item.decision, Cancel):
                self._end(entry, State.CANCELLED, now, keep)
            else:
                entry.task = replace(entry.task, state=State.WAITING)

        how = Ending("recover", item.outcome, now, cause=item.cause, details=item.details)
        return self._settle(how, item.lease, change)

    def _end(self, entry: Entry, state: State, now: float, keep: float, reason: str | None = None) -> None:
        expires = now + self._option(entry, "keep", keep)
        entry.task = replace(entry.task, state=state, ended=now, expires=expires, reason=reason, due=None)


def _holds(holder: Slot, slot: Slot | None, session: str | None) -> bool:
    """Whether what `holder` took is the slot's (its own or a dead predecessor's), or else the session's."""
    if slot is None:
        return holder.session == session
    same = holder.session == slot.session and holder.index == slot.index
    return same and holder.incarnation <= slot.incarnation


def _shown(entry: Entry) -> PackedTask:
    return replace(entry.task, cancelling=entry.cancelling and entry.task.state is State.RUNNING)


def _order(entry: Entry) -> tuple[float, float]:
    """Where a task stands among the others of its state."""
    task = entry.task
    if task.state is State.WAITING:
        return (-task.priority, entry.seq)
    if task.state is State.SCHEDULED:
        return (task.due or 0.0, entry.n)
    if task.ended is not None:
        return (-task.ended, -entry.n)
    return (entry.n, 0)
