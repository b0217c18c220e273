"""exchange: settles outcomes and takes more in one round trip."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from qm.errors import BadRequest, NotCommitted, SessionLost
from qm.limits import PAYLOAD_MAX
from qm.messages import Exchanged, Fail, Finish, Release, Retry, Settlement, Verdict
from qm.task import State
from tests.queue.bench import Bench, Call, Sleepers, a_claim


def exchange(
    bench: Bench, call: int, settlements: Sequence[Settlement], wait: float = 0, **claim: object
) -> Exchanged:
    return bench.queue.exchange(a_claim(call, **claim), settlements, wait)  # type: ignore[arg-type]


def ids(answer: Exchanged) -> list[str]:
    return [task.id for task in answer.tasks]


def test_it_settles_and_takes(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    bench.add("b")
    answer = exchange(bench, 2, [Finish(lease, b"\xc3")])
    assert (answer.verdicts, ids(answer)) == ([Verdict.ACCEPTED], ["b"])
    assert (bench.state("a"), bench.task("a").output) == (State.DONE, b"\xc3")


def test_settlements_are_committed_before_it_waits(bench: Bench, sleepers: Sleepers) -> None:
    (lease,) = bench.leases("a")
    producer = Call(bench.queue.get, ["a"], 20)
    sleepers.expect()
    worker = Call(exchange, bench, 2, [Finish(lease, b"\xc3")], wait=20)
    assert producer.answer().tasks[0].state is State.DONE
    sleepers.expect()
    bench.add("b")
    answer = worker.answer()
    assert (answer.verdicts, ids(answer)) == ([Verdict.ACCEPTED], ["b"])


def test_with_the_limit_0_it_only_settles(bench: Bench, sleepers: Sleepers) -> None:
    (lease,) = bench.leases("a")
    bench.add("b")
    answer = exchange(bench, 2, [Finish(lease, b"")], wait=20, limit=0)
    assert (answer.verdicts, answer.tasks) == ([Verdict.ACCEPTED], [])
    assert sleepers.seconds == []


def test_each_verdict_stands_where_its_settlement_stood(bench: Bench) -> None:
    a, b, c, d = bench.leases("a", "b", "c", "d")
    bench.queue.finish([Finish(c, b"")])
    said: list[Settlement] = [Release(a), Finish(c, b""), Fail(d, b""), Fail(c, b""), Finish(b, b"")]
    answer = exchange(bench, 2, said, limit=0)
    assert [v.value for v in answer.verdicts] == ["accepted", "repeated", "accepted", "lost", "accepted"]


def test_a_resend_repeats_its_settlements_and_gets_what_the_lost_answer_had(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    bench.add("b")
    assert ids(exchange(bench, 2, [Finish(lease, b"1")])) == ["b"]
    answer = exchange(bench, 3, [Finish(lease, b"1")])
    assert (answer.verdicts, ids(answer)) == ([Verdict.REPEATED], ["b"])
    assert answer.tasks[0].lease.attempt == 2
    assert bench.counters("b") == (0, 0, 0)


def test_a_late_copy_of_a_call_settles_nothing(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    exchange(bench, 5, [], holding=[lease], limit=0)
    assert exchange(bench, 4, [Release(lease)], wait=20).tasks == []
    assert bench.state("a") is State.RUNNING


def test_an_unknown_session_settles_nothing(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    with pytest.raises(SessionLost):
        exchange(bench, 1, [Finish(lease, b"")], session="stranger")
    assert bench.state("a") is State.RUNNING


def test_what_it_releases_it_can_get_again(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    answer = exchange(bench, 2, [Release(lease)])
    assert (answer.verdicts, ids(answer)) == ([Verdict.ACCEPTED], ["a"])
    assert answer.tasks[0].lease.attempt == 2


def test_a_settlement_that_is_too_large_changes_nothing_and_may_be_mended(bench: Bench) -> None:
    a, b = bench.leases("a", "b")
    with pytest.raises(BadRequest, match="output of b"):
        exchange(bench, 2, [Finish(a, b""), Finish(b, bytes(PAYLOAD_MAX + 1))], wait=20)
    assert bench.state("a") is State.RUNNING
    answer = exchange(bench, 3, [Finish(a, b""), Fail(b, b"too large")], limit=0)
    assert answer.verdicts == [Verdict.ACCEPTED, Verdict.ACCEPTED]


def test_when_the_store_does_not_commit_nothing_happened_and_a_resend_does_it(
    bench: Bench, sleepers: Sleepers
) -> None:
    (lease,) = bench.leases("a")
    producer = Call(bench.queue.get, ["a"], 20)
    other = Call(bench.take, index=1, wait=20)
    sleepers.expect(2)
    bench.store.refuse = 1
    with pytest.raises(NotCommitted):
        exchange(bench, 2, [Retry(lease)], wait=20)
    assert bench.state("a") is State.RUNNING
    assert (len(bench.core.endings), len(bench.core.takers)) == (1, 1), "somebody was woken for nothing"
    assert exchange(bench, 3, [Finish(lease, b"")], limit=0).verdicts == [Verdict.ACCEPTED]
    assert producer.answer().tasks[0].state is State.DONE
    bench.add("b")
    assert [task.id for task in other.answer()] == ["b"]


def test_a_stopping_manager_takes_results_and_gives_nothing(bench: Bench, sleepers: Sleepers) -> None:
    (lease,) = bench.leases("a")
    bench.add("b")
    bench.queue.drain()
    answer = exchange(bench, 2, [Finish(lease, b"")], wait=20)
    assert (answer.verdicts, answer.tasks) == ([Verdict.ACCEPTED], [])
    assert sleepers.seconds == []
    assert (bench.state("a"), bench.state("b")) == (State.DONE, State.WAITING)
