"""What workers say, through a real connection to a manager in this process."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

import pytest

from qm.client import Client, new_task
from qm.errors import BadPayload, BadRequest, LeaseLost, SessionLost, TooLarge, Unreachable
from qm.limits import ADD_CHUNK, IDS_MAX, PAYLOAD_MAX, SESSION_TERM
from qm.messages import (
    Attached,
    Claim,
    Crash,
    Fail,
    Finish,
    Orders,
    Progress,
    Release,
    Retry,
    Settlement,
    Slot,
    Taken,
    TypeOptions,
    Verdict,
    WorkerInfo,
)
from qm.payload import pack, unpack
from qm.task import Lease, State
from qm.testing import RunningManager
from tests.client.wire import Wire
from tests.client.worker import FAILURE
from tests.queue.bench import Call, Sleepers

SLOT = Slot("pool", 0, 0)
STRAY = Lease("stranger", 1, 42)


@pytest.fixture
def client(manager: RunningManager) -> Client:
    """A client with an open session that serves mail."""
    client = manager.client()
    attach(client)
    return client


def attach(client: Client, **options: int) -> Attached:
    types = {"mail": TypeOptions(**options)}
    return client.attach(WorkerInfo(session="pool", host="alpha", pid=4711, processes=2, types=types))


def take(client: Client, number: int = 1, *, size: int = 1) -> list[Lease]:
    """Leases of tasks that are added and taken now."""
    client.add_many(new_task("mail", bytes(size), id=f"t{n}") for n in range(number))
    leases: list[Lease] = []
    while len(leases) < number:
        leases += [task.lease for task in client.take_many(SLOT, ["mail"], number, holding=leases)]
    return leases


def state(client: Client, id_: str = "t0") -> State:
    return client.get(id_).state


def test_attach_gives_the_term_and_says_what_the_types_want(client: Client) -> None:
    assert attach(client, attempts=1) == Attached(SESSION_TERM)
    (lease,) = take(client)
    client.fail(lease, FAILURE)
    assert (state(client), client.get("t0").error) == (State.FAILED, FAILURE)


def test_renew_keeps_the_session_and_waits_for_orders(client: Client, sleepers: Sleepers) -> None:
    assert client.renew("pool") == Orders()
    assert sleepers.seconds == []
    renewing = Call(client.renew, "pool", 60)
    sleepers.expect()
    assert client.renew("pool", 60, draining=True) == Orders()
    assert renewing.answer() == Orders()
    assert sleepers.seconds == [SESSION_TERM / 3]
    with pytest.raises(SessionLost) as caught:
        client.renew("stranger")
    assert caught.value.hint == "attach again"


def test_a_renewal_whose_manager_was_lost_is_said_again_without_a_wait(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is killed every few seconds must not keep the pool from learning that it lives."""
    waits: list[float] = []

    def renew(session: str, wait: float, *rest: object) -> Orders:
        waits.append(wait)
        if len(waits) < 3:
            raise Unreachable("killed")
        return Orders()

    monkeypatch.setattr(client._queue, "renew", renew)
    assert client.renew("pool", 10.0) == Orders()
    assert waits == [10.0, 0.0, 0.0]


def test_detach_gives_back_what_the_session_holds(client: Client) -> None:
    take(client)
    client.detach("pool")
    client.detach("pool")
    assert (state(client), client.get("t0").lost) == (State.WAITING, 0)
    with pytest.raises(SessionLost):
        client.take(SLOT, ["mail"])


def test_crashed_charges_the_task_that_ran(client: Client) -> None:
    first, _ = take(client, 2)
    client.crashed(Crash(slot=SLOT, exitcode=-signal.SIGKILL, current=first))
    assert [client.get(id_).crashes for id_ in ("t0", "t1")] == [1, 0]
    assert client.status().states[State.WAITING] == 2


def test_a_taken_task_is_what_a_worker_needs(client: Client) -> None:
    client.add("mail", {"to": "ann"}, id="a", priority=3, timeout=9)
    taken = client.take(SLOT, ["mail", "sms"])
    assert taken is not None
    assert (taken.id, taken.type, unpack(taken.input)) == ("a", "mail", {"to": "ann"})
    assert (taken.priority, taken.timeout, taken.failures) == (3, 9, 0)
    assert client.take(SLOT, ["mail", "sms"], holding=[taken.lease]) is None


