"""What the queue's tests are made of: a queue on a bench, calls in threads, and a store that can refuse."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from qm.errors import NotCommitted
from qm.messages import Added, Claim, NewTask, Slot, Taken, TypeOptions, WorkerInfo
from qm.queue import Queue
from qm.queue.commit import Commit
from qm.queue.timer import tick
from qm.queue.waiter import Waiter
from qm.store.base import Transaction
from qm.store.memory import MemoryStore
from qm.store.memory.transaction import MemoryTransaction
from qm.task import Lease, PackedTask, State
from qm.testing import FakeClock
from qm.testing.contract.samples import new

T = TypeVar("T")

#: Seconds until a call that should have ended counts as hanging. Nothing waits so long unless it is broken.
PATIENCE = 10.0

TYPES = ("mail", "sms")


class PickyStore(MemoryStore):
    """A store in memory that can refuse to commit."""

    def __init__(self) -> None:
        super().__init__()
        #: How many of the next commits fail.
        self.refuse = 0
        #: Called by `HookedCommit` before a commit, and after one that held.
        self.before: Callable[[], object] = lambda: None
        self.after: Callable[[], object] = lambda: None

    @contextmanager
    def begin(self, *, sync: bool = True) -> Iterator[MemoryTransaction]:
        with super().begin(sync=sync) as tx:
            yield tx
            if self.refuse:
                self.refuse -= 1
                raise NotCommitted("the disk is full", hint="try again")


class HookedCommit(Commit):
    """The real gate, where others can come in before and after a call's commit."""

    def __init__(self, store: PickyStore) -> None:
        super().__init__(store)
        self._picky = store

    def run(self, work: Callable[[Transaction], T], *, sync: bool = True) -> T:
        self._picky.before()
        answer = super().run(work, sync=sync)
        self._picky.after()
        return answer


class Bench:
    """A queue over a store in memory, on a clock that stands still, and short words for what we tell it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = PickyStore()
        self.restart()
        self.core.draw = lambda: 0.5  # the middle: no jitter

    def restart(self) -> None:
        """The manager is killed and started again over the same store."""
        self.queue = Queue(self.store, self.clock)
        self.core = self.queue.core
        self.core.commit = HookedCommit(self.store)

    def nudged(self) -> bool:
        """Whether the timer has been woken since this was asked last."""
        was = self.core._nudge.is_set()
        self.core._nudge.clear()
        return was

    def tick(self) -> float:
        """What the timer does when it wakes."""
        return tick(self.core)

    def add(self, *tasks: NewTask | str) -> Added:
        """Adds tasks; an id alone stands for a plain task of the type mail."""
        return self.queue.add([new(task) if isinstance(task, str) else task for task in tasks])

    def attach(self, session: str = "pool", types: Sequence[str] = TYPES, **options: Any) -> WorkerInfo:
        """Opens a session that serves `types`."""
        kinds = {name: TypeOptions(**options) for name in types}
        info = WorkerInfo(session=session, host="alpha", pid=4711, processes=2, types=kinds)
        self.queue.attach(info)
        return info

    def take(self, call: int = 1, wait: float = 0, **claim: Any) -> Sequence[Taken]:
        """A slot's call for tasks."""
        return self.queue.take(a_claim(call, **claim), wait)

    def assert_takes(self, id_: str, call: int = 1, **claim: Any) -> None:
        """A slot's call gets just this task."""
        assert [task.id for task in self.take(call, **claim)] == [id_]

    def lease(self, call: int = 1, **claim: Any) -> Lease:
        """The lease of the next task."""
        (taken,) = self.take(call, **claim)
        return taken.lease

    def leases(self, *tasks: NewTask | str) -> list[Lease]:
        """The leases of tasks that are added and taken now, by a session that is opened now."""
        self.attach()
        self.add(*tasks)
        return [taken.lease for taken in self.take(limit=len(tasks))]

    def task(self, id_: str) -> PackedTask:
        """The task, which must be there."""
        (task,) = self.queue.get([id_]).tasks
        return task

    def state(self, id_: str) -> State:
        """The state of a task, which must be there."""
        return self.task(id_).state

    def counters(self, id_: str) -> tuple[int, int, int]:
        """How often it failed, crashed, and was lost."""
        task = self.task(id_)
        return task.failures, task.crashes, task.lost


def a_claim(
    call: int = 1,
    *,
    session: str = "pool",
    index: int = 0,
    incarnation: int = 0,
    holding: Sequence[Lease] = (),
    types: Sequence[str] = TYPES,
    limit: int = 1,
) -> Claim:
    """What a slot says it wants."""
    slot = Slot(session, index, incarnation)
    return Claim(slot=slot, call=call, holding=list(holding), types=list(types), limit=limit)


class Call(threading.Thread):
    """A call in a thread of its own."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(daemon=True)
        self._work = lambda: function(*args, **kwargs)
        self._answer: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._answer = self._work()
        except BaseException as error:
            self._error = error

    def answer(self) -> Any:
        """What the call answered; raises what it raised. It must be over soon."""
        self.join(PATIENCE)
        assert not self.is_alive(), "the call hangs"
        if self._error is not None:
            raise self._error
        return self._answer


class Sleepers:
    """Knows when calls fall asleep. Nothing polls: a call says it just before it sleeps, and a wake from then
    on ends that sleep."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._asleep = threading.Semaphore(0)
        self._sleep = Waiter.sleep
        #: For how long each call wanted to sleep.
        self.seconds: list[float] = []
        #: Stands for the time that runs out: called instead of sleeping.
        self.run_out: Callable[[float], None] | None = None
        patch.setattr(Waiter, "sleep", lambda waiter, seconds: self._fall(waiter, seconds))

    def expect(self, calls: int = 1) -> None:
        """Returns when so many more calls have fallen asleep."""
        for _ in range(calls):
            assert self._asleep.acquire(timeout=PATIENCE), "no call fell asleep"

    def _fall(self, waiter: Waiter, seconds: float) -> bool:
        self.seconds.append(seconds)
        self._asleep.release()
        if self.run_out is not None:
            self.run_out(seconds)
            return self._sleep(waiter, 0)
        return self._sleep(waiter, seconds)


class Line:
    """The other end of a call's connection, that a test can cut."""

    def __init__(self) -> None:
        self._waiters: list[Waiter] = []
        self.watching = 0

    @contextmanager
    def watched(self, waiter: Waiter) -> Iterator[None]:
        """See `qm.queue.waiter.Caller`."""
        self._waiters.append(waiter)
        self.watching += 1
        try:
            yield
        finally:
            self.watching -= 1

    def cut(self, *, quietly: bool = False) -> None:
        """The caller hangs up; `quietly`: just as somebody else is about to wake the call."""
        for waiter in self._waiters:
            if quietly:
                waiter.gone = True
            else:
                waiter.hang_up()


def overtaken(
    bench: Bench, call: Callable[[], object], meanwhile: Callable[[], None], after: int = 0
) -> object:
    """Lets `call` begin, and `meanwhile` happen before it reaches the store (for the time after `after`)."""
    slow: list[threading.Thread] = []
    stopped, go_on = threading.Event(), threading.Event()
    visits = itertools.count()

    def before() -> None:
        if threading.current_thread() in slow and next(visits) == after:
            stopped.set()
            assert go_on.wait(PATIENCE)

    def begin() -> object:
        slow.append(threading.current_thread())
        return call()

    bench.store.before = before
    running = Call(begin)
    assert stopped.wait(PATIENCE)
    meanwhile()
    go_on.set()
    return running.answer()
