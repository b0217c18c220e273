"""A verb costs the same with ten thousand tasks waiting as with many more: statements, and pages.

GUARD_TASKS in the environment says how many more: a million takes ten seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from qm.messages import AddStatus, Fail, ListQuery, NewTask, Release
from qm.queue.timer import tick
from qm.store.sql import Query, queries
from qm.store.sql.paging import Place
from qm.task import State
from tests.guard.backlog import fill, id_of
from tests.guard.meter import Bill
from tests.guard.shop import TYPE, Shop, open_shop

FEW = 10_000
MANY = int(os.environ.get("GUARD_TASKS", "200000"))


class Backlog(NamedTuple):
    """A shop behind a long line of tasks."""

    shop: Shop
    tasks: int

    def bill(self, work: Callable[[Backlog], object]) -> Bill:
        """What some work costs."""
        return self.shop.bill(lambda: work(self))

    def list(self, state: State, cursor: str | None = None) -> None:
        """A page of tasks in one state."""
        page = self.shop.queue.list(ListQuery(states=(state,), cursor=cursor, limit=20))
        assert len(page.tasks) == 20


Verb = Callable[[Backlog], None]


@pytest.fixture(scope="module")
def backlogs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Backlog, Backlog]]:
    """A short line and a long one; some tasks beside it are scheduled, running, done."""
    few, many = (tmp_path_factory.mktemp("backlog") / "queue.db" for _ in range(2))
    with _backlog(few, FEW) as first, _backlog(many, MANY) as second:
        yield first, second


@contextmanager
def _backlog(path: Path, tasks: int) -> Iterator[Backlog]:
    fill(path, tasks)
    with open_shop(path, "relaxed") as shop:
        shop.exchange(0, shop.finished(shop.exchange(100)))
        shop.queue.add([_task(f"later-{number}", 3600.0 + number) for number in range(100)])
        yield Backlog(shop, tasks)


def _task(id_: str, delay: float = 0.0) -> NewTask:
    return NewTask(id=id_, type=TYPE, input=b"\x01", digest=bytes(16), delay=delay)


def add(backlog: Backlog) -> None:
    backlog.shop.add(10)


def exchange(backlog: Backlog) -> None:
    """Takes ten, then settles them and takes ten more, then gives those back."""
    shop = backlog.shop
    taken = shop.exchange(10, shop.finished(shop.exchange(10)))
    assert len(taken) == 10
    shop.queue.release([Release(task.lease) for task in taken])


def fail(backlog: Backlog) -> None:
    shop = backlog.shop
    shop.exchange(0, [Fail(task.lease, b"\x01") for task in shop.exchange(10)])


def get(backlog: Backlog) -> None:
    spread = [id_of(backlog.tasks - number * backlog.tasks // 20) for number in range(20)]
    assert not backlog.shop.queue.get(spread).missing


def get_one(backlog: Backlog) -> None:
    backlog.shop.queue.get([id_of(backlog.tasks)])


def cancel_and_forget(backlog: Backlog) -> None:
    """Of tasks in the middle of the line."""
    middle = [id_of(backlog.tasks // 2 + number) for number in range(10)]
    queue = backlog.shop.queue
    assert queue.cancel(middle) == [State.WAITING] * 10
    assert queue.forget(middle) == [State.CANCELLED] * 10
    assert set(queue.add([_task(id_) for id_ in middle]).statuses) == {AddStatus.DUPLICATE}


def status(backlog: Backlog) -> None:
    assert backlog.shop.queue.status().wait >= backlog.tasks - 1000


def look_of_the_timer(backlog: Backlog) -> None:
    tick(backlog.shop.queue.core)


def attach_again(backlog: Backlog) -> None:
    backlog.shop.attach()


def list_waiting(backlog: Backlog) -> None:
    backlog.list(State.WAITING)


def list_waiting_far_on(backlog: Backlog) -> None:
    """A page in the middle of the line: its cursor says behind which number."""
    backlog.list(State.WAITING, Place(0, "waiting", 0.0, backlog.tasks // 2).cursor())


def list_scheduled(backlog: Backlog) -> None:
    backlog.list(State.SCHEDULED)


def list_running(backlog: Backlog) -> None:
    """Of just those that have been taken: whoever looks for more looks at everything."""
    assert len(backlog.shop.exchange(20)) == 20
    backlog.list(State.RUNNING)


def list_done(backlog: Backlog) -> None:
    backlog.list(State.DONE)


VERBS = [
    add,
    exchange,
    fail,
    get,
    cancel_and_forget,
    status,
    look_of_the_timer,
    attach_again,
    list_waiting,
    list_waiting_far_on,
    list_scheduled,
    list_running,
    list_done,
]


def check_cost_stays(verb: Verb, backlogs: tuple[Backlog, Backlog]) -> None:
    """Statements are the same; pages may be more by the levels that trees grow, never by rows."""
    few, many = (backlog.bill(verb) for backlog in backlogs)
    assert many.by_name == few.by_name, f"{verb.__name__} says more to a store that keeps more"
    most = few.pages * 3 // 2 + 4
    assert many.pages <= most, (
        f"{many.pages:,} pages with {MANY:,} tasks waiting, not at most {most:,}: {verb.__name__} walks "
        f"what grows ({few.pages:,} pages with {FEW:,}; of {dict(many.by_name)})"
    )


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: getattr(verb, "__name__", None))
def test_a_verb_costs_the_same_however_many_tasks_wait(verb: Verb, backlogs: tuple[Backlog, Backlog]) -> None:
    check_cost_stays(verb, backlogs)


def test_a_verb_that_counts_rows_is_caught(backlogs: tuple[Backlog, Backlog]) -> None:
    def count(backlog: Backlog) -> None:
        with backlog.shop.store.begin(sync=False) as tx:
            tx.connection.execute("SELECT count(*) FROM tasks WHERE note = 'x'")

    with pytest.raises(AssertionError, match="count walks what grows"):
        check_cost_stays(count, backlogs)


def test_a_query_that_misses_its_index_is_caught(
    backlogs: tuple[Backlog, Backlog], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = queries("sqlite")
    slow = named["get"].text().replace("ON t.id = given.id", "ON +t.id = given.id")
    monkeypatch.setitem(named, "get", Query("get", slow))
    with pytest.raises(AssertionError, match="get_one walks what grows"):
        check_cost_stays(get_one, backlogs)