def test_take_waits_for_a_task(client: Client, manager: RunningManager, sleepers: Sleepers) -> None:
    taker = Call(client.take, SLOT, ["mail"], 20)
    sleepers.expect()
    manager.client().add("mail", id="a")
    taken = taker.answer()
    assert isinstance(taken, Taken) and taken.id == "a"


def test_take_waits_over_as_many_calls_as_it_takes(
    client: Client, manager: RunningManager, sleepers: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qm.client.working.WAIT_MAX", 0.01)
    taker = Call(client.take, SLOT, ["mail"], 60)
    sleepers.expect(4)
    manager.client().add("mail", id="a")
    assert taker.answer().id == "a"


def test_a_take_that_can_get_nothing_any_more_asks_only_once(
    client: Client, manager: RunningManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not spin until its time is over."""
    client.renew("pool", draining=True)
    asked = []
    take = manager.queue.take

    def watched(claim: Claim, wait: float = 0, caller: Any = None) -> Sequence[Taken]:
        asked.append(wait)
        return take(claim, wait, caller)

    monkeypatch.setattr(manager.queue, "take", watched)
    assert client.take(SLOT, ["mail"], 20) is None
    assert len(asked) == 1


def test_take_many_takes_up_to_its_limit(client: Client) -> None:
    client.add_many(new_task("mail", n) for n in range(3))
    assert len(client.take_many(SLOT, ["mail"], 2)) == 2
    assert client.take_many(Slot("pool", 1, 0), ["sms"], 2) == []


def test_a_take_whose_answer_is_lost_leaves_nothing_behind(manager: RunningManager, wire: Wire) -> None:
    with Client(wire.address, manager.authkey) as client:
        attach(client)
        client.add("mail", id="a")
        wire.lose_answers(2)
        taken = client.take(SLOT, ["mail"])
        assert taken is not None and taken.lease.attempt == 3
        client.finish(taken.lease, "ok")
        task = client.get("a")
        assert (task.output, task.failures, task.crashes, task.lost) == ("ok", 0, 0, 0)


def test_each_settlement_in_the_singular(client: Client) -> None:
    finished, failed, buried, retried, released = take(client, 5)
    client.finish(finished, {"out": 1})
    client.fail(failed, FAILURE)
    client.fail(buried, FAILURE, retryable=False)
    client.retry(retried)
    client.release(released)
    tasks = client.get_many([f"t{n}" for n in range(5)])
    assert [(task.state.value, task.failures) for task in tasks] == [
        ("done", 0),
        ("scheduled", 1),
        ("failed", 1),
        ("waiting", 1),
        ("waiting", 0),
    ]
    assert (tasks[0].output, tasks[1].error) == ({"out": 1}, FAILURE)


def test_a_retry_may_say_why(client: Client) -> None:
    (lease,) = take(client)
    client.retry(lease, FAILURE)
    assert client.get("t0").error == FAILURE


def test_each_settlement_in_the_plural_has_a_verdict_in_order(client: Client) -> None:
    a, b, c, d = take(client, 4)
    accepted_lost = [Verdict.ACCEPTED, Verdict.LOST]
    assert client.finish_many([Finish(a, pack(1)), Finish(STRAY, b"")]) == accepted_lost
    assert client.fail_many([Fail(b, b""), Fail(STRAY, b"")]) == accepted_lost
    assert client.retry_many([Retry(c), Retry(STRAY)]) == accepted_lost
    assert client.release_many(lease for lease in (d, STRAY)) == accepted_lost
    assert client.progress_many([Progress(d, 0.5)]) == [Verdict.LOST]
    assert client.finish_many([]) == []


def test_a_lease_that_is_lost_is_an_error_and_one_settled_before_is_not(client: Client) -> None:
    (lease,) = take(client)
    client.finish(lease, 1)
    client.finish(lease, 1)
    for say in (
        lambda: client.finish(STRAY),
        lambda: client.fail(lease, FAILURE),
        lambda: client.retry(lease),
        lambda: client.release(lease),
        lambda: client.progress(lease, 0.5),
    ):
        with pytest.raises(LeaseLost, match="no longer held") as caught:
            say()
        assert caught.value.hint == "drop its result"


def test_progress_is_shown(client: Client) -> None:
    (lease,) = take(client)
    client.progress(lease, 0.25, "page 1 of 4")
    task = client.get("t0")
    assert (task.progress, task.note, task.worker) == (0.25, "page 1 of 4", "alpha:4711")
    with pytest.raises(BadRequest, match="not between 0 and 1"):
        client.progress(lease, 25)


def test_a_result_that_cannot_be_packed_is_an_error_and_nothing_is_settled(client: Client) -> None:
    (lease,) = take(client)
    with pytest.raises(BadPayload):
        client.finish(lease, object())
    with pytest.raises(TooLarge):
        client.finish(lease, bytes(PAYLOAD_MAX))
    assert state(client) is State.RUNNING


def test_exchange_settles_and_takes(client: Client) -> None:
    (lease,) = take(client)
    client.add("mail", id="next")
    answer = client.exchange(SLOT, [Finish(lease, pack("ok"))], ["mail"])
    assert (answer.verdicts, [task.id for task in answer.tasks]) == ([Verdict.ACCEPTED], ["next"])
    assert client.result("t0") == "ok"


def test_exchange_with_nothing_to_settle_is_a_take(client: Client, sleepers: Sleepers) -> None:
    client.add("mail", id="a")
    answer = client.exchange(SLOT, [], ["mail"], wait=20)
    assert (answer.verdicts, [task.id for task in answer.tasks], sleepers.seconds) == ([], ["a"], [])


def test_an_exchange_whose_answer_is_lost_is_said_again(manager: RunningManager, wire: Wire) -> None:
    with Client(wire.address, manager.authkey) as client:
        attach(client)
        (lease,) = take(client)
        client.add("mail", id="next")
        wire.lose_answers(2)
        answer = client.exchange(SLOT, [Finish(lease, pack("ok"))], ["mail"])
        assert (answer.verdicts, [task.id for task in answer.tasks]) == ([Verdict.REPEATED], ["next"])
        assert client.result("t0") == "ok"
        assert client.get("next").lost == 0


def test_outcomes_too_large_for_one_frame_go_in_several(client: Client) -> None:
    leases = take(client, 12)
    large = bytes(PAYLOAD_MAX)
    assert client.finish_many([Finish(lease, large) for lease in leases[:6]]) == [Verdict.ACCEPTED] * 6
    client.add("mail", id="next")
    said: list[Settlement] = [Finish(lease, large) for lease in leases[6:11]]
    answer = client.exchange(SLOT, [Release(STRAY), *said], ["mail"], holding=[leases[11]])
    assert answer.verdicts == [Verdict.LOST, *[Verdict.ACCEPTED] * 5]
    assert [task.id for task in answer.tasks] == ["next"]
    assert state(client, "t11") is State.RUNNING, "what the slot still holds was taken from it"
    assert client.status().states[State.DONE] == 11
    assert client.get("t11").attempt == client.get("t10").attempt == 1


def test_more_outcomes_than_one_call_may_carry_go_in_several(client: Client) -> None:
    leases = take(client, IDS_MAX + ADD_CHUNK // 2)
    verdicts = client.finish_many([Finish(lease, b"\xc0") for lease in leases])
    assert verdicts == [Verdict.ACCEPTED] * len(leases)
    assert client.progress_many([Progress(lease, 1) for lease in leases]) == [Verdict.LOST] * len(leases)


def test_eight_slots_share_a_client_and_each_task_is_run_once(client: Client, sleepers: Sleepers) -> None:
    def work(index: int) -> list[str]:
        done: list[str] = []
        settlements: list[Settlement] = []
        while True:
            slot = Slot("pool", index, 0)
            answer = client.exchange(slot, settlements, ["mail"], limit=3, wait=0 if settlements else 20)
            assert set(answer.verdicts) <= {Verdict.ACCEPTED}
            if not answer.tasks and not settlements:
                return done
            done += [task.id for task in answer.tasks]
            settlements = [Finish(task.lease, task.input) for task in answer.tasks]

    calls = [Call(work, index) for index in range(8)]
    sleepers.expect(8)
    ids = client.add_many(new_task("mail", n) for n in range(300))
    assert [task.state for task in client.get_many(ids, wait=60)] == [State.DONE] * 300
    client.renew("pool", draining=True)
    done = [id_ for call in calls for id_ in call.answer()]
    assert sorted(done) == sorted(ids)
