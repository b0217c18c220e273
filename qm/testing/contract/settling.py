"""The end of an attempt: finish, fail, retry, release, recover, and the fence around them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest

from qm.messages import Fail, Finish, Retry, Verdict
from qm.policy.decision import Again, Back, Bury
from qm.task import Lease, Outcome, State
from qm.testing.contract.base import ContractBase, Desk
from qm.testing.contract.samples import (
    DAY,
    NOW,
    STRAY,
    add,
    added_and_taken,
    again,
    counts,
    fail,
    finish,
    get,
    new,
    recovery,
    retry,
    state,
    take,
    take_one,
)

Settle: TypeAlias = Callable[[Desk, Sequence[Lease]], Sequence[Verdict]]

#: Every way to settle leases; those that end the attempt the same way are the same settlement.
SETTLE: dict[str, Settle] = {
    "finish": lambda verbs, leases: verbs.finish([Finish(at, b"out") for at in leases], NOW, DAY),
    "fail": lambda verbs, leases: verbs.fail([(Fail(at, b"oops"), again(60)) for at in leases], NOW, DAY),
    "fail for good": lambda verbs, leases: verbs.fail(
        [(Fail(at, b"no"), Bury("no")) for at in leases], NOW, DAY
    ),
    "retry": lambda verbs, leases: verbs.retry([(Retry(at), again(0)) for at in leases], NOW, DAY),
    "release": lambda verbs, leases: verbs.release(leases, NOW),
    "recover": lambda verbs, leases: verbs.recover(
        [recovery(at, Outcome.LOST, Back()) for at in leases], NOW, DAY
    ),
}

each_settlement = pytest.mark.parametrize("settle", SETTLE.values(), ids=SETTLE)


class Fencing(ContractBase):
    """No settlement without its lease, and none twice."""

    @each_settlement
    def test_the_holder_of_the_lease_is_heard_once(self, verbs: Desk, settle: Settle) -> None:
        lease = added_and_taken(verbs)
        assert settle(verbs, [lease]) == [Verdict.ACCEPTED]
        before = get(verbs, "a")
        assert settle(verbs, [lease]) == [Verdict.REPEATED]
        assert get(verbs, "a") == before

    @each_settlement
    def test_the_same_lease_twice_in_one_batch_counts_once(self, verbs: Desk, settle: Settle) -> None:
        lease = added_and_taken(verbs)
        assert settle(verbs, [lease, lease]) == [Verdict.ACCEPTED, Verdict.REPEATED]
        assert get(verbs, "a").failures + get(verbs, "a").lost <= 1
        assert sum(counts(verbs)["mail"].values()) == 1

    @each_settlement
    def test_another_s_lease_changes_nothing(self, verbs: Desk, settle: Settle) -> None:
        lease = added_and_taken(verbs)
        before = get(verbs, "a")
        wrong = [
            Lease("a", lease.attempt, lease.token ^ 1),
            Lease("a", lease.attempt + 1, lease.token),
            Lease("a", lease.attempt - 1, lease.token),
            STRAY,
        ]
        assert settle(verbs, wrong) == [Verdict.LOST] * 4
        assert get(verbs, "a") == before

    @each_settlement
    def test_a_forged_lease_beside_the_true_one_does_not_stand_in_its_way(
        self, verbs: Desk, settle: Settle
    ) -> None:
        lease = added_and_taken(verbs)
        forged = Lease("a", lease.attempt, lease.token ^ 1)
        assert settle(verbs, [forged, lease, forged]) == [Verdict.LOST, Verdict.ACCEPTED, Verdict.LOST]

    @each_settlement
    def test_a_late_word_does_not_touch_the_next_attempt(self, verbs: Desk, settle: Settle) -> None:
        late = added_and_taken(verbs)
        verbs.recover([recovery(late, Outcome.CRASHED, Back())], NOW, DAY)
        lease = take_one(verbs)
        before = get(verbs, "a")
        said = settle(verbs, [late])
        assert said == [Verdict.REPEATED if settle is SETTLE["recover"] else Verdict.LOST]
        assert get(verbs, "a") == before
        assert settle(verbs, [lease]) == [Verdict.ACCEPTED]

    @each_settlement
    def test_a_repetition_is_known_after_later_attempts(self, verbs: Desk, settle: Settle) -> None:
        first = added_and_taken(verbs)
        verbs.release([first], NOW)
        second = take_one(verbs)
        verbs.finish(finish(second), NOW, DAY)
        assert verbs.release([first], NOW) == [Verdict.REPEATED]
        assert settle(verbs, [first]) == [Verdict.REPEATED if settle is SETTLE["release"] else Verdict.LOST]
        assert state(verbs, "a") is State.DONE

    @pytest.mark.parametrize("other", ["fail", "retry", "release", "recover"])
    def test_a_finished_task_stays_finished(self, verbs: Desk, other: str) -> None:
        lease = added_and_taken(verbs)
        verbs.finish(finish(lease, b"result"), NOW, DAY)
        before = get(verbs, "a")
        assert SETTLE[other](verbs, [lease]) == [Verdict.LOST]
        assert get(verbs, "a") == before

    def test_fail_and_retry_are_two_words(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.fail(fail(lease, again(60)), NOW, DAY)
        assert verbs.retry(retry(lease, again(0)), NOW, DAY) == [Verdict.LOST]
        assert get(verbs, "a").failures == 1

    def test_a_batch_is_judged_one_by_one(self, verbs: Desk) -> None:
        add(verbs, *(f"t{i}" for i in range(300)))
        leases = [taken.lease for taken in take(verbs, 300)]
        verbs.release(leases[::3], NOW)
        said = SETTLE["finish"](verbs, leases)
        assert [i for i, verdict in enumerate(said) if verdict is Verdict.LOST] == [*range(0, 300, 3)]
        assert said.count(Verdict.ACCEPTED) == 200
        assert counts(verbs) == {"mail": {State.WAITING: 100, State.DONE: 200}}

    @each_settlement
    def test_settling_nothing_is_fine(self, verbs: Desk, settle: Settle) -> None:
        assert settle(verbs, []) == []


class Finishing(ContractBase):
    """finish"""

    def test_the_result_is_kept(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.finish(finish(lease, b"result"), NOW + 5, DAY)
        found = get(verbs, "a")
        assert (found.state, found.output, found.output_size) == (State.DONE, b"result", 6)
        assert (found.started, found.ended, found.expires) == (NOW, NOW + 5, NOW + 5 + DAY)
        assert counts(verbs) == {"mail": {State.DONE: 1}}

    def test_an_empty_result_is_a_result(self, verbs: Desk) -> None:
        verbs.finish(finish(added_and_taken(verbs), b""), NOW, DAY)
        assert (get(verbs, "a").state, get(verbs, "a").output) == (State.DONE, b"")

    def test_earlier_failures_stay_counted_but_their_error_is_gone(self, verbs: Desk) -> None:
        verbs.fail(fail(added_and_taken(verbs), again(0), b"oops"), NOW, DAY)
        verbs.finish(finish(take_one(verbs)), NOW, DAY)
        found = get(verbs, "a")
        assert (found.failures, found.error, found.reason) == (1, None, None)


class Failing(ContractBase):
    """fail and retry"""

    def test_again_later_means_scheduled(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.fail(fail(lease, again(30), b"oops"), NOW, DAY)
        found = get(verbs, "a")
        assert (found.state, found.due, found.failures) == (State.SCHEDULED, NOW + 30, 1)
        assert (found.error, found.reason, found.ended) == (b"oops", None, None)
        assert verbs.next_due() == NOW + 30
        assert counts(verbs) == {"mail": {State.SCHEDULED: 1}}

    @pytest.mark.parametrize("seconds", [0.0, -30.0])
    def test_again_at_once_means_waiting_at_the_tail(self, verbs: Desk, seconds: float) -> None:
        lease = added_and_taken(verbs)
        add(verbs, "b")
        verbs.fail(fail(lease, again(seconds)), NOW, DAY)
        assert (state(verbs, "a"), get(verbs, "a").due) == (State.WAITING, None)
        assert [taken.id for taken in take(verbs, 2)] == ["b", "a"]

    def test_burying_means_failed_with_the_reason(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.fail(fail(lease, Bury("failed 5 times"), b"oops"), NOW + 2, DAY)
        found = get(verbs, "a")
        assert (found.state, found.reason, found.error) == (State.FAILED, "failed 5 times", b"oops")
        assert (found.failures, found.ended, found.expires) == (1, NOW + 2, NOW + 2 + DAY)

    def test_retry_goes_to_the_tail_and_counts(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        add(verbs, "b")
        assert verbs.retry(retry(lease, Again(NOW)), NOW, DAY) == [Verdict.ACCEPTED]
        found = get(verbs, "a")
        assert (found.state, found.failures, found.error) == (State.WAITING, 1, None)
        assert [taken.id for taken in take(verbs, 2)] == ["b", "a"]

    def test_retry_without_attempts_left_is_failed(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.retry(retry(lease, Bury("given back 5 times"), b"not yet"), NOW, DAY)
        found = get(verbs, "a")
        assert (found.state, found.reason, found.error) == (State.FAILED, "given back 5 times", b"not yet")

    def test_the_error_shown_is_the_last_attempt_s(self, verbs: Desk) -> None:
        verbs.fail(fail(added_and_taken(verbs), again(0), b"first"), NOW, DAY)
        lease = take_one(verbs)
        assert get(verbs, "a").error is None, "a running attempt has no error yet"
        verbs.fail(fail(lease, again(0), b"second"), NOW, DAY)
        assert get(verbs, "a").error == b"second"
        verbs.release([take_one(verbs)], NOW)
        assert get(verbs, "a").error is None, "the last attempt was given back without an error"

    def test_a_batch_keeps_its_order_at_the_tail(self, verbs: Desk) -> None:
        add(verbs, "a", "b", "c")
        leases = {taken.id: taken.lease for taken in take(verbs, 3)}
        verbs.fail([(Fail(leases[id_], b"no"), again(0)) for id_ in ("c", "a", "b")], NOW, DAY)
        assert [taken.id for taken in take(verbs, 3)] == ["c", "a", "b"]


class Returning(ContractBase):
    """release and recover"""

    def test_a_released_task_has_its_old_place_and_no_mark(self, verbs: Desk) -> None:
        add(verbs, "a", "b", "c")
        lease = take_one(verbs)
        take_one(verbs)
        assert verbs.release([lease], NOW) == [Verdict.ACCEPTED]
        found = get(verbs, "a")
        assert (found.state, found.failures, found.crashes, found.lost) == (State.WAITING, 0, 0, 0)
        assert (found.attempt, found.reason, found.error) == (1, None, None)
        assert [taken.id for taken in take(verbs, 2)] == ["a", "c"]

    @pytest.mark.parametrize(
        ("outcome", "counters"),
        [(Outcome.CRASHED, (0, 1, 0)), (Outcome.LOST, (0, 0, 1)), (Outcome.RELEASED, (0, 0, 0))],
    )
    def test_a_recovered_task_has_its_old_place_and_the_right_counter(
        self, verbs: Desk, outcome: Outcome, counters: tuple[int, int, int]
    ) -> None:
        add(verbs, "a", "b")
        lease = take_one(verbs)
        assert verbs.recover([recovery(lease, outcome, Back(), "SIGSEGV")], NOW, DAY) == [Verdict.ACCEPTED]
        found = get(verbs, "a")
        assert (found.state, found.reason) == (State.WAITING, None)
        assert (found.failures, found.crashes, found.lost) == counters
        assert [taken.id for taken in [*take(verbs), *take(verbs)]] == ["a", "b"]

    def test_a_task_that_killed_too_many_workers_is_parked(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        parked = recovery(lease, Outcome.CRASHED, Bury("crashed 3 times: SIGSEGV"), "SIGSEGV")
        assert verbs.recover([parked], NOW + 1, DAY) == [Verdict.ACCEPTED]
        found = get(verbs, "a")
        assert (found.state, found.reason) == (State.FAILED, "crashed 3 times: SIGSEGV")
        assert (found.crashes, found.ended, found.expires) == (1, NOW + 1, NOW + 1 + DAY)
        assert take(verbs) == []

    def test_a_result_that_came_first_wins_over_recovery(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs, new("a"))
        verbs.finish(finish(lease), NOW, DAY)
        assert verbs.recover([recovery(lease, Outcome.LOST, Back())], NOW, DAY) == [Verdict.LOST]
        assert (state(verbs, "a"), get(verbs, "a").lost) == (State.DONE, 0)


class Settling(Fencing, Finishing, Failing, Returning):
    """All of them."""
