"""Clients with payload keys: the manager and the owner of its store see nothing, and move nothing unseen."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from qm.client import Client, new_task
from qm.errors import BadPayload, BadRequest, IdConflict, Sealed
from qm.ids import new_id
from qm.limits import PAYLOAD_MAX
from qm.messages import (
    NOTE_MAX,
    Crash,
    Details,
    Fail,
    Finish,
    Progress,
    Retry,
    Slot,
    Taken,
    TypeOptions,
    WorkerInfo,
)
from qm.payload import Unopened, pack, pack_failure, unpack
from qm.sealing import PayloadKeys, new_key
from qm.store.sqlite import SQLiteStore
from qm.task import Failure, Outcome, State, Task
from qm.testing import RunningManager, running_manager

OLD, NEW, OTHER = new_key(), new_key(), new_key()

SECRET = "the name of the patient"


class Hand:
    """A worker that does what a test tells it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.slot = Slot(new_id(), 0, 0)
        types = {"mail": TypeOptions(), "sms": TypeOptions()}
        client.attach(WorkerInfo(session=self.slot.session, host="here", pid=1, processes=1, types=types))

    def take(self) -> Taken:
        taken = self.client.take(self.slot, ["mail", "sms"])
        assert taken is not None
        return taken

    def finish(self, output: Any) -> Taken:
        taken = self.take()
        self.client.finish(taken.lease, output)
        return taken


