"""Tasks, sessions and moments that the contract's tests are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from msgspec.structs import replace

from qm.messages import Fail, Finish, ListQuery, NewTask, Retry, Slot, Taken, TypeOptions, WorkerInfo
from qm.policy.decision import Again, Back, Bury, Decision
from qm.store.base import Reader, Recovery
from qm.task import Lease, Outcome, PackedTask, State
from qm.testing.contract.base import Desk

#: When most tests happen.
NOW = 1_700_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

SLOT = Slot("session-1", 0, 1)
OTHER_SLOT = Slot("session-2", 0, 1)
WORKER = WorkerInfo(session="session-1", host="alpha", pid=4711, processes=2, types={"mail": TypeOptions()})

#: A lease that nobody holds.
STRAY = Lease("stranger", 1, 42)


def new(
    id_: str,
    type_: str = "mail",
    *,
    input_: bytes = b"\xc0",
    priority: int = 0,
    delay: float = 0.0,
    attempts: int | None = None,
    timeout: float | None = None,
    keep: float | None = None,
) -> NewTask:
    """A task to add, with a digest as clients make them: by type and input."""
    digest = hashlib.blake2b(input_, digest_size=16, key=type_.encode()[:64]).digest()
    return NewTask(
        id=id_,
        type=type_,
        input=input_,
        digest=digest,
        priority=priority,
        delay=delay,
        attempts=attempts,
        timeout=timeout,
        keep=keep,
    )


def add(verbs: Desk, *tasks: NewTask | str, now: float = NOW) -> None:
    """Adds tasks; an id alone stands for a plain task."""
    verbs.add([new(task) if isinstance(task, str) else task for task in tasks], now)


def take(verbs: Desk, limit: int = 1, *, slot: Slot = SLOT, now: float = NOW) -> Sequence[Taken]:
    """Takes tasks of the types of the samples, under a session that is attached."""
    attached(verbs, slot, now)
    return verbs.take(slot, ["mail", "sms"], limit, now, HOUR)


def attached(verbs: Desk, slot: Slot = SLOT, now: float = NOW) -> None:
    """Attaches the slot's session, as its pool does before it takes; once more changes nothing."""
    plain = replace(WORKER, session=slot.session, types={})
    known = {worker.session: worker for worker in verbs.sessions()}
    verbs.attach(known.get(slot.session, plain), now)


def take_one(verbs: Desk, *, slot: Slot = SLOT, now: float = NOW) -> Lease:
    """The lease of the next task."""
    (taken,) = take(verbs, slot=slot, now=now)
    return taken.lease


def added_and_taken(verbs: Desk, task: NewTask | str = "a", *, now: float = NOW) -> Lease:
    """The lease of a task that was added just now."""
    add(verbs, task, now=now)
    return take_one(verbs, now=now)


def finish(lease: Lease, output: bytes = b"\xc3") -> list[Finish]:
    """A batch with one result."""
    return [Finish(lease, output)]


def fail(lease: Lease, decision: Decision, error: bytes = b"oops") -> list[tuple[Fail, Decision]]:
    """A batch with one error."""
    return [(Fail(lease, error), decision)]


def retry(lease: Lease, decision: Decision, error: bytes | None = None) -> list[tuple[Retry, Decision]]:
    """A batch with one wish for another attempt."""
    return [(Retry(lease, error), decision)]


def ended(verbs: Desk, id_: str, state: State, *, now: float = NOW, keep: float = DAY) -> None:
    """Adds a task and brings it to the end that `state` names."""
    add(verbs, id_, now=now)
    if state is State.CANCELLED:
        verbs.cancel([id_], now, keep)
        return
    lease = take_one(verbs, now=now)
    assert lease.id == id_, "a task that waited already was taken"
    if state is State.DONE:
        verbs.finish(finish(lease), now, keep)
    else:
        verbs.fail(fail(lease, Bury("no use")), now, keep)


def recovery(lease: Lease, outcome: Outcome, decision: Back | Bury, cause: str | None = None) -> Recovery:
    """What the manager decides about a task whose worker is gone."""
    return Recovery(lease=lease, outcome=outcome, decision=decision, cause=cause)


def again(seconds: float, now: float = NOW) -> Again:
    """Policy's word: once more, so long after `now`."""
    return Again(now + seconds)


def get(reader: Reader, id_: str) -> PackedTask:
    """The task, which must be there."""
    (task,) = reader.get([id_])
    assert task is not None, f"task {id_} is not there"
    return task


def state(reader: Reader, id_: str) -> State | None:
    """The task's state; None where there is no task."""
    (task,) = reader.get([id_])
    return task.state if task else None


def ids(reader: Reader, *states: State, type_: str | None = None, limit: int = 50) -> list[str]:
    """The ids on the first page of a list."""
    return [task.id for task in reader.list(ListQuery(states=states, type=type_, limit=limit)).tasks]


def counts(reader: Reader) -> dict[str, dict[State, int]]:
    """The counts without zeros, which a store may show or not."""
    plain = {type_: {s: n for s, n in by.items() if n} for type_, by in reader.counts().items()}
    return {type_: by for type_, by in plain.items() if by}
