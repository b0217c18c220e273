"""What producers and operators say, through a real connection to a manager in this process."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from qm.client import Client, new_task
from qm.errors import (
    BadPayload,
    BadRequest,
    IdConflict,
    NotFound,
    QueueError,
    TaskCancelled,
    TaskFailed,
    TimedOut,
    TooLarge,
    WrongState,
)
from qm.ids import new_id
from qm.limits import ADD_BYTES, ADD_CHUNK, IDS_MAX, LOG_MAX
from qm.messages import Details, Fail, NewTask
from qm.payload import pack_failure, unpack
from qm.task import Failure, Outcome, State
from qm.testing import RunningManager
from tests.client.worker import FAILURE, Worker
from tests.queue.bench import PATIENCE, Call, Sleepers


def test_a_task_comes_back_as_it_was_given(client: Client) -> None:
    value = {"int": 2**70, "text": "ä🏴", "list": [1, 2.5, None, True], "bytes": b"\x00\xff"}
    id_ = client.add("mail", value, priority=4)
    task = client.get(id_)
    assert (task.id, task.type, task.input, task.priority) == (id_, "mail", value, 4)
    assert (task.state, task.output, task.error) == (State.WAITING, None, None)


def test_a_result_is_the_output_of_the_task(client: Client) -> None:
    id_ = client.add("mail")
    Worker(client).finish({"sent": 2**70})
    assert client.result(id_) == {"sent": 2**70}
    assert client.result(id_) == {"sent": 2**70}, "reading destroys nothing"


def test_a_result_that_is_not_there_is_an_error_that_says_why(client: Client) -> None:
    failed, cancelled, waiting = (client.add("mail") for _ in range(3))
    Worker(client).fail()
    client.cancel(cancelled)
    with pytest.raises(TaskFailed, match="ValueError: no") as caught:
        client.result(failed)
    assert caught.value.failure == FAILURE
    with pytest.raises(TaskCancelled, match="was cancelled"):
        client.result(cancelled)
    with pytest.raises(TimedOut, match="still waiting"):
        client.result(waiting)
    with pytest.raises(NotFound):
        client.result("nobody")


def test_many_are_read_in_order_and_those_that_do_not_exist_are_left_out(client: Client) -> None:
    ids = client.add_many([new_task("mail", n) for n in range(3)])
    tasks = client.get_many([ids[2], "nobody", ids[0], ids[2]])
    assert [task.input for task in tasks] == [2, 0, 2]
    assert client.get_many([]) == []


def test_more_than_one_call_can_name_are_read_in_several(client: Client) -> None:
    ids = client.add_many([new_task("mail", n) for n in range(IDS_MAX + 5)])
    assert [task.input for task in client.get_many(ids)] == [*range(IDS_MAX + 5)]


def test_results_too_large_for_one_frame_come_in_several(client: Client) -> None:
    ids = client.add_many([new_task("mail", bytes([n]) * 700_000) for n in range(5)])
    assert [task.input[0] for task in client.get_many(ids, wait=0.001)] == [*range(5)]


def test_get_waits_for_the_end_over_as_many_calls_as_it_takes(
    client: Client, manager: RunningManager, sleepers: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qm.client.producing.WAIT_MAX", 0.01)
    id_ = client.add("mail")
    worker = Worker(manager.client())
    reader = Call(client.get, id_, 60)
    sleepers.expect(4)
    assert set(sleepers.seconds) == {0.01}
    worker.finish("done")
    task = reader.answer()
    assert (task.state, task.output) == (State.DONE, "done")


def test_get_many_waits_for_all(client: Client, manager: RunningManager, sleepers: Sleepers) -> None:
    ids = client.add_many([new_task("mail", n) for n in range(2)])
    worker = Worker(manager.client())
    reader = Call(client.get_many, ids, 60)
    sleepers.expect()
    worker.finish()
    worker.fail()
    assert [task.state for task in reader.answer()] == [State.DONE, State.FAILED]


def test_when_the_wait_is_over_the_task_comes_as_it_stands(client: Client) -> None:
    assert client.get(client.add("mail"), wait=0.01).state is State.WAITING


def test_a_task_forgotten_while_it_was_awaited_is_not_shown_as_it_was(
    client: Client, manager: RunningManager, sleepers: Sleepers
) -> None:
    first, second = client.add("mail"), client.add("sms")
    reader = Call(client.get_many, [first, second], 60)
    sleepers.expect()
    with pytest.MonkeyPatch.context() as patch:
        read = manager.queue.get
        asked_again, forgot = threading.Event(), threading.Event()

        def get(ids: list[str], wait: float = 0, caller: Any = None) -> Any:
            asked_again.set()
            assert forgot.wait(PATIENCE)
            return read(ids, wait, caller)

        patch.setattr(manager.queue, "get", get)
        # the first answer shows both waiting, as when its time is over; the second call finds neither
        manager.queue.core.endings.tell([first, second])
        assert asked_again.wait(PATIENCE), "it would read them once more, perhaps as cancelled"
        other = manager.client()
        other.cancel_many([first, second])
        other.forget_many([first, second])
        forgot.set()
        assert reader.answer() == []


def test_a_cancelled_task_does_not_run(client: Client) -> None:
    id_ = client.add("mail")
    client.cancel(id_)
    client.cancel(id_)
    assert client.get(id_).state is State.CANCELLED


def test_a_failed_task_gets_another_chance(client: Client) -> None:
    id_ = client.add("mail")
    worker = Worker(client)
    worker.fail()
    client.requeue(id_)
    worker.finish("at last")
    assert client.result(id_) == "at last"


def test_a_forgotten_task_is_gone_and_forgetting_again_is_fine(client: Client) -> None:
    id_ = client.add("mail")
    client.cancel(id_)
    client.forget(id_)
    client.forget(id_)
    client.forget("nobody")
    with pytest.raises(NotFound, match="no task") as caught:
        client.get(id_)
    assert "time to live" in (caught.value.hint or "")


def test_what_the_state_does_not_allow_is_an_error_that_names_it(client: Client) -> None:
    running, waiting = client.add("mail"), client.add("sms")
    Worker(client).take()
    with pytest.raises(WrongState, match="is running; only failed tasks"):
        client.requeue(running)
    with pytest.raises(WrongState, match="is waiting; only ended tasks"):
        client.forget(waiting)
    for verb in (client.cancel, client.requeue):
        with pytest.raises(NotFound):
            verb("nobody")


def test_a_running_task_is_cancelled_through_its_worker(client: Client) -> None:
    id_, ended = client.add("mail"), client.add("mail")
    worker = Worker(client)
    lease = worker.take()
    assert client.cancel(id_) is State.RUNNING
    assert client.get(id_).cancelling
    client.fail(lease, Failure("Cancelled", "it stopped"))
    assert client.get(id_).state is State.CANCELLED
    assert client.cancel(id_) is State.CANCELLED
    client.finish(worker.take(), 1)
    with pytest.raises(WrongState, match="is done; a task that has ended cannot be cancelled"):
        client.cancel(ended)


def test_the_attempts_of_a_task_are_told_oldest_first_however_many(client: Client) -> None:
    id_ = client.add("mail")
    assert client.attempts(id_) == []
    worker = Worker(client)
    for n in range(40):
        details = Details(pid=n, log="x" * LOG_MAX)
        error = pack_failure(Failure("E", str(n)))
        client.fail_many([Fail(worker.take(), error, retryable=False, details=details)])
        client.requeue(id_)
    attempts = client.attempts(id_)
    assert [(one.attempt, one.pid) for one in attempts] == [(n + 1, n) for n in range(40)]
    assert {one.outcome for one in attempts} == {Outcome.ERROR}
    assert attempts[3].error == Failure("E", "3")
    with pytest.raises(NotFound):
        client.attempts("nobody")


def test_many_are_changed_at_once_and_each_state_is_told(client: Client) -> None:
    ids = [new_id() for _ in range(IDS_MAX + 2)]
    client.add_many(new_task("mail", id=id_) for id_ in ids)
    assert client.cancel_many([*ids, "nobody"]) == [State.WAITING] * len(ids) + [None]
    assert client.requeue_many(ids[:2]) == [State.CANCELLED] * 2
    assert client.forget_many(ids) == [State.CANCELLED] * len(ids)
    assert client.get_many(ids) == []
    assert client.cancel_many([]) == []


def test_status_and_list_show_how_things_stand(client: Client) -> None:
    ids = client.add_many([new_task("mail", n) for n in range(3)] + [new_task("sms", "x" * 5000)])
    worker = Worker(client)
    worker.finish("out")
    status = client.status()
    assert (status.wait, status.progress, status.done, status.unserved) == (3, 0, 1, ["sms"])
    assert status.workers[0].name == "alpha:4711"
    page = client.list([State.WAITING], type="mail", limit=1)
    assert [task.id for task in page.tasks] == [ids[1]] and page.next is not None
    rest = client.list([State.WAITING], type="mail", cursor=page.next)
    assert ([task.id for task in rest.tasks], rest.next) == ([ids[2]], None)
    (large,) = client.list([State.WAITING], type="sms").tasks
    assert (large.input, large.input_size) == (None, 5003)
    assert client.list([State.DONE]).tasks[0].output == "out"
    assert len(client.list().tasks) == 4


def test_adding_the_same_again_is_no_second_task(client: Client) -> None:
    task = new_task("mail", 1, id="order-42")
    assert client.add_many([task, task]) == ["order-42", "order-42"]
    assert client.add("mail", 1, id="order-42") == "order-42"
    assert client.status().wait == 1


def test_another_task_under_the_same_id_is_a_conflict_and_the_rest_is_added(client: Client) -> None:
    client.add("mail", 1, id="order-42")
    with pytest.raises(IdConflict, match="'order-42' belongs to a task with another type or input") as caught:
        client.add("mail", 2, id="order-42")
    assert "another id" in (caught.value.hint or "")
    client.add("mail", id="order-43")
    tasks = [new_task("sms", id=id_) for id_ in ("a", "order-42", "b", "order-43")]
    with pytest.raises(IdConflict, match=r"'order-42' .* \(and 1 more\)"):
        client.add_many(tasks)
    assert [task.type for task in client.get_many(["a", "b", "order-42"])] == ["sms", "sms", "mail"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"type": "a b"}, BadRequest),
        ({"id": "a b"}, BadRequest),
        ({"input": object()}, BadPayload),
        ({"input": bytes(2**21)}, TooLarge),
        ({"priority": 32768}, BadRequest),
        ({"priority": 2**70}, BadRequest),
        ({"priority": "high"}, BadRequest),
        ({"delay": -1}, BadRequest),
        ({"delay": float("nan")}, BadRequest),
        ({"delay": 1e12}, BadRequest),
        ({"attempts": 0}, BadRequest),
        ({"timeout": 0}, BadRequest),
        ({"timeout": object()}, BadRequest),
        ({"keep": -1}, BadRequest),
    ],
)
def test_bad_input_is_a_clear_error_and_adds_nothing(
    client: Client, options: dict[str, Any], error: type[QueueError]
) -> None:
    with pytest.raises(error) as caught:
        client.add(**{"type": "mail", **options})
    assert str(caught.value)
    assert client.status().wait == 0


def test_a_bulk_add_is_cut_into_bounded_frames_and_reads_its_tasks_as_it_goes(
    client: Client, manager: RunningManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    frames: list[tuple[int, int]] = []
    add = manager.queue.add

    def watched_add(tasks: list[NewTask]) -> Any:
        frames.append((len(tasks), made))
        return add(tasks)

    def tasks() -> Iterator[NewTask]:
        nonlocal made
        for number in range(10_000):
            made += 1
            yield new_task("mail", number)

    monkeypatch.setattr(manager.queue, "add", watched_add)
    told: list[int] = []
    ids = client.add_many(tasks(), told.append)
    assert len({*ids}) == 10_000
    assert [size for size, _ in frames] == [ADD_CHUNK] * (10_000 // ADD_CHUNK) == told
    # one frame is under way, and the next two are made meanwhile at most
    assert all(made <= (number + 3) * ADD_CHUNK + 1 for number, (_, made) in enumerate(frames))
    assert client.status().wait == 10_000
    assert [task.input for task in client.get_many(ids[-3:])] == [9997, 9998, 9999]


def test_a_bulk_add_of_large_tasks_is_cut_by_bytes(
    client: Client, manager: RunningManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[int] = []
    add = manager.queue.add

    def watched_add(tasks: list[NewTask]) -> Any:
        frames.append(sum(len(task.input) for task in tasks))
        return add(tasks)

    monkeypatch.setattr(manager.queue, "add", watched_add)
    client.add_many([new_task("mail", bytes(400_000)) for _ in range(7)])
    assert len(frames) == 4 and all(size <= ADD_BYTES for size in frames)


def test_adding_nothing_asks_nobody() -> None:
    with Client(("127.0.0.1", 1), secrets.token_bytes(32), patience=0) as client:
        assert client.add_many([]) == []


def test_a_type_that_nobody_serves_is_hinted_at_once_and_only_once(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    Worker(client, "mail")
    with caplog.at_level(logging.WARNING, logger="qm.client"):
        client.add_many([new_task("mail"), new_task("sms"), new_task("sms"), new_task("fax")])
        client.add("sms")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("qm.client")]
    assert ours == [
        'no worker serves "sms" now; start one with: qmworker (--load MODULE if it is yours)',
        'no worker serves "fax" now; start one with: qmworker (--load MODULE if it is yours)',
    ]


def test_eight_threads_share_a_client(client: Client) -> None:
    def work(name: int) -> None:
        for number in range(20):
            id_ = client.add("mail", [name, number], id=f"t-{name}-{number}")
            assert client.get(id_).input == [name, number]
            client.cancel(id_)
            assert client.get(id_, wait=5).state is State.CANCELLED

    for call in [Call(work, name) for name in range(8)]:
        call.answer()
    assert client.status().states[State.CANCELLED] == 160


def test_payloads_stay_opaque_to_the_manager(client: Client, manager: RunningManager) -> None:
    """It never decodes what it cannot trust: what it holds are the client's bytes."""
    id_ = client.add("mail", {"a": [1]})
    (held,) = manager.queue.get([id_]).tasks
    assert type(held.input) is bytes
    assert unpack(held.input) == {"a": [1]}
