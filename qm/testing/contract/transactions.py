"""All or nothing: transactions, savepoints, threads, and what outlives a close."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from qm.messages import AddStatus, Finish, ListQuery, Progress, Slot, TypeOptions, Verdict, WorkerInfo
from qm.policy.decision import Back, Bury
from qm.store.base import Store
from qm.task import Lease, Outcome, PackedTask, State
from qm.testing.contract.base import ContractBase, Desk
from qm.testing.contract.samples import (
    DAY,
    HOUR,
    NOW,
    SLOT,
    WORKER,
    add,
    again,
    attached,
    counts,
    ended,
    fail,
    finish,
    ids,
    new,
    recovery,
    retry,
    state,
    take,
    take_one,
)


class Mishap(Exception):
    """What goes wrong in the middle of a transaction."""


@contextmanager
def undone() -> Iterator[None]:
    """Swallows the mishap that the test itself raises."""
    with pytest.raises(Mishap):
        yield


class Scene:
    """One task in every state there is, a session and a tombstone, with everything a store says of them."""

    NAMES = ("done", "failed", "cancelled", "running", "waiting", "scheduled", "gone")

    def __init__(self, desk: Desk) -> None:
        desk.attach(WORKER, NOW)
        for end in (State.DONE, State.FAILED, State.CANCELLED):
            ended(desk, end.value, end)
        ended(desk, "gone", State.DONE)
        desk.forget(["gone"], NOW + DAY)
        add(desk, "running")
        self.lease = take_one(desk)
        add(desk, "waiting", new("scheduled", delay=60.0))

    @staticmethod
    def shown(desk: Desk) -> object:
        """All that can be asked, to be compared."""
        tasks: list[PackedTask] = desk.list(ListQuery()).tasks
        times = desk.next_due(), desk.next_expiry()
        held = [*desk.held(SLOT), *desk.held(session="session-9")]
        return tasks, [*desk.get(Scene.NAMES)], counts(desk), [*desk.sessions()], held, times

    def disturb(self, desk: Desk) -> None:
        """Says every verb, so that nothing is as it was."""
        desk.progress([Progress(self.lease, 0.5, "half")])
        desk.retry(retry(self.lease, Bury("no"), b"oops"), NOW, DAY)
        desk.requeue(["failed"], NOW)
        desk.forget(["cancelled"], NOW + DAY)
        desk.cancel(["waiting"], NOW, DAY)
        desk.promote(NOW + HOUR, 10)
        add(desk, "x", "y", "z", new("sms", "sms"), now=NOW)
        leases = [taken.lease for taken in take(desk, 5)]
        assert [lease.id for lease in leases] == ["failed", "scheduled", "x", "y", "z"]
        desk.fail(fail(leases[0], again(60)), NOW, DAY)
        desk.retry(retry(leases[1], Bury("no")), NOW, DAY)
        desk.release(leases[2:3], NOW)
        desk.recover([recovery(leases[3], Outcome.CRASHED, Back())], NOW, DAY)
        desk.finish(finish(leases[4]), NOW, DAY)
        other = WorkerInfo(
            session="session-9", host="b", pid=1, processes=1, types={"mail": TypeOptions(attempts=7)}
        )
        desk.attach(other, NOW)
        desk.detach(WORKER.session)
        desk.expire(NOW + 2 * DAY, NOW + 3 * DAY, 10)


class Committing(ContractBase):
    """begin"""

    def test_a_transaction_sees_what_it_did_and_then_all_do(self, store: Store) -> None:
        with store.begin() as transaction:
            add(transaction, "a")
            lease = take_one(transaction)
            assert state(transaction, "a") is State.RUNNING
            assert counts(transaction) == {"mail": {State.RUNNING: 1}}
            assert [held.lease for held in transaction.held(SLOT)] == [lease]
        assert state(store, "a") is State.RUNNING
        assert counts(store) == {"mail": {State.RUNNING: 1}}

    @pytest.mark.parametrize("sync", [True, False])
    def test_an_exception_undoes_everything(self, store: Store, sync: bool) -> None:
        scene = Scene(store)
        before = scene.shown(store)
        with undone(), store.begin(sync=sync) as transaction:
            scene.disturb(transaction)
            assert scene.shown(transaction) != before
            raise Mishap
        assert scene.shown(store) == before
        assert store.progress([Progress(scene.lease, 0.1)]) == [Verdict.ACCEPTED]
        assert store.add([new("gone")], NOW) == [AddStatus.DUPLICATE]

    def test_what_was_undone_can_be_done_again(self, store: Store) -> None:
        scene = Scene(store)
        with undone(), store.begin() as transaction:
            scene.disturb(transaction)
            raise Mishap
        scene.disturb(store)
        with store.begin() as transaction:
            assert ids(transaction, State.WAITING) == ["x", "y", "sms"]

    def test_a_lease_of_an_undone_take_does_not_hold(self, store: Store) -> None:
        add(store, "a")
        leases: list[Lease] = []
        with undone(), store.begin() as transaction:
            leases.append(take_one(transaction))
            raise Mishap
        assert store.leased(leases) == [None]
        lease = take_one(store)
        assert lease.token != leases[0].token
        assert store.finish(finish(leases[0]), NOW, DAY) == [Verdict.LOST]
        assert store.finish(finish(lease), NOW, DAY) == [Verdict.ACCEPTED]


class Saving(ContractBase):
    """savepoint"""

    def test_a_part_that_fails_is_undone_alone(self, store: Store) -> None:
        with store.begin() as transaction:
            scene = Scene(transaction)
            before = scene.shown(transaction)
            with undone(), transaction.savepoint():
                scene.disturb(transaction)
                raise Mishap
            assert scene.shown(transaction) == before
        assert scene.shown(store) == before

    def test_parts_that_succeed_stay(self, store: Store) -> None:
        with store.begin() as transaction:
            with transaction.savepoint():
                add(transaction, "a")
            with undone(), transaction.savepoint():
                add(transaction, "b")
                raise Mishap
            with transaction.savepoint():
                add(transaction, "c")
        assert ids(store, State.WAITING) == ["a", "c"]
        assert counts(store) == {"mail": {State.WAITING: 2}}

    def test_parts_within_parts(self, store: Store) -> None:
        with store.begin() as transaction:
            add(transaction, "a")
            with undone(), transaction.savepoint():
                take_one(transaction)
                with transaction.savepoint():
                    add(transaction, "inner")
                with undone(), transaction.savepoint():
                    transaction.cancel(["inner"], NOW, DAY)
                    raise Mishap
                assert (state(transaction, "a"), state(transaction, "inner")) == (
                    State.RUNNING,
                    State.WAITING,
                )
                raise Mishap
            assert (state(transaction, "a"), state(transaction, "inner")) == (State.WAITING, None)
        assert counts(store) == {"mail": {State.WAITING: 1}}

    def test_a_mishap_after_a_good_part_undoes_it_too(self, store: Store) -> None:
        with undone(), store.begin() as transaction:
            with transaction.savepoint():
                add(transaction, "a")
            raise Mishap
        assert state(store, "a") is None
        assert counts(store) == {}

    def test_a_task_undone_and_added_again_is_taken_once(self, store: Store) -> None:
        with store.begin() as transaction:
            for _ in range(3):
                with undone(), transaction.savepoint():
                    add(transaction, "a")
                    take_one(transaction)
                    raise Mishap
            add(transaction, "a")
            assert [taken.id for taken in take(transaction, 9)] == ["a"]
        assert store.held(SLOT) != []


class Sharing(ContractBase):
    """Threads."""

    @pytest.fixture(autouse=True)
    def threads_take_turns_often(self) -> Iterator[None]:
        """So that what is not locked is caught in the middle."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        yield
        sys.setswitchinterval(usual)

    def test_transactions_of_many_threads_lose_nothing(self, store: Store) -> None:
        tasks, workers = 120, 4
        add(store, *(f"t{i}" for i in range(tasks)))
        attached(store)

        def work(index: int) -> list[str]:
            done = []
            while taken := store.take(Slot("session-1", index, 1), ["mail"], 3, NOW, HOUR):
                said = store.finish([Finish(one.lease, b"") for one in taken], NOW, DAY)
                assert set(said) == {Verdict.ACCEPTED}
                done += [one.id for one in taken]
            return done

        with ThreadPoolExecutor(workers) as pool:
            done = [id_ for part in pool.map(work, range(workers)) for id_ in part]
        assert sorted(done) == sorted(f"t{i}" for i in range(tasks))
        assert counts(store) == {"mail": {State.DONE: tasks}}

    def test_one_thread_s_transaction_is_not_seen_half_done(self, store: Store) -> None:
        stop = threading.Event()

        def read() -> set[int]:
            seen = set()
            while not stop.is_set():
                seen.add(sum(counts(store).get("mail", {}).values()))
                seen.add(len(ids(store, State.WAITING)))
            return seen

        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            try:
                for i in range(15):
                    with store.begin(sync=False) as transaction:
                        add(transaction, f"a{i}")
                        add(transaction, f"b{i}")
            finally:
                stop.set()
            seen = set().union(*(reader.result(timeout=60) for reader in readers))
        assert {n for n in seen if n % 2} == set()

    def test_lists_stand_while_tasks_go(self, store: Store) -> None:
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                page = store.list(ListQuery())
                assert all(task.id for task in page.tasks)

        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            try:
                for i in range(30):
                    names = [f"t{i}-{j}" for j in range(10)]
                    with store.begin(sync=False) as transaction:
                        add(transaction, *names)
                        transaction.cancel(names, NOW, DAY)
                    with store.begin(sync=False) as transaction:
                        transaction.forget(names, NOW + DAY)
            finally:
                stop.set()
            for reader in readers:
                reader.result(timeout=60)


