"""The page that a parent and its child share."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

import pytest

from qm.limits import TAKE_MAX
from qm.task import Lease, Outcome
from qm.worker.page import Page

LEASES = [Lease("order-42", 3, -(2**63)), Lease("x" * 64, 2**31, 2**63 - 1)]


@pytest.fixture
def page() -> Page:
    return Page.create()


def test_a_fresh_page_holds_and_runs_nothing(page: Page) -> None:
    assert (page.held(), page.current(), page.draining, page.session_end) == ([], None, False, 0.0)


def test_held_leases_are_read_back_exactly(page: Page) -> None:
    page.hold(LEASES)
    assert page.held() == LEASES


def test_only_the_running_lease_is_current(page: Page) -> None:
    page.hold(LEASES)
    assert page.current() is None
    page.start_running(1)
    assert page.current() == page.suspect() == LEASES[1]
    page.stop_running()
    assert page.current() is None


def test_the_last_that_ran_is_suspect_until_there_is_a_new_batch(page: Page) -> None:
    page.hold(LEASES)
    assert page.suspect() is None
    page.start_running(1)
    page.stop_running()
    assert page.suspect() == LEASES[1]
    page.hold(LEASES)
    assert page.suspect() is None


def test_a_new_hold_forgets_what_ran(page: Page) -> None:
    page.hold(LEASES)
    page.start_running(1)
    page.hold(LEASES[:1])
    assert (page.held(), page.current()) == (LEASES[:1], None)


def test_a_revoked_batch_starts_nothing_more_and_names_what_it_did_not_start(page: Page) -> None:
    page.hold([*LEASES, Lease("third", 1, 1)])
    assert page.start_running(0)
    batch = page.revoke()
    assert page.unstarted(batch) == [LEASES[1], Lease("third", 1, 1)]
    page.stop_running()
    assert not page.start_running(1)
    assert page.current() is None


def test_a_batch_revoked_before_its_first_start_gives_all_back(page: Page) -> None:
    page.hold(LEASES)
    assert page.unstarted(page.revoke()) == LEASES
    assert not page.start_running(0)


def test_the_next_batch_is_not_revoked_with_the_last(page: Page) -> None:
    page.hold(LEASES)
    batch = page.revoke()
    page.hold(LEASES)
    assert page.unstarted(batch) == []
    assert page.start_running(0)


def test_a_page_has_room_for_the_largest_take(page: Page) -> None:
    leases = [Lease(f"{n:064}", n, n) for n in range(TAKE_MAX)]
    page.hold(leases)
    assert page.held() == leases


def test_the_parents_fields_and_the_childs_do_not_touch(page: Page) -> None:
    page.hold(LEASES)
    page.start_running(0)
    page.session_end = 12345.678
    page.manager = 3
    page.drain()
    assert (page.held(), page.current(), page.ordered()) == (LEASES, LEASES[0], None)
    assert (page.session_end, page.draining, page.manager) == (12345.678, True, 3)


def test_the_running_task_has_its_start_and_its_limit(page: Page) -> None:
    page.hold(LEASES, [5.0, 0.0])
    assert page.running() is None
    page.start_running(0, 100.5)
    task = page.running()
    assert task is not None
    assert (task.lease, task.place, task.started, task.limit) == (LEASES[0], 0, 100.5, 5.0)
    assert task.deadline == 105.5
    page.start_running(1, 101.0)
    task = page.running()
    assert task is not None and task.deadline == float("inf"), "no limit"


@pytest.mark.parametrize("why", [Outcome.TIMEOUT, Outcome.CANCELLED])
def test_an_order_is_for_one_task_only(page: Page, why: Outcome) -> None:
    page.hold(LEASES)
    assert page.ordered() is None
    page.start_running(0)
    task = page.running()
    assert task is not None
    page.order(task, why)
    assert page.ordered() is why
    page.stop_running()
    assert page.ordered() is None
    page.start_running(1)
    assert page.ordered() is None
    page.hold(LEASES)
    page.start_running(0)
    assert page.ordered() is None, "the same place of the next batch"


def _child(page: Page, pipe: Connection) -> None:
    page.hold(LEASES)
    page.start_running(1)
    pipe.send_bytes(b"draining" if page.draining else b"working")
    pipe.recv_bytes()


def test_a_spawned_child_and_its_parent_see_the_same_page_even_after_its_death(page: Page) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    page.drain()
    child = context.Process(target=_child, args=(page, theirs))
    child.start()
    assert ours.recv_bytes() == b"draining"
    child.kill()
    child.join()
    assert page.current() == LEASES[1]
    ours.close()
    theirs.close()


def test_after_two_billion_batches_their_numbers_begin_anew() -> None:
    """Some weeks of short tasks that come one by one."""
    page = Page.create()
    page._ints[16] = 2**31 - 1
    page.hold([Lease("a", 1, 1)])
    assert page.start_running(0), "nobody has revoked it"
    assert page.revoke() == 1
    assert not page.start_running(0)
    page.sent()
