"""What can be asked: get, list, counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qm.errors import BadRequest
from qm.limits import BATCH_BYTES, PAGE_MAX, PREVIEW_MAX
from qm.messages import ListQuery, Slot
from qm.policy.decision import Bury
from qm.store.base import Reader
from qm.task import PackedTask, State
from qm.testing.contract.base import ContractBase, Desk
from qm.testing.contract.samples import (
    DAY,
    HOUR,
    NOW,
    SLOT,
    add,
    added_and_taken,
    again,
    attached,
    counts,
    ended,
    fail,
    finish,
    get,
    ids,
    new,
    take,
    take_one,
)


def pages(reader: Reader, *states: State, limit: int, type_: str | None = None) -> Iterator[list[PackedTask]]:
    """A list, page by page to its end."""
    cursor = None
    while True:
        page = reader.list(ListQuery(states=states, type=type_, limit=limit, cursor=cursor))
        yield page.tasks
        cursor = page.next
        if cursor is None:
            return


def walk(reader: Reader, *states: State, limit: int, type_: str | None = None) -> list[str]:
    """The ids of a whole list."""
    return [task.id for page in pages(reader, *states, limit=limit, type_=type_) for task in page]


class Getting(ContractBase):
    """get"""

    def test_tasks_come_in_the_order_asked_for(self, verbs: Desk) -> None:
        add(verbs, "a", "b")
        found = verbs.get(["b", "x", "a", "b"])
        assert [task and task.id for task in found] == ["b", None, "a", "b"]

    def test_it_can_be_left_halfway(self, verbs: Desk) -> None:
        add(verbs, "a", "b")
        first = next(iter(verbs.get(["a", "b"])))
        assert first is not None and first.id == "a"
        add(verbs, "c")
        assert get(verbs, "c").id == "c"

    def test_reading_destroys_nothing_however_large(self, verbs: Desk) -> None:
        large = bytes(range(256)) * 4096
        lease = added_and_taken(verbs, new("a", input_=large))
        verbs.finish(finish(lease, large), NOW, DAY)
        for _ in range(2):
            assert (get(verbs, "a").input, get(verbs, "a").output) == (large, large)


class Listing(ContractBase):
    """list"""

    def test_waiting_tasks_come_in_the_order_in_which_they_would_run(self, verbs: Desk) -> None:
        add(verbs, "a", new("b", priority=1), new("c", "sms", priority=-1), new("d", "sms"), "e")
        shown = walk(verbs, State.WAITING, limit=2)
        assert shown == ["b", "a", "d", "e", "c"]
        assert [taken.id for taken in take(verbs, 9)] == shown

    def test_scheduled_tasks_come_by_due_time(self, verbs: Desk) -> None:
        add(
            verbs,
            new("c", delay=30.0),
            new("a", delay=10.0),
            new("b", "sms", delay=20.0),
            new("b2", delay=20.0),
        )
        assert walk(verbs, State.SCHEDULED, limit=2) == ["a", "b", "b2", "c"]

    def test_running_tasks_come_in_order_of_adding(self, verbs: Desk) -> None:
        add(verbs, "a", new("b", priority=1), "c")
        take(verbs, 3)
        assert walk(verbs, State.RUNNING, limit=2) == ["a", "b", "c"]

    def test_ended_tasks_come_newest_first_whatever_their_end(self, verbs: Desk) -> None:
        ended(verbs, "a", State.DONE, now=NOW + 3)
        ended(verbs, "b", State.CANCELLED, now=NOW + 1)
        ended(verbs, "c", State.FAILED, now=NOW + 2)
        ended(verbs, "d", State.DONE, now=NOW + 2)
        assert walk(verbs, State.DONE, State.FAILED, State.CANCELLED, limit=2) == ["a", "d", "c", "b"]
        assert walk(verbs, State.CANCELLED, State.DONE, limit=1) == ["a", "d", "b"]
        assert walk(verbs, State.DONE, limit=9) == ["a", "d"]

    def test_states_come_in_the_order_asked_for(self, verbs: Desk) -> None:
        ended(verbs, "done", State.DONE)
        added_and_taken(verbs, "running")
        add(verbs, "waiting", new("scheduled", delay=5.0))
        order = [State.RUNNING, State.DONE, State.SCHEDULED, State.WAITING, State.RUNNING]
        assert walk(verbs, *order, limit=1) == ["running", "done", "scheduled", "waiting"]
        assert ids(verbs) == []

    def test_no_states_named_means_all_of_them(self, verbs: Desk) -> None:
        ended(verbs, "done", State.DONE)
        added_and_taken(verbs, "running")
        add(verbs, "waiting", new("scheduled", delay=5.0))
        found = verbs.list(ListQuery())
        assert [task.id for task in found.tasks] == ["scheduled", "waiting", "running", "done"]
        assert found.next is None

    def test_one_type_can_be_listed_alone(self, verbs: Desk) -> None:
        for type_ in ("mail", "sms"):
            add(verbs, *(new(f"{type_}-{i}", type_) for i in range(3)))
            add(verbs, new(f"{type_}-later", type_, delay=5.0))
            attached(verbs)
            lease = verbs.take(*_all_of(type_))[0].lease
            verbs.finish(finish(lease), NOW, DAY)
        assert walk(verbs, *State, limit=2, type_="sms") == ["sms-later", "sms-1", "sms-2", "sms-0"]
        assert walk(verbs, *State, limit=2, type_="fax") == []

    def test_a_list_shows_what_get_shows(self, verbs: Desk) -> None:
        verbs.fail(fail(added_and_taken(verbs, "a"), Bury("no"), b"oops"), NOW, DAY)
        verbs.finish(finish(added_and_taken(verbs, "b")), NOW, DAY)
        add(verbs, new("c", priority=2, attempts=3, timeout=4.0))
        added_and_taken(verbs, "d")
        assert verbs.list(ListQuery()).tasks == [get(verbs, id_) for id_ in ("d", "c", "b", "a")]

    def test_the_last_page_says_so(self, verbs: Desk) -> None:
        add(verbs, "a", "b", "c", "d")
        assert [len(page) for page in pages(verbs, State.WAITING, limit=2)] == [2, 2]
        assert [len(page) for page in pages(verbs, State.WAITING, limit=3)] == [3, 1]
        assert [len(page) for page in pages(verbs, State.WAITING, State.DONE, limit=4)] == [4]

    @pytest.mark.parametrize(("limit", "tasks"), [(0, 1), (-5, 1), (1, 1), (PAGE_MAX + 1, PAGE_MAX)])
    def test_a_page_s_limit_has_bounds(self, verbs: Desk, limit: int, tasks: int) -> None:
        add(verbs, *(f"t{i}" for i in range(PAGE_MAX + 2)))
        assert len(ids(verbs, State.WAITING, limit=limit)) == tasks

    def test_paging_neither_skips_nor_repeats_what_did_not_change(self, verbs: Desk) -> None:
        add(verbs, *(new(f"t{i}", priority=i % 3) for i in range(9)))
        expected = walk(verbs, State.WAITING, limit=99)
        shown = []
        for number, page in enumerate(pages(verbs, State.WAITING, limit=2)):
            shown += [task.id for task in page]
            verbs.cancel([shown[-1]], NOW, DAY)
            add(verbs, new(f"new-{number}", priority=9), now=NOW + 1)
        assert shown == expected

    def test_paging_goes_on_behind_ended_tasks_that_are_gone(self, verbs: Desk) -> None:
        for i in range(6):
            ended(verbs, f"t{i}", State.DONE, now=NOW + i // 2)
        shown = []
        for page in pages(verbs, State.DONE, limit=2):
            shown += [task.id for task in page]
            verbs.forget([task.id for task in page], NOW + DAY)
            ended(verbs, f"new-{len(shown)}", State.DONE, now=NOW + HOUR)
        assert shown == ["t5", "t4", "t3", "t2", "t1", "t0"]

    @pytest.mark.parametrize(
        "cursor", ["x", "!!", "AAAA", "\u00e4\u00f6", "waiting", "waiting_1", "a" * 5000]
    )
    def test_a_malformed_cursor_is_refused(self, verbs: Desk, cursor: str) -> None:
        with pytest.raises(BadRequest):
            verbs.list(ListQuery(cursor=cursor))

    def test_a_cursor_of_another_list_is_refused(self, verbs: Desk) -> None:
        add(verbs, "a", "b")
        cursor = verbs.list(ListQuery(states=(State.WAITING,), limit=1)).next
        with pytest.raises(BadRequest):
            verbs.list(ListQuery(states=(State.DONE,), cursor=cursor))


class Sizing(ContractBase):
    """How much a list carries."""

    def test_payloads_up_to_the_bound_are_carried_whole(self, verbs: Desk) -> None:
        fits = bytes(PREVIEW_MAX)
        verbs.finish(finish(added_and_taken(verbs, new("a", input_=fits)), fits), NOW, DAY)
        (task,) = verbs.list(ListQuery()).tasks
        assert (task.input, task.output) == (fits, fits)

    def test_larger_ones_are_told_by_their_size(self, verbs: Desk) -> None:
        large = bytes(PREVIEW_MAX + 1)
        verbs.finish(finish(added_and_taken(verbs, new("a", input_=large)), large), NOW, DAY)
        (task,) = verbs.list(ListQuery()).tasks
        assert (task.input, task.input_size) == (b"", PREVIEW_MAX + 1)
        assert (task.output, task.output_size) == (None, PREVIEW_MAX + 1)

    def test_an_error_is_carried_whole(self, verbs: Desk) -> None:
        error = bytes(8 * PREVIEW_MAX)
        verbs.fail(fail(added_and_taken(verbs), again(60), error), NOW, DAY)
        (task,) = verbs.list(ListQuery()).tasks
        assert task.error == error

    def test_a_page_stops_at_the_bytes_it_may_carry(self, verbs: Desk) -> None:
        count = BATCH_BYTES // PREVIEW_MAX
        add(verbs, *(new(f"t{i}", input_=bytes(PREVIEW_MAX)) for i in range(count + 1)))
        sizes = [len(page) for page in pages(verbs, State.WAITING, limit=PAGE_MAX)]
        assert sizes == [count, 1]

    def test_a_page_carries_at_least_one_task(self, verbs: Desk) -> None:
        for id_ in ("a", "b"):
            add(verbs, id_)
            verbs.fail(fail(take_one(verbs), again(60), bytes(BATCH_BYTES + 1)), NOW, DAY)
        assert [len(page) for page in pages(verbs, State.SCHEDULED, limit=9)] == [1, 1]


class Counting(ContractBase):
    """counts"""

    def test_waiting_is_counted_by_type(self, verbs: Desk) -> None:
        add(verbs, "a", "b", new("c", "sms"), new("d", delay=5.0))
        take(verbs, 1)
        asked: list[list[str]] = [["mail"], ["sms"], ["mail", "sms", "mail"], ["nobody"], []]
        assert [verbs.waiting(types) for types in asked] == [1, 1, 2, 0, 0]

    def test_counts_follow_every_move(self, verbs: Desk) -> None:
        add(verbs, "a", "b", new("c", "sms"), new("d", delay=5.0))
        assert counts(verbs) == {
            "mail": {State.WAITING: 2, State.SCHEDULED: 1},
            "sms": {State.WAITING: 1},
        }
        lease = take_one(verbs)
        verbs.cancel(["b", "d"], NOW, DAY)
        assert counts(verbs) == {
            "mail": {State.RUNNING: 1, State.CANCELLED: 2},
            "sms": {State.WAITING: 1},
        }
        verbs.fail(fail(lease, Bury("no")), NOW, DAY)
        verbs.forget(["b"], NOW + DAY)
        assert counts(verbs) == {
            "mail": {State.FAILED: 1, State.CANCELLED: 1},
            "sms": {State.WAITING: 1},
        }


def _all_of(type_: str) -> tuple[Slot, list[str], int, float, float]:
    """The arguments of a take of one task of a type."""
    return SLOT, [type_], 1, NOW, HOUR


class Reading(Getting, Listing, Sizing, Counting):
    """All of them."""
