"""Who is woken: as many waiting takers as there are new tasks, and exactly those who wait for an end.

A taker registers *before* it looks into the store, so that a task added in between wakes it. A wake is used
by the look that follows it. One that is not (the taker's caller hung up, it got a task of another type, or
the wake came when it had looked already) is passed on: no task is left lying beside a sleeping worker.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from qm.queue.waiter import Waiter


class Parked:
    """A call that waits for tasks of some types."""

    __slots__ = ("types", "waiter", "woken_for")

    def __init__(self, types: Sequence[str]) -> None:
        self.types = tuple(dict.fromkeys(types))
        self.waiter = Waiter()
        #: The type whose task woke it, until it looks for that task.
        self.woken_for: str | None = None


class Takers:
    """The parked takers, in lines by type: first come, first woken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, dict[Parked, None]] = {}

    def __len__(self) -> int:
        """How many takers are parked."""
        with self._lock:
            return len({parked for line in self._lines.values() for parked in line})

    def __bool__(self) -> bool:
        """Whether any taker is parked."""
        return bool(self._lines)

    def park(self, parked: Parked) -> str | None:
        """Puts a taker, who looks next, at the end of its types' lines. Gives the type it was woken for."""
        with self._lock:
            woken_for, parked.woken_for = parked.woken_for, None
            for name in parked.types:
                self._lines.setdefault(name, {})[parked] = None
            return woken_for

    def leave(self, parked: Parked) -> None:
        """A taker goes. A wake that came after its last look began may be for a task that it did not see."""
        with self._lock:
            self._remove(parked)
            woken_for = parked.woken_for
        self.pass_on(woken_for)

    def pass_on(self, woken_for: str | None) -> None:
        """A wake for a type (None: there was none) goes to the next in line."""
        if woken_for is not None:
            self.wake(woken_for, 1)

    def wake(self, name: str, tasks: int) -> int:
        """Wakes takers for new tasks of a type: one for each task, the longest waiting first. Gives for how
        many tasks there was none."""
        with self._lock:
            line = self._lines.get(name)
            while line and tasks > 0:
                parked = next(iter(line))
                self._remove(parked)
                parked.woken_for = name
                parked.waiter.wake()
                tasks -= 1
            return tasks

    def wake_all(self) -> None:
        """Wakes everybody: the manager stops."""
        with self._lock:
            for line in list(self._lines.values()):
                for parked in list(line):
                    self._remove(parked)
                    parked.waiter.wake()

    def _remove(self, parked: Parked) -> None:
        for name in parked.types:
            line = self._lines.get(name)
            if line is not None:
                line.pop(parked, None)
                if not line:
                    del self._lines[name]


class Watch:
    """A call that waits until some tasks have ended."""

    __slots__ = ("pending", "waiter")

    def __init__(self, ids: Iterable[str]) -> None:
        self.pending = set(ids)
        self.waiter = Waiter()


class Endings:
    """Who waits for which tasks to end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[str, dict[Watch, None]] = {}
        #: How many tasks have ended so far, waited for or not.
        self.told = 0

    def __len__(self) -> int:
        """How many tasks somebody waits for."""
        with self._lock:
            return len(self._watches)

    def pending(self) -> list[str]:
        """The tasks that somebody waits for."""
        with self._lock:
            return [*self._watches]

    def watch(self, ids: Iterable[str]) -> Watch:
        """Registers a call for all of `ids`."""
        watch = Watch(ids)
        with self._lock:
            for id_ in watch.pending:
                self._watches.setdefault(id_, {})[watch] = None
        return watch

    def settle_for(self, watch: Watch, ids: Iterable[str]) -> bool:
        """From now on only `ids` matter. Gives whether any of them is still to end."""
        with self._lock:
            watch.pending.intersection_update(ids)
            return bool(watch.pending)

    def leave(self, watch: Watch, ids: Iterable[str]) -> None:
        """A call goes that watched `ids`."""
        with self._lock:
            for id_ in ids:
                self._drop(id_, watch)

    def tell(self, ids: Sequence[str]) -> None:
        """These tasks have ended: wakes the calls that wait for nothing else."""
        with self._lock:
            self.told += len(ids)
            self._wake(ids)

    def wake(self, ids: Sequence[str]) -> None:
        """As `tell`, of tasks that ended at another manager, or that may have been told before."""
        with self._lock:
            self._wake(ids)

    def _wake(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            for watch in self._watches.pop(id_, ()):
                watch.pending.discard(id_)
                if not watch.pending:
                    watch.waiter.wake()

    def wake_all(self) -> None:
        """Wakes everybody: the manager stops."""
        with self._lock:
            for watches in self._watches.values():
                for watch in watches:
                    watch.waiter.wake()

    def _drop(self, id_: str, watch: Watch) -> None:
        watches = self._watches.get(id_)
        if watches is not None:
            watches.pop(watch, None)
            if not watches:
                del self._watches[id_]
