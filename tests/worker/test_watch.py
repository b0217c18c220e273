"""What a parent does about the task that a child runs, moment by moment."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator

import pytest

from qm.messages import Details
from qm.payload import unpack_failure
from qm.task import Lease, Outcome
from qm.worker.output import Output
from qm.worker.page import Page
from qm.worker.watch import Watch

LEASE, OTHER = Lease("a", 1, 1), Lease("b", 1, 2)
START = 1000.0
GRACE = 5.0


class Bench:
    """A child that does nothing but hear."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard: list[int] = []
        monkeypatch.setattr(os, "kill", lambda pid, number: self.heard.append(number))
        self.page = Page.create()
        self.output = Output.create()
        self.watch = Watch(4712, self.page, self.output, GRACE)

    def run(self, limit: float = 60.0, now: float = START) -> None:
        self.page.hold([LEASE, OTHER], [limit, limit])
        self.page.start_running(0, now)

    def go_on(self, until: float) -> tuple[float, bool]:
        """Looks whenever it is due. Gives when it last did, and whether the child is to be killed."""
        now = START
        while self.watch.next is not None and self.watch.next <= until:
            now = self.watch.next
            if self.watch.look(now):
                return now, True
        return now, False


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(monkeypatch)
    yield bench
    bench.output.close()


def test_an_idle_child_is_not_looked_at(bench: Bench) -> None:
    assert not bench.watch.look(START)
    assert bench.watch.next is None


def test_the_next_look_is_at_the_end_of_the_limit_or_earlier(bench: Bench) -> None:
    bench.run(limit=0.5)
    bench.watch.look(START + 0.1)
    assert bench.watch.next == START + 0.5
    bench.run(limit=0)
    bench.watch.look(START + 0.1)
    assert math.isfinite(bench.watch.next or math.inf)


def test_a_task_in_time_is_left_alone(bench: Bench) -> None:
    bench.run()
    bench.watch.look(START)
    assert bench.go_on(until=START + 59.9)[1] is False
    assert bench.heard == []
    bench.page.stop_running()
    bench.go_on(until=START + 100)
    assert (bench.heard, bench.watch.next) == ([], None)


def test_one_over_its_time_is_told_again_and_again_then_dumped_then_killed(bench: Bench) -> None:
    bench.run()
    bench.watch.look(START)
    bench.go_on(until=START + 60)
    assert bench.heard == [signal.SIGUSR1]
    assert bench.page.ordered() is Outcome.TIMEOUT
    bench.go_on(until=START + 60 + GRACE - 0.001)
    assert bench.heard == [signal.SIGUSR1] * 20
    now, _ = bench.go_on(until=START + 60 + GRACE)
    assert (now, bench.heard[-1]) == (START + 60 + GRACE, signal.SIGUSR2)
    os.write(bench.output.fd, b"it hangs here")
    now, kill = bench.go_on(until=math.inf)
    assert kill and START + 60 + GRACE < now < START + 61 + GRACE
    assert bench.heard.count(signal.SIGUSR2) == 1
    outcome, error = bench.watch.verdict(LEASE)
    failure = unpack_failure(error or b"")
    assert (outcome, failure.type, failure.traceback) == (
        Outcome.TIMEOUT,
        "TimeLimitExceeded",
        "it hangs here",
    )
    assert failure.message == "over its limit of 60 s; it did not stop within 5 s and was killed"


def test_a_cancelled_one_is_told_at_once(bench: Bench) -> None:
    bench.run()
    bench.watch.look(START, {LEASE})
    assert (bench.heard, bench.page.ordered()) == ([signal.SIGUSR1], Outcome.CANCELLED)
    assert bench.go_on(until=math.inf)[1]
    assert bench.watch.verdict(LEASE)[0] is Outcome.CANCELLED


def test_only_the_named_lease_is_cancelled(bench: Bench) -> None:
    bench.run()
    bench.watch.look(START, {OTHER})
    assert bench.heard == []


def test_a_task_that_stops_in_time_ends_the_matter(bench: Bench) -> None:
    bench.run()
    bench.watch.look(START, {LEASE})
    bench.page.stop_running()
    bench.go_on(until=START + 1)
    assert (bench.watch.order, bench.watch.next) == (None, None)


def test_the_next_task_is_not_taken_for_the_last(bench: Bench) -> None:
    bench.run()
    bench.watch.look(START, {LEASE})
    bench.page.stop_running()
    bench.page.start_running(1, START + 0.2)
    assert not bench.go_on(until=START + 50)[1]
    assert bench.heard == [signal.SIGUSR1]


def test_a_child_that_dies_by_itself_has_crashed(bench: Bench) -> None:
    bench.run()
    bench.watch.look(START, {LEASE})
    assert bench.watch.verdict(LEASE) == (Outcome.CRASHED, None)
    bench.go_on(until=math.inf)
    assert bench.watch.verdict(OTHER) == (Outcome.CRASHED, None), "another task ran by then"


def test_the_last_words_are_those_of_the_current_task(bench: Bench) -> None:
    os.write(bench.output.fd, b"earlier")
    bench.page.written = bench.output.mark()
    os.write(bench.output.fd, b"last words")
    expected = Details(pid=4712, exitcode=-11, peak_memory=42, log="last words")
    assert bench.watch.details(-11, 42) == expected


def test_a_long_output_is_cut_while_the_task_runs(bench: Bench) -> None:
    bench.run()
    bench.watch.look(START)
    os.write(bench.output.fd, b"x" * (8 << 20))
    bench.go_on(until=START + 2)
    assert bench.output.position < 1 << 20


def test_an_alarm_is_looked_at_once_more_when_nothing_runs_yet(bench: Bench) -> None:
    """The child may be just about to start a task that relies on this alarm."""
    bench.watch.ring()
    bench.watch.look(START)
    assert bench.watch.next is not None and bench.watch.next > START
    bench.watch.look(bench.watch.next)
    assert bench.watch.next is None


def test_a_child_that_died_meanwhile_and_was_reaped_is_no_error() -> None:
    """Its burial comes later in the same turn."""
    page, output = Page.create(), Output.create()
    page.hold([LEASE], [1.0])
    page.start_running(0, START)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    watch = Watch(pid, page, output, GRACE)
    assert not watch.look(START + 2), "the exception"
    assert not watch.look(START + 2 + GRACE), "the dump"
    assert watch.look(START + 3 + GRACE)
    output.close()
