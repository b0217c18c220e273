"""What happens by itself: due tasks wait, silent sessions end, old tasks go."""

from __future__ import annotations

import logging
import threading

import pytest

from qm.errors import NotCommitted
from qm.limits import SESSION_TERM
from qm.messages import AddStatus, Fail, Finish
from qm.policy.retention import KEEP_ENDED, KEEP_FAILED, KEEP_ID
from qm.queue.core import Core
from qm.queue.timer import Timer, forgive, tick
from qm.store.memory import MemoryStore
from qm.task import State
from qm.testing import FakeClock
from qm.testing.contract.samples import new
from tests.queue.bench import PATIENCE, Bench, Call, Sleepers

#: The timer's period in seconds.
PERIOD = 5.0


def commits(bench: Bench) -> list[int]:
    """Counts the transactions from now on."""
    counted = [0]

    def count() -> None:
        counted[0] += 1

    bench.store.after = count
    return counted


def test_a_due_task_waits_at_the_tail_and_not_before(bench: Bench) -> None:
    bench.attach()
    bench.add(new("later", delay=10.0), "now")
    bench.clock.advance(9.99)
    bench.tick()
    assert bench.state("later") is State.SCHEDULED
    bench.clock.advance(0.01)
    bench.tick()
    assert (bench.state("later"), bench.task("later").due) == (State.WAITING, None)
    assert [task.id for task in bench.take(limit=2)] == ["now", "later"]