class Owner:
    """Who owns the store, and changes it at will."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._db = apsw.Connection(str(path))
        self._db.set_busy_timeout(10_000)

    def say(self, sql: str, *values: Any) -> list[Any]:
        return list(self._db.execute(sql, values))

    def number(self, id_: str) -> int:
        number: int = self.say("SELECT n FROM tasks WHERE id = ?", id_)[0][0]
        return number

    def sees(self, text: str) -> bool:
        """Whether the text is in any file of the store."""
        return any(text.encode() in file.read_bytes() for file in self._folder.iterdir() if file.is_file())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def manager(path: Path) -> Iterator[RunningManager]:
    store = SQLiteStore.open(path)
    with running_manager(store) as manager:
        yield manager
    store.close()


@pytest.fixture
def owner(manager: RunningManager, path: Path) -> Owner:
    return Owner(path)


@pytest.fixture
def client(manager: RunningManager) -> Client:
    return manager.client(payload_keys=[NEW])


@pytest.fixture
def hand(client: Client) -> Hand:
    return Hand(client)


def test_the_store_holds_nothing_in_words(client: Client, hand: Hand, owner: Owner) -> None:
    failure, details = Failure(SECRET, SECRET, SECRET), Details(pid=7, log=SECRET)
    client.add("mail", SECRET, id="done")
    taken = hand.take()
    assert unpack(taken.input) == SECRET
    client.progress(taken.lease, 0.5, SECRET)
    assert client.get("done").note == SECRET
    client.finish_many([Finish(taken.lease, pack(SECRET), details)])
    client.add_many([new_task("mail", {SECRET: SECRET}, id="failed", attempts=9)])
    client.retry(hand.take().lease, failure)
    lease = hand.take().lease
    client.exchange(hand.slot, [Fail(lease, pack_failure(failure), False, Outcome.ERROR, details)], [], 0)
    client.add("sms", SECRET, id="crashed")
    crash = Crash(slot=hand.slot, exitcode=-11, current=hand.take().lease, details=details)
    client.crashed(crash)

    assert (client.result("done"), client.get("done").input) == (SECRET, SECRET)
    assert client.get("failed").error == failure
    assert [attempt.error for attempt in client.attempts("failed")] == [failure, failure]
    assert [attempt.log for attempt in client.attempts("failed")] == ["", SECRET]
    assert client.attempts("done")[0].log == client.attempts("crashed")[0].log == SECRET
    listed = {task.id: task for task in client.list().tasks}
    assert (listed["done"].output, listed["crashed"].input) == (SECRET, SECRET)
    assert not owner.sees(SECRET)
    assert owner.sees("crashed"), "it would have been seen"


def test_the_dump_of_a_killed_child_is_sealed(client: Client, hand: Hand, owner: Owner) -> None:
    client.add("mail", id="t", attempts=1)
    error = pack_failure(Failure("TimeLimitExceeded", SECRET, SECRET))
    crash = Crash(
        slot=hand.slot, exitcode=-9, current=hand.take().lease, outcome=Outcome.TIMEOUT, error=error
    )
    client.crashed(crash)
    assert client.get("t").error == Failure("TimeLimitExceeded", SECRET, SECRET)
    assert not owner.sees(SECRET)


def test_a_child_that_died_without_a_task_says_nothing_of_those_before(
    manager: RunningManager, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Crash] = []
    monkeypatch.setattr(manager.queue, "crashed", heard.append)
    hand.client.crashed(Crash(slot=hand.slot, exitcode=1, details=Details(log=SECRET)))
    assert [crash.details for crash in heard] == [None]


def test_who_has_no_key_or_another_one_sees_that_it_is_sealed(
    manager: RunningManager, client: Client, hand: Hand
) -> None:
    client.add("mail", SECRET, id="done")
    hand.finish(SECRET)
    client.add("mail", SECRET, id="failed")
    details = Details(log=SECRET)
    error = pack_failure(Failure("E", SECRET))
    client.fail_many([Fail(hand.take().lease, error, retryable=False, details=details)])
    for other in (manager.client(), manager.client(payload_keys=[OTHER])):
        task = other.get("done")
        assert str(task.input) == f"sealed ({task.input_size} bytes)"
        assert isinstance(task.output, Unopened) and task.output.sealed
        with pytest.raises(Sealed, match="no key here opens it"):
            other.result("done")
        assert str(other.list(type="mail").tasks[0].input).startswith("sealed (")
        failure = other.get("failed").error
        assert failure is not None and failure.type == "Sealed"
        (attempt,) = other.attempts("failed")
        assert attempt.log.startswith("sealed (") and attempt.error == failure


def test_an_input_moved_to_another_task_is_not_run(client: Client, hand: Hand, owner: Owner) -> None:
    client.add_many([new_task("mail", "mine", id="mine"), new_task("mail", "yours", id="yours")])
    owner.say("UPDATE tasks SET input = (SELECT input FROM tasks WHERE id = 'yours') WHERE id = 'mine'")
    taken = hand.take()
    with pytest.raises(BadPayload, match="task mine was sealed as the input of task yours"):
        unpack(taken.input)
    task = client.get("mine")
    assert isinstance(task.input, Unopened) and not task.input.sealed


def test_a_task_whose_type_was_changed_is_not_run(client: Client, hand: Hand, owner: Owner) -> None:
    client.add("mail", "x", id="t")
    client.add("sms", "y")  # so that the manager looks for any
    owner.say("UPDATE tasks SET type = 'sms' WHERE id = 't'")
    with pytest.raises(BadPayload, match="type mail"):
        unpack(hand.take().input)


def outputs(client: Client, hand: Hand) -> None:
    """Two done tasks, `a` and `b`, with outputs of their own."""
    client.add_many([new_task("mail", "in", id=id_) for id_ in "ab"])
    hand.finish("of a")
    hand.finish("of b")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE attempts SET output = (SELECT output FROM attempts WHERE n = :b) WHERE n = :a", "moved it"),
        ("UPDATE attempts SET output = (SELECT input FROM tasks WHERE n = :a) WHERE n = :a", "moved it"),
        ("UPDATE attempts SET output = x'a466616b65' WHERE n = :a", "not sealed"),
        ("UPDATE attempts SET output = NULL WHERE n = :a", "is gone"),
        ("UPDATE attempts SET output = x'' WHERE n = :a", "is gone"),
    ],
    ids=["another's", "its input", "forged", "deleted", "emptied"],
)
def test_an_output_that_somebody_changed_is_refused(
    client: Client, hand: Hand, owner: Owner, change: str, words: str
) -> None:
    outputs(client, hand)
    numbers = {name: owner.number(name) for name in "ab"}
    for name, number in numbers.items():
        change = change.replace(f":{name}", str(number))
    owner.say(change)
    with pytest.raises(BadPayload, match=words):
        client.result("a")
    assert client.result("b") == "of b"


def test_an_output_of_an_earlier_attempt_is_not_the_last_one_s(
    client: Client, hand: Hand, owner: Owner
) -> None:
    """Two workers had it: what the one made whose lease was lost is never given out for the other's."""
    client.add("mail", "in", id="a")
    first = hand.take()
    client.release(first.lease)
    hand.finish("of the second")
    assert client.get("a").attempt == 2
    number = owner.number("a")
    owner.say("UPDATE attempts SET attempt = 7 WHERE n = ? AND attempt = 2", number)
    owner.say("UPDATE tasks SET attempt = 7 WHERE n = ?", number)
    with pytest.raises(BadPayload, match="output of task a, attempt 2"):
        client.result("a")


def test_what_was_added_plain_is_refused_unless_it_is_accepted(
    manager: RunningManager, client: Client, hand: Hand
) -> None:
    plain, tolerant = manager.client(), manager.client(payload_keys=PayloadKeys((NEW,), accept_plain=True))
    plain.add("mail", "x", id="t")
    taken = hand.take()
    with pytest.raises(BadPayload, match="not sealed"):
        unpack(taken.input)
    assert tolerant.get("t").input == "x"
    plain.fail(taken.lease, Failure("E", "why", "where"), retryable=False)
    assert client.get("t").error == Failure("NotSealed", "anyone could have written this: E: why", "where")
    assert tolerant.get("t").error == Failure("E", "why", "where")


