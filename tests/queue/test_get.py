"""get: reading destroys nothing, and waiting costs nothing."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import pytest

from qm.errors import TooLarge
from qm.limits import BATCH_BYTES, IDS_MAX, PAYLOAD_MAX, WAIT_MAX
from qm.messages import Fail, Finish, Got
from qm.task import State
from qm.testing.contract.samples import new
from tests.queue.bench import Bench, Call, Line, Sleepers


def states(got: Got) -> dict[str, str]:
    return {task.id: task.state.value for task in got.tasks}


def test_tasks_come_in_the_order_asked_for_and_unknown_ids_are_named(bench: Bench) -> None:
    bench.add("a", "b")
    got = bench.queue.get(["b", "x", "a", "y"])
    assert ([task.id for task in got.tasks], got.missing, got.rest) == (["b", "a"], ["x", "y"], [])


def test_reading_destroys_nothing(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    bench.queue.finish([Finish(lease, b"\x07")])
    assert bench.queue.get(["a"]) == bench.queue.get(["a"])
    assert bench.task("a").output == b"\x07"


def test_too_many_ids_are_refused(bench: Bench) -> None:
    with pytest.raises(TooLarge, match="limit is 1000"):
        bench.queue.get(["a"] * (IDS_MAX + 1))


def test_what_finds_no_room_in_one_frame_is_named_to_be_asked_for_again(bench: Bench) -> None:
    half = bytes(BATCH_BYTES // 2)
    bench.add(*(new(id_, input_=half) for id_ in "abcd"))
    got = bench.queue.get(["x", "a", "b", "y", "c", "d"])
    assert ([task.id for task in got.tasks], got.missing) == (["a", "b"], ["x", "y"])
    assert got.rest == ["c", "d"]


def test_a_task_larger_than_a_frame_s_share_still_comes(bench: Bench) -> None:
    (lease,) = bench.leases(new("a", input_=bytes(PAYLOAD_MAX)), "b")[:1]
    bench.queue.finish([Finish(lease, bytes(PAYLOAD_MAX))])
    got = bench.queue.get(["a", "b"])
    assert (states(got), got.rest) == ({"a": "done"}, ["b"])


def test_large_results_that_are_there_are_not_waited_for(bench: Bench, sleepers: Sleepers) -> None:
    for lease in bench.leases("a", "b"):
        bench.queue.finish([Finish(lease, bytes(PAYLOAD_MAX))])
    got = bench.queue.get(["a", "b"], 20)
    assert (states(got), got.rest, sleepers.seconds) == ({"a": "done"}, ["b"], [])


def test_it_waits_until_all_have_ended(bench: Bench, sleepers: Sleepers) -> None:
    a, b, c = bench.leases("a", "b", "c")
    bench.add("d")
    reader = Call(bench.queue.get, ["a", "b", "c", "d", "x"], 20)
    sleepers.expect()
    bench.queue.finish([Finish(a, b"")])
    bench.queue.fail([Fail(b, b"", retryable=False)])
    bench.queue.fail([Fail(c, b"")])
    bench.queue.cancel(["d"])
    assert len(bench.core.endings) >= 1, "it has not waited for the attempt after the failed one"
    bench.queue.cancel(["c"])
    got = reader.answer()
    assert states(got) == {"a": "done", "b": "failed", "c": "cancelled", "d": "cancelled"}
    assert got.missing == ["x"]


def test_what_has_ended_or_is_unknown_is_not_waited_for(bench: Bench, sleepers: Sleepers) -> None:
    (lease,) = bench.leases("a")
    bench.queue.finish([Finish(lease, b"")])
    assert states(bench.queue.get(["a", "x"], 20)) == {"a": "done"}
    assert bench.queue.get([], 20) == Got([], [], [])
    assert sleepers.seconds == []


@pytest.mark.parametrize("wait", [0, -1, math.nan, -math.inf])
def test_without_a_wait_it_answers_at_once(bench: Bench, sleepers: Sleepers, wait: float) -> None:
    bench.add("a")
    assert states(bench.queue.get(["a"], wait)) == {"a": "waiting"}
    assert sleepers.seconds == []


def test_when_the_time_is_over_it_answers_with_what_there_is(bench: Bench, sleepers: Sleepers) -> None:
    bench.add("a")
    sleepers.run_out = bench.clock.advance
    assert states(bench.queue.get(["a"], 12)) == {"a": "waiting"}
    bench.queue.get(["a"], 1e9)
    assert sleepers.seconds == [12, WAIT_MAX]


def test_an_end_between_the_look_and_the_sleep_is_not_missed(bench: Bench, sleepers: Sleepers) -> None:
    (lease,) = bench.leases("a")
    read = bench.store.get

    def get(ids: Sequence[str]) -> object:
        seen = [*read(ids)]
        bench.store.get = read  # type: ignore[method-assign]
        finisher = threading.Thread(target=bench.queue.finish, args=([Finish(lease, b"\x01")],))
        finisher.start()
        finisher.join()
        return (task for task in seen)

    bench.store.get = get  # type: ignore[method-assign, assignment]
    assert states(bench.queue.get(["a"], 20)) == {"a": "done"}
    assert sleepers.seconds == []


def test_many_wait_for_one_and_all_hear(bench: Bench, sleepers: Sleepers) -> None:
    a, b = bench.leases("a", "b")
    readers = [Call(bench.queue.get, ids, 20) for ids in (["a"], ["a", "b"], ["b", "a"], ["b"])]
    sleepers.expect(4)
    bench.queue.finish([Finish(a, b"")])
    assert states(readers[0].answer()) == {"a": "done"}
    assert all(reader.is_alive() for reader in readers[1:])
    bench.queue.finish([Finish(b, b"")])
    for reader in readers[1:]:
        assert set(states(reader.answer()).values()) == {"done"}


def test_an_id_named_twice_is_waited_for_once(bench: Bench, sleepers: Sleepers) -> None:
    (lease,) = bench.leases("a")
    reader = Call(bench.queue.get, ["a", "a"], 20)
    sleepers.expect()
    bench.queue.finish([Finish(lease, b"")])
    assert [task.state for task in reader.answer().tasks] == [State.DONE, State.DONE]


def test_a_reader_who_hangs_up_ends_its_wait(bench: Bench, sleepers: Sleepers) -> None:
    bench.add("a")
    line = Line()
    reader = Call(bench.queue.get, ["a"], 20, line)
    sleepers.expect()
    line.cut()
    assert states(reader.answer()) == {"a": "waiting"}
    assert line.watching == 0
