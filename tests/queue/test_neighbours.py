"""Several managers over one PostgreSQL database: what one does, those who wait at another hear."""

from __future__ import annotations

import os
import resource
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from qm.errors import NotCommitted, SessionLost
from qm.messages import Crash, Finish, Slot, TypeOptions, WorkerInfo
from qm.queue import Queue
from qm.queue.neighbours import CUT_OFF
from qm.store.postgres import PostgresStore, presence
from qm.store.shared import Hints
from qm.task import Lease, State
from qm.testing.contract.samples import new
from tests.postgres import Cluster, want_postgres
from tests.queue.bench import PATIENCE, TYPES, Call, a_claim


class Manager:
    """A queue over a store of its own, with its timer running."""

    def __init__(self, url: str) -> None:
        self.store = PostgresStore.open(url)
        self.queue = Queue(self.store)
        self.core = self.queue.core
        self.queue.start()
        self._gone = False

    def attach(self, session: str = "pool") -> WorkerInfo:
        types = {name: TypeOptions() for name in TYPES}
        info = WorkerInfo(session=session, host="alpha", pid=4711, processes=2, types=types)
        self.queue.attach(info)
        return info

    def lease(self, call: int = 1, session: str = "pool") -> Lease:
        (taken,) = self.queue.take(a_claim(call, session=session), 0)
        return taken.lease

    def serves(self, session: str = "pool") -> bool:
        """Whether it serves a session, as far as it knows."""
        return self.core.sessions.is_open(session)

    def stop(self) -> None:
        """As a manager stops when it is told to."""
        if not self._gone:
            self._gone = True
            self.queue.drain()
            self.store.close()

    def die(self, cluster: Cluster) -> None:
        """As if it were killed: it does nothing more, and its connections end."""
        self._gone = True
        self.core.drain()
        self.store._link._closing.set()
        self.store._line._closing.set()
        self.store._link._connection.db.close()  # type: ignore[union-attr]
        self.store._line._wake()
        self.store._line._thread.join()
        self.store._line._connection.close()  # type: ignore[union-attr]
        self.store._readers.close()


@pytest.fixture
def cluster() -> Cluster:
    return want_postgres()


@pytest.fixture
def pair(cluster: Cluster) -> Iterator[tuple[Manager, Manager]]:
    """Two managers of one database that know of each other. The first one leads."""
    yield from two(cluster.emptied())


def two(url: str) -> Iterator[tuple[Manager, Manager]]:
    first, second = Manager(url), Manager(url)
    in_the_end(lambda: all(len(one.core.neighbours.others) == 1 for one in (first, second)))  # type: ignore[union-attr]
    yield first, second
    second.stop()
    first.stop()