def test_a_rotation_with_tasks_in_flight_loses_none(manager: RunningManager) -> None:
    old, both, new = (manager.client(payload_keys=keys) for keys in ([OLD], [NEW, OLD], [NEW]))
    old.add_many([new_task("mail", n, id=f"t{n}") for n in range(4)])
    before, between, after = Hand(old), Hand(both), Hand(new)
    before.finish("old")  # t0: added and done before
    running = before.take()  # t1: runs while the keys change
    between.finish("both")  # t2: added before, done after
    new.add("mail", "new", id="t4")
    between.take()  # t3
    assert unpack(after.take().input) == "new"
    before.client.finish(running.lease, "old too")
    assert [both.result(f"t{n}") for n in range(3)] == ["old", "old too", "both"]
    assert new.result("t2") == "both", "what was sealed since the rotation"
    with pytest.raises(Sealed):
        new.result("t0")


def test_a_repeated_add_after_a_rotation_is_the_same_task(manager: RunningManager) -> None:
    old, both = manager.client(payload_keys=[OLD]), manager.client(payload_keys=[NEW, OLD])
    swapped = manager.client(payload_keys=[OLD, NEW])
    old.add("mail", [1], id="before")
    both.add("mail", [1], id="after")
    for one in (both, swapped):
        assert one.add("mail", [1], id="before") == "before"
        assert one.add("mail", [1], id="after") == "after"
        with pytest.raises(IdConflict):
            one.add("mail", [2], id="before")
        with pytest.raises(IdConflict):
            one.add("sms", [1], id="after")
    assert both.status().wait == 2
    mixed = [new_task("mail", [1], id=id_) for id_ in ("before", "fresh", "after")]
    assert both.add_many(mixed) == ["before", "fresh", "after"]
    assert both.status().wait == 3
    Hand(both).finish(1)
    both.forget("before")
    assert both.add("mail", [1], id="before") == "before", "known for a day"
    assert both.status().wait == 2


def test_the_digest_says_nothing_of_the_input(client: Client, owner: Owner) -> None:
    plain = new_task("mail", "x", id="a")
    client.add_many([plain, new_task("mail", "x", id="b")])
    digests = {digest for (digest,) in owner.say("SELECT digest FROM tasks")}
    assert len(digests) == 2 and plain.digest not in digests


def test_the_largest_payload_fits_sealed_too(client: Client, hand: Hand) -> None:
    largest = bytes(PAYLOAD_MAX - 5)
    client.add("mail", largest, id="t" * 64)
    assert unpack(hand.finish(largest).input) == largest
    assert client.result("t" * 64) == largest
    (listed,) = client.list().tasks
    assert (listed.input, listed.output) == (None, None), "left out by a list"
    assert listed.output_size > PAYLOAD_MAX


def test_the_largest_log_and_error_are_sealed_and_arrive(client: Client, hand: Hand) -> None:
    client.add("mail", id="t")
    long = "\U0001f600" * 70_000
    error = pack_failure(Failure(long, long, long))
    client.fail_many([Fail(hand.take().lease, error, False, details=Details(log="x" * 65536))])
    (attempt,) = client.attempts("t")
    assert attempt.error == client.get("t").error and attempt.error is not None
    assert len(attempt.error.traceback) == 32_768
    assert len(attempt.log) > 48_000 and {*attempt.log} == {"x"}


def test_a_note_is_bounded_before_it_is_sealed(client: Client, hand: Hand) -> None:
    client.add("mail", id="t")
    lease = hand.take().lease
    client.progress(lease, 0.5, "ä" * NOTE_MAX)
    assert client.get("t").note == "ä" * NOTE_MAX
    with pytest.raises(BadRequest, match="at most 200 characters"):
        client.progress_many([Progress(lease, 0.5, "x" * (NOTE_MAX + 1))])


def test_what_has_no_payload_passes_as_it_is(client: Client, hand: Hand) -> None:
    client.add("mail", id="t", attempts=9)
    client.retry_many([Retry(hand.take().lease)])
    client.release(hand.take().lease)
    assert [attempt.error for attempt in client.attempts("t")] == [None, None]
    assert client.cancel("t") is State.CANCELLED
    task: Task = client.get("t")
    assert (task.input, task.output, task.error) == (None, None, None)


def test_the_environment_gives_a_client_its_keys(
    manager: RunningManager, client: Client, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.add("mail", "x", id="t")
    hand.finish("y")
    monkeypatch.setenv("QM_PAYLOAD_KEYS", f"{OTHER}, {NEW}")
    with Client(manager.address, manager.authkey) as other:
        assert other.result("t") == "y"
    with pytest.raises(Sealed):
        manager.client(payload_keys=()).result("t")


def test_a_client_without_keys_calls_the_proxy_itself(manager: RunningManager) -> None:
    """No layer, no test of anything: who seals nothing pays nothing."""
    plain = manager.client(payload_keys=())
    assert type(plain._queue) is type(plain._remote.queue())


def test_keys_are_in_no_log_and_no_error(
    client: Client, hand: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client.add("mail", SECRET, id="t")
    hand.finish(SECRET)
    assert NEW not in caplog.text and SECRET not in caplog.text
