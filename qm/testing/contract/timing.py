"""What happens by itself: promote, expire, and when they are next needed."""

from __future__ import annotations

import pytest

from qm.messages import AddStatus
from qm.task import State
from qm.testing.contract.base import ContractBase, Desk
from qm.testing.contract.samples import (
    DAY,
    HOUR,
    NOW,
    add,
    added_and_taken,
    again,
    counts,
    ended,
    fail,
    finish,
    get,
    new,
    state,
    take,
)


class Promoting(ContractBase):
    """promote and next_due"""

    def test_a_due_task_waits(self, verbs: Desk) -> None:
        add(verbs, new("a", delay=10.0))
        assert verbs.promote(NOW + 9.5, 100) == {}
        assert verbs.promote(NOW + 10, 100) == {"mail": 1}
        assert (state(verbs, "a"), get(verbs, "a").due) == (State.WAITING, None)
        assert verbs.promote(NOW + 10, 100) == {}
        assert counts(verbs) == {"mail": {State.WAITING: 1}}

    def test_due_tasks_go_to_the_tail_in_the_order_they_are_due(self, verbs: Desk) -> None:
        add(verbs, new("c", delay=30.0), new("b", delay=20.0), new("b2", delay=20.0), new("a", delay=10.0))
        add(verbs, "z")
        verbs.promote(NOW + HOUR, 100)
        assert [taken.id for taken in take(verbs, 9)] == ["z", "a", "b", "b2", "c"]

    def test_a_chunk_takes_the_first_due_and_leaves_the_rest(self, verbs: Desk) -> None:
        add(verbs, new("c", delay=30.0), new("b", "sms", delay=20.0), new("a", delay=10.0))
        assert verbs.promote(NOW + HOUR, 0) == {}
        assert verbs.promote(NOW + HOUR, 2) == {"mail": 1, "sms": 1}
        assert [state(verbs, id_) for id_ in "abc"] == [State.WAITING, State.WAITING, State.SCHEDULED]
        assert verbs.promote(NOW + HOUR, 2) == {"mail": 1}

    def test_a_failed_attempt_comes_back_when_it_is_due(self, verbs: Desk) -> None:
        verbs.fail(fail(added_and_taken(verbs), again(30), b"oops"), NOW, DAY)
        verbs.promote(NOW + 30, 10)
        assert (state(verbs, "a"), get(verbs, "a").error) == (State.WAITING, b"oops")

    def test_next_due_is_the_first_due_of_all_types(self, verbs: Desk) -> None:
        assert verbs.next_due() is None
        add(verbs, new("a", delay=20.0), new("b", "sms", delay=10.0), "c")
        assert verbs.next_due() == NOW + 10
        verbs.promote(NOW + 10, 10)
        assert verbs.next_due() == NOW + 20
        verbs.promote(NOW + 20, 10)
        assert verbs.next_due() is None


class Expiring(ContractBase):
    """expire and next_expiry"""

    @pytest.mark.parametrize("end", [State.DONE, State.FAILED, State.CANCELLED])
    def test_an_ended_task_goes_after_its_time_to_live(self, verbs: Desk, end: State) -> None:
        ended(verbs, "a", end, keep=10.0)
        assert verbs.expire(NOW + 9.5, NOW + DAY, 100) == 0
        assert state(verbs, "a") is end
        assert verbs.expire(NOW + 10, NOW + DAY, 100) == 1
        assert state(verbs, "a") is None
        assert counts(verbs) == {}

    def test_a_task_that_has_not_ended_never_expires(self, verbs: Desk) -> None:
        added_and_taken(verbs, new("running", keep=0.0))
        add(verbs, new("waiting", keep=0.0), new("scheduled", keep=0.0, delay=5.0))
        assert verbs.expire(NOW + 1000 * DAY, NOW + 2000 * DAY, 100) == 0
        assert sum(counts(verbs)["mail"].values()) == 3

    def test_its_id_stays_known_for_a_while_and_then_is_free(self, verbs: Desk) -> None:
        ended(verbs, "a", State.DONE, keep=10.0)
        verbs.expire(NOW + 10, NOW + DAY, 100)
        assert verbs.add([new("a")], NOW) == [AddStatus.DUPLICATE]
        assert verbs.expire(NOW + DAY - 1, NOW + 2 * DAY, 100) == 0
        assert verbs.expire(NOW + DAY, NOW + 2 * DAY, 100) == 1
        assert verbs.add([new("a")], NOW + DAY) == [AddStatus.CREATED]
        assert get(verbs, "a").attempt == 0

    def test_a_forgotten_id_is_freed_in_the_same_way(self, verbs: Desk) -> None:
        ended(verbs, "a", State.DONE)
        verbs.forget(["a"], NOW + HOUR)
        assert verbs.expire(NOW + HOUR, NOW + DAY, 100) == 1
        assert verbs.add([new("a", input_=b"other")], NOW + HOUR) == [AddStatus.CREATED]

    def test_nothing_of_an_id_s_earlier_life_comes_back(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.finish(finish(lease), NOW, 0.0)
        verbs.expire(NOW, NOW + 1, 100)
        verbs.expire(NOW + 1, NOW + 1, 100)
        again_lease = added_and_taken(verbs)
        assert again_lease.attempt == 1
        assert [*map(str, verbs.finish(finish(lease), NOW, DAY))] == ["lost"]
        assert (get(verbs, "a").state, get(verbs, "a").output) == (State.RUNNING, None)

    def test_a_chunk_takes_the_first_to_go_and_leaves_the_rest(self, verbs: Desk) -> None:
        for id_, keep in (("c", 30.0), ("a", 10.0), ("b", 20.0)):
            ended(verbs, id_, State.DONE, keep=keep)
        assert verbs.expire(NOW + HOUR, NOW + DAY, 0) == 0
        assert verbs.expire(NOW + HOUR, NOW + DAY, 2) == 2
        assert [state(verbs, id_) for id_ in "abc"] == [None, None, State.DONE]
        assert verbs.expire(NOW + HOUR, NOW + DAY, 2) == 1
        assert verbs.expire(NOW + HOUR, NOW + DAY, 2) == 0

    def test_ids_go_in_chunks_too_the_first_to_go_first(self, verbs: Desk) -> None:
        for id_, until in (("b", 20.0), ("a", 10.0), ("c", 30.0)):
            ended(verbs, id_, State.DONE)
            verbs.forget([id_], NOW + until)
        assert verbs.expire(NOW + HOUR, NOW + DAY, 1) == 1
        assert verbs.add([new("a"), new("b"), new("c")], NOW) == [
            AddStatus.CREATED,
            AddStatus.DUPLICATE,
            AddStatus.DUPLICATE,
        ]

    def test_next_expiry_is_the_first_to_go(self, verbs: Desk) -> None:
        assert verbs.next_expiry() is None
        ended(verbs, "a", State.DONE, keep=20.0)
        ended(verbs, "b", State.CANCELLED, keep=10.0)
        add(verbs, "c")
        assert verbs.next_expiry() == NOW + 10
        verbs.expire(NOW + 10, NOW + DAY, 10)
        assert verbs.next_expiry() == NOW + 20
        verbs.forget(["a"], NOW + DAY)
        assert verbs.next_expiry() is None


class Timing(Promoting, Expiring):
    """All of them."""
