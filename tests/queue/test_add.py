"""add: tasks come in."""

from __future__ import annotations

import math

import pytest

from qm.errors import BadRequest, Draining, NotCommitted, TooLarge
from qm.limits import DELAY_MAX, IDS_MAX, PAYLOAD_MAX
from qm.messages import AddStatus, NewTask
from qm.task import State
from qm.testing.contract.samples import new
from tests.queue.bench import Bench, Call, Sleepers


def test_an_added_task_waits(bench: Bench) -> None:
    assert bench.add("a").statuses == [AddStatus.CREATED]
    assert (bench.state("a"), bench.task("a").added) == (State.WAITING, bench.clock.now())


def test_a_repeated_add_makes_no_second_task(bench: Bench) -> None:
    bench.add("a")
    assert bench.add("a", "b").statuses == [AddStatus.DUPLICATE, AddStatus.CREATED]
    assert bench.queue.wait.count() == 2


def test_another_task_under_a_known_id_is_a_conflict_and_changes_nothing(bench: Bench) -> None:
    bench.add("a")
    answer = bench.add(new("a", input_=b"\xc3"), new("a", "sms"), "b")
    assert answer.statuses == [AddStatus.CONFLICT, AddStatus.CONFLICT, AddStatus.CREATED]
    assert (bench.task("a").type, bench.task("a").input) == ("mail", b"\xc0")


def test_a_repeated_add_of_a_running_or_ended_task_changes_nothing(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    assert bench.add("a").statuses == [AddStatus.DUPLICATE]
    assert bench.state("a") is State.RUNNING and bench.task("a").attempt == lease.attempt


def test_a_delayed_task_is_scheduled_and_the_timer_knows(bench: Bench) -> None:
    bench.add(new("a", delay=2.5), new("b", delay=1.5))
    assert (bench.state("a"), bench.task("a").due) == (State.SCHEDULED, bench.clock.now() + 2.5)
    assert bench.nudged()
    assert bench.tick() == pytest.approx(1.5)


def test_a_task_that_waits_at_once_does_not_wake_the_timer(bench: Bench) -> None:
    bench.add("a")
    assert not bench.nudged()


@pytest.mark.parametrize(
    "bad",
    [
        new(""),
        new("x" * 65),
        new("a b"),
        new("ä"),
        new("a\n"),
        new("a", ""),
        new("a", "x" * 65),
        new("a", ".hidden"),
        new("a", "a/b"),
        new("a", input_=bytes(PAYLOAD_MAX + 1)),
        new("a", priority=32768),
        new("a", priority=-32769),
        new("a", delay=-0.1),
        new("a", delay=DELAY_MAX * 1.01),
        new("a", delay=math.nan),
        new("a", delay=math.inf),
        new("a", attempts=0),
        new("a", attempts=1001),
        new("a", timeout=0.0),
        new("a", timeout=math.inf),
        new("a", timeout=math.nan),
        new("a", keep=-1.0),
        new("a", keep=math.inf),
        new("a", keep=math.nan),
        NewTask(id="a", type="mail", input=b"", digest=b"short"),
    ],
    ids=lambda task: repr(task)[:40],
)
def test_a_bad_task_is_refused_and_nothing_of_its_batch_is_stored(bench: Bench, bad: NewTask) -> None:
    with pytest.raises(BadRequest) as caught:
        bench.add("good", bad)
    assert str(caught.value)
    assert bench.queue.wait.count() == 0


def test_the_bounds_themselves_are_allowed(bench: Bench) -> None:
    bench.add(
        new("x" * 64, "_" + "y" * 63, input_=bytes(PAYLOAD_MAX), priority=-32768, delay=DELAY_MAX),
        new("A-Za-z0-9._:-", "mail", priority=32767, attempts=1000, timeout=0.001, keep=0.0),
    )
    assert bench.queue.wait.count() == 2


def test_too_many_tasks_in_one_call_are_refused(bench: Bench) -> None:
    with pytest.raises(TooLarge, match="limit is 1000"):
        bench.add(*(f"t{n}" for n in range(IDS_MAX + 1)))
    assert bench.queue.wait.count() == 0


def test_a_stopping_queue_adds_nothing(bench: Bench) -> None:
    bench.core.drain()
    with pytest.raises(Draining):
        bench.add("a")
    assert bench.queue.wait.count() == 0


def test_types_that_nobody_serves_are_named_once(bench: Bench) -> None:
    bench.attach("pool", ["mail"])
    assert bench.add("a", new("b", "sms"), new("c", "sms"), new("d", "fax")).unserved == ["sms", "fax"]
    bench.queue.renew("pool", draining=True)
    assert bench.add("e").unserved == ["mail"]


def test_when_the_store_does_not_commit_nothing_is_added_and_nobody_is_woken(
    bench: Bench, sleepers: Sleepers
) -> None:
    bench.attach()
    taker = Call(bench.take, wait=20)
    watcher = Call(bench.queue.get, ["a"], 20)
    assert watcher.answer().missing == ["a"]
    sleepers.expect()
    bench.nudged()
    bench.store.refuse = 1
    with pytest.raises(NotCommitted):
        bench.add("a", new("later", delay=5.0))
    assert bench.queue.wait.count() == 0
    assert not bench.nudged()
    assert len(bench.core.takers) == 1, "the taker was woken for nothing"
    bench.add("a")
    assert [task.id for task in taker.answer()] == ["a"]


def test_the_log_says_once_that_nobody_serves_a_type_and_again_after_a_worker_came_and_went(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> int:
        return sum("no worker serves it" in record.getMessage() for record in caplog.records)

    bench.add("a")
    bench.add("b")
    assert said() == 1
    bench.attach()
    bench.add("c")
    assert said() == 1
    bench.queue.detach("pool")
    bench.add("d")
    assert said() == 2