def in_the_end(holds: Callable[[], bool]) -> None:
    """Looks until it does: managers hear of one another within a second or so."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it never came about")


def test_one_of_them_leads(pair: tuple[Manager, Manager]) -> None:
    assert [one.store.leads for one in pair] == [True, False]


@pytest.mark.parametrize("hinted", [True, False])
def test_a_taker_is_woken_for_a_task_that_came_elsewhere(
    pair: tuple[Manager, Manager], hinted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    if not hinted:  # a hint may be lost: a look a second later does it
        monkeypatch.setattr(first.store, "tell", lambda hints: None)
    second.attach()
    call = Call(second.queue.take, a_claim(), PATIENCE)
    in_the_end(lambda: bool(second.core.takers))
    first.queue.add([new("a")])
    assert [task.id for task in call.answer()] == ["a"]


def test_hints_come_by_any_descriptor(cluster: Cluster) -> None:
    """With a thousand clients those that are opened later have high numbers, which select() does not take."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 2048), limits[1]))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1024)]
    try:
        for pair in two(cluster.emptied()):
            assert min(one.store._line._connection.db.fileno() for one in pair) > 1023  # type: ignore[union-attr]
            pair[1].attach()
            call = Call(pair[1].queue.take, a_claim(), PATIENCE)
            in_the_end(lambda: bool(pair[1].core.takers))  # noqa: B023
            pair[0].queue.add([new("a")])
            assert [task.id for task in call.answer()] == ["a"]
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("hinted", [True, False])
def test_a_producer_hears_of_an_end_that_came_elsewhere(
    pair: tuple[Manager, Manager], hinted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    if not hinted:
        monkeypatch.setattr(first.store, "tell", lambda hints: None)
    first.queue.add([new("a")])
    first.attach()
    lease = first.lease()
    call = Call(second.queue.get, ["a"], PATIENCE)
    in_the_end(lambda: bool(second.core.endings))
    first.queue.finish([Finish(lease, b"result")])
    (task,) = call.answer().tasks
    assert (task.state, task.output) == (State.DONE, b"result")


@pytest.mark.parametrize("hinted", [True, False])
def test_a_cancel_reaches_the_pool_at_another_manager(
    pair: tuple[Manager, Manager], hinted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    if not hinted:
        monkeypatch.setattr(first.store, "tell", lambda hints: None)
    second.queue.add([new("a")])
    second.attach()
    lease = second.lease()
    call = Call(second.queue.renew, "pool", PATIENCE)
    first.queue.cancel(["a"])
    assert call.answer().cancel == [lease]


def test_all_count_the_same_within_a_second_or_so(pair: tuple[Manager, Manager]) -> None:
    first, second = pair
    first.queue.add([new("a"), new("b", "sms")])
    second.queue.add([new("c")])
    expected = {"mail": {State.WAITING: 2}, "sms": {State.WAITING: 1}}
    for one in pair:
        in_the_end(lambda one=one: one.queue.status().types == expected)  # type: ignore[misc]


def test_all_see_all_pools(pair: tuple[Manager, Manager]) -> None:
    first, second = pair
    first.attach("one")
    second.attach("two")
    for manager in pair:
        in_the_end(
            lambda manager=manager: {w.session for w in manager.queue.status().workers} == {"one", "two"}  # type: ignore[misc]
        )
        assert manager.queue.add([new(f"of {id(manager)}".replace(" ", "-"))]).unserved == []


def test_a_pool_that_attaches_elsewhere_is_served_there_alone(pair: tuple[Manager, Manager]) -> None:
    first, second = pair
    first.queue.add([new("a"), new("b")])
    info = first.attach()
    first.lease()
    parked = Call(first.queue.take, a_claim(2, index=1, types=["sms"]), PATIENCE)
    renew = Call(first.queue.renew, "pool", PATIENCE)
    in_the_end(lambda: bool(first.core.takers))
    second.queue.attach(info)
    with suppress(SessionLost):  # it had not looked yet
        assert parked.answer() == []
    assert renew.answer().cancel == []
    with pytest.raises(SessionLost):
        first.queue.take(a_claim(3), 0)
    assert second.lease(3, "pool").id == "a", "what it did not name was lost on the way, and comes again"


def test_a_manager_that_has_not_heard_of_it_hands_out_nothing(
    pair: tuple[Manager, Manager], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of the session says who serves it, whatever a manager believes."""
    first, second = pair
    monkeypatch.setattr(first.core.neighbours, "look", lambda: None)
    first.queue.add([new("a"), new("b")])
    info = first.attach()
    lease = first.lease()
    second.queue.attach(info)
    with pytest.raises(SessionLost):
        first.queue.take(a_claim(2, holding=[lease]), 0)
    with pytest.raises(SessionLost):  # nor does it take back what its pool may have by now
        first.queue.take(a_claim(3), 0)
    with pytest.raises(SessionLost):
        first.queue.crashed(Crash(slot=Slot("pool", 0, 0), exitcode=-9, current=lease))
    assert first.queue.get(["a"]).tasks[0].state is State.RUNNING
    first.core.sessions.end("pool")
    first.core.nudge_timer()
    assert first.queue.finish([Finish(lease, b"")]) == ["accepted"], "a lease holds at every manager"


def test_a_pool_says_goodbye_at_whichever_manager(pair: tuple[Manager, Manager]) -> None:
    first, second = pair
    first.queue.add([new("a")])
    first.attach()
    first.lease()
    second.queue.detach("pool")
    assert second.queue.get(["a"]).tasks[0].state is State.WAITING
    in_the_end(lambda: not first.serves())


def test_a_pool_that_says_goodbye_is_not_taken_for_one_that_came(
    pair: tuple[Manager, Manager], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look may come between the end of its session and the commit that takes it out of the store."""
    first, second = pair
    first.queue.add([new("a")])
    first.attach()
    first.lease()
    look = first.core.neighbours.look  # type: ignore[union-attr]
    run, here = first.core.commit.run, threading.current_thread()

    def run_after_a_look(work: Any, **options: Any) -> Any:
        if threading.current_thread() is here:
            second.attach("other")
            first.core.neighbours._next_look = 0.0  # type: ignore[union-attr]
            look()
        return run(work, **options)

    monkeypatch.setattr(first.core.commit, "run", run_after_a_look)
    first.queue.detach("pool")
    assert not first.serves()
    (task,) = first.queue.get(["a"]).tasks
    assert (task.state, task.lost) == (State.WAITING, 0)


def test_what_is_due_is_promoted_by_the_one_that_leads(pair: tuple[Manager, Manager]) -> None:
    _, second = pair
    second.attach()
    call = Call(second.queue.take, a_claim(), PATIENCE)
    second.queue.add([new("a", delay=0.05)])
    assert [task.id for task in call.answer()] == ["a"]


def test_another_leads_when_the_leader_stops(pair: tuple[Manager, Manager]) -> None:
    first, second = pair
    first.attach()
    first.stop()
    in_the_end(lambda: second.store.leads)
    in_the_end(lambda: second.serves())
    second.queue.add([new("a", delay=0.05)])
    assert second.queue.take(a_claim(), PATIENCE)[0].id == "a"


def test_the_sessions_of_a_killed_manager_are_adopted(
    cluster: Cluster, pair: tuple[Manager, Manager]
) -> None:
    first, second = pair
    first.queue.add([new("a")])
    first.attach()
    lease = first.lease()
    first.die(cluster)
    in_the_end(lambda: second.store.leads and second.serves())
    assert second.queue.finish([Finish(lease, b"")]) == ["accepted"]


def test_a_leader_that_stands_still_is_deposed(
    cluster: Cluster, pair: tuple[Manager, Manager], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, its connections stay: nothing but its silence tells."""
    first, second = pair
    first.attach()
    monkeypatch.setattr(presence, "_TERM", 1.0)
    monkeypatch.setattr(presence, "_REST_OF_A_KILLED", 0.0)
    monkeypatch.setattr(first.core.neighbours, "look", lambda: None)
    monkeypatch.setattr(first.store._line, "_try_to_lead", lambda connection: None)
    cluster.say("UPDATE qmanager.managers SET until = 0 WHERE name IS NOT NULL", "emptied")
    in_the_end(lambda: second.store.leads)
    in_the_end(lambda: second.serves())
    monkeypatch.undo()
    in_the_end(lambda: not first.serves())
    in_the_end(lambda: len(second.core.neighbours.others) == 1)  # type: ignore[union-attr]


def test_a_manager_that_is_cut_off_sends_its_pools_away(
    pair: tuple[Manager, Manager], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone it keeps them: nobody else could do more."""
    first, _ = pair
    first.attach()
    monkeypatch.setattr(first.core.neighbours, "_seen", first.core.clock.monotonic() - 2 * CUT_OFF)
    monkeypatch.setattr(first.core.neighbours, "look", lambda: None)
    with pytest.raises(NotCommitted, match="cannot be reached from here"):
        first.queue.renew("pool")
    monkeypatch.setattr(first.core.neighbours, "others", {})
    assert first.queue.renew("pool").cancel == []


def test_no_task_is_had_twice(pair: tuple[Manager, Manager]) -> None:
    """Slots of pools at both managers take and finish all that there is."""
    tasks, slots = 300, 4
    pair[0].queue.add([new(f"t{n}") for n in range(tasks)])
    done: Counter[str] = Counter()

    def work(manager: Manager, session: str, index: int) -> list[str]:
        ended: list[str] = []
        call = 0
        while len(ended) < tasks:
            call += 1
            taken = manager.queue.take(a_claim(call, session=session, index=index, limit=7), 0)
            if not taken and manager.queue.status().states[State.WAITING] <= 0:
                return ended
            manager.queue.finish([Finish(task.lease, b"") for task in taken])
            ended += [task.id for task in taken]
        return ended

    calls = []
    for number, manager in enumerate(pair):
        manager.attach(f"pool-{number}")
        calls += [Call(work, manager, f"pool-{number}", index) for index in range(slots)]
    for call in calls:
        done.update(call.answer())
    assert len(done) == tasks
    assert set(done.values()) == {1}
    for manager in pair:
        in_the_end(lambda manager=manager: manager.queue.status().done == tasks)  # type: ignore[misc]


def test_what_ends_anywhere_counts_for_the_rate(pair: tuple[Manager, Manager]) -> None:
    first, second = pair
    first.queue.add([new("a"), new("b")])
    first.attach()
    in_the_end(lambda: second.queue.status().ended == 0)
    for call in (1, 2):
        first.queue.finish([Finish(first.lease(call), b"")])
    in_the_end(lambda: second.queue.status().ended == 2)
    assert len(second.queue.status().others) == 1


def test_hints_of_strangers_are_nothing_to_fear(cluster: Cluster, pair: tuple[Manager, Manager]) -> None:
    """Anybody with access to the database may say anything on the channel."""
    heard: list[Hints] = []
    first, _ = pair
    first.store.listen_to(heard.append)
    for payload in ("", "nonsense", "[]", '{"waiting": 3}', '{"waiting": {"mail": 1}}'):
        cluster.say(f"SELECT pg_notify('qmanager', '{payload}')", "emptied")
    in_the_end(lambda: any(hints.waiting == {"mail": 1} for hints in heard))
