"""What a pool does when its session was lost: it stops what went to others, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from qm.client import Client
from qm.errors import TimedOut
from qm.messages import Orders, Slot, TypeOptions, WorkerInfo
from qm.task import Lease, Task
from qm.testing import RunningManager, running_manager
from qm.worker import heartbeat
from qm.worker.heartbeat import Heartbeat
from qm.worker.page import Page

PATIENCE = 10.0
INFO = WorkerInfo(session="pool", host="alpha", pid=4711, processes=1, types={"mail": TypeOptions()})


class Bench:
    """A pool with one child, which runs the first of the two tasks that it holds."""

    def __init__(self, manager: RunningManager) -> None:
        self.sessions = manager.queue.core.sessions
        self.client: Client = manager.client()
        self.client.attach(INFO)
        self.client.add("mail", id="a")
        self.client.add("mail", id="b")
        taken = self.client.take_many(Slot("pool", 0, 0), ["mail"], 2)
        self.running, self.unstarted = (one.lease for one in taken)
        self.page = Page.create()
        self.page.hold([self.running, self.unstarted])
        self.page.start_running(0, 1.0)
        self.told = threading.Event()
        self.heartbeat = Heartbeat(manager.client(), INFO, 30.0, lambda: [self.page], self.told.set)

    def lost(self) -> frozenset[Lease]:
        """What went to others, as the pool finds out when it opens its session again."""
        self.heartbeat._attach()
        assert self.sessions.is_open("pool")
        return self.heartbeat.lost


@pytest.fixture
def bench() -> Iterator[Bench]:
    with running_manager() as manager:
        yield Bench(manager)


def test_a_task_that_waits_for_others_is_not_ours_any_more(bench: Bench) -> None:
    bench.client.detach("pool")
    assert bench.lost() == {bench.running}
    assert bench.told.is_set()


def test_a_task_that_runs_elsewhere_is_not_ours_any_more(bench: Bench) -> None:
    bench.client.detach("pool")
    bench.client.attach(WorkerInfo(session="other", host="beta", pid=1, processes=1, types=INFO.types))
    assert bench.client.take(Slot("other", 0, 0), ["mail"]) is not None
    assert bench.lost() == {bench.running}


def test_a_task_that_was_forgotten_is_not_ours_any_more(bench: Bench) -> None:
    bench.client.detach("pool")
    bench.client.cancel("a")
    bench.client.forget("a")
    assert bench.lost() == {bench.running}


def test_a_task_that_the_manager_still_calls_ours_goes_on(bench: Bench) -> None:
    """It knew the session no more, and the tasks it holds are as they were."""
    bench.sessions.end("pool")
    bench.sessions.remove("pool")
    assert bench.lost() == frozenset()
    assert not bench.told.is_set()
    bench.client.finish(bench.running, "done")


def test_what_was_not_started_will_not_be(bench: Bench) -> None:
    bench.client.detach("pool")
    bench.lost()
    assert not bench.page.start_running(1, 2.0)


def test_a_renewal_that_took_long_is_followed_by_one_that_does_not_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be over half of the term since the manager has heard of us, as far as we know."""
    now, waits = 1000.0, list[float]()
    monkeypatch.setattr(heartbeat, "boottime", lambda: now)

    def renew(session: str, wait: float, heard: object) -> Orders:
        nonlocal now
        waits.append(wait)
        now += {1: 10.0, 2: 29.0, 3: 0.1}.get(len(waits), 0.0)
        if len(waits) == 4:
            bench.heartbeat.stop()
        return Orders()

    monkeypatch.setattr(bench.heartbeat._client, "renew", renew)
    bench.heartbeat.run()
    assert waits == [10.0, 10.0, 0.0, 10.0]
    assert bench.page.session_end == 1000.0 + 10.0 + 29.0 + 0.1 + 30.0


def test_what_could_not_be_found_out_at_once_is_found_out_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.client.detach("pool")
    look, fails = bench.heartbeat._client.get_many, iter([TimedOut("no answer")])

    def get_many(ids: list[str]) -> list[Task]:
        for error in fails:
            raise error
        return look(ids)

    monkeypatch.setattr(bench.heartbeat._client, "get_many", get_many)
    assert bench.lost() == frozenset()
    bench.heartbeat.start()
    assert bench.told.wait(PATIENCE)
    assert bench.heartbeat.lost == {bench.running}
    bench.heartbeat.stop()
    bench.client.detach("pool")  # ends its wait
    bench.heartbeat.join(PATIENCE)


def test_the_thread_finds_out_by_itself(bench: Bench) -> None:
    bench.client.detach("pool")
    bench.heartbeat.start()
    assert bench.told.wait(PATIENCE)
    bench.heartbeat.stop()
    bench.client.detach("pool")  # ends its wait
    bench.heartbeat.join(PATIENCE)
    assert not bench.heartbeat.is_alive()