class Lasting(ContractBase):
    """close, and open again."""

    def test_closing_twice_is_fine(self, store: Store) -> None:
        add(store, "a")
        store.close()
        store.close()

    def test_everything_is_there_after_a_restart(self, store: Store, reopen: Callable[[], Store]) -> None:
        scene = Scene(store)
        before = scene.shown(store)
        store.close()
        with closing(reopen()) as opened:
            assert scene.shown(opened) == before
            assert opened.add([new("gone"), new("done")], NOW) == [AddStatus.DUPLICATE] * 2

    def test_a_lease_outlives_a_restart(self, store: Store, reopen: Callable[[], Store]) -> None:
        scene = Scene(store)
        store.close()
        with closing(reopen()) as opened:
            assert opened.finish(finish(scene.lease), NOW, DAY) == [Verdict.ACCEPTED]
        with closing(reopen()) as opened:
            assert opened.finish(finish(scene.lease), NOW, DAY) == [Verdict.REPEATED]

    def test_order_outlives_a_restart(self, store: Store, reopen: Callable[[], Store]) -> None:
        add(store, "a", "b", "c")
        store.retry(retry(take_one(store), again(0)), NOW, DAY)
        store.close()
        with closing(reopen()) as opened:
            add(opened, "d")
            assert [taken.id for taken in take(opened, 9)] == ["b", "c", "a", "d"]

    def test_options_of_types_outlive_a_restart(self, store: Store, reopen: Callable[[], Store]) -> None:
        worker = WorkerInfo(
            session="session-1", host="a", pid=1, processes=1, types={"mail": TypeOptions(timeout=9.0)}
        )
        store.attach(worker, NOW)
        store.close()
        with closing(reopen()) as opened:
            assert [*opened.sessions()] == [worker]
            add(opened, "a")
            assert [taken.timeout for taken in take(opened)] == [9.0]


class Transactions(Committing, Saving, Sharing, Lasting):
    """All of them."""
