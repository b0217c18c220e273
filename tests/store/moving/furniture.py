"""A store that has something in every table and column."""

from __future__ import annotations

from pathlib import Path

import apsw

from qm.messages import Details, Fail, Progress, TypeOptions, WorkerInfo
from qm.policy.decision import Again, Back, Bury, Decision
from qm.store.base import Recovery
from qm.store.postgres import PostgresStore
from qm.store.sqlite import SQLiteStore
from qm.task import Lease, Outcome
from qm.testing.contract.samples import DAY, HOUR, NOW, SLOT, finish, new

WORKER = WorkerInfo(
    session=SLOT.session,
    host="alpha",
    pid=4711,
    processes=2,
    types={"mail": TypeOptions(attempts=7, timeout=9.5, keep=0.25), "sms": TypeOptions()},
)

#: Larger than what stays with its row.
LARGE = b"\xc4" + bytes(range(256)) * 12

#: Texts of `furnish` that have a NUL.
NULS = 3

Store = SQLiteStore | PostgresStore


def furnish(store: Store) -> Lease:
    """Fills an empty store, as far as verbs can. Gives a lease that holds."""
    store.attach(WORKER, NOW)
    store.attach(WorkerInfo(session="quiet", host="beta", pid=1, processes=1, types={}), NOW + 1)
    store.add([new("small")], NOW)
    store.finish(finish(_take(store)), NOW + 1, DAY)
    store.add([new("large", input_=LARGE, priority=9)], NOW)
    store.finish(finish(_take(store), LARGE[::-1]), NOW + 1, DAY)
    store.add([new(f"plain-{n}", priority=n % 3 - 1) for n in range(40)], NOW)
    store.add([new("später", delay=HOUR, keep=3.5, attempts=2, timeout=0.1), new("sms-1", "sms")], NOW)
    _fail(store, Again(NOW + 60), "last\0words\n")
    _fail(store, Bury("no use"))
    _fail(store, Bury("no good:\0ü"))
    requeued = _fail(store, Bury("again"), "words")
    store.requeue([requeued.id], NOW + 3)
    store.cancel(["plain-0", "plain-3"], NOW + 3, DAY)
    store.forget(["plain-0"], NOW + DAY)
    crashed = Recovery(lease=_take(store), outcome=Outcome.CRASHED, decision=Back(), cause="SIGSEGV",
                       details=Details(pid=9, exitcode=-11))  # fmt: skip
    store.recover([crashed], NOW + 4, DAY)
    held = _take(store)
    store.progress([Progress(held, 0.5, "half\0way")])
    store.cancel([_take(store, "sms").id], NOW + 5, DAY)
    return held


def furnish_rest(file: Path) -> None:
    """What no verb does yet: a task that is blocked, and one that is somebody's."""
    db = apsw.Connection(str(file))
    db.execute("UPDATE tasks SET key = 'tenant' WHERE id = 'plain-9'")
    db.execute("UPDATE tasks SET state = 'blocked' WHERE id = 'plain-12'")
    db.execute("UPDATE counts SET tasks = tasks - 1 WHERE type = 'mail' AND state = 'waiting'")
    db.execute("INSERT INTO counts VALUES ('mail', 'blocked', 1)")
    db.close()


def _fail(store: Store, decision: Decision, log: str | None = None) -> Lease:
    lease = _take(store)
    details = None if log is None else Details(pid=8, exitcode=0, peak_memory=9 << 40, log=log)
    store.fail([(Fail(lease, b"\xc4oops", details=details), decision)], NOW + 2, DAY)
    return lease


def _take(store: Store, type_: str = "mail") -> Lease:
    (taken,) = store.take(SLOT, [type_], 1, NOW + 0.5, HOUR)
    return taken.lease
