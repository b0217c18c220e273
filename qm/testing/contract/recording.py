"""What is kept of attempts, and of tasks that are cancelled while they run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qm.limits import BATCH_BYTES, LOG_MAX, RECORDS_MAX
from qm.messages import Details, Fail, Finish, Verdict
from qm.policy.decision import Back, Bury, Cancel, Decision
from qm.store.base import Recovery, Store
from qm.task import Attempt, Lease, Outcome, PackedAttempt, State
from qm.testing.contract.base import ContractBase, Desk
from qm.testing.contract.samples import (
    DAY,
    NOW,
    OTHER_SLOT,
    SLOT,
    STRAY,
    WORKER,
    add,
    added_and_taken,
    again,
    counts,
    fail,
    finish,
    get,
    recovery,
    retry,
    state,
    take_one,
)

DETAILS = Details(pid=4712, exitcode=-11, peak_memory=2**40, log="last\nwords \u2028 ü")


def timed_out(
    lease: Lease, decision: Decision, details: Details | None = None
) -> list[tuple[Fail, Decision]]:
    """A batch with one attempt that was over its time."""
    return [(Fail(lease, b"slow", True, Outcome.TIMEOUT, details), decision)]


class Attempts(ContractBase):
    """attempts"""

    def test_a_task_that_never_ran_has_none(self, verbs: Desk) -> None:
        add(verbs, "a")
        assert list(verbs.attempts("a")) == list(verbs.attempts("nobody")) == []

    def test_one_that_runs_is_not_told_before_it_ends(self, verbs: Desk) -> None:
        verbs.attach(WORKER, NOW - 9)
        lease = added_and_taken(verbs)
        assert list(verbs.attempts("a")) == []
        verbs.finish(finish(lease), NOW + 3, DAY)
        quiet: PackedAttempt = Attempt(
            attempt=1, outcome=Outcome.OK, started=NOW, ended=NOW + 3, worker="alpha:4711"
        )
        assert list(verbs.attempts("a")) == [quiet]

    def test_every_kind_of_end_is_told_with_what_is_known_of_it(self, verbs: Desk) -> None:
        add(verbs, "a")
        verbs.fail(fail(take_one(verbs), again(0), b"first"), NOW, DAY)
        verbs.fail(timed_out(take_one(verbs), again(0), DETAILS), NOW, DAY)
        verbs.retry(retry(take_one(verbs), again(0)), NOW, DAY)
        verbs.release([take_one(verbs)], NOW)
        crash = Recovery(
            lease=take_one(verbs), outcome=Outcome.CRASHED, decision=Back(), cause="SIGSEGV", details=DETAILS
        )
        verbs.recover([crash], NOW, DAY)
        verbs.finish([Finish(take_one(verbs), b"", Details(log="so"))], NOW, DAY)
        ends = [
            (one.attempt, one.outcome, one.error, one.cause, one.pid, one.exitcode, one.peak_memory, one.log)
            for one in verbs.attempts("a")
        ]
        known = (DETAILS.pid, DETAILS.exitcode, DETAILS.peak_memory, DETAILS.log)
        unknown = (None, None, None, "")
        assert ends == [
            (6, Outcome.OK, None, None, None, None, None, "so"),
            (5, Outcome.CRASHED, None, "SIGSEGV", *known),
            (4, Outcome.RELEASED, None, None, *unknown),
            (3, Outcome.ERROR, None, None, *unknown),
            (2, Outcome.TIMEOUT, b"slow", None, *known),
            (1, Outcome.ERROR, b"first", None, *unknown),
        ]

    def test_what_is_said_twice_is_kept_once(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        item = Finish(lease, b"", Details(log="once"))
        assert list(verbs.finish([item, item], NOW, DAY)) == [Verdict.ACCEPTED, Verdict.REPEATED]
        assert list(verbs.finish([item], NOW, DAY)) == [Verdict.REPEATED]
        assert [one.log for one in verbs.attempts("a")] == ["once"]

    def test_what_comes_too_late_leaves_nothing(self, verbs: Desk) -> None:
        verbs.finish([Finish(STRAY, b"", DETAILS)], NOW, DAY)
        assert list(verbs.attempts(STRAY.id)) == []

    def test_a_long_history_comes_in_parts(self, verbs: Desk) -> None:
        add(verbs, "a")
        tries = BATCH_BYTES // LOG_MAX + 4
        for _ in range(tries):
            verbs.fail(timed_out(take_one(verbs), again(0), Details(log="x" * LOG_MAX)), NOW, DAY)
        first = [one.attempt for one in verbs.attempts("a")]
        assert 1 <= len(first) < tries
        rest = [one.attempt for one in verbs.attempts("a", first[-1])]
        assert first + rest == [*range(tries, 0, -1)]
        assert list(verbs.attempts("a", 1)) == []

    def test_a_history_of_many_comes_in_parts_too(self, verbs: Desk) -> None:
        """They have to find room in an answer, however little each is."""
        add(verbs, "a")
        for _ in range(RECORDS_MAX + 2):
            verbs.release([take_one(verbs)], NOW)
        first = [one.attempt for one in verbs.attempts("a")]
        assert first == [*range(RECORDS_MAX + 2, 2, -1)]
        assert [one.attempt for one in verbs.attempts("a", first[-1])] == [2, 1]

    def test_a_part_of_a_long_history_is_measured_in_bytes(self, verbs: Desk) -> None:
        """In characters, sixteen such logs would be more than a frame can carry."""
        add(verbs, "a")
        log = "\U0001f600" * LOG_MAX
        for _ in range(BATCH_BYTES // LOG_MAX):
            verbs.fail(timed_out(take_one(verbs), again(0), Details(log=log)), NOW, DAY)
        found = verbs.attempts("a")
        assert 1 <= sum(len(one.log.encode()) for one in found) <= BATCH_BYTES

    def test_they_go_with_their_task(self, verbs: Desk) -> None:
        verbs.fail(timed_out(added_and_taken(verbs), Bury("no"), DETAILS), NOW, DAY)
        verbs.forget(["a"], NOW)
        assert list(verbs.attempts("a")) == []

    def test_they_outlive_the_store(self, store: Store, reopen: Callable[[], Store]) -> None:
        store.fail(timed_out(added_and_taken(store), Bury("no"), DETAILS), NOW, DAY)
        before = list(store.attempts("a"))
        store.close()
        again_ = reopen()
        assert list(again_.attempts("a")) == before
        again_.close()


class Stopping(ContractBase):
    """cancel of what runs, and what then becomes of it"""

    def test_it_is_noted_and_told_to_those_who_ask(self, verbs: Desk) -> None:
        add(verbs, "a", "b", "c")
        a, b = take_one(verbs), take_one(verbs, slot=OTHER_SLOT)
        assert list(verbs.cancelling()) == []
        assert list(verbs.cancel(["a", "b"], NOW, DAY)) == [State.RUNNING] * 2
        assert (get(verbs, "a").state, get(verbs, "a").cancelling) == (State.RUNNING, True)
        assert sorted(verbs.cancelling()) == [(SLOT.session, a), (OTHER_SLOT.session, b)]
        assert list(verbs.cancelling(["b", "c", "nobody", "b"])) == [(OTHER_SLOT.session, b)]
        assert [held.cancelling for held in verbs.held(SLOT)] == [True]
        assert [held and held.cancelling for held in verbs.leased([b, STRAY])] == [True, None]
        assert counts(verbs) == {"mail": {State.RUNNING: 2, State.WAITING: 1}}

    def test_saying_it_twice_changes_nothing(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        assert list(verbs.cancel(["a", "a"], NOW, DAY)) == [State.RUNNING] * 2
        assert list(verbs.cancel(["a"], NOW + 1, DAY)) == [State.RUNNING]
        assert list(verbs.cancelling()) == [(SLOT.session, lease)]

    def test_a_result_that_comes_first_counts(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.cancel(["a"], NOW, DAY)
        assert list(verbs.finish(finish(lease), NOW, DAY)) == [Verdict.ACCEPTED]
        assert (state(verbs, "a"), get(verbs, "a").cancelling) == (State.DONE, False)
        assert list(verbs.cancelling()) == []

    @pytest.mark.parametrize("verb", ["fail", "retry", "recover"])
    def test_policy_may_say_that_it_ends_as_cancelled(self, verbs: Desk, verb: str) -> None:
        lease = added_and_taken(verbs)
        verbs.cancel(["a"], NOW, DAY)
        if verb == "fail":
            said = verbs.fail([(Fail(lease, b"", True, Outcome.CANCELLED), Cancel())], NOW + 1, DAY)
        elif verb == "retry":
            said = verbs.retry(retry(lease, Cancel()), NOW + 1, DAY)
        else:
            stopped = Recovery(lease=lease, outcome=Outcome.CRASHED, decision=Cancel())
            said = verbs.recover([stopped], NOW + 1, DAY)
        assert list(said) == [Verdict.ACCEPTED]
        found = get(verbs, "a")
        assert (found.state, found.failures, found.lost) == (State.CANCELLED, 0, 0)
        assert (found.ended, found.expires, found.reason) == (NOW + 1, NOW + 1 + DAY, None)
        assert (found.cancelling, list(verbs.cancelling())) == (False, [])
        assert counts(verbs) == {"mail": {State.CANCELLED: 1}}

    def test_a_task_that_is_requeued_is_not_wanted_gone_any_more(self, verbs: Desk) -> None:
        lease = added_and_taken(verbs)
        verbs.cancel(["a"], NOW, DAY)
        verbs.fail(fail(lease, Bury("no")), NOW, DAY)
        verbs.requeue(["a"], NOW)
        take_one(verbs)
        assert not get(verbs, "a").cancelling
        assert list(verbs.cancelling()) == []

    def test_the_wish_outlives_the_attempt(self, verbs: Desk) -> None:
        """A store does as it is told; who puts the task back must know."""
        lease = added_and_taken(verbs)
        verbs.cancel(["a"], NOW, DAY)
        verbs.recover([recovery(lease, Outcome.LOST, Back())], NOW, DAY)
        assert not get(verbs, "a").cancelling
        lease = take_one(verbs)
        assert list(verbs.cancelling()) == [(SLOT.session, lease)]

    def test_the_wish_outlives_the_store(self, store: Store, reopen: Callable[[], Store]) -> None:
        lease = added_and_taken(store)
        store.cancel(["a"], NOW, DAY)
        store.close()
        again_ = reopen()
        assert list(again_.cancelling()) == [(SLOT.session, lease)]
        again_.close()


class Recording(Attempts, Stopping):
    """All of them."""