def test_due_tasks_wake_as_many_takers(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    takers = [Call(bench.take, index=index, wait=20) for index in range(3)]
    sleepers.expect(3)
    bench.add(new("a", delay=1.0), new("b", "sms", delay=2.0), new("c", delay=9.0))
    bench.clock.advance(2)
    bench.tick()
    bench.add("d")
    assert sorted(taker.answer()[0].id for taker in takers) == ["a", "b", "d"]


def test_due_tasks_are_promoted_in_chunks(bench: Bench) -> None:
    for start in range(0, 600, 200):
        bench.add(*(new(f"t{n:03}", delay=1.0) for n in range(start, start + 200)), new(f"x{start}"))
    bench.clock.advance(1)
    counted = commits(bench)
    bench.tick()
    assert len(bench.queue.wait.list(500, type="mail").tasks) == 500
    assert bench.queue.status().states[State.WAITING] == 603
    assert counted[0] == 3 + 1, "calls must get their turn in between"


def test_a_tick_says_when_something_will_be_due(bench: Bench) -> None:
    assert bench.tick() == PERIOD
    bench.add(new("a", delay=3.0))
    assert bench.tick() == pytest.approx(3.0)
    bench.clock.advance(1)
    assert bench.tick() == pytest.approx(2.0)
    bench.attach()
    bench.clock.advance(2)
    assert bench.tick() == PERIOD
    bench.clock.advance(SESSION_TERM - 2.5)
    assert bench.tick() == pytest.approx(0.5)
    bench.queue.detach("pool")
    bench.add(new("b", "fax", keep=4.0))
    bench.queue.cancel(["b"])
    assert bench.tick() == pytest.approx(4.0)


def test_a_clock_that_jumps_back_neither_loses_nor_hurries_a_task(bench: Bench) -> None:
    bench.add(new("a", delay=10.0))
    bench.clock.jump(-3600)
    assert bench.tick() == PERIOD
    assert bench.state("a") is State.SCHEDULED
    bench.clock.jump(3610)
    bench.tick()
    assert bench.state("a") is State.WAITING


def test_ended_tasks_go_after_their_time_and_waiting_ones_never(bench: Bench) -> None:
    done, failed, _ = bench.leases("done", "failed", "running")
    bench.queue.finish([Finish(done, b"")])
    bench.queue.fail([Fail(failed, b"", retryable=False)])
    bench.add(new("waiting", "fax"))

    def left() -> list[str]:
        bench.queue.renew("pool")
        bench.tick()
        return [task.id for task in bench.queue.get(["done", "failed", "running", "waiting"]).tasks]

    bench.clock.advance(SESSION_TERM / 2)
    bench.clock.jump(KEEP_ENDED - SESSION_TERM)
    assert left() == ["done", "failed", "running", "waiting"]
    bench.clock.jump(SESSION_TERM)
    assert left() == ["failed", "running", "waiting"]
    bench.clock.jump(KEEP_FAILED)
    assert left() == ["running", "waiting"]


def test_a_task_that_goes_leaves_its_id_known_for_a_day(bench: Bench) -> None:
    bench.add("a")
    bench.queue.cancel(["a"])
    bench.clock.advance(KEEP_ENDED)
    bench.tick()
    assert bench.add("a").statuses == [AddStatus.DUPLICATE]
    bench.clock.advance(KEEP_ID)
    bench.tick()
    assert bench.add("a").statuses == [AddStatus.CREATED]


def test_forgotten_ids_go_even_where_no_task_ever_expires(bench: Bench) -> None:
    """A producer that forgets every task it has read would fill the store with ids."""
    for start in range(0, 500, 250):
        ids = [f"t{n}" for n in range(start, start + 250)]
        bench.add(*ids)
        bench.queue.cancel(ids)
        bench.queue.forget(ids)
    bench.clock.advance(KEEP_ID)
    counted = commits(bench)
    bench.tick()
    assert counted[0] == 3, "in chunks"
    assert not bench.store._tables or not bench.store._tables.tombstones


def test_a_million_old_tasks_hold_up_neither_those_that_are_due_nor_the_end_of_a_silent_pool(
    bench: Bench,
) -> None:
    ids = [f"old{n:03}" for n in range(600)]
    bench.add(*ids)
    bench.queue.cancel(ids)
    bench.clock.jump(KEEP_ENDED)
    bench.leases("running")
    bench.add(new("later", delay=SESSION_TERM))
    bench.store.after = lambda: bench.clock.advance(0.3)  # a slow disk
    assert bench.tick() == 0.0, "there is more to do"
    assert bench.queue.status().states[State.CANCELLED] == 200
    bench.store.after = lambda: None
    bench.clock.advance(SESSION_TERM)
    bench.store.after = lambda: bench.clock.advance(0.6)
    bench.tick()
    assert (bench.state("running"), bench.state("later")) == (State.WAITING, State.WAITING)
    assert bench.queue.status().states[State.CANCELLED] == 0
    assert bench.tick() == PERIOD, "the ids are known for a day yet"


def test_a_million_due_tasks_do_not_hold_up_the_end_of_a_silent_pool(bench: Bench) -> None:
    bench.leases("running")
    bench.add(*(new(f"due{n:03}", delay=SESSION_TERM) for n in range(600)))
    bench.clock.advance(SESSION_TERM)
    bench.store.after = lambda: bench.clock.advance(0.6)
    assert bench.tick() == 0.0, "there is more to do"
    assert bench.state("running") is State.WAITING
    assert bench.queue.status().states[State.SCHEDULED] == 400
    while bench.tick() == 0.0:
        continue
    assert bench.queue.status().states[State.SCHEDULED] == 0


def test_a_tick_that_fails_leaves_all_as_it_was_for_the_next(bench: Bench) -> None:
    bench.add(new("a", delay=1.0))
    bench.clock.advance(1)
    bench.store.refuse = 1
    with pytest.raises(NotCommitted):
        bench.tick()
    assert bench.state("a") is State.SCHEDULED
    bench.tick()
    assert bench.state("a") is State.WAITING


def test_a_manager_that_was_asleep_gives_its_pools_half_a_term(bench: Bench) -> None:
    """It was stopped for longer than a term; the pools' renewals lie unread in its sockets."""
    bench.leases("a")
    bench.clock.advance(SESSION_TERM + 10)
    forgive(bench.core, late=2 * PERIOD + 0.1)
    bench.tick()
    bench.clock.advance(SESSION_TERM / 2 - 1)
    bench.tick()
    assert bench.state("a") is State.RUNNING
    bench.clock.advance(1)
    bench.tick()
    assert bench.state("a") is State.WAITING


def test_a_manager_that_was_just_late_judges_as_ever(bench: Bench) -> None:
    bench.leases("a")
    bench.clock.advance(SESSION_TERM)
    forgive(bench.core, late=2 * PERIOD)
    bench.tick()
    assert bench.state("a") is State.WAITING


def test_forgiving_shortens_no_term(bench: Bench) -> None:
    bench.leases("a")
    forgive(bench.core, late=100)
    bench.clock.advance(SESSION_TERM - 1)
    bench.tick()
    assert bench.state("a") is State.RUNNING


class Nap(Core):
    """A core whose timer does not sleep but tells for how long it would, and then does what the test says."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(MemoryStore(), clock)
        self.naps: list[float] = []

    def sleep_until_nudged(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.wake_up()

    def wake_up(self) -> None:
        self.drain()


def run(core: Core) -> None:
    timer = Timer(core)
    timer.start()
    timer.join(PATIENCE)
    assert not timer.is_alive()


def test_the_timer_sleeps_until_something_is_due_and_ends_with_the_queue() -> None:
    core = Nap(FakeClock())
    core.store.add([new("a", delay=2.0)], core.clock.now())
    run(core)
    assert core.naps == [2.0]


def test_the_timer_notices_that_it_overslept(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    core = Nap(clock)

    def oversleep() -> None:
        clock.advance(core.naps[-1] + 2 * PERIOD + 0.1)
        core.drain()

    core.wake_up = oversleep  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        run(core)
    assert "asleep for 10 s" in caplog.text


def test_a_manager_that_falls_asleep_while_its_timer_works_ends_no_session(bench: Bench) -> None:
    """Stopped in a commit for longer than a term: only the sleep of the timer itself was looked at."""
    core, ticks = bench.core, 0
    bench.leases("a")
    bench.add(new("b", delay=1.0))
    bench.clock.advance(1)
    asleep = [SESSION_TERM + 10]
    bench.store.after = lambda: bench.clock.advance(asleep.pop() if asleep else 0.0)

    def doze(seconds: float) -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 2:
            core.drain()

    core.sleep_until_nudged = doze  # type: ignore[method-assign]
    run(core)
    assert not asleep and ticks == 2
    assert bench.state("a") is State.RUNNING


@pytest.mark.parametrize("error", [NotCommitted("no"), OSError("no space left"), KeyError("a bug")])
def test_no_trouble_ends_the_timer(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    core = Nap(FakeClock())
    troubles = [error]
    next_due = core.store.next_due

    def fail_once() -> float | None:
        if troubles:
            raise troubles.pop()
        return next_due()

    def wake_up() -> None:
        if len(core.naps) == 2:
            core.drain()

    core.store.next_due = fail_once  # type: ignore[method-assign]
    core.wake_up = wake_up  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        run(core)
    assert core.naps == [1.0, PERIOD]
    assert "trying again in 1 s" in caplog.text


def test_a_nudge_before_the_sleep_ends_it() -> None:
    core = Core(MemoryStore(), FakeClock())
    core.nudge_timer()
    sleeper = threading.Thread(target=core.sleep_until_nudged, args=(3600,), daemon=True)
    sleeper.start()
    sleeper.join(PATIENCE)
    assert not sleeper.is_alive()


def test_a_stopping_queue_promotes_no_more(bench: Bench) -> None:
    bench.add(new("a", delay=1.0))
    bench.clock.advance(1)
    bench.core.drain()
    assert tick(bench.core) >= 0
    assert bench.state("a") is State.SCHEDULED
