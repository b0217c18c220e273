"""What producers and operators may rely on: add, cancel, requeue, forget."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from qm.errors import BadRequest
from qm.limits import PRIORITY_MAX, PRIORITY_MIN
from qm.messages import AddStatus, NewTask, TypeOptions
from qm.policy.decision import Bury
from qm.store.base import Store
from qm.task import Outcome, State
from qm.testing.contract.base import ContractBase, Desk
from qm.testing.contract.samples import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    WORKER,
    add,
    added_and_taken,
    again,
    counts,
    ended,
    fail,
    finish,
    get,
    ids,
    new,
    recovery,
    state,
    take,
    take_one,
)


@dataclass(frozen=True)
class Bad:
    """A task that no store takes, and what its refusal must speak of."""

    task: NewTask
    about: str


BAD = {
    "id empty": Bad(new(""), "id"),
    "id long": Bad(new("i" * 65), "id"),
    "type empty": Bad(new("bad", ""), "type"),
    "type long": Bad(new("bad", "t" * 65), "type"),
    "priority high": Bad(new("bad", priority=PRIORITY_MAX + 1), "priority"),
    "priority low": Bad(new("bad", priority=PRIORITY_MIN - 1), "priority"),
    "attempts 0": Bad(new("bad", attempts=0), "attempts"),
    "timeout 0": Bad(new("bad", timeout=0.0), "timeout"),
    "keep negative": Bad(new("bad", keep=-1.0), "keep"),
}


class Adding(ContractBase):
    """add"""

    def test_an_added_task_waits_and_reads_as_it_was_added(self, verbs: Desk) -> None:
        task = new("a", input_=b"in", priority=7, attempts=3, timeout=60.0, keep=HOUR)
        assert verbs.add([task], NOW) == [AddStatus.CREATED]
        found = get(verbs, "a")
        assert (found.id, found.type, found.input, found.input_size) == ("a", "mail", b"in", 2)
        assert (found.state, found.priority, found.added) == (State.WAITING, 7, NOW)
        assert (found.attempts, found.timeout) == (3, 60.0)
        assert (found.attempt, found.failures, found.crashes, found.lost) == (0, 0, 0, 0)
        assert (found.output, found.output_size, found.error, found.reason) == (None, 0, None, None)
        assert (found.due, found.started, found.ended, found.expires) == (None, None, None, None)
        assert (found.worker, found.progress, found.note) == (None, None, None)

    def test_a_task_with_a_delay_is_scheduled_and_not_taken(self, verbs: Desk) -> None:
        assert verbs.add([new("a", delay=10.0)], NOW) == [AddStatus.CREATED]
        assert state(verbs, "a") is State.SCHEDULED
        assert get(verbs, "a").due == NOW + 10.0
        assert take(verbs) == []

    def test_adding_nothing_is_fine(self, verbs: Desk) -> None:
        assert verbs.add([], NOW) == []
        assert counts(verbs) == {}

    def test_a_resent_add_makes_no_second_task(self, verbs: Desk) -> None:
        add(verbs, "a")
        before = get(verbs, "a")
        assert verbs.add([new("a")], NOW + 5) == [AddStatus.DUPLICATE]
        assert get(verbs, "a") == before
        assert counts(verbs) == {"mail": {State.WAITING: 1}}

    def test_a_resent_add_with_other_options_changes_nothing(self, verbs: Desk) -> None:
        add(verbs, "a")
        before = get(verbs, "a")
        assert verbs.add([new("a", priority=9, delay=5.0, keep=1.0)], NOW) == [AddStatus.DUPLICATE]
        assert get(verbs, "a") == before

    def test_other_content_under_a_known_id_is_a_conflict(self, verbs: Desk) -> None:
        add(verbs, "a")
        assert verbs.add([new("a", input_=b"other"), new("a", "sms")], NOW) == [AddStatus.CONFLICT] * 2
        assert (get(verbs, "a").type, get(verbs, "a").input) == ("mail", b"\xc0")

    @pytest.mark.parametrize("end", [State.DONE, State.FAILED, State.CANCELLED])
    def test_a_resent_add_of_an_ended_task_does_not_run_it_again(self, verbs: Desk, end: State) -> None:
        ended(verbs, "a", end)
        assert verbs.add([new("a")], NOW) == [AddStatus.DUPLICATE]
        assert state(verbs, "a") is end
        assert take(verbs) == []

    def test_an_id_twice_in_one_batch_counts_once(self, verbs: Desk) -> None:
        task = new("a")
        batch = [task, task, new("a"), new("a", input_=b"other"), new("b")]
        assert verbs.add(batch, NOW) == [
            AddStatus.CREATED,
            AddStatus.DUPLICATE,
            AddStatus.DUPLICATE,
            AddStatus.CONFLICT,
            AddStatus.CREATED,
        ]
        assert counts(verbs) == {"mail": {State.WAITING: 2}}

    def test_a_large_batch_is_kept_in_order(self, verbs: Desk) -> None:
        names = [f"t{i}" for i in range(700)]
        assert set(verbs.add([new(name) for name in names], NOW)) == {AddStatus.CREATED}
        assert [taken.id for taken in take(verbs, 700)] == names

    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
    def test_a_bad_value_is_refused_in_words(self, verbs: Desk, bad: Bad) -> None:
        with pytest.raises(BadRequest, match=bad.about):
            verbs.add([bad.task], NOW)
        assert counts(verbs) == {}

    def test_a_bad_value_is_refused_under_a_known_id_too(self, verbs: Desk) -> None:
        add(verbs, "a")
        with pytest.raises(BadRequest):
            verbs.add([new("a", priority=PRIORITY_MAX + 1)], NOW)

    def test_the_extremes_that_are_allowed_are_kept(self, verbs: Desk) -> None:
        longest = "x" * 64
        add(
            verbs,
            new(longest, longest, priority=PRIORITY_MIN, attempts=1, keep=0.0),
            new("b", priority=PRIORITY_MAX),
        )
        assert (get(verbs, longest).type, get(verbs, longest).priority) == (longest, PRIORITY_MIN)
        assert get(verbs, "b").priority == PRIORITY_MAX

    def test_one_bad_task_refuses_its_whole_batch_and_nothing_else(self, store: Store) -> None:
        batch = [*(new(f"t{i}") for i in range(300)), new("bad", priority=PRIORITY_MAX + 1)]
        with store.begin() as transaction:
            add(transaction, "before")
            with pytest.raises(BadRequest):
                transaction.add(batch, NOW)
            add(transaction, "after")
        assert ids(store, State.WAITING) == ["before", "after"]
        assert counts(store) == {"mail": {State.WAITING: 2}}


class Cancelling(ContractBase):
    """cancel"""

    def test_a_waiting_task_is_cancelled_and_never_runs(self, verbs: Desk) -> None:
        add(verbs, "a")
        assert verbs.cancel(["a"], NOW + 1, DAY) == [State.WAITING]
        found = get(verbs, "a")
        assert (found.state, found.ended, found.expires) == (State.CANCELLED, NOW + 1, NOW + 1 + DAY)
        assert take(verbs) == []
        assert counts(verbs) == {"mail": {State.CANCELLED: 1}}

    def test_a_scheduled_task_is_cancelled_and_never_due(self, verbs: Desk) -> None:
        add(verbs, new("a", delay=10.0))
        assert verbs.cancel(["a"], NOW, DAY) == [State.SCHEDULED]
        assert (get(verbs, "a").state, get(verbs, "a").due) == (State.CANCELLED, None)
        assert verbs.next_due() is None
        assert verbs.promote(NOW + HOUR, 10) == {}

    def test_a_running_task_is_left_alone(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        assert verbs.cancel(["a"], NOW, DAY) == [State.RUNNING]
        assert [held and held.lease for held in verbs.leased([lease])] == [lease]

    @pytest.mark.parametrize("end", [State.DONE, State.FAILED, State.CANCELLED])
    def test_an_ended_task_is_left_alone(self, verbs: Desk, end: State) -> None:
        ended(verbs, "a", end)
        before = get(verbs, "a")
        assert verbs.cancel(["a"], NOW + HOUR, DAY) == [end]
        assert get(verbs, "a") == before

    def test_an_unknown_id_is_none(self, verbs: Desk) -> None:
        add(verbs, "a")
        assert verbs.cancel(["x", "a", "y", "a"], NOW, DAY) == [None, State.WAITING, None, State.CANCELLED]

    def test_the_error_of_an_attempt_before_stays_readable(self, verbs: Desk) -> None:
        verbs.fail(fail(added_and_taken(verbs), again(HOUR), b"oops"), NOW, DAY)
        verbs.cancel(["a"], NOW, DAY)
        assert (get(verbs, "a").state, get(verbs, "a").error) == (State.CANCELLED, b"oops")


class Requeueing(ContractBase):
    """requeue"""

    def test_a_failed_task_gets_another_chance_with_fresh_counters(self, verbs: Desk) -> None:
        ended(verbs, "a", State.FAILED)
        assert verbs.requeue(["a"], NOW + 1) == [State.FAILED]
        found = get(verbs, "a")
        assert (found.state, found.failures, found.crashes, found.lost) == (State.WAITING, 0, 0, 0)
        assert (found.ended, found.expires, found.reason) == (None, None, None)
        assert (found.attempt, found.error) == (1, b"oops")
        assert verbs.next_expiry() is None
        assert counts(verbs) == {"mail": {State.WAITING: 1}}

    @pytest.mark.parametrize("outcome", [Outcome.CRASHED, Outcome.LOST])
    def test_strikes_are_forgiven_too(self, verbs: Desk, outcome: Outcome) -> None:
        lease = added_and_taken(verbs)
        verbs.recover([recovery(lease, outcome, Bury("crashed"))], NOW, DAY)
        verbs.requeue(["a"], NOW)
        assert (get(verbs, "a").crashes, get(verbs, "a").lost) == (0, 0)

    def test_it_goes_to_the_tail(self, verbs: Desk) -> None:
        ended(verbs, "a", State.FAILED)
        ended(verbs, "b", State.FAILED)
        add(verbs, "c")
        verbs.requeue(["b", "a"], NOW)
        assert [taken.id for taken in take(verbs, 3)] == ["c", "b", "a"]

    def test_attempt_numbers_go_on(self, verbs: Desk) -> None:
        ended(verbs, "a", State.FAILED)
        verbs.requeue(["a"], NOW)
        assert take_one(verbs).attempt == 2

    def test_only_failed_tasks_are_touched(self, verbs: Desk) -> None:
        ended(verbs, "done", State.DONE)
        ended(verbs, "cancelled", State.CANCELLED)
        added_and_taken(verbs, "running")
        add(verbs, "waiting", new("scheduled", delay=5.0))
        names = ["done", "cancelled", "running", "waiting", "scheduled", "unknown"]
        before = [*verbs.get(names)]
        assert verbs.requeue(names, NOW + 1) == [
            State.DONE,
            State.CANCELLED,
            State.RUNNING,
            State.WAITING,
            State.SCHEDULED,
            None,
        ]
        assert [*verbs.get(names)] == before

    def test_an_id_twice_in_one_batch_is_requeued_once(self, verbs: Desk) -> None:
        ended(verbs, "a", State.FAILED)
        assert verbs.requeue(["a", "a"], NOW) == [State.FAILED, State.WAITING]
        assert counts(verbs) == {"mail": {State.WAITING: 1}}


class Forgetting(ContractBase):
    """forget"""

    @pytest.mark.parametrize("end", [State.DONE, State.FAILED, State.CANCELLED])
    def test_an_ended_task_is_gone(self, verbs: Desk, end: State) -> None:
        ended(verbs, "a", end)
        assert verbs.forget(["a"], NOW + DAY) == [end]
        assert state(verbs, "a") is None
        assert counts(verbs) == {}
        assert verbs.next_expiry() is None
        assert verbs.forget(["a"], NOW + DAY) == [None]

    def test_its_id_stays_known(self, verbs: Desk) -> None:
        ended(verbs, "a", State.DONE)
        verbs.forget(["a"], NOW + DAY)
        assert verbs.add([new("a"), new("a", input_=b"other")], NOW) == [
            AddStatus.DUPLICATE,
            AddStatus.CONFLICT,
        ]
        assert counts(verbs) == {}

    def test_a_task_that_has_not_ended_is_left_alone(self, verbs: Desk) -> None:
        added_and_taken(verbs, "running")
        add(verbs, "waiting", new("scheduled", delay=5.0))
        names = ["running", "waiting", "scheduled", "unknown"]
        before = [*verbs.get(names)]
        assert verbs.forget(names, NOW) == [State.RUNNING, State.WAITING, State.SCHEDULED, None]
        assert [*verbs.get(names)] == before

    def test_an_id_twice_in_one_batch_is_forgotten_once(self, verbs: Desk) -> None:
        ended(verbs, "a", State.DONE)
        assert verbs.forget(["a", "a"], NOW + DAY) == [State.DONE, None]

    def test_a_lease_of_a_forgotten_task_is_lost(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.finish(finish(lease), NOW, DAY)
        verbs.forget(["a"], NOW + DAY)
        assert [*map(str, verbs.finish(finish(lease), NOW, DAY))] == ["lost"]


class Keeping(ContractBase):
    """How long ended tasks are kept: their own word, else their type's, else the caller's."""

    def ends(self, verbs: Desk, keep: float | None) -> list[float | None]:
        """When a done, a failed, a parked and a cancelled task of the same kind expire."""
        verbs.finish(finish(added_and_taken(verbs, new("done", keep=keep))), NOW, DAY)
        verbs.fail(fail(added_and_taken(verbs, new("failed", keep=keep)), Bury("no")), NOW, DAY)
        lease = added_and_taken(verbs, new("parked", keep=keep))
        verbs.recover([recovery(lease, Outcome.LOST, Bury("no"))], NOW, DAY)
        add(verbs, new("cancelled", keep=keep))
        verbs.cancel(["cancelled"], NOW, DAY)
        return [get(verbs, id_).expires for id_ in ("done", "failed", "parked", "cancelled")]

    def test_the_caller_s_word_is_the_last_resort(self, verbs: Desk) -> None:
        assert self.ends(verbs, None) == [NOW + DAY] * 4

    def test_the_type_s_word_comes_before(self, verbs: Desk) -> None:
        options = {"mail": TypeOptions(keep=HOUR)}
        verbs.attach(msgspec.structs.replace(WORKER, types=options), NOW)
        assert self.ends(verbs, None) == [NOW + HOUR] * 4

    def test_the_task_s_own_word_comes_first(self, verbs: Desk) -> None:
        options = {"mail": TypeOptions(keep=HOUR)}
        verbs.attach(msgspec.structs.replace(WORKER, types=options), NOW)
        assert self.ends(verbs, MINUTE) == [NOW + MINUTE] * 4


class Producing(Adding, Cancelling, Requeueing, Forgetting, Keeping):
    """All of them."""
