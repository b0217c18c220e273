"""status: how things stand."""

from __future__ import annotations

import pytest

from qm.limits import FRAME_MAX, STATUS_POOL_TYPES_MAX, STATUS_POOLS_MAX, STATUS_TYPES_MAX
from qm.messages import Fail, Finish, Release
from qm.queue import status
from qm.task import State
from qm.testing.contract.samples import new
from qm.version import __version__
from qm.wire.codec import encode
from tests.queue.bench import Bench


def test_it_counts_in_the_words_of_the_original_and_in_ours(bench: Bench) -> None:
    a, b, _ = bench.leases("a", "b", "c")
    bench.queue.finish([Finish(a, b"")])
    bench.queue.fail([Fail(b, b"", retryable=False)])
    bench.add("d", new("e", "sms", delay=5.0), new("f", "sms"))
    bench.queue.cancel(["f"])
    status = bench.queue.status()
    assert (status.wait, status.progress, status.done) == (2, 1, 3)
    assert {state: n for state, n in status.states.items() if n} == {
        State.SCHEDULED: 1,
        State.WAITING: 1,
        State.RUNNING: 1,
        State.DONE: 1,
        State.FAILED: 1,
        State.CANCELLED: 1,
    }
    assert status.types["sms"] == {State.SCHEDULED: 1, State.CANCELLED: 1}


def test_an_empty_queue_has_zeros_not_gaps(bench: Bench) -> None:
    status = bench.queue.status()
    assert status.states == dict.fromkeys(State, 0)
    assert (status.wait, status.progress, status.done, status.types) == (0, 0, 0, {})
    assert (status.workers, status.unserved) == ([], [])


def test_it_says_who_and_when_it_is(bench: Bench) -> None:
    started = bench.clock.now()
    bench.clock.advance(60)
    status = bench.queue.status()
    assert (status.started, status.now) == (started, started + 60)
    assert (status.version, status.store) == (__version__, "memory")


def test_it_says_how_many_tasks_ended_since_it_started(bench: Bench) -> None:
    a, b, c, d = bench.leases("a", "b", "c", "d")
    assert bench.queue.status().ended == 0
    bench.queue.finish([Finish(a, b"")])
    bench.queue.finish([Finish(a, b"")])  # said twice, ended once
    bench.queue.fail([Fail(b, b"", retryable=False), Fail(c, b"")])  # c gets another attempt
    bench.queue.cancel(["d"])  # runs: it ends when its worker gives it back
    assert bench.queue.status().ended == 2
    bench.queue.release([Release(d)])
    bench.add("e")
    bench.queue.cancel(["e"])
    bench.queue.forget(["a"])
    assert bench.queue.status().ended == 4


def test_it_says_that_it_drains(bench: Bench) -> None:
    assert not bench.queue.status().draining
    bench.queue.drain()
    assert bench.queue.status().draining


def test_workers_are_shown_oldest_first(bench: Bench) -> None:
    bench.attach("z")
    bench.clock.advance(1)
    bench.attach("b", ["fax"])
    bench.attach("a", ["sms", "mail"])
    workers = bench.queue.status().workers
    assert [worker.session for worker in workers] == ["z", "a", "b"]
    assert (workers[1].name, workers[1].processes, workers[1].types) == ("alpha:4711", 2, ["mail", "sms"])


def test_a_type_is_unserved_while_tasks_wait_that_nobody_can_run(bench: Bench) -> None:
    bench.add("a", new("b", "sms", delay=60.0))
    assert bench.queue.status().unserved == ["mail"], "a scheduled task misses nobody yet"
    bench.attach("pool", ["mail"])
    assert bench.queue.status().unserved == []
    bench.queue.detach("pool")
    assert bench.queue.status().unserved == ["mail"]


def test_of_more_types_than_a_frame_holds_it_names_those_with_most_to_do(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "STATUS_TYPES_MAX", 2)
    done, *_ = bench.leases(new("a", "mail"), *(new(f"b{n}", "sms") for n in range(2)), new("c", "fax"))
    bench.queue.finish([Finish(done, b"")])
    bench.add(*(new(f"d{n}", "post") for n in range(3)), new("e", "wire"))
    found = bench.queue.status()
    assert (found.wait, found.progress, found.done) == (5, 2, 1)
    assert found.types == {"post": {State.WAITING: 3}, "sms": {State.RUNNING: 2}}
    assert found.types_left == 3
    assert (found.unserved, found.unserved_left) == (["fax", "post"], 1)


def test_of_more_pools_than_a_frame_holds_it_names_the_newest(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "STATUS_POOLS_MAX", 2)
    for session in "abc":
        bench.attach(session)
        bench.clock.advance(1)
    found = bench.queue.status()
    assert [worker.session for worker in found.workers] == ["b", "c"]
    assert (found.workers_left, found.processes) == (1, 6)


def test_the_largest_answer_fits_into_a_frame(bench: Bench) -> None:
    """Names are as long as they may be."""
    names = [f"{n:064}" for n in range(STATUS_TYPES_MAX + 100)]
    for number in range(STATUS_POOLS_MAX + 10):
        bench.attach(f"{number:064}", names[:30])
    for first in range(0, len(names), 100):
        bench.add(*(new(f"t{name}"[:1] + name[1:], name) for name in names[first : first + 100]))
    found = bench.queue.status()
    assert (len(found.types), found.types_left) == (STATUS_TYPES_MAX, 100)
    assert (len(found.workers), found.workers_left) == (STATUS_POOLS_MAX, 10)
    assert (len(found.workers[0].types), found.workers[0].types_left) == (STATUS_POOL_TYPES_MAX, 10)
    assert (len(found.unserved), found.unserved_left) == (STATUS_TYPES_MAX, 70)
    assert len(encode(found)) < FRAME_MAX / 2
