"""What workers may rely on: take, progress, held, leased, attach, detach."""

from __future__ import annotations

import msgspec
import pytest

from qm.errors import BadRequest, WrongState
from qm.limits import BATCH_BYTES
from qm.messages import Progress, Slot, TypeOptions, Verdict, WorkerInfo
from qm.policy.decision import Back
from qm.task import Lease, Outcome, State
from qm.testing.contract.base import ContractBase, Desk
from qm.testing.contract.samples import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    OTHER_SLOT,
    SLOT,
    STRAY,
    WORKER,
    add,
    added_and_taken,
    again,
    attached,
    counts,
    fail,
    finish,
    get,
    new,
    recovery,
    take,
    take_one,
)


def with_options(**types: TypeOptions) -> WorkerInfo:
    """The sample session with these types."""
    return msgspec.structs.replace(WORKER, types=types)


class Taking(ContractBase):
    """take"""

    def test_a_taken_task_runs_under_a_lease(self, verbs: Desk) -> None:
        add(verbs, new("a", input_=b"in", priority=3))
        attached(verbs)
        (taken,) = verbs.take(SLOT, ["mail"], 1, NOW + 1, HOUR)
        assert (taken.id, taken.lease.attempt, taken.type, taken.input) == ("a", 1, "mail", b"in")
        assert (taken.failures, taken.timeout, taken.added, taken.priority) == (0, HOUR, NOW, 3)
        found = get(verbs, "a")
        assert (found.state, found.attempt, found.started) == (State.RUNNING, 1, NOW + 1)
        assert counts(verbs) == {"mail": {State.RUNNING: 1}}

    def test_no_two_workers_get_the_same_task(self, verbs: Desk) -> None:
        add(verbs, "a")
        assert len(take(verbs)) == 1
        assert take(verbs, slot=OTHER_SLOT) == []

    def test_every_lease_has_a_token_of_its_own(self, verbs: Desk) -> None:
        add(verbs, *(f"t{i}" for i in range(50)))
        tokens = {taken.lease.token for taken in take(verbs, 50)}
        assert len(tokens) == 50
        assert all(-(2**63) <= token < 2**63 for token in tokens)
        assert len({token >> 32 for token in tokens}) == 50, "the tokens are not random in their upper half"

    def test_the_highest_priority_comes_first_then_the_oldest(self, verbs: Desk) -> None:
        add(verbs, "a", new("b", priority=1), new("c", priority=-1), "d", new("e", priority=1))
        assert [taken.id for taken in take(verbs, 9)] == ["b", "e", "a", "d", "c"]

    def test_the_order_goes_across_types(self, verbs: Desk) -> None:
        add(verbs, "a", new("b", "sms"), "c", new("d", "sms", priority=1), new("e", "fax"))
        assert [taken.id for taken in take(verbs, 9)] == ["d", "a", "b", "c"]

    @pytest.mark.parametrize("outcome", [Outcome.CRASHED, Outcome.LOST])
    def test_a_task_whose_worker_died_comes_alone(self, verbs: Desk, outcome: Outcome) -> None:
        add(verbs, *"abcde")
        a, b = (taken.lease for taken in take(verbs, 2))
        verbs.recover([recovery(b, outcome, Back())], NOW, DAY)
        verbs.release([a], NOW)
        assert [[taken.id for taken in take(verbs, 9)] for _ in range(3)] == [["a"], ["b"], [*"cde"]]

    def test_only_the_types_asked_for_are_taken(self, verbs: Desk) -> None:
        add(verbs, "a", new("b", "sms"))
        attached(verbs)
        assert [taken.id for taken in verbs.take(SLOT, ["sms", "fax", "sms"], 9, NOW, HOUR)] == ["b"]
        assert verbs.take(SLOT, ["fax"], 9, NOW, HOUR) == []
        assert verbs.take(SLOT, [], 9, NOW, HOUR) == []

    def test_no_more_than_the_limit_is_taken(self, verbs: Desk) -> None:
        add(verbs, "a", "b", "c")
        assert take(verbs, 0) == []
        assert [taken.id for taken in take(verbs, 2)] == ["a", "b"]
        assert counts(verbs) == {"mail": {State.WAITING: 1, State.RUNNING: 2}}

    def test_a_take_stops_at_the_bytes_it_may_hand_out(self, verbs: Desk) -> None:
        half = bytes(BATCH_BYTES // 2)
        add(verbs, new("a", input_=half), new("b", input_=half), new("c", input_=b"x"))
        assert [taken.id for taken in take(verbs, 9)] == ["a", "b"]
        assert [taken.id for taken in take(verbs, 9)] == ["c"]

    def test_a_large_task_is_neither_passed_over_nor_left(self, verbs: Desk) -> None:
        add(verbs, "a", new("b", input_=bytes(BATCH_BYTES + 1)), "c")
        assert [[taken.id for taken in take(verbs, 9)] for _ in range(3)] == [["a"], ["b"], ["c"]]

    def test_attempts_are_numbered(self, verbs: Desk) -> None:
        leases = []
        for attempt in (1, 2, 3):
            leases.append(added_and_taken(verbs))
            assert leases[-1].attempt == attempt
            verbs.release(leases[-1:], NOW)
        assert len({lease.token for lease in leases}) == 3

    def test_the_worker_is_told_of_earlier_failures(self, verbs: Desk) -> None:
        verbs.fail(fail(added_and_taken(verbs), again(0)), NOW, DAY)
        (taken,) = take(verbs)
        assert taken.failures == 1

    def test_the_task_s_own_time_limit_comes_first_then_its_type_s(self, verbs: Desk) -> None:
        verbs.attach(with_options(mail=TypeOptions(timeout=MINUTE)), NOW)
        add(verbs, new("own", timeout=1.0), new("type"), new("default", "sms"))
        assert [taken.timeout for taken in take(verbs, 3)] == [1.0, MINUTE, HOUR]
        assert [task and task.timeout for task in verbs.get(["own", "type"])] == [1.0, None]

    def test_it_says_who_runs_a_task_and_who_ran_it_last(self, verbs: Desk) -> None:
        verbs.attach(WORKER, NOW)
        lease = added_and_taken(verbs)
        assert get(verbs, "a").worker == "alpha:4711"
        verbs.finish(finish(lease), NOW, DAY)
        verbs.detach(WORKER.session)
        assert get(verbs, "a").worker == "alpha:4711"


class Progressing(ContractBase):
    """progress"""

    def test_progress_is_noted(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        assert verbs.progress([Progress(lease, 0.25, "a quarter")]) == [Verdict.ACCEPTED]
        assert (get(verbs, "a").progress, get(verbs, "a").note) == (0.25, "a quarter")
        assert verbs.progress([Progress(lease, 0.5)]) == [Verdict.ACCEPTED]
        assert (get(verbs, "a").progress, get(verbs, "a").note) == (0.5, None)

    def test_the_last_word_of_a_batch_counts(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        batch = [Progress(lease, 0.1, "x"), Progress(lease, 0.2, "y")]
        assert verbs.progress(batch) == [Verdict.ACCEPTED, Verdict.ACCEPTED]
        assert (get(verbs, "a").progress, get(verbs, "a").note) == (0.2, "y")

    def test_a_lease_that_does_not_hold_changes_nothing(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        stale = Lease("a", lease.attempt, lease.token ^ 1)
        batch = [Progress(stale, 0.9), Progress(lease, 0.1), Progress(stale, 0.9), Progress(STRAY, 0.9)]
        assert verbs.progress(batch) == [Verdict.LOST, Verdict.ACCEPTED, Verdict.LOST, Verdict.LOST]
        assert get(verbs, "a").progress == 0.1

    def test_an_ended_task_reports_nothing_more(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.progress([Progress(lease, 0.5, "half")])
        verbs.finish(finish(lease), NOW, DAY)
        assert verbs.progress([Progress(lease, 0.9)]) == [Verdict.LOST]
        assert (get(verbs, "a").progress, get(verbs, "a").note) == (0.5, "half")

    def test_the_next_attempt_begins_without(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.progress([Progress(lease, 0.5, "half")])
        verbs.release([lease], NOW)
        take_one(verbs)
        assert (get(verbs, "a").progress, get(verbs, "a").note) == (None, None)


class Holding(ContractBase):
    """held and leased"""

    def test_a_slot_s_tasks_are_found_in_the_order_they_were_taken(self, verbs: Desk) -> None:
        add(verbs, *"abcde", new("f", priority=5))
        first = take(verbs, 4, now=NOW)
        second = take(verbs, 4, now=NOW + 1)
        leases = [taken.lease for taken in [*first, *second]]
        assert [lease.id for lease in leases] == [*"fabcde"]
        assert [held.lease for held in verbs.held(SLOT)] == leases

    def test_another_slot_or_an_earlier_incarnation_holds_nothing(self, verbs: Desk) -> None:
        added_and_taken(verbs)
        for slot in (Slot("session-1", 0, 0), Slot("session-1", 1, 1), Slot("session-2", 0, 1)):
            assert verbs.held(slot) == []
        assert verbs.held(session="session-2") == []

    def test_a_slot_has_what_its_predecessors_still_hold(self, verbs: Desk) -> None:
        add(verbs, "a", "b", "c")
        incarnations = [Slot("session-1", 0, 0), Slot("session-1", 0, 10), Slot("session-1", 0, 2)]
        a, b, c = [take_one(verbs, slot=slot, now=NOW + i) for i, slot in enumerate(incarnations)]
        assert [held.lease for held in verbs.held(Slot("session-1", 0, 2))] == [a, c]
        assert [held.lease for held in verbs.held(Slot("session-1", 0, 11))] == [a, b, c]

    def test_a_session_holds_what_all_its_slots_hold(self, verbs: Desk) -> None:
        add(verbs, "a", "b", "c")
        slots = [SLOT, Slot(SLOT.session, 1, 1), OTHER_SLOT]
        leases = [take_one(verbs, slot=slot, now=NOW + i) for i, slot in enumerate(slots)]
        assert [held.lease for held in verbs.held(session=SLOT.session)] == leases[:2]

    def test_a_settled_task_is_no_longer_held(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.release([lease], NOW)
        assert verbs.held(SLOT) == []
        assert verbs.leased([lease]) == [None]

    def test_it_tells_what_policy_needs(self, verbs: Desk) -> None:
        verbs.attach(with_options(mail=TypeOptions(attempts=9)), NOW)
        verbs.fail(fail(added_and_taken(verbs, new("a", attempts=4)), again(0)), NOW, DAY)
        verbs.recover([recovery(take_one(verbs), Outcome.CRASHED, Back())], NOW, DAY)
        verbs.recover([recovery(take_one(verbs), Outcome.LOST, Back())], NOW, DAY)
        lease = take_one(verbs, now=NOW + 7)
        (held,) = verbs.held(SLOT)
        assert verbs.leased([lease]) == [held]
        assert (held.lease, held.type, held.started) == (lease, "mail", NOW + 7)
        assert (held.failures, held.crashes, held.lost, held.attempts) == (1, 1, 1, 4)

    def test_attempts_are_the_type_s_where_the_task_says_nothing(self, verbs: Desk) -> None:
        verbs.attach(with_options(mail=TypeOptions(attempts=9)), NOW)
        add(verbs, "a", new("b", "sms"))
        take(verbs, 2)
        assert [held.attempts for held in verbs.held(SLOT)] == [9, None]

    def test_only_the_exact_lease_holds(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        wrong_token = Lease("a", lease.attempt, lease.token ^ 1)
        wrong_attempt = Lease("a", lease.attempt + 1, lease.token)
        found = verbs.leased([STRAY, wrong_token, lease, wrong_attempt, lease])
        assert [held and held.lease for held in found] == [None, None, lease, None, lease]


class Attaching(ContractBase):
    """attach, detach, sessions"""

    def test_an_attached_session_is_listed_until_it_is_detached(self, verbs: Desk) -> None:
        other = msgspec.structs.replace(WORKER, session="session-2", pid=12)
        verbs.attach(WORKER, NOW)
        verbs.attach(other, NOW)
        assert sorted(verbs.sessions(), key=lambda worker: worker.session) == [WORKER, other]
        verbs.detach(WORKER.session)
        assert verbs.sessions() == [other]

    def test_attaching_again_changes_the_options_alone(self, verbs: Desk) -> None:
        options = TypeOptions(timeout=5.0, attempts=2, keep=MINUTE, prefetch=4)
        verbs.attach(WORKER, NOW)
        more = with_options(mail=options, sms=TypeOptions())
        verbs.attach(more, NOW + 1)
        assert verbs.sessions() == [more]
        added_and_taken(verbs)
        assert [held.attempts for held in verbs.held(SLOT)] == [2]

    def test_options_are_replaced_whole(self, verbs: Desk) -> None:
        verbs.attach(with_options(mail=TypeOptions(timeout=5.0, attempts=2)), NOW)
        verbs.attach(with_options(mail=TypeOptions(attempts=3)), NOW)
        add(verbs, "a")
        (taken,) = take(verbs)
        assert taken.timeout == HOUR
        assert [held.attempts for held in verbs.held(SLOT)] == [3]

    def test_options_outlive_the_session(self, verbs: Desk) -> None:
        verbs.attach(with_options(mail=TypeOptions(timeout=5.0)), NOW)
        verbs.detach(WORKER.session)
        add(verbs, "a")
        assert [taken.timeout for taken in take(verbs)] == [5.0]

    def test_a_session_that_holds_tasks_is_not_detached(self, verbs: Desk) -> None:
        verbs.attach(WORKER, NOW)
        lease = added_and_taken(verbs)
        with pytest.raises(WrongState, match=WORKER.session):
            verbs.detach(WORKER.session)
        assert verbs.sessions() == [WORKER]
        verbs.release([lease], NOW)
        verbs.detach(WORKER.session)
        assert verbs.sessions() == []

    def test_detaching_an_unknown_session_is_fine(self, verbs: Desk) -> None:
        verbs.detach("session-9")
        assert verbs.sessions() == []

    @pytest.mark.parametrize("host", ["", "x" * 254, "two\nlines", "\x1b[31mred"])
    def test_a_host_that_cannot_be_shown_is_refused(self, verbs: Desk, host: str) -> None:
        with pytest.raises(BadRequest, match="is no host"):
            verbs.attach(msgspec.structs.replace(WORKER, host=host), NOW)
        assert [*verbs.sessions()] == []

    @pytest.mark.parametrize(
        "options", [TypeOptions(attempts=0), TypeOptions(timeout=0.0), TypeOptions(keep=-1.0)]
    )
    def test_bad_options_are_refused_and_nothing_is_attached(self, verbs: Desk, options: TypeOptions) -> None:
        with pytest.raises(BadRequest):
            verbs.attach(with_options(sms=TypeOptions(timeout=5.0), mail=options), NOW)
        assert verbs.sessions() == []
        add(verbs, new("a", "sms"))
        assert [taken.timeout for taken in take(verbs)] == [HOUR]


class Working(Taking, Progressing, Holding, Attaching):
    """All of them."""
