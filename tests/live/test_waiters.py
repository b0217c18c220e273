"""A thousand takes and a thousand gets that wait: they cost nothing, and a task wakes one of them at once."""

from __future__ import annotations

import resource
import select
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qm.client import Client, new_task
from qm.messages import Claim, Got, Slot, TypeOptions, WorkerInfo
from qm.wire.codec import Request, decode_reply, encode, envelope
from qm.wire.remote import dial
from qm.wire.verbs import QUEUE
from tests.manager.serving import Managed, managed
from tests.wants import want
from tests.wire.peers import KEY

MANY = 1000

#: Seconds that the calls wait, and for which we watch them do so.
WAIT, WATCH = 30.0, 3.0


class Fleet:
    """A thousand connections, each with a call that waits. None has a thread at our end."""

    def __init__(self, manager: Managed, verb: str, arguments: Callable[[int], Any]) -> None:
        self._verb = verb
        self._arguments = arguments
        self._poll = select.poll()
        self._connections = [dial(manager.address, KEY) for _ in range(MANY)]
        self._index = {connection.fileno(): n for n, connection in enumerate(self._connections)}
        for connection in self._connections:
            self._poll.register(connection, select.POLLIN)

    def park(self, index: int) -> None:
        """Says the call of one of them."""
        request = Request(index, "queue", self._verb, encode(self._arguments(index)))
        self._connections[index].send_frame(envelope(request))

    def answered(self, seconds: float) -> list[int]:
        """Which of them have an answer, as soon as there is one or after so many seconds."""
        return [self._index[fd] for fd, _ in self._poll.poll(seconds * 1000)]

    def answer(self, index: int) -> Any:
        """The answer of one of them."""
        reply = decode_reply(self._connections[index].recv_frame(5))
        assert reply.ok and reply.rid == index, reply
        return QUEUE[self._verb].decode_answer(reply.body)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


class Crowd:
    """A manager whose thousand takes and thousand gets wait."""

    def __init__(self, manager: Managed) -> None:
        self.manager = manager
        self.client = Client(manager.address, KEY)
        info = WorkerInfo(session="s", host="here", pid=1, processes=MANY, types={"t": TypeOptions()})
        self.client.attach(info)
        self.client.add_many(new_task("unserved", id=f"awaited-{n}") for n in range(MANY))
        self._call = 0
        self.takes = Fleet(manager, "take", self._take)
        self.gets = Fleet(manager, "get", lambda index: [[f"awaited-{index}"], WAIT])
        for index in range(MANY):
            self.takes.park(index)
            self.gets.park(index)
        self.until(lambda: self.parked() == (MANY, MANY))

    def parked(self) -> tuple[int, int]:
        """How many takes and gets wait."""
        core = self.manager.queue.core
        return len(core.takers), len(core.endings._watches)

    @staticmethod
    def until(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "it did not happen within 20 s"
            time.sleep(0.01)

    def close(self) -> None:
        self.client.close()
        self.takes.close()
        self.gets.close()

    def _take(self, index: int) -> Any:
        self._call += 1
        return [Claim(slot=Slot("s", index, 0), call=self._call, holding=[], types=["t"]), WAIT]


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want(hard >= 5 * MANY, f"{5 * MANY} descriptors (ulimit -Hn), for both ends of {2 * MANY} connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with managed() as manager:
            crowd = Crowd(manager)
            yield crowd
            crowd.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def switches() -> dict[str, int]:
    """How often each thread of this process has gone to sleep so far."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                found[task.name] = int(line.split()[1])
    return found


def awake(before: dict[str, int], after: dict[str, int]) -> int:
    """How many threads went to sleep again in between: so many had been awake."""
    return sum(after[name] > count for name, count in before.items())


def test_waiting_costs_nothing_and_a_task_wakes_one(crowd: Crowd) -> None:
    """Row 24, and the promise that nothing polls."""
    # They wait: no time on a processor, and no thread that wakes now and then to look.
    before, begun = switches(), time.process_time()
    time.sleep(WATCH)
    used, after = time.process_time() - begun, switches()
    assert used < 0.02 * WATCH, f"{used / WATCH:.1%} of a processor for {2 * MANY} calls that wait"
    assert awake(before, after) <= 5, "sleepers woke to look"
    assert crowd.parked() == (MANY, MANY)

    # An add wakes exactly one take, at once.
    before = switches()
    latencies = []
    for n in range(20):
        added = time.perf_counter()
        crowd.client.add("t", id=f"task-{n}")
        woken = crowd.takes.answered(5)
        latencies.append(time.perf_counter() - added)
        assert len(woken) == 1
        (taken,) = crowd.takes.answer(woken[0])
        assert taken.id == f"task-{n}"
    assert crowd.takes.answered(0.05) == []
    assert crowd.parked() == (MANY - 20, MANY)
    assert awake(before, switches()) <= 20 + 5, "more than one was woken for one task"
    assert statistics.median(latencies) < 0.05

    # An end wakes exactly the get that waits for it, at once.
    before = switches()
    latencies = []
    for n in range(0, MANY, MANY // 20):
        ended = time.perf_counter()
        crowd.client.cancel(f"awaited-{n}")
        woken = crowd.gets.answered(5)
        latencies.append(time.perf_counter() - ended)
        assert woken == [n]
        got: Got = crowd.gets.answer(n)
        assert [(task.id, task.state) for task in got.tasks] == [(f"awaited-{n}", "cancelled")]
    assert crowd.gets.answered(0.05) == []
    assert awake(before, switches()) <= 20 + 5, "more than one was woken for one end"
    assert statistics.median(latencies) < 0.05

    # Those who hang up are gone, and tasks go to nobody.
    crowd.close()
    crowd.until(lambda: crowd.parked() == (0, 0))
    assert crowd.manager.queue.progressing.count() == 20
