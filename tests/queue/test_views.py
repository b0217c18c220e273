"""The views wait, progress and done: the state stores as the original has them."""

from __future__ import annotations

import pytest

from qm.errors import BadRequest
from qm.limits import PAGE_MAX
from qm.messages import Finish, ListQuery
from qm.task import ENDED, State
from qm.testing.contract.samples import new
from tests.queue.bench import Bench


@pytest.fixture
def full(bench: Bench) -> Bench:
    """A queue with something in each view."""
    (lease,) = bench.leases("done")
    bench.queue.finish([Finish(lease, b"\x01")])
    bench.add("running")
    bench.take(2)
    bench.add("waiting", new("scheduled", "sms", delay=5.0), "cancelled")
    bench.queue.cancel(["cancelled"])
    return bench


def test_each_counts_its_own(full: Bench) -> None:
    queue = full.queue
    assert (queue.wait.count(), queue.progressing.count(), queue.done.count()) == (2, 1, 2)


def test_each_lists_its_own(full: Bench) -> None:
    def ids(view: str) -> set[str]:
        return {task.id for task in getattr(full.queue, view).list().tasks}

    assert ids("wait") == {"waiting", "scheduled"}
    assert ids("progressing") == {"running"}
    assert ids("done") == {"done", "cancelled"}


def test_each_gives_its_own_and_the_others_are_missing(full: Bench) -> None:
    everything = ["done", "running", "waiting", "x"]
    got = full.queue.done.get(everything)
    assert ([task.id for task in got.tasks], got.tasks[0].output) == (["done"], b"\x01")
    assert set(got.missing) == {"running", "waiting", "x"}
    assert {task.id for task in full.queue.wait.get(everything).tasks} == {"waiting"}


def test_a_list_goes_on_where_the_last_page_ended_and_keeps_to_a_type(full: Bench) -> None:
    full.add(*(new(f"s{n}", "sms") for n in range(5)))
    seen: list[str] = []
    cursor = None
    while True:
        page = full.queue.wait.list(2, cursor, "sms")
        assert len(page.tasks) <= 2
        seen += [task.id for task in page.tasks]
        cursor = page.next
        if cursor is None:
            break
    assert sorted(seen) == ["s0", "s1", "s2", "s3", "s4", "scheduled"]


def test_a_page_is_bounded(full: Bench) -> None:
    full.add(*(f"t{n}" for n in range(PAGE_MAX)))
    assert len(full.queue.wait.list(10_000).tasks) == PAGE_MAX


def test_a_cursor_of_another_view_is_refused(full: Bench) -> None:
    cursor = full.queue.done.list(1).next
    assert cursor is not None
    with pytest.raises(BadRequest):
        full.queue.progressing.list(1, cursor)


def test_the_queue_lists_any_states(full: Bench) -> None:
    page = full.queue.list(ListQuery(states=(State.RUNNING, *ENDED)))
    assert {task.id for task in page.tasks} == {"running", "done", "cancelled"}
